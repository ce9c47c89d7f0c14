import { u32 } from '../../../protocols/bytes.ts';
import { ERROR, OFP_VERSION, OpenFlowError } from '../../../protocols/openflow/constants.ts';
import { decodeOpenFlow } from '../../../protocols/openflow/decode.ts';
import { encodeOpenFlow } from '../../../protocols/openflow/encode.ts';
import { OpenFlowFramer } from '../../../protocols/openflow/framer.ts';
import type { OfBody, OfMessage } from '../../../protocols/openflow/message.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { TcpWriter } from '../../tcp-writer.ts';

export interface ChannelHandlers {
  /** The versions agree (§6.3.1). */
  opened(): void;
  message(message: OfMessage): void;
  /** Once, with what it ended by. */
  closed(reason: string): void;
}

/** The error for two ends that have no version in common. */
const INCOMPATIBLE = 0;
const NO_DATA = new Uint8Array(0);

/** One end of an OpenFlow connection: messages over TCP, HELLO at its beginning, ECHO when it is idle. */
export class OpenFlowChannel {
  readonly #rt: Runtime;
  readonly #socket: TcpSocket;
  readonly #writer: TcpWriter;
  readonly #handlers: ChannelHandlers;
  readonly #probe: number;
  readonly #framer = new OpenFlowFramer();
  #state: 'hello' | 'open' | 'closed' = 'hello';
  #xid = 0;
  #timer: TimerHandle | null = null;
  #heard = 0;
  #probed = false;

  /** Of a socket that is connected. `probe`: time without a message after which the other end is asked for one, ms. */
  constructor(rt: Runtime, socket: TcpSocket, probe: number, handlers: ChannelHandlers) {
    this.#rt = rt;
    this.#socket = socket;
    this.#probe = probe;
    this.#handlers = handlers;
    this.#writer = new TcpWriter(socket);
    socket.onData = (bytes) => this.#data(bytes);
    socket.onPeerClosed = () => this.close('connection closed by peer');
    socket.onClosed = (reason) => this.#ended(reason === 'closed' ? 'connection closed by peer' : reason);
    this.send({ type: 'hello', versions: 1 << OFP_VERSION });
    this.#heard = rt.now;
    this.#arm();
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Sends a message, with a transaction id of its own unless it answers one. */
  send(body: OfBody, xid?: number): number {
    if (this.#state === 'closed') return 0;
    if (xid === undefined) this.#xid = (this.#xid + 1) >>> 0;
    const id = xid ?? this.#xid;
    this.#writer.write(encodeOpenFlow({ xid: id, body }));
    return id;
  }

  /** Refuses a message (§7.5.4), its first 64 bytes with it. */
  refuse(error: OpenFlowError, message: Uint8Array, xid: number): void {
    const { errorType, code } = error;
    this.send({ type: 'error', errorType, code, data: message.slice(0, 64) }, xid);
  }

  close(reason: string): void {
    if (this.#state === 'closed') return;
    this.#ended(reason);
    this.#writer.end();
  }

  #ended(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = null;
    this.#handlers.closed(reason);
  }

  #data(bytes: Uint8Array): void {
    this.#heard = this.#rt.now;
    this.#probed = false;
    let messages: Uint8Array[];
    try {
      messages = this.#framer.push(bytes);
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      this.close(error.message);
      return;
    }
    const { cause } = this.#rt;
    for (const message of messages) {
      if (this.#state === 'closed') return;
      this.#rt.cause = cause;
      this.#take(message);
    }
  }

  #take(bytes: Uint8Array): void {
    try {
      const message = decodeOpenFlow(bytes);
      if (message.body.type === 'hello') this.#hello(message.body.versions, bytes[0]!);
      else if (message.body.type === 'echo_request')
        this.send({ type: 'echo_reply', data: message.body.data }, message.xid);
      else if (message.body.type !== 'echo_reply' && this.#state === 'open') this.#handlers.message(message);
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      // An error is never answered by another.
      if (bytes[1] !== 1) this.refuse(error, bytes, u32(bytes, 4));
    }
  }

  #hello(versions: number | null, highest: number): void {
    if (this.#state !== 'hello') return;
    const speaks = versions === null ? highest >= OFP_VERSION : (versions & (1 << OFP_VERSION)) !== 0;
    if (speaks) {
      this.#state = 'open';
      this.#handlers.opened();
      return;
    }
    this.send({ type: 'error', errorType: ERROR.HELLO_FAILED, code: INCOMPATIBLE, data: NO_DATA });
    this.close('version negotiation failed: this end speaks OpenFlow 1.3 (0x04)');
  }

  #arm(): void {
    this.#timer = this.#rt.timers.set(this.#deadline, () => {
      this.#timer = null;
      // A message since then has moved it.
      if (this.#rt.now >= this.#deadline) {
        if (this.#probed) {
          this.#ended('no response to inactivity probe');
          this.#socket.abort();
          return;
        }
        this.#probed = true;
        this.send({ type: 'echo_request', data: NO_DATA });
      }
      this.#arm();
    });
  }

  get #deadline(): number {
    return this.#heard + this.#probe * (this.#probed ? 2 : 1);
  }
}
