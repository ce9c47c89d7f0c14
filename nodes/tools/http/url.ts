/** What of a URL a client needs (RFC 3986). */
export interface Url {
  readonly scheme: string;
  readonly user: string;
  readonly host: string;
  readonly port: number;
  /** Path and query, `/` at least. */
  readonly target: string;
}

const PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ftp: 21 };

/** Parses a URL, `http` where no scheme is given, as curl guesses. Null if it is none. */
export function parseUrl(text: string): Url | null {
  const [, given, rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  const match = /^(?:([^/?#@]*)@)?(\[[0-9a-f:.]+\]|[^/?#:[\]@\s]*)(?::(\d{0,5}))?([/?][^#]*)?(?:#.*)?$/i.exec(
    rest,
  );
  if (match === null) return null;
  const [, user = '', host = '', portText = '', path = '/'] = match;
  const scheme = given ?? 'http';
  const lower = scheme.toLowerCase();
  const port = portText === '' ? (PORTS[lower] ?? 0) : Number(portText);
  if (host === '' || port > 65_535 || /[^\x21-\x7e]/.test(path)) return null;
  return { scheme: lower, user, host, port, target: path.startsWith('/') ? path : `/${path}` };
}

/** `host:port` as the Host field has it: without the scheme's own port. */
export function authorityOf({ scheme, host, port }: Url): string {
  return PORTS[scheme] === port ? host : `${host}:${port}`;
}

/** Where a Location leads from a URL (RFC 3986 §5.2, for what servers send); null if nowhere. */
export function redirected(from: Url, location: string): string | null {
  const authority = `${from.scheme}://${authorityOf(from)}`;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) return location;
  if (location.startsWith('//')) return `${from.scheme}:${location}`;
  if (location.startsWith('/')) return `${authority}${location}`;
  if (location === '') return null;
  const path = from.target.replace(/\?.*$/s, '');
  return `${authority}${path.slice(0, path.lastIndexOf('/') + 1)}${location}`;
}
