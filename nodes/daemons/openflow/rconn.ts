import { parseIp4 } from '../../../protocols/ip4.ts';
import { OFP_PORT } from '../../../protocols/openflow/constants.ts';
import type { OfMessage } from '../../../protocols/openflow/message.ts';
import type { OpenFlowSwitchConfig } from '../../config.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { OpenFlowChannel } from './channel.ts';

export interface RconnHandlers {
  /** The versions agree. */
  opened(channel: OpenFlowChannel): void;
  message(channel: OpenFlowChannel, message: OfMessage): void;
  /** What was opened is closed. */
  closed(reason: string): void;
}

type RconnTimes = Pick<OpenFlowSwitchConfig, 'inactivityProbe' | 'backoff' | 'maxBackoff'>;

/**
 * For so many times its backoff, which is a second at first, an attempt is waited for. For once, as rconn has it, it would end
 * just as a neighbour that is not up yet is asked again, and what waits for the answer would be sent and be refused.
 */
const PATIENCE = 1.5;

/** A connection to a controller that is tried anew until it is there (lib/rconn.c). */
export class Rconn {
  /** `tcp:ADDRESS:PORT` */
  readonly target: string;
  readonly #rt: Runtime;
  readonly #ns: Netns;
  readonly #address: string;
  readonly #times: RconnTimes;
  readonly #handlers: RconnHandlers;
  #socket: TcpSocket | null = null;
  #channel: OpenFlowChannel | null = null;
  #wasOpen = false;
  #backoff: number;
  #retry: TimerHandle | null = null;

  constructor(rt: Runtime, ns: Netns, address: string, times: RconnTimes, handlers: RconnHandlers) {
    this.target = targetOf(address);
    this.#rt = rt;
    this.#ns = ns;
    this.#address = address;
    this.#times = times;
    this.#handlers = handlers;
    this.#backoff = times.backoff;
  }

  get channel(): OpenFlowChannel | null {
    return this.#channel?.isOpen === true ? this.#channel : null;
  }

  connect(): void {
    const socket = this.#ns.connectTcp({ src: 0, dst: parseIp4(this.#address) ?? 0, port: OFP_PORT });
    this.#socket = socket;
    socket.onConnected = () => {
      const channel = new OpenFlowChannel(this.#rt, socket, this.#times.inactivityProbe, {
        opened: () => this.#opened(channel),
        message: (message) => this.#handlers.message(channel, message),
        closed: (reason) => this.#closed(reason),
      });
      this.#channel = channel;
    };
    socket.onClosed = (reason) => this.#closed(reason);
    this.#retry = this.#rt.timers.set(
      this.#rt.now + PATIENCE * Math.max(this.#times.backoff, this.#backoff),
      () => {
        this.#retry = null;
        if (this.#channel !== null || this.#socket !== socket) return;
        socket.onClosed = null;
        socket.abort();
        this.#closed('connection timed out');
      },
    );
  }

  shutdown(): void {
    if (this.#retry !== null) this.#rt.timers.cancel(this.#retry);
    this.#channel?.close('shut down');
  }

  #opened(channel: OpenFlowChannel): void {
    this.#backoff = this.#times.backoff;
    this.#wasOpen = true;
    this.#handlers.opened(channel);
  }

  #closed(reason: string): void {
    const wasOpen = this.#wasOpen;
    this.#channel = null;
    this.#socket = null;
    this.#wasOpen = false;
    if (this.#retry !== null) this.#rt.timers.cancel(this.#retry);
    if (wasOpen) this.#handlers.closed(reason);
    this.#retry = this.#rt.timers.set(this.#rt.now + this.#backoff, () => {
      this.#retry = null;
      this.connect();
    });
    this.#backoff = Math.min(2 * this.#backoff, this.#times.maxBackoff);
  }
}

export function targetOf(address: string): string {
  return `tcp:${address}:${OFP_PORT}`;
}
