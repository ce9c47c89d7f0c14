import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMP_REDIRECT, REDIRECT_HOST } from '../../../protocols/icmp.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { ipDst, ipSrc } from '../../../protocols/ipv4.ts';
import type { Device } from '../device.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';

interface Told {
  at: number;
  count: number;
}

const WARNING = 4;
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
  send(device: Device, frame: Uint8Array, gateway: number, skb: Skb | null): void {
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
    const { all } = this.#ns.sysctls;
    const logs = (device.conf.log_martians | all.log_martians) !== 0;
    if (logs && told.count === LIMIT && this.#ns.kernel.ratelimit()) {
      const who = `host ${formatIp4(src)}/if${device.ifindex}`;
      const what = `${formatIp4(ipDst(frame, ETH_HLEN))} to ${formatIp4(gateway)}`;
      this.#ns.log(WARNING, `IPv4: ${who} ignores redirects for ${what}`);
    }
  }

  #remember(src: number): Told {
    const oldest = this.#told.size >= SENDERS ? this.#told.keys().next().value : undefined;
    if (oldest !== undefined) this.#told.delete(oldest);
    const told = { at: Number.NEGATIVE_INFINITY, count: 0 };
    this.#told.set(src, told);
    return told;
  }
}
