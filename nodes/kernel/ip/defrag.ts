import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { EXCEEDED_REASSEMBLY, ICMP_TIME_EXCEEDED } from '../../../protocols/icmp.ts';
import { ipFragmentOffset, ipMf } from '../../../protocols/ipv4.ts';
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
  readonly #answer: 'time-exceeded' | 'silent';
  #timer: TimerHandle | null = null;

  /** 'silent': nobody is told of what was given up, as where the packets are another's (`ip_expire`). */
  constructor(ns: Netns, answer: 'time-exceeded' | 'silent') {
    this.#ns = ns;
    this.#answer = answer;
  }

  /** Takes a fragment; gives the whole frame when it was the last that was missing. */
  add(frame: Uint8Array): Uint8Array | null {
    const { rt } = this.#ns.kernel;
    const whole = this.#reassembler.add(frame.slice(ETH_HLEN), rt.now);
    this.#arm();
    if (whole === null) return null;
    const rebuilt = new Uint8Array(ETH_HLEN + whole.length);
    rebuilt.set(frame.subarray(0, ETH_HLEN));
    rebuilt.set(whole, ETH_HLEN);
    return rebuilt;
  }

  #arm(): void {
    const { rt } = this.#ns.kernel;
    const deadline = this.#reassembler.nextDeadline;
    if (this.#timer !== null || deadline === Number.POSITIVE_INFINITY) return;
    this.#timer = rt.timers.set(deadline, () => {
      this.#timer = null;
      for (const first of this.#reassembler.expire(rt.now)) {
        if (this.#answer === 'silent') continue;
        const frame = new Uint8Array(ETH_HLEN + first.length);
        frame.set(first, ETH_HLEN);
        this.#ns.ip.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_REASSEMBLY, 0, frame);
      }
      this.#arm();
    });
  }
}
