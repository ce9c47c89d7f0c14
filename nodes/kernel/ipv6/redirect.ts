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

/** The time that one redirect more takes, of its destination and of its source, ms. */
const INTERVAL = 1000;

/** Tells senders of the better way to a host (RFC 4861 §8.2, `ndisc_send_redirect`). */
export class RedirectSender6 {
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The packet that has come in by a device goes on by it too. */
  send(device: Device, frame: Uint8Array, { nexthop: target }: Path<Ip6>): void {
    const { ipv6 } = this.#ns;
    const { inet6 } = device;
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const destination = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    if (!ipv6.peers.admits(destination, INTERVAL)) return;
    const own = inet6.linkLocal();
    // Who sends it has to know it for a router's, and its target for one.
    if (own === null || (target !== destination && !isLinkLocal(target))) return;
    if (ipv6.addresses.isLocal(src, device)) return;
    if (ipv6.layer.lookup(src, 0, device)?.nexthop !== src || !ipv6.peers.admits(src, INTERVAL)) return;
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
}
