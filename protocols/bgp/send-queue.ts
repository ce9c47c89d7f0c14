import type { ConnectionId, SpeakerHost, TimerHandle } from './host.ts';

/** What a queue needs of its connection. */
export interface SendQueueOwner {
  readonly host: SpeakerHost;
  later(delay: number, run: () => void): TimerHandle;
  /** SendHoldTime, ms. */
  sendHold(): number;
  /** The peer has taken nothing for that long. */
  expired(): void;
}

/** Messages that wait for room in the TCP send buffer, and RFC 9687's SendHoldTimer, which runs while they do. */
export class SendQueue {
  readonly #owner: SendQueueOwner;
  #unsent: { readonly bytes: Uint8Array; readonly cause: number }[] = [];
  #sendHold: TimerHandle | null = null;

  constructor(owner: SendQueueOwner) {
    this.#owner = owner;
  }

  /** Whether bytes wait. */
  get blocked(): boolean {
    return this.#unsent.length > 0;
  }

  send(id: ConnectionId, message: Uint8Array): void {
    const { host } = this.#owner;
    const { cause } = host;
    if (this.blocked) {
      this.#unsent.push({ bytes: message, cause });
      return;
    }
    const taken = host.send(id, message, cause);
    if (taken === message.length) return;
    this.#unsent.push({ bytes: message.subarray(taken), cause });
    this.#start();
  }

  /** TCP has room again: sends what waits. Whether nothing does any more. */
  drain(id: ConnectionId): boolean {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      const taken = this.#owner.host.send(id, first.bytes, first.cause);
      if (taken > 0) this.#start();
      if (taken < first.bytes.length) {
        this.#unsent[0] = { bytes: first.bytes.subarray(taken), cause: first.cause };
        return false;
      }
      this.#unsent.shift();
    }
    this.#stop();
    return true;
  }

  clear(): void {
    this.#unsent = [];
    this.#stop();
  }

  /** From the last byte that was taken on. */
  #start(): void {
    this.#stop();
    this.#sendHold = this.#owner.later(this.#owner.sendHold(), () => {
      this.#sendHold = null;
      this.#owner.expired();
    });
  }

  #stop(): void {
    if (this.#sendHold !== null) this.#owner.host.timers.cancel(this.#sendHold);
    this.#sendHold = null;
  }
}
