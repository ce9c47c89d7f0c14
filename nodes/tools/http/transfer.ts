import type { HttpHeaders, ResponseHead } from '../../../protocols/http/message.ts';
import { headerValue, listOf } from '../../../protocols/http/message.ts';
import { ResponseParser } from '../../../protocols/http/parser.ts';
import { formatRequestHead } from '../../../protocols/http/serialize.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { SocketError } from '../../kernel/socket-error.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import { TcpWriter } from '../../tcp-writer.ts';

export interface TransferRequest {
  readonly addr: number;
  readonly port: number;
  /** 0: what routing prefers. */
  readonly src: number;
  readonly srcPort?: number;
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly headers: HttpHeaders;
  readonly body: Uint8Array;
}

export type TransferFailure =
  | { readonly type: 'connect' | 'recv'; readonly error: SocketError }
  /** The server closed without an answer. */
  | { readonly type: 'empty' }
  /** It closed within its answer; `left`: bytes that are missing, null where chunks are. */
  | { readonly type: 'partial'; readonly left: number | null }
  /** What it sent is no HTTP. */
  | { readonly type: 'malformed'; readonly problem: string };

export interface TransferHandlers {
  connected(socket: TcpSocket): void;
  /** Interim ones too, 100 say. */
  head(head: ResponseHead): void;
  body(bytes: Uint8Array): void;
  /** The last call, one of the two. */
  done(): void;
  failed(failure: TransferFailure): void;
}

/** One request over a connection of its own. @throws PortInUseError, HttpFormatError */
export function transfer(
  ns: Netns,
  request: TransferRequest,
  handlers: TransferHandlers,
): { cancel(): void; readonly socket: TcpSocket } {
  const { method, target, version, headers } = request;
  const head = formatRequestHead({ method, target, version, headers });
  const socket = ns.connectTcp({
    src: request.src,
    dst: request.addr,
    port: request.port,
    ...(request.srcPort === undefined ? {} : { srcPort: request.srcPort }),
  });
  let state: 'connecting' | 'waiting' | 'receiving' | 'over' = 'connecting';
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
  const writer = new TcpWriter(socket);
  socket.onConnected = () => {
    state = 'waiting';
    handlers.connected(socket);
    parser.requested(method);
    writer.write(head);
    writer.write(request.body);
  };
  socket.onData = (bytes) => parser.receive(bytes);
  socket.onPeerClosed = () => {
    if (state === 'waiting' && parser.idle) finish(() => handlers.failed({ type: 'empty' }));
    else parser.end();
  };
  socket.onClosed = () => {
    const type = state === 'connecting' ? 'connect' : 'recv';
    finish(() => handlers.failed({ type, error: socket.error ?? 'ECONNRESET' }));
  };
  return {
    socket,
    cancel: () => {
      if (state === 'over') return;
      state = 'over';
      socket.abort();
    },
  };
}
