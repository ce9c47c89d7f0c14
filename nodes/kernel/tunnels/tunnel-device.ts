import { ecnDecapsulate } from '../../../protocols/ecn.ts';
import {
  ETH_HLEN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
  writeEthernet,
} from '../../../protocols/ethernet.ts';
import { ETHERTYPE_TEB, type GreHeader, greLength } from '../../../protocols/gre.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_HOST } from '../../../protocols/icmp.ts';
import { ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS } from '../../../protocols/icmpv6.ts';
import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6, readIp6Cached } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipSrc, ipTos } from '../../../protocols/ipv4.ts';
import { IP6_SRC, IPV6_HLEN, ip6TrafficClass } from '../../../protocols/ipv6.ts';
import { Device } from '../device.ts';
import type { Skb } from '../netfilter/skb.ts';

export type TunnelKind = 'ipip' | 'gre' | 'gretap' | 'sit' | 'ip6tnl' | 'ip6gre' | 'ip6gretap';

/** What tunnels of all kinds are told apart by. The unspecified address stands for any. */
export interface TunnelParameters {
  readonly kind: TunnelKind;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  /** GRE alone. */
  readonly key: number | null;
  readonly checksum: 'on' | 'off';
  readonly sequence: 'on' | 'off';
}

export function isTap(kind: TunnelKind): boolean {
  return kind === 'gretap' || kind === 'ip6gretap';
}

export function isGre(kind: TunnelKind): boolean {
  return isTap(kind) || kind === 'gre' || kind === 'ip6gre';
}

/** Whether there cannot be both. */
export function isSameTunnel(a: TunnelParameters, b: TunnelParameters): boolean {
  return a.kind === b.kind && a.local === b.local && a.remote === b.remote && a.key === b.key;
}

/** Between any ends there are sit0, ip6tnl0 and ip6gre0 of Linux' own. */
export function isFallback({ kind, local, remote, key }: TunnelParameters): boolean {
  if (kind === 'sit') return local === 0 && remote === 0;
  return (kind === 'ip6tnl' || kind === 'ip6gre') && local === ANY_IP6 && remote === ANY_IP6 && key === null;
}

/** Bytes between the outer IP header, with its extensions, and what the tunnel carries. */
export function greHeaderLength(tunnel: TunnelParameters): number {
  return isGre(tunnel.kind) ? greLength(greHeader(tunnel, 0, 0)) : 0;
}

function greHeader({ key, checksum, sequence }: TunnelParameters, type: number, number: number): GreHeader {
  return { etherType: type, checksum: checksum === 'on', key, sequence: sequence === 'on' ? number : null };
}

/** `IPTUNNEL_ERR_TIMEO`, ms. */
const FAILURE_LIFETIME = 30_000;

/** A device whose packets, or frames, travel in packets of IP: what those over IPv4 and over IPv6 have in common. */
export abstract class TunnelDevice extends Device {
  abstract override readonly kind: TunnelKind;
  abstract readonly options: TunnelParameters;
  #sending = false;
  #sent = 0;
  /** 0 until one has come. */
  #expected = 0;
  /** Errors about what it sent of which no sender has been told, and when the last one came. */
  #failures = 0;
  #failedAt = Number.NEGATIVE_INFINITY;

  override get hasLinkLayer(): boolean {
    return isTap(this.kind);
  }

  /** Puts a frame, which has a packet behind room for an Ethernet header where the device has none, into another packet. */
  protected abstract encapsulate(frame: Uint8Array, mark: number): void;

  /** Whether packets of an EtherType may be in it. */
  abstract carries(innerType: number): boolean;

  protected override xmit(frame: Uint8Array, skb: Skb | null): void {
    const { kernel } = this.ns;
    if (!this.up) {
      kernel.drop('device-down');
      return;
    }
    if (this.#sending) {
      // The route to the other end leads back into the tunnel.
      kernel.drop('tunnel-loop');
      return;
    }
    this.#sending = true;
    this.encapsulate(frame, skb?.mark ?? 0);
    this.#sending = false;
  }

