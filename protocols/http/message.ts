/** Header fields in their order, names as they were written. Values are text of one byte a character (RFC 9110 §5.5). */
export type HttpHeaders = readonly (readonly [name: string, value: string])[];

export type HttpVersion = '1.0' | '1.1';

export interface RequestHead {
  readonly method: string;
  /** `/path?query`, `http://host/path`, `host:port` or `*` (RFC 9112 §3.2). */
  readonly target: string;
  readonly version: HttpVersion;
  readonly headers: HttpHeaders;
}

export interface ResponseHead {
  readonly version: HttpVersion;
  readonly status: number;
  readonly reason: string;
  readonly headers: HttpHeaders;
}

/** A field's value, several of one name joined by commas (RFC 9110 §5.3); null if it is not there. */
export function headerValue(headers: HttpHeaders, name: string): string | null {
  const values = headers.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
  return values.length === 0 ? null : values.join(', ');
}

/** Members of a comma-separated list, in lower case. */
export function listOf(value: string | null): string[] {
  return (value ?? '')
    .split(',')
    .map((member) => member.trim().toLowerCase())
    .filter((member) => member !== '');
}

/** Whether the connection goes on after a message (RFC 9112 §9.3). */
export function persists(head: { readonly version: HttpVersion; readonly headers: HttpHeaders }): boolean {
  const options = listOf(headerValue(head.headers, 'connection'));
  if (options.includes('close')) return false;
  return head.version === '1.1' || options.includes('keep-alive');
}

const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  418: "I'm a teapot",
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** RFC 9110 §15; '' of a status without a name here. */
export function reasonOf(status: number): string {
  return REASONS[status] ?? '';
}
