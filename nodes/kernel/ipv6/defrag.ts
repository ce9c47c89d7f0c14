import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { EXCEEDED6_REASSEMBLY, ICMPV6_TIME_EXCEEDED } from '../../../protocols/icmpv6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { FRAGMENT_HLEN, PROTO_ICMPV6, readFragmentHeader } from '../../../protocols/ipv6.ts';
import { IPV6_FRAGMENTS } from '../../../protocols/ipv6-fragments.ts';
import { lastHeader } from '../../../protocols/ipv6-headers.ts';
import { Reassembler } from '../../../protocols/reassembly.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { Netns } from '../netns.ts';

/** `IPV6_FRAG_TIMEOUT`, ms (RFC 8200 §4.5). */
const TIMEOUT = 60_000;
const MOST = 65_535;

/** Puts fragments together; the sender of those whose rest does not come is told (`ip6frag_expire_frag_queue`). */
export class Ip6Defrag {
  readonly #ns: Netns;
  readonly #reassembler = new Reassembler({ timeout: TIMEOUT }, IPV6_FRAGMENTS);
  #timer: TimerHandle | null = null;
  /** Bytes of the largest fragment of the packet that was completed last, its headers included. */
  largest = 0;
  /** Bytes of the data of each. */
  sizes: readonly number[] = [];

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Takes a fragment whose fragment header is at `at`; gives the whole frame when it was the last that was missing. */
  add(frame: Uint8Array, at: number): Uint8Array | null {
    const { offset, more } = readFragmentHeader(frame, at);
    // One that is all of it (RFC 6946) waits for nobody.
    const reassembler = offset === 0 && !more ? new Reassembler({}, IPV6_FRAGMENTS) : this.#reassembler;
    const whole = reassembler.add(frame.slice(ETH_HLEN), this.#ns.kernel.rt.now);
    this.#arm();
    if (whole === null) return null;
    this.largest = reassembler.largest + FRAGMENT_HLEN;
    this.sizes = reassembler.sizes;
    const rebuilt = frameBuffer(ETH_HLEN + whole.length);
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
        const frame = frameBuffer(ETH_HLEN + first.length);
        frame.set(first, ETH_HLEN);
        this.#ns.ipv6.icmp.sendError(ICMPV6_TIME_EXCEEDED, EXCEEDED6_REASSEMBLY, 0, frame, null);
      }
      this.#arm();
    });
  }
}

/** Bytes of a transport header that the first fragment has to have (`ipv6frag_thdr_truncated`). */
const LEAST: Readonly<Record<number, number>> = { [PROTO_TCP]: 20, [PROTO_UDP]: 8, [PROTO_ICMPV6]: 8 };

/**
 * What is wrong with a fragment whose header is at `at` (RFC 8200 §4.5): it is the first and has not all headers, is of a length
 * that no middle can have, or reaches beyond what a packet can hold.
 */
export function fragmentProblem(frame: Uint8Array, at: number): 'incomplete' | 'length' | 'beyond' | null {
  const { offset, more } = readFragmentHeader(frame, at);
  const size = frame.length - at - FRAGMENT_HLEN;
  if (offset === 0) {
    const upper = lastHeader(frame, ETH_HLEN, frame.length);
    if (upper !== null && upper.offset + (LEAST[upper.proto] ?? 1) > frame.length) return 'incomplete';
  }
  if (more && size % 8 !== 0) return 'length';
  return offset + size > MOST ? 'beyond' : null;
}
