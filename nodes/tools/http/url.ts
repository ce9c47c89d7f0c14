import { formatIp6, parseIp6 } from '../../../protocols/ip6.ts';

/** What of a URL a client needs (RFC 3986). */
export interface Url {
  readonly scheme: string;
  readonly user: string;
  /** A name, or an address without brackets and zone. */
  readonly host: string;
  /** The device that an IPv6 address is of (RFC 6874); '' for none. */
  readonly zone: string;
  readonly port: number;
  /** Host and port as they were written. */
  readonly authority: string;
  /** Path and query, `/` at least. */
  readonly target: string;
}

const PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ftp: 21 };

/** Parses a URL, `http` where no scheme is given, as curl guesses. Null if it is none. */
export function parseUrl(text: string): Url | null {
  const [, given, rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  const match =
    /^(?:([^/?#@]*)@)?((?:\[[0-9a-f:.]+(?:%[^\]/?#\s]+)?\]|[^/?#:[\]@\s]*)(?::\d{0,5})?)([/?][^#]*)?(?:#.*)?$/i.exec(
      rest,
    );
  if (match === null) return null;
  const [, user = '', authority = '', path = '/'] = match;
  const [, bracketed, zoneText = '', plain = '', portText = ''] =
    /^(?:\[([^\]%]*)(?:%([^\]]*))?\]|([^:]*))(?::(\d*))?$/.exec(authority) ?? [];
  const address = bracketed === undefined ? null : parseIp6(bracketed);
  if (bracketed !== undefined && address === null) return null;
  const host = address === null ? plain : formatIp6(address);
  const scheme = given ?? 'http';
  const lower = scheme.toLowerCase();
  const port = portText === '' ? (PORTS[lower] ?? 0) : Number(portText);
  if (host === '' || port > 65_535 || /[^\x21-\x7e]/.test(path)) return null;
  const zone = zoneText.replace(/^25(?=.)/, '');
  return {
    scheme: lower,
    user,
    host,
    zone,
    port,
    authority,
    target: path.startsWith('/') ? path : `/${path}`,
  };
}

/** `host:port` as the Host field has it: without the scheme's own port. */
export function authorityOf({ scheme, host, port }: Url): string {
  const shown = host.includes(':') ? `[${host}]` : host;
  return PORTS[scheme] === port ? shown : `${shown}:${port}`;
}

/** Where a Location leads from a URL (RFC 3986 §5.2, for what servers send); null if nowhere. */
export function redirected(from: Url, location: string): string | null {
  const authority = `${from.scheme}://${from.authority}`;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) return location;
  if (location.startsWith('//')) return `${from.scheme}:${location}`;
  if (location.startsWith('/')) return `${authority}${location}`;
  if (location === '') return null;
  const path = from.target.replace(/\?.*$/s, '');
  return `${authority}${path.slice(0, path.lastIndexOf('/') + 1)}${location}`;
}

/**
 * What stands in the way of a URL where `{a,b}` and `[1-3]` stand for several (`glob_parse`): those are not here. Null: nothing,
 * an IPv6 address is none of them.
 */
export function globProblem(text: string): string | null {
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '\\') at++;
    else if (char === '[') {
      const [literal, address = ''] = /^\[([^\]%]*)(?:%[^\]]*)?\]/.exec(text.slice(at)) ?? [];
      if (literal !== undefined && parseIp6(address) !== null) at += literal.length - 1;
      else if (/^\[(?:\d+-\d+|[a-z]-[a-z])(?::\d+)?\]/i.test(text.slice(at))) return NO_GLOBS;
      else {
        const what = /^[a-z\d]/i.test(text.slice(at + 1)) ? 'bad range' : 'bad range specification';
        return `${what} in URL position ${at + 2}:\n${text}\n${' '.repeat(at + 1)}^`;
      }
    } else if (char === '{') {
      if (text.includes('}', at)) return NO_GLOBS;
      return `unmatched brace in URL position ${at + 1}:\n${text}\n${' '.repeat(at)}^`;
    }
  }
  return null;
}

const NO_GLOBS =
  'several URLs in one by {} and [] are not emulated: write them out, or take them as they are with -g';
