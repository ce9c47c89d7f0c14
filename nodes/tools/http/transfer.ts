import type { HttpHeaders, ResponseHead } from '../../../protocols/http/message.ts';
import { headerValue, listOf } from '../../../protocols/http/message.ts';
import { ResponseParser } from '../../../protocols/http/parser.ts';
import { formatRequestHead } from '../../../protocols/http/serialize.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import type { SocketError } from '../../kernel/socket-error.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import { TcpWriter } from '../../tcp-writer.ts';

export interface TransferRequest {
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly headers: HttpHeaders;
  readonly body: Uint8Array;
}

export type TransferFailure =
  | { readonly type: 'recv'; readonly error: SocketError }
  /** The server closed without an answer. */
  | { readonly type: 'empty' }
  /** It closed within its answer; `left`: bytes that are missing, null where chunks are. */
  | { readonly type: 'partial'; readonly left: number | null }
  /** What it sent is no HTTP. */
  | { readonly type: 'malformed'; readonly problem: string };

export interface TransferHandlers {
  /** Interim ones too, 100 say. */
  head(head: ResponseHead): void;
  body(bytes: Uint8Array): void;
  /** The last call, one of the two. */
  done(): void;
  failed(failure: TransferFailure): void;
}

/** One request over a connection that stands, and its end. @throws HttpFormatError */
export function transfer(
  socket: TcpSocket<IpAddress>,
  { method, target, version, headers, body }: TransferRequest,
  handlers: TransferHandlers,
): { cancel(): void } {
  const head = formatRequestHead({ method, target, version, headers });
  let state: 'waiting' | 'receiving' | 'over' = 'waiting';
  /** Bytes of content that are still to come, where that is known. */
  let left: number | null = null;
  /** The last head was an interim one. */
  let interim = false;
  const finish = (tell: () => void) => {
    if (state === 'over') return;
    state = 'over';
    socket.close();
    tell();
  };
  const parser = new ResponseParser({
    head: (answer) => {
      if (state === 'over') return;
      state = 'receiving';
      const length = headerValue(answer.headers, 'content-length');
      const chunked = listOf(headerValue(answer.headers, 'transfer-encoding')).length > 0;
      left = length === null || chunked ? null : Number(length);
      handlers.head(answer);
      interim = answer.status < 200;
    },
    body: (bytes) => {
      if (state === 'over') return;
      if (left !== null) left -= bytes.length;
      handlers.body(bytes);
    },
    end: () => {
      if (!interim) finish(() => handlers.done());
    },
    error: (problem) =>
      finish(() =>
        handlers.failed(
          problem === 'connection closed within a message' && state !== 'waiting'
            ? { type: 'partial', left }
            : { type: 'malformed', problem },
        ),
      ),
  });
  socket.onData = (bytes) => parser.receive(bytes);
  socket.onPeerClosed = () => {
    if (state === 'waiting' && parser.idle) finish(() => handlers.failed({ type: 'empty' }));
    else parser.end();
  };
  socket.onClosed = () =>
    finish(() => handlers.failed({ type: 'recv', error: socket.error ?? 'ECONNRESET' }));
  const writer = new TcpWriter(socket);
  parser.requested(method);
  writer.write(head);
  writer.write(body);
  return {
    cancel: () => {
      if (state === 'over') return;
      state = 'over';
      socket.abort();
    },
  };
}