  /** EtherType of what a frame for the tunnel has in it. */
  protected innerType(frame: Uint8Array): number {
    if (this.hasLinkLayer) return etherType(frame);
    return frame[ETH_HLEN]! >> 4 === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  }

  /** GRE's header of the next packet. */
  protected nextHeader(innerType: number): GreHeader {
    return greHeader(this.options, this.hasLinkLayer ? ETHERTYPE_TEB : innerType, this.#sent++ >>> 0);
  }

  /** Whoever follows the packet hears where it goes. */
  protected tellSent(remote: IpAddress, frame: Uint8Array): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause >= 0) return;
    const how = `${this.kind} to ${formatIp(remote)}`;
    tracer.step(this.ns, { at: 'encapsulate', dev: this.name, how }, frame);
  }

  /** An error about a packet of the tunnel's has come (`ipip_err`, `ip6gre_err`): who sends the next one is told of it. */
  failed(): void {
    const { now } = this.ns.kernel.rt;
    this.#failures = now < this.#failedAt + FAILURE_LIFETIME ? this.#failures + 1 : 1;
    this.#failedAt = now;
  }

  protected tellFailure(frame: Uint8Array): void {
    if (this.#failures === 0) return;
    if (this.ns.kernel.rt.now >= this.#failedAt + FAILURE_LIFETIME) {
      this.#failures = 0;
      return;
    }
    this.#failures--;
    this.linkFailure(frame);
  }

  /** Tells the sender of a packet that it cannot be sent (`dst_link_failure`). */
  protected linkFailure(frame: Uint8Array): void {
    const type = this.innerType(frame);
    if (type === ETHERTYPE_IPV4) this.ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_HOST, 0, frame);
    else if (type === ETHERTYPE_IPV6) this.tell6(ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS, 0, frame);
  }

  /** An ICMPv6 error about a packet for the tunnel, from an address of where it came from. */
  protected tell6(type: number, code: number, extra: number, frame: Uint8Array): void {
    if (frame.length < ETH_HLEN + IPV6_HLEN) return;
    const { ipv6 } = this.ns;
    const back = ipv6.layer.lookup(readIp6Cached(frame, ETH_HLEN + IP6_SRC), 0, null);
    ipv6.icmp.sendError(type, code, extra, frame, back?.device ?? this);
  }

  /** What an outer packet for this tunnel holds at `at`; `frame` is the outer frame. */
  decapsulate(frame: Uint8Array, at: number, innerType: number): void {
    const { rt, tracer } = this.ns.kernel;
    const over6 = etherType(frame) === ETHERTYPE_IPV6;
    if (rt.cause < 0) {
      const from = over6 ? readIp6Cached(frame, ETH_HLEN + IP6_SRC) : ipSrc(frame, ETH_HLEN);
      const how = `${this.kind} from ${formatIp(from)}`;
      tracer.step(this.ns, { at: 'decapsulate', dev: this.name, how }, null);
    }
    const tos = over6 ? ip6TrafficClass(frame, ETH_HLEN) : ipTos(frame, ETH_HLEN);
    const tap = this.hasLinkLayer;
    // The room of the Ethernet header is that of the outer one, which nobody needs any more.
    const inner = frame.subarray(tap ? at : at - ETH_HLEN);
    if (inner.length < ETH_HLEN) {
      this.ns.kernel.drop('tunnel-malformed');
      return;
    }
    if (!tap) writeEthernet(inner, 0, 0, innerType);
    const type = tap ? etherType(inner) : innerType;
    const whole = inner.length >= ETH_HLEN + (type === ETHERTYPE_IPV4 ? IPV4_HLEN : IPV6_HLEN);
    if (whole && !ecnDecapsulate(tos, inner, ETH_HLEN, type)) this.ns.kernel.drop('tunnel-ecn');
    else this.receive(inner);
  }

  /** Whether a sequence number is not behind those that came before (RFC 2890 §2.2); without one where one is wanted it is. */
  inSequence(sequence: number | null): boolean {
    if (this.options.sequence === 'off') return true;
    if (sequence === null) return false;
    if (this.#expected !== 0 && ((sequence - this.#expected) | 0) < 0) return false;
    this.#expected = (sequence + 1) >>> 0;
    return true;
  }
}
