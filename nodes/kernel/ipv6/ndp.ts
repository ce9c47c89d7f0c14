import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { sealIcmpv6 } from '../../../protocols/icmpv6.ts';
import {
  ALL_NODES,
  ANY_IP6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  multicastMac,
  readIp6Cached,
  solicitedNode,
} from '../../../protocols/ip6.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  ip6HopLimit,
  PROTO_ICMPV6,
  writeIpv6Header,
} from '../../../protocols/ipv6.ts';
import { decodeNdp, encodeNdp, type NdpMessage } from '../../../protocols/ndp.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { receiveRedirect6 } from './redirect.ts';

/** What comes with less has crossed a router, and is no neighbour's (RFC 4861 §7.1). */
const HOP_LIMIT = 255;

type Message<T extends NdpMessage['type']> = Extract<NdpMessage, { type: T }>;

export interface NdpEnvelope {
  readonly src: Ip6;
  readonly dst: Ip6;
  /** Null: that of the multicast group, or as the neighbour cache has it. */
  readonly mac: number | null;
}

/** Called for router solicitations, by who advertises on a device. */
export type SolicitHandler = (src: Ip6) => void;

/** Neighbour discovery of a namespace: what comes in and goes out of it (net/ipv6/ndisc.c). */
export class NdpLayer {
  readonly #ns: Netns;
  readonly #advertisers = new Map<Device, SolicitHandler>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Has router solicitations on a device answered; null: no more. */
  advertise(device: Device, onSolicit: SolicitHandler | null): void {
    if (onSolicit === null) this.#advertisers.delete(device);
    else this.#advertisers.set(device, onSolicit);
  }

  send(device: Device, message: NdpMessage, { src, dst, mac }: NdpEnvelope): void {
    const at = ETH_HLEN + IPV6_HLEN;
    const frame = encodeNdp(message, at);
    const payloadLength = frame.length - at;
    sealIcmpv6(frame, at, payloadLength, src, dst);
    writeIpv6Header(frame, ETH_HLEN, {
      src,
      dst,
      nextHeader: PROTO_ICMPV6,
      hopLimit: HOP_LIMIT,
      payloadLength,
    });
    const to = mac ?? (isMulticastIp6(dst) ? multicastMac(dst) : null);
    writeEthernet(frame, to ?? 0, device.mac, ETHERTYPE_IPV6);
    const skb = this.#ns.ipv6.layer.leave(device, dst, frame);
    if (skb === 'gone') return;
    const sent = skb?.frame ?? frame;
    if (to === null) device.inet6.neighbors.output(dst, sent, skb);
    else device.transmit(sent, skb);
  }

  /** Asks whether anybody else has an address (RFC 4862 §5.4.2). */
  probe(device: Device, target: Ip6): void {
    const message: NdpMessage = { type: 'neighbor-solicit', target, options: {} };
    this.send(device, message, { src: ANY_IP6, dst: solicitedNode(target), mac: null });
  }

  /** An ICMPv6 message of a right checksum that is one of these. */
  receive(device: Device, frame: Uint8Array, at: number, length: number): void {
    const message = ip6HopLimit(frame, ETH_HLEN) === HOP_LIMIT ? decodeNdp(frame, at, length) : null;
    if (message === null || !device.hasLinkLayer) {
      this.#ns.kernel.drop('ndp-malformed');
      return;
    }
    const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
    const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
    switch (message.type) {
      case 'neighbor-solicit':
        this.#solicited(device, message, src, dst);
        return;
      case 'neighbor-advert':
        this.#advertised(device, message, dst);
        return;
      case 'router-solicit':
        this.#routerSolicited(device, message, src);
        return;
      case 'router-advert':
        this.#routerAdvertised(device, message, src);
        return;
      case 'redirect':
        receiveRedirect6(this.#ns, device, message, src);
    }
  }

  #solicited(device: Device, message: Message<'neighbor-solicit'>, src: Ip6, dst: Ip6): void {
    const { inet6 } = device;
    const { target, options } = message;
    const claim = src === ANY_IP6;
    if (claim && (options.sourceMac !== undefined || dst !== solicitedNode(target))) {
      this.#ns.kernel.drop('ndp-malformed');
      return;
    }
    const address = inet6.find(target);
    if (address === undefined || address.dad === 'failed') return;
    if (address.dad === 'tentative') {
      if (claim) inet6.conflict(address);
      return;
    }
    // Whoever asked one alone knows the MAC address.
    const told = isMulticastIp6(dst);
    const answer: Message<'neighbor-advert'> = {
      type: 'neighbor-advert',
      target,
      router: inet6.forwarding,
      solicited: !claim,
      override: told,
      options: told ? { targetMac: device.mac } : {},
    };
    if (claim) {
      this.send(device, answer, { src: target, dst: ALL_NODES, mac: null });
      return;
    }
    // As with ARP, nobody is answered that cannot be remembered, or is not known.
    const known =
      options.sourceMac === undefined
        ? !told || inet6.neighbors.macOf(src) !== null
        : inet6.neighbors.solicitedBy(src, options.sourceMac);
    if (!known) return;
    this.send(device, answer, { src: target, dst: src, mac: null });
  }

  #advertised(device: Device, message: Message<'neighbor-advert'>, dst: Ip6): void {
    const { inet6 } = device;
    if (isMulticastIp6(dst) && message.solicited) {
      this.#ns.kernel.drop('ndp-malformed');
      return;
    }
    const own = inet6.find(message.target);
    if (own === undefined) inet6.neighbors.advertised(message);
    else if (own.dad === 'tentative') inet6.conflict(own);
  }

  #routerSolicited(device: Device, { options }: Message<'router-solicit'>, src: Ip6): void {
    const onSolicit = this.#advertisers.get(device);
    if (!device.inet6.forwarding || onSolicit === undefined) return;
    if (src !== ANY_IP6 && options.sourceMac !== undefined)
      device.inet6.neighbors.solicitedBy(src, options.sourceMac);
    onSolicit(src);
  }

  #routerAdvertised(device: Device, message: Message<'router-advert'>, src: Ip6): void {
    if (!isLinkLocal(src)) {
      this.#ns.kernel.drop('ndp-malformed');
      return;
    }
    const { inet6 } = device;
    const counts = inet6.discovery.accepts;
    if (counts && !inet6.discovery.heard(message, src)) return;
    // Whether it counts or not, its sender is a neighbour.
    if (message.options.sourceMac !== undefined) inet6.neighbors.solicitedBy(src, message.options.sourceMac);
    if (counts) inet6.discovery.advertised(message, src);
  }
}
