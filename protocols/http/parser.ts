import { bytesKey } from '../bytes.ts';
import {
  type HttpHeaders,
  type HttpVersion,
  headerValue,
  listOf,
  type RequestHead,
  type ResponseHead,
} from './message.ts';
import { isToken } from './serialize.ts';

/** Called as a message comes in, within `receive` and `end`: a head, any number of bodies, then `end`; and so on. */
export interface HttpHandlers<Head> {
  head(head: Head): void;
  /** A part of the content, without transfer coding. The bytes are the caller's. */
  body(bytes: Uint8Array): void;
  end(): void;
  /** It cannot go on; `status` is what a server would answer. The last call. */
  error(problem: string, status: number): void;
}

export interface HttpLimits {
  /** Most bytes of a start line with its fields, and of a trailer section. */
  readonly head: number;
}

const DEFAULT_LIMITS: HttpLimits = { head: 65_536 };
/** Most characters of a chunk's size line. */
const CHUNK_LINE = 4096;

type Framing =
  | { readonly type: 'none' }
  | { readonly type: 'length'; readonly length: number }
  | { readonly type: 'chunked' }
  | { readonly type: 'until-close' };

type State =
  | 'start'
  | 'fields'
  | 'length'
  | 'chunk-size'
  | 'chunk'
  | 'chunk-end'
  | 'trailers'
  | 'until-close'
  | 'failed';

class Failure extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** One direction of a connection, message after message (RFC 9112), fed with bytes as they come. */
abstract class HttpParser<Head extends { readonly version: HttpVersion; readonly headers: HttpHeaders }> {
  protected readonly handlers: HttpHandlers<Head>;
  readonly #limits: HttpLimits;
  #state: State = 'start';
  #line = '';
  #start = '';
  #fields: [string, string][] = [];
  /** Bytes of the head so far. */
  #size = 0;
  /** Bytes of content that are left, of the message or of the chunk. */
  #left = 0;

  constructor(handlers: HttpHandlers<Head>, limits: HttpLimits = DEFAULT_LIMITS) {
    this.handlers = handlers;
    this.#limits = limits;
  }

  /** Whether no message is under way. */
  get idle(): boolean {
    return this.#state === 'start' && this.#line === '';
  }

  receive(bytes: Uint8Array): void {
    this.#guarded(() => {
      let at = 0;
      while (at < bytes.length && this.#state !== 'failed') at = this.#step(bytes, at);
    });
  }

  /** The connection has ended: so does a body that goes on until then; anything else that is under way is cut off. */
  end(): void {
    this.#guarded(() => {
      if (this.#state === 'until-close') this.#finish();
      else if (!this.idle && this.#state !== 'failed')
        throw new Failure('connection closed within a message');
    });
  }

  /** Throws where a start line is none, before its fields have come. */
  protected abstract checkStart(line: string): void;
  protected abstract parseStart(line: string, headers: HttpHeaders): Head;
  protected abstract framing(head: Head): Framing;

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#state = 'failed';
      this.handlers.error(error.message, error.status);
    }
  }

  #step(bytes: Uint8Array, at: number): number {
    switch (this.#state) {
      case 'length':
      case 'chunk': {
        const end = Math.min(bytes.length, at + this.#left);
        this.#left -= end - at;
        if (end > at) this.handlers.body(bytes.subarray(at, end));
        if (this.#left === 0) {
          if (this.#state === 'chunk') this.#state = 'chunk-end';
          else this.#finish();
        }
        return end;
      }
      case 'until-close':
        this.handlers.body(bytes.subarray(at));
        return bytes.length;
      default:
        return this.#read(bytes, at);
    }
  }

  /** Reads on in a line, up to its end at most. */
  #read(bytes: Uint8Array, at: number): number {
    const found = bytes.indexOf(0x0a, at);
    const end = found < 0 ? bytes.length : found + 1;
    const limit =
      this.#state === 'chunk-size' || this.#state === 'chunk-end' ? CHUNK_LINE : this.#limits.head;
    this.#size += end - at;
    if (this.#size > limit) throw new Failure(`head longer than ${limit} bytes`, 431);
    this.#line += bytesKey(bytes, at, end);
    if (found < 0) return end;
    // A recipient may take a LF alone for the end of a line (§2.2).
    const line = this.#line.replace(/\r?\n$/, '');
    this.#line = '';
    if (/[\r\0]/.test(line)) throw new Failure('CR or NUL within a line');
    this.#took(line);
    return end;
  }

  #took(line: string): void {
    switch (this.#state) {
      case 'start':
        // Empty lines before a message are passed over (§2.2).
        if (line === '') return;
        this.checkStart(line);
        this.#start = line;
        this.#fields = [];
        this.#state = 'fields';
        return;
      case 'fields':
        if (line !== '') this.#fields.push(parseField(line));
        else this.#begin();
        return;
      case 'chunk-size': {
        const size = /^([0-9A-Fa-f]{1,12})[ \t]*(;.*)?$/.exec(line)?.[1];
        if (size === undefined) throw new Failure('chunk without a size');
        this.#left = Number.parseInt(size, 16);
        this.#size = 0;
        this.#state = this.#left === 0 ? 'trailers' : 'chunk';
        return;
      }
      case 'chunk-end':
        if (line !== '') throw new Failure('chunk longer than its size');
        this.#size = 0;
        this.#state = 'chunk-size';
        return;
      default:
        if (line === '') this.#finish();
        else parseField(line);
    }
  }

  #begin(): void {
    const head = this.parseStart(this.#start, this.#fields);
    const framing = this.framing(head);
    this.#size = 0;
    this.handlers.head(head);
    switch (framing.type) {
      case 'none':
        this.#finish();
        return;
      case 'length':
        this.#left = framing.length;
        this.#state = 'length';
        if (framing.length === 0) this.#finish();
        return;
      case 'chunked':
        this.#state = 'chunk-size';
        return;
      case 'until-close':
        this.#state = 'until-close';
    }
  }

  #finish(): void {
    this.#state = 'start';
    this.#size = 0;
    this.handlers.end();
  }
}

