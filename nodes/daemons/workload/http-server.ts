import type { RequestHead } from '../../../protocols/http/message.ts';
import { persists, reasonOf } from '../../../protocols/http/message.ts';
import { RequestParser } from '../../../protocols/http/parser.ts';
import { formatResponseHead, latin1 } from '../../../protocols/http/serialize.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { TcpWriter } from '../../tcp-writer.ts';

export interface HttpRequest {
  readonly head: RequestHead;
  readonly body: Uint8Array;
  /** Of the connection. */
  readonly local: { readonly addr: IpAddress; readonly port: number };
  readonly remote: { readonly addr: IpAddress; readonly port: number };
}

export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
  readonly headers?: readonly (readonly [string, string])[];
  /** ms to wait before it goes out. */
  readonly delay?: number;
}

/** Longest content of a request that is taken, bytes. */
const MAX_BODY = 1_048_576;
/** How long a connection may be silent, ms (nginx' keepalive_timeout). */
const IDLE = 75_000;

/** Serves one connection: requests one after the other, each answered before the next is looked at. */
export function serveHttp(
  rt: Runtime,
  socket: TcpSocket<IpAddress>,
  server: string,
  answer: (request: HttpRequest) => HttpAnswer,
): void {
  new Connection(rt, socket, server, answer);
}

class Connection {
  readonly #rt: Runtime;
  readonly #socket: TcpSocket<IpAddress>;
  readonly #server: string;
  readonly #answer: (request: HttpRequest) => HttpAnswer;
  readonly #writer: TcpWriter;
  readonly #parser: RequestParser;
  /** Requests that wait for the ones before them. */
  readonly #requests: { readonly head: RequestHead; readonly body: Uint8Array }[] = [];
  #head: RequestHead | null = null;
  #body: Uint8Array[] = [];
  #size = 0;
  #timer: TimerHandle | null = null;
  #busy = false;
  /** Nothing more is read: the other end has closed, or what it sent cannot be understood. */
  #input: 'open' | 'closed' | { readonly status: number; readonly problem: string } = 'open';
  #ended = false;

  constructor(
    rt: Runtime,
    socket: TcpSocket<IpAddress>,
    server: string,
    answer: (request: HttpRequest) => HttpAnswer,
  ) {
    this.#rt = rt;
    this.#socket = socket;
    this.#server = server;
    this.#answer = answer;
    this.#writer = new TcpWriter(socket);
    this.#parser = new RequestParser({
      head: (head) => {
        this.#head = head;
        this.#body = [];
        this.#size = 0;
        if (/^100-continue$/i.test(head.headers.find(([name]) => /^expect$/i.test(name))?.[1] ?? ''))
          this.#writer.write(latin1('HTTP/1.1 100 Continue\r\n\r\n'));
      },
      body: (bytes) => {
        this.#size += bytes.length;
        if (this.#size > MAX_BODY) this.#fail(413, `content longer than ${MAX_BODY} bytes`);
        else this.#body.push(bytes.slice());
      },
      end: () => {
        const head = this.#head;
        if (head === null || this.#input !== 'open') return;
        this.#requests.push({ head, body: joined(this.#body, this.#size) });
      },
      error: (problem, status) => this.#fail(status, problem),
    });
    socket.onData = (bytes) => {
      if (this.#input !== 'open') return;
      this.#parser.receive(bytes);
      this.#work();
    };
    socket.onPeerClosed = () => {
      if (this.#input === 'open') this.#input = 'closed';
      this.#work();
    };
    socket.onClosed = () => this.#stop();
    this.#wait();
  }

  #fail(status: number, problem: string): void {
    if (this.#input === 'open') this.#input = { status, problem };
  }

  #work(): void {
    if (this.#busy || this.#ended) return;
    const request = this.#requests.shift();
    if (request === undefined) {
      if (this.#input === 'open') {
        this.#socket.resume();
        this.#wait();
      } else {
        if (this.#input !== 'closed') this.#refuse(this.#input);
        this.#close();
      }
      return;
    }
    this.#busy = true;
    this.#socket.pause();
    const { local, remote } = this.#socket;
    const answer = this.#answer({ ...request, local, remote });
    this.#cancel();
    this.#timer = this.#rt.timers.set(this.#rt.now + (answer.delay ?? 0), () => {
      this.#busy = false;
      this.#send(request.head, answer);
      if (persists(request.head)) this.#work();
      else this.#close();
    });
  }

  #send(head: RequestHead, answer: HttpAnswer): void {
    const { status, type, body, headers = [] } = answer;
    this.#writer.write(
      formatResponseHead({
        version: '1.1',
        status,
        reason: reasonOf(status),
        headers: [
          ['Server', this.#server],
          ['Date', new Date(this.#rt.now).toUTCString()],
          ['Content-Type', type],
          ...(status === 204 ? [] : [['Content-Length', String(body.length)] as const]),
          ...headers,
          ['Connection', persists(head) ? 'keep-alive' : 'close'],
        ],
      }),
    );
    if (head.method !== 'HEAD' && status !== 204 && status !== 304) this.#writer.write(body);
  }

  #refuse({ status, problem }: { readonly status: number; readonly problem: string }): void {
    const head = { method: 'GET', target: '/', version: '1.0', headers: [] } as const;
    this.#send(head, { status, type: 'text/plain', body: latin1(`${problem}\n`) });
  }

  #wait(): void {
    this.#cancel();
    this.#timer = this.#rt.timers.set(this.#rt.now + IDLE, () => this.#close());
  }

  #close(): void {
    this.#stop();
    this.#writer.end();
    // What still comes is read and thrown away, so that the window stays open until the peer has closed too.
    this.#socket.resume();
  }

  #stop(): void {
    this.#ended = true;
    this.#cancel();
  }

  #cancel(): void {
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = null;
  }
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
