import { formatIp4 } from '../../protocols/ip4.ts';
import { encodeProbe, PROBE_PORT, ProbeReplyReader } from '../../protocols/probe.ts';
import type { Netns } from '../kernel/netns.ts';
import type { ReceivedDatagram, UdpSocket } from '../kernel/udp.ts';
import type { Runtime, TimerHandle } from '../runtime.ts';

/** One packet of a probe. */
interface ProbeSample {
  readonly seq: number;
  /** ms on the node's clock. */
  readonly sentAt: number;
  /** Address it was sent to. */
  readonly target: string;
  /** Round-trip time, ms; null while there is no answer. */
  readonly rtt: number | null;
  /** uid of the pod that answered, '' while there is no answer. */
  readonly uid: string;
}

export interface ProbeReport {
  readonly probe: string;
  readonly startedAt: number;
  /** Time of the report; of the stop, if it has stopped. */
  readonly stoppedAt: number;
  readonly sent: number;
  readonly received: number;
  /** Sent and not answered by the time of the report. */
  readonly lost: number;
  /** The packets in order, the last `KEPT_SAMPLES` of them. */
  readonly results: readonly ProbeSample[];
}

export interface ProbeOptions {
  /** Unique on the node. */
  readonly id: string;
  readonly ns: Netns;
  readonly target: number;
  /** Time between packets, ms. */
  readonly interval: number;
}

/** Packets a report can tell one by one; counts cover all. */
export const KEPT_SAMPLES = 65_536;

export class ProbeError extends Error {
  override readonly name = 'ProbeError';
}

/** The node's probes: UDP packets at a steady rate from a namespace to the echo service of a pod. */
export class Prober {
  readonly #rt: Runtime;
  readonly #probes = new Map<string, RunningProbe>();

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /**
   * Starts a probe; the first packet goes out now.
   * @throws ProbeError if the id is taken or the interval is no positive number.
   */
  start(options: ProbeOptions): void {
    if (this.#probes.has(options.id)) throw new ProbeError(`probe ${options.id} is already running`);
    if (!(options.interval > 0))
      throw new ProbeError('the interval of a probe is a positive number of milliseconds');
    this.#probes.set(options.id, new RunningProbe(this.#rt, options));
  }

  /** Aims at another address from the next packet on; false if there is no such probe. */
  retarget(id: string, target: number): boolean {
    const probe = this.#probes.get(id);
    if (probe !== undefined) probe.target = target;
    return probe !== undefined;
  }

  /** What the probe has counted so far; null if there is no such probe. */
  report(id: string): ProbeReport | null {
    return this.#probes.get(id)?.report() ?? null;
  }

  /** Ends the probe and forgets it; null if there is no such probe. */
  stop(id: string): ProbeReport | null {
    const probe = this.#probes.get(id);
    if (probe === undefined) return null;
    this.#probes.delete(id);
    probe.halt();
    return probe.report();
  }

  /** The namespace is about to go: its probes send no more, and keep what they counted. */
  namespaceRemoved(ns: Netns): void {
    for (const probe of this.#probes.values()) if (probe.ns === ns) probe.halt();
  }
}

class RunningProbe {
  readonly ns: Netns;
  target: number;
  readonly #rt: Runtime;
  readonly #id: string;
  readonly #number: number;
  readonly #interval: number;
  readonly #startedAt: number;
  readonly #socket: UdpSocket;
  readonly #reader = new ProbeReplyReader();
  readonly #sentAt: number[] = [];
  readonly #targets: number[] = [];
  /** NaN while there is no answer. */
  readonly #rtt: number[] = [];
  readonly #uid: string[] = [];
  #timer: TimerHandle | null = null;
  #stoppedAt: number | null = null;
  #sent = 0;
  #received = 0;

  constructor(rt: Runtime, options: ProbeOptions) {
    this.#rt = rt;
    this.ns = options.ns;
    this.target = options.target;
    this.#id = options.id;
    // A number of its own tells its answers from those to an earlier probe that had the same port.
    this.#number = rt.random.int(1, 0x7fffffff);
    this.#interval = options.interval;
    this.#startedAt = rt.now;
    this.#socket = options.ns.bindUdp({ addr: 0, port: 0 }, (datagram) => this.#receive(datagram));
    this.#send();
  }

  #send(): void {
    const { now } = this.#rt;
    const seq = this.#sent++;
    const slot = seq % KEPT_SAMPLES;
    this.#sentAt[slot] = now;
    this.#targets[slot] = this.target;
    this.#rtt[slot] = Number.NaN;
    this.#uid[slot] = '';
    this.#socket.sendTo(this.target, PROBE_PORT, encodeProbe({ probe: this.#number, seq, sentAt: now }));
    // A node that was held up does not make good for it with a burst.
    const due = this.#startedAt + this.#sent * this.#interval;
    this.#timer = this.#rt.timers.set(due > now ? due : now + this.#interval, () => this.#send());
  }

  #receive(datagram: ReceivedDatagram): void {
    const reply = this.#reader.read(datagram.payload);
    if (reply === null || reply.probe !== this.#number) return;
    if (reply.seq >= this.#sent || reply.seq < this.#sent - KEPT_SAMPLES) return;
    const slot = reply.seq % KEPT_SAMPLES;
    if (datagram.src !== this.#targets[slot] || !Number.isNaN(this.#rtt[slot])) return;
    this.#rtt[slot] = this.#rt.now - reply.sentAt;
    this.#uid[slot] = reply.uid;
    this.#received++;
  }

  halt(): void {
    if (this.#stoppedAt !== null) return;
    this.#stoppedAt = this.#rt.now;
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#socket.close();
  }

  report(): ProbeReport {
    const results: ProbeSample[] = [];
    for (let seq = Math.max(0, this.#sent - KEPT_SAMPLES); seq < this.#sent; seq++) {
      const slot = seq % KEPT_SAMPLES;
      const rtt = this.#rtt[slot]!;
      results.push({
        seq,
        sentAt: this.#sentAt[slot]!,
        target: formatIp4(this.#targets[slot]!),
        rtt: Number.isNaN(rtt) ? null : rtt,
        uid: this.#uid[slot]!,
      });
    }
    return {
      probe: this.#id,
      startedAt: this.#startedAt,
      stoppedAt: this.#stoppedAt ?? this.#rt.now,
      sent: this.#sent,
      received: this.#received,
      lost: this.#sent - this.#received,
      results,
    };
  }
}