/** What a server reads. */
export class RequestParser extends HttpParser<RequestHead> {
  protected override checkStart(line: string): void {
    parseRequestLine(line);
  }

  protected override parseStart(line: string, headers: HttpHeaders): RequestHead {
    const { method, target, version } = parseRequestLine(line);
    const hosts = headers.filter(([name]) => name.toLowerCase() === 'host').length;
    if (hosts > 1 || (hosts === 0 && version === '1.1')) throw new Failure(`${hosts} Host fields`);
    return { method, target, version, headers };
  }

  /** RFC 9112 §6.3 for requests; both ways of framing at once, a smuggler's, are refused. */
  protected override framing({ version, headers }: RequestHead): Framing {
    const codings = listOf(headerValue(headers, 'transfer-encoding'));
    const length = contentLength(headers);
    if (codings.length === 0) return length === null ? { type: 'none' } : { type: 'length', length };
    if (length !== null || version === '1.0') throw new Failure('Transfer-Encoding beside Content-Length');
    if (codings.at(-1) !== 'chunked') throw new Failure('transfer coding that is not chunked at its end');
    if (codings.length > 1) throw new Failure(`transfer coding ${codings[0]}`, 501);
    return { type: 'chunked' };
  }
}

/** What a client reads. It has to know what was asked for: an answer to HEAD has no content. */
export class ResponseParser extends HttpParser<ResponseHead> {
  readonly #methods: string[] = [];

  protected override checkStart(line: string): void {
    parseStatusLine(line);
  }

  /** A request has been sent. */
  requested(method: string): void {
    this.#methods.push(method);
  }

  protected override parseStart(line: string, headers: HttpHeaders): ResponseHead {
    return { ...parseStatusLine(line), headers };
  }

  /** RFC 9112 §6.3 for responses. */
  protected override framing({ status, headers }: ResponseHead): Framing {
    if (status >= 100 && status < 200) return { type: 'none' };
    const method = this.#methods.shift();
    if (method === 'HEAD' || status === 204 || status === 304) return { type: 'none' };
    const codings = listOf(headerValue(headers, 'transfer-encoding'));
    if (codings.length > 1) throw new Failure(`transfer coding ${codings[0]}`);
    if (codings[0] === 'chunked') return { type: 'chunked' };
    if (codings.length > 0) return { type: 'until-close' };
    const length = contentLength(headers);
    return length === null ? { type: 'until-close' } : { type: 'length', length };
  }
}

function parseRequestLine(line: string): Omit<RequestHead, 'headers'> {
  const [, method, target, protocol] = /^([^ ]+) ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
  if (method === undefined || target === undefined || protocol === undefined || !isToken(method))
    throw new Failure('malformed request line');
  return { method, target, version: parseVersion(protocol) };
}

function parseStatusLine(line: string): Omit<ResponseHead, 'headers'> {
  const [, protocol, status, reason = ''] = /^(HTTP\/[^ ]+) (\d{3})(?: (.*))?$/.exec(line) ?? [];
  if (protocol === undefined || status === undefined) throw new Failure('malformed status line');
  return { version: parseVersion(protocol), status: Number(status), reason };
}

function parseVersion(protocol: string): HttpVersion {
  const [, major, minor] = /^HTTP\/(\d)\.(\d)$/.exec(protocol) ?? [];
  if (major === undefined) throw new Failure('malformed protocol version');
  if (major !== '1') throw new Failure(`HTTP/${major}.${minor} is not spoken here`, 505);
  // A higher minor version is to be handled as the highest that is known (RFC 9110 §2.5).
  return minor === '0' ? '1.0' : '1.1';
}

function parseField(line: string): [string, string] {
  if (/^[ \t]/.test(line)) throw new Failure('folded field line');
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  if (!isToken(name)) throw new Failure('malformed field line');
  return [name, line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
}

/** Null: there is none. Equal values in a list count as one (RFC 9110 §8.6). */
function contentLength(headers: HttpHeaders): number | null {
  const value = headerValue(headers, 'content-length');
  if (value === null) return null;
  const values = new Set(value.split(',').map((one) => one.trim()));
  const [one = ''] = values;
  if (values.size !== 1 || !/^\d{1,15}$/.test(one)) throw new Failure('malformed Content-Length');
  return Number(one);
}
