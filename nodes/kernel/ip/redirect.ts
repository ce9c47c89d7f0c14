import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMP_REDIRECT, REDIRECT_HOST } from '../../../protocols/icmp.ts';
import { ipSrc } from '../../../protocols/ipv4.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';

interface Told {
  at: number;
  count: number;
}

/** Redirects that a sender may ignore before it is told no more, and how long it must be silent to be told again, ms. */
const LIMIT = 9;
const SILENCE = 20_480;
/** The least time between two, ms, doubled with each. */
const LOAD = 20;
/** Senders that are remembered; the kernel forgets them by memory pressure. */
const SENDERS = 1024;

/** Tells senders of the better way to a host (RFC 1812 §5.2.7.2), ever more seldom (`ip_rt_send_redirect`). */
export class RedirectSender {
  readonly #ns: Netns;
  readonly #told = new Map<number, Told>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** `gateway`: the router, or the host itself, that the packet's sender reaches without us. */
  send(frame: Uint8Array, gateway: number, skb: Skb | null): void {
    const { now } = this.#ns.kernel.rt;
    const src = ipSrc(frame, ETH_HLEN);
    const told = this.#told.get(src) ?? this.#remember(src);
    if (now > told.at + SILENCE) told.count = 0;
    if (told.count >= LIMIT) {
      told.at = now;
      return;
    }
    if (told.count > 0 && now <= told.at + LOAD * 2 ** told.count) return;
    this.#ns.ip.icmpError(ICMP_REDIRECT, REDIRECT_HOST, gateway, frame, skb);
    told.at = now;
    told.count++;
  }

  #remember(src: number): Told {
    const oldest = this.#told.size >= SENDERS ? this.#told.keys().next().value : undefined;
    if (oldest !== undefined) this.#told.delete(oldest);
    const told = { at: Number.NEGATIVE_INFINITY, count: 0 };
    this.#told.set(src, told);
    return told;
  }
}
