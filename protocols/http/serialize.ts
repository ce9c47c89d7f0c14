import type { HttpHeaders, RequestHead, ResponseHead } from './message.ts';

/** Characters of one byte each, as heads are written in. */
export function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A part of a head that would end its line, or is not what its place asks for. */
export class HttpFormatError extends Error {
  override readonly name = 'HttpFormatError';
}

/** @throws HttpFormatError */
export function formatRequestHead({ method, target, version, headers }: RequestHead): Uint8Array {
  if (!isToken(method)) throw new HttpFormatError(`${JSON.stringify(method)} is no method`);
  if (!/^[\x21-\x7e\x80-\xff]+$/.test(target))
    throw new HttpFormatError(`${JSON.stringify(target)} is no request target`);
  return latin1(`${method} ${target} HTTP/${version}\r\n${formatHeaders(headers)}\r\n`);
}

/** @throws HttpFormatError */
export function formatResponseHead({ version, status, reason, headers }: ResponseHead): Uint8Array {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(reason))
    throw new HttpFormatError(`${JSON.stringify(reason)} is no reason phrase`);
  return latin1(
    `HTTP/${version} ${String(status).padStart(3, '0')} ${reason}\r\n${formatHeaders(headers)}\r\n`,
  );
}

/** One chunk (RFC 9112 §7.1); an empty one ends the body, without trailers. */
export function formatChunk(bytes: Uint8Array): Uint8Array {
  const head = latin1(`${bytes.length.toString(16)}\r\n`);
  const chunk = new Uint8Array(head.length + bytes.length + 2);
  chunk.set(head);
  chunk.set(bytes, head.length);
  chunk.set([13, 10], head.length + bytes.length);
  return chunk;
}

function formatHeaders(headers: HttpHeaders): string {
  return headers
    .map(([name, value]) => {
      if (!isToken(name)) throw new HttpFormatError(`${JSON.stringify(name)} is no field name`);
      if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
        throw new HttpFormatError(`${JSON.stringify(value)} is no field value`);
      return `${name}: ${value}\r\n`;
    })
    .join('');
}

/** RFC 9110 §5.6.2 */
export function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}
