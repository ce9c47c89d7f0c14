import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { type Ip6, isLinkLocal, isMulticastIp6, readIp6Cached } from '../../../protocols/ip6.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, IPV6_MIN_MTU } from '../../../protocols/ipv6.ts';
import type { NdpMessage } from '../../../protocols/ndp.ts';
import type { Device } from '../device.ts';
import type { Path } from '../ip/path.ts';
import type { Netns } from '../netns.ts';

/** Bytes of a redirect without its options, and of the head of the option that quotes a packet (RFC 4861 §4.5, §4.6.3). */
const REDIRECT_LENGTH = 40;
const OPTION_HEAD = 8;

type Redirect = Extract<NdpMessage, { type: 'redirect' }>;

/** Heeds a redirect that came from a router of this link (RFC 4861 §8.3, `rt6_do_redirect`). */
export function receiveRedirect6(ns: Netns, device: Device, message: Redirect, router: Ip6): void {
  const { inet6 } = device;
  const { destination, target, options } = message;
  const onLink = destination === target;
  if (!isLinkLocal(router) || isMulticastIp6(destination) || !(onLink || isLinkLocal(target))) {
    ns.kernel.drop('ndp-malformed');
    return;
  }
  if (inet6.forwarding || inet6.conf.accept_redirects === 0) {
    ns.kernel.drop('ndp-redirect-ignored');
    return;
  }
  // Nobody but the router that packets go to may send them elsewhere.
  const path = ns.ipv6.layer.lookup(destination, 0, device);
  if (path?.type !== 'unicast' || path.nexthop !== router || path.nexthop === destination) {
    ns.kernel.drop('ndp-redirect-ignored');
    return;
  }
  inet6.neighbors.confirm(router);
  if (options.targetMac !== undefined && !inet6.neighbors.solicitedBy(target, options.targetMac)) return;
  ns.ipv6.redirects.learn(destination, path, target);
}

interface Tokens {
  left: number;
  at: number;
}

/** `XRLIM_BURST_FACTOR`; and the time that one redirect more takes, ms. */
const BURST = 6;
const INTERVAL = 1000;
const PEERS = 1024;

/** Tells senders of the better way to a host (RFC 4861 §8.2, `ndisc_send_redirect`). */
export class RedirectSender6 {
  readonly #ns: Netns;
  readonly #peers = new Map<Ip6, Tokens>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The packet that has come in by a device goes on by it too. */
  send(device: Device, frame: Uint8Array, { nexthop: target }: Path<Ip6>): void {
    const { ipv6 } = this.#ns;
    const { inet6 } = device;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const destination = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    if (!this.#admits(destination)) return;
    const own = inet6.linkLocal();
    // Who sends it has to know it for a router's, and its target for one.
    if (own === null || (target !== destination && !isLinkLocal(target))) return;
    if (ipv6.addresses.isLocal(src, device)) return;
    if (ipv6.layer.lookup(src, 0, device)?.nexthop !== src || !this.#admits(src)) return;
    const mac = inet6.neighbors.macOf(target);
    const room = IPV6_MIN_MTU - IPV6_HLEN - REDIRECT_LENGTH - OPTION_HEAD - (mac === null ? 0 : 8);
    const quoted = Math.min(room, frame.length - ETH_HLEN) & ~7;
    const redirected = frame.slice(ETH_HLEN, ETH_HLEN + quoted);
    const options = mac === null ? { redirected } : { targetMac: mac, redirected };
    ipv6.ndp.send(
      device,
      { type: 'redirect', target, destination, options },
      { src: own, dst: src, mac: null },
    );
  }

  /** `inet_peer_xrlim_allow`, of the destination and of the source. */
  #admits(peer: Ip6): boolean {
    const { now } = this.#ns.kernel.rt;
    const full = BURST * INTERVAL;
    const tokens = this.#peers.get(peer) ?? { left: full, at: now };
    this.#peers.delete(peer);
    this.#peers.set(peer, tokens);
    if (this.#peers.size > PEERS) {
      const [oldest] = this.#peers.keys();
      if (oldest !== undefined) this.#peers.delete(oldest);
    }
    tokens.left = Math.min(full, tokens.left + now - tokens.at);
    tokens.at = now;
    if (tokens.left < INTERVAL) return false;
    tokens.left -= INTERVAL;
    return true;
  }
}
