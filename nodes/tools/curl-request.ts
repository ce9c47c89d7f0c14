import type { HttpHeaders } from '../../protocols/http/message.ts';
import type { CurlOptions } from './curl-options.ts';
import { authorityOf, type Url } from './http/url.ts';

export interface CurlRequest {
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly headers: HttpHeaders;
  readonly body: Uint8Array;
}

/** The request that options ask for. After a redirection the data is not sent again, as curl does for 301 to 303. */
export function curlRequest(options: CurlOptions, url: Url | null, redirects: number): CurlRequest {
  const { flags, method, userAgent } = options;
  const data = redirects > 0 ? null : options.data;
  const inUrl = flags.has('get') && data !== null;
  const body = data === null || inUrl ? null : new TextEncoder().encode(data);
  const user = options.user !== '' ? options.user : (url?.user ?? '');
  const json = flags.has('json') && body !== null;
  const own: [string, string][] = [
    ['Host', url === null ? '' : authorityOf(url)],
    ...(user === ''
      ? []
      : [['Authorization', `Basic ${base64(user.includes(':') ? user : `${user}:`)}`] as [string, string]]),
    ...(userAgent === '' ? [] : [['User-Agent', userAgent ?? 'curl/7.88.1'] as [string, string]]),
    ['Accept', json ? 'application/json' : '*/*'],
    ...(body === null
      ? []
      : ([
          ['Content-Length', String(body.length)],
          ['Content-Type', json ? 'application/json' : 'application/x-www-form-urlencoded'],
        ] as [string, string][])),
  ];
  const given = options.headers.map(parseHeader);
  const kept = own.flatMap(([name, value]): [string, string][] => {
    const other = given.find((header) => header !== null && header.name.toLowerCase() === name.toLowerCase());
    if (other === undefined || other === null) return [[name, value]];
    return name === 'Host' && other.value !== null ? [['Host', other.value]] : [];
  });
  const further = given.flatMap((header): [string, string][] =>
    header === null || header.value === null || header.name.toLowerCase() === 'host'
      ? []
      : [[header.name, header.value]],
  );
  const target = url?.target ?? '/';
  const implied = flags.has('head') ? 'HEAD' : body === null ? 'GET' : 'POST';
  return {
    method: method ?? implied,
    target: inUrl ? `${target}${target.includes('?') ? '&' : '?'}${data}` : target,
    version: flags.has('http1.0') ? '1.0' : '1.1',
    headers: [...kept, ...further],
    body: body ?? new Uint8Array(0),
  };
}

/** `Name: value`; `Name:` takes a header away (value null), `Name;` sends it empty. Null: it is none. */
function parseHeader(text: string): { readonly name: string; readonly value: string | null } | null {
  const empty = /^([^:;]+);$/.exec(text)?.[1];
  if (empty !== undefined) return { name: empty, value: '' };
  const [, name, value] = /^([^:]+):[ \t]*(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) return null;
  return { name, value: value === '' ? null : value };
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** RFC 4648 §4, of the UTF-8 of a text. */
function base64(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let out = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let k = 0; k < 4; k++) out += i + k - 1 < bytes.length ? DIGITS[(group >>> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}
