import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { EXCEEDED_REASSEMBLY, ICMP_TIME_EXCEEDED } from '../../../protocols/icmp.ts';
import { ipDst, ipFragmentOffset, ipMf, setIpDf } from '../../../protocols/ipv4.ts';
import { Reassembler } from '../../../protocols/reassembly.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { Netns } from '../netns.ts';

export function isFragment(frame: Uint8Array): boolean {
  return ipMf(frame, ETH_HLEN) || ipFragmentOffset(frame, ETH_HLEN) > 0;
}

/** Puts fragments together (`ip_defrag`); those whose rest does not come are answered with ICMP time exceeded. */
export class IpDefrag {
  readonly #ns: Netns;
  readonly #reassembler = new Reassembler();
  #timer: TimerHandle | null = null;
  #due = Number.POSITIVE_INFINITY;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Bytes of the largest fragment of the packet that was completed last. */
  get largest(): number {
    return this.#reassembler.largest;
  }

  /** Bytes of the data of each of its fragments. */
  get sizes(): readonly number[] {
    return this.#reassembler.sizes;
  }

  /**
   * Takes a fragment; gives the whole frame when it was the last that was missing. It has DF where its largest fragment had
   * (`ip_frag_reasm`), so that what is sent on is no larger than what came.
   */
  add(frame: Uint8Array): Uint8Array | null {
    const { rt } = this.#ns.kernel;
    const timeout = this.#ns.sysctls.ipv4.ipfrag_time * 1_000;
    const whole = this.#reassembler.add(frame.slice(ETH_HLEN), rt.now, timeout);
    this.#arm();
    if (whole === null) return null;
    const rebuilt = new Uint8Array(ETH_HLEN + whole.length);
    rebuilt.set(frame.subarray(0, ETH_HLEN));
    rebuilt.set(whole, ETH_HLEN);
    if (this.#reassembler.df) setIpDf(rebuilt, ETH_HLEN);
    return rebuilt;
  }

  #arm(): void {
    const { rt } = this.#ns.kernel;
    const deadline = this.#reassembler.nextDeadline;
    if (deadline >= this.#due) return;
    if (this.#timer !== null) rt.timers.cancel(this.#timer);
    this.#due = deadline;
    this.#timer = rt.timers.set(deadline, () => {
      this.#timer = null;
      this.#due = Number.POSITIVE_INFINITY;
      for (const first of this.#reassembler.expire(rt.now)) {
        // RFC 792: the end host says so, nobody on the way (`ip_expire`).
        if (!this.#ns.isLocal(ipDst(first, 0))) continue;
        const frame = new Uint8Array(ETH_HLEN + first.length);
        frame.set(first, ETH_HLEN);
        this.#ns.ip.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_REASSEMBLY, 0, frame);
      }
      this.#arm();
    });
  }
}
