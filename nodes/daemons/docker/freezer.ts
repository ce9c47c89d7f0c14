import type { IpAddress } from '../../../protocols/ip.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { type ProcessHost, processHost } from '../workload/process-host.ts';

/** What a UDP socket keeps for a process that does not read, bytes (`net.core.rmem_default`). */
const RECEIVE_BUFFER = 212_992;

/**
 * The cgroup freezer (`docker pause`): processes do not run, while the kernel goes on for them. It accepts connections into the backlog
 * of who listens, acknowledges what comes until the window is full and keeps datagrams until the buffer is; what they would have
 * done they do when they are thawed.
 */
export class Freezer {
  readonly #sockets = new Set<FrozenSocket>();
  #frozen = false;
  #waiting: (() => void)[] = [];
  #buffered = 0;

  get frozen(): boolean {
    return this.#frozen;
  }

  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.freeze();
  }

  thaw(): void {
    this.#frozen = false;
    this.#buffered = 0;
    for (const act of this.#waiting.splice(0)) act();
    for (const socket of this.#sockets) socket.thaw();
  }

  /** What a process does: now, or when it is thawed. */
  run(act: () => void): void {
    if (this.#frozen) this.#waiting.push(act);
    else act();
  }

  /** Where processes that can be frozen have their sockets and their time from. */
  host(ns: Netns): ProcessHost {
    const host = processHost(ns);
    return {
      rt: this.runtime(ns.kernel.rt),
      listenTcp: (port, onAccept) =>
        host.listenTcp(port, (socket) => {
          const frozen = new FrozenSocket(socket, this, () => this.#sockets.delete(frozen));
          this.#sockets.add(frozen);
          if (this.#frozen) frozen.freeze();
          this.run(() => onAccept(frozen));
        }),
      serveUdp: (port, onDatagram) =>
        host.serveUdp(port, (payload, answer) => {
          if (!this.#frozen) {
            onDatagram(payload, answer);
            return;
          }
          if (this.#buffered + payload.length > RECEIVE_BUFFER) return;
          this.#buffered += payload.length;
          // The frame is the kernel's again after this call.
          const kept = payload.slice();
          this.run(() => onDatagram(kept, answer));
        }),
    };
  }

  /** The time of processes: what a timer is to do waits while they are frozen. */
  runtime(rt: Runtime): Runtime {
    const cancelled = new WeakSet<TimerHandle>();
    return {
      get now() {
        return rt.now;
      },
      get cause() {
        return rt.cause;
      },
      set cause(cause) {
        rt.cause = cause;
      },
      random: rt.random,
      timers: {
        set: (at, fire) => {
          const handle = rt.timers.set(at, () =>
            this.run(() => {
              if (!cancelled.has(handle)) fire();
            }),
          );
          return handle;
        },
        cancel: (handle) => {
          cancelled.add(handle);
          rt.timers.cancel(handle);
        },
      },
      emit: (event) => rt.emit(event),
      store: (op, done) => rt.store(op, done),
    };
  }
}

/** A connection whose process may be frozen: nothing is read meanwhile, and nothing told. */
class FrozenSocket implements TcpSocket<IpAddress> {
  readonly #inner: TcpSocket<IpAddress>;
  readonly #freezer: Freezer;
  onConnected: (() => void) | null = null;
  onData: ((bytes: Uint8Array) => void) | null = null;
  onPeerClosed: (() => void) | null = null;
  onClosed: TcpSocket['onClosed'] = null;
  onDrained: (() => void) | null = null;
  onWritable: (() => void) | null = null;
  /** As the process wants it. */
  #reading = true;

  constructor(inner: TcpSocket<IpAddress>, freezer: Freezer, gone: () => void) {
    this.#inner = inner;
    this.#freezer = freezer;
    inner.onConnected = () => freezer.run(() => this.onConnected?.());
    inner.onData = (bytes) => {
      if (!freezer.frozen) this.onData?.(bytes);
      else {
        const kept = bytes.slice();
        freezer.run(() => this.onData?.(kept));
      }
    };
    inner.onPeerClosed = () => freezer.run(() => this.onPeerClosed?.());
    inner.onClosed = (reason) => {
      gone();
      freezer.run(() => this.onClosed?.(reason));
    };
    inner.onDrained = () => freezer.run(() => this.onDrained?.());
    inner.onWritable = () => freezer.run(() => this.onWritable?.());
  }

  freeze(): void {
    this.#inner.pause();
  }

  thaw(): void {
    if (this.#reading) this.#inner.resume();
  }

  get local() {
    return this.#inner.local;
  }
  get remote() {
    return this.#inner.remote;
  }
  get scope() {
    return this.#inner.scope;
  }
  get state() {
    return this.#inner.state;
  }
  get error() {
    return this.#inner.error;
  }
  get unacked() {
    return this.#inner.unacked;
  }
  get queued() {
    return this.#inner.queued;
  }

  send(bytes: Uint8Array): number {
    return this.#inner.send(bytes);
  }

  close(): void {
    this.#inner.close();
  }

  abort(): void {
    this.#inner.abort();
  }

  pause(): void {
    this.#reading = false;
    this.#inner.pause();
  }

  resume(): void {
    this.#reading = true;
    if (!this.#freezer.frozen) this.#inner.resume();
  }
}
