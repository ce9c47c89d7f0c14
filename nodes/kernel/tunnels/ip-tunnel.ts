import { u16, u32 } from '../../../protocols/bytes.ts';
import { ecnDecapsulate, ecnEncapsulated } from '../../../protocols/ecn.ts';
import {
  ETH_HLEN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
  writeEthernet,
} from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import {
  decodeGre,
  ETHERTYPE_TEB,
  type GreHeader,
  greLength,
  PROTO_GRE,
  PROTO_IPIP,
  writeGre,
} from '../../../protocols/gre.ts';
import {
  ICMP_DEST_UNREACHABLE,
  UNREACH_FRAG_NEEDED,
  UNREACH_HOST,
  UNREACH_PORT,
} from '../../../protocols/icmp.ts';
import { formatIp4, isMulticast } from '../../../protocols/ip4.ts';
import { IPV4_HLEN, ipDf, ipDst, ipSrc, ipTos, ipTtl } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN } from '../../../protocols/ipv6.ts';
import { readMac } from '../../../protocols/mac.ts';
import { Device, type DeviceOptions } from '../device.ts';
import type { Path } from '../ip/path.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';

export type TunnelKind = 'ipip' | 'gre' | 'gretap';

/** Parameters of a tunnel (`struct ip_tunnel_parm`). Addresses of 0 stand for any. */
export interface TunnelOptions {
  readonly kind: TunnelKind;
  readonly local: number;
  /** Of 0: the next hop of the route is where a packet goes (NBMA). */
  readonly remote: number;
  /** 0 takes the inner packet's. */
  readonly ttl: number;
  /** Whether the outer packet must not be fragmented. */
  readonly pmtudisc: 'on' | 'off';
  /** GRE alone. */
  readonly key: number | null;
  readonly checksum: 'on' | 'off';
  readonly sequence: 'on' | 'off';
}

const IPIP: readonly TunnelKind[] = ['ipip'];
const GRE: readonly TunnelKind[] = ['gre'];
const GRETAP: readonly TunnelKind[] = ['gretap'];

const DEFAULT_TTL = 64;
/** `IPTUNNEL_ERR_TIMEO`, ms. */
const FAILURE_LIFETIME = 30_000;
/** Bytes of GRE that are looked at. */
const GRE_LEAST = 12;
/** Bits of the first word (RFC 2890 §2). */
const [GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE] = [0x8000, 0x2000, 0x1000];

/** What a tunnel takes of the outer packet, bytes. */
export function tunnelOverhead(options: TunnelOptions): number {
  const inner = options.kind === 'gretap' ? ETH_HLEN : 0;
  return IPV4_HLEN + headerLength(options) + inner;
}

function headerLength(options: TunnelOptions): number {
  return options.kind === 'ipip' ? 0 : greLength(greHeader(options, 0, 0));
}

function greHeader({ key, checksum, sequence }: TunnelOptions, type: number, number: number): GreHeader {
  return { etherType: type, checksum: checksum === 'on', key, sequence: sequence === 'on' ? number : null };
}

/** A tunnel of IP in IP (RFC 2003), or of packets or frames in GRE (RFC 2784): ipip.c, ip_gre.c. */
export class IpTunnelDevice extends Device {
  override readonly kind: TunnelKind;
  readonly options: TunnelOptions;
  #sending = false;
  #sent = 0;
  /** 0 until one has come. */
  #expected = 0;
  /** Errors about what it sent of which no sender has been told, and when the last one came. */
  #failures = 0;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(ns: Netns, options: DeviceOptions, tunnel: TunnelOptions) {
    super(ns, options);
    this.kind = tunnel.kind;
    this.options = tunnel;
  }

  override get hasLinkLayer(): boolean {
    return this.kind === 'gretap';
  }

  override get takesNexthop(): boolean {
    return this.kind !== 'gretap' && this.options.remote === 0;
  }

  override detail(): string {
    const { kind, local, remote, ttl, pmtudisc, key, checksum, sequence } = this.options;
    const any = (addr: number) => (addr === 0 ? 'any' : formatIp4(addr));
    const head = `remote ${any(remote)} local ${any(local)} ttl ${ttl === 0 ? 'inherit' : ttl}`;
    if (kind === 'ipip') return `ipip any ${head} ${pmtudisc === 'on' ? 'pmtudisc' : 'nopmtudisc'}`;
    return [
      `${kind} ${head}`,
      ...(pmtudisc === 'off' ? ['nopmtudisc'] : []),
      ...(key === null ? [] : [`ikey ${formatIp4(key)} okey ${formatIp4(key)}`]),
      ...(sequence === 'on' ? ['iseq oseq'] : []),
      ...(checksum === 'on' ? ['icsum ocsum'] : []),
    ].join(' ');
  }

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
    const remote = this.options.remote !== 0 ? this.options.remote : this.#nexthopOf(frame);
    if (remote === 0 || remote > 0xffffffff || isMulticast(remote)) {
      kernel.drop('tunnel-no-remote');
      return;
    }
    this.#sending = true;
    this.#encapsulate(frame, remote, skb?.mark ?? 0);
    this.#sending = false;
  }

  /**
   * Where a packet goes that is for no end in particular: to the next hop. A tunnel of GRE wants to be told where that is, and
   * takes its own address where nobody does (`arp_constructor`, as it has a header and no ARP).
   */
  #nexthopOf(frame: Uint8Array): number {
    return this.kind === 'gre' ? this.options.local : readMac(frame, 0);
  }

  /** `ip_tunnel_xmit` */
  #encapsulate(frame: Uint8Array, remote: number, mark: number): void {
    const { options, ns } = this;
    const { rt, tracer } = ns.kernel;
    if (rt.cause < 0) {
      const how = `${this.kind} to ${formatIp4(remote)}`;
      tracer.step(ns, { at: 'encapsulate', dev: this.name, how }, frame);
    }
    const from = this.hasLinkLayer ? 0 : ETH_HLEN;
    const type = this.hasLinkLayer
      ? etherType(frame)
      : frame[ETH_HLEN]! >> 4 === 4
        ? ETHERTYPE_IPV4
        : ETHERTYPE_IPV6;
    const isIpv4 = type === ETHERTYPE_IPV4 && frame.length >= ETH_HLEN + IPV4_HLEN;
    const header = headerLength(options);
    const at = ETH_HLEN + IPV4_HLEN;
    const buffer = frameBuffer(at + header + frame.length - from);
    buffer.set(from === 0 ? frame : frame.subarray(from), at + header);
    if (options.kind !== 'ipip')
      writeGre(buffer, at, greHeader(options, this.hasLinkLayer ? ETHERTYPE_TEB : type, this.#sent++ >>> 0));
    else if (!isIpv4) {
      ns.kernel.drop('tunnel-protocol');
      return;
    }
    const innerDf = isIpv4 && ipDf(frame, ETH_HLEN);
    const df = innerDf || options.pmtudisc === 'on';
    const path = ns.lookup(remote, 0);
    if (isIpv4 && path !== null && this.#tooBig(frame, remote, path, df)) {
      ns.kernel.drop('tunnel-xmit');
      return;
    }
    this.#tellFailure(frame);
    const innerTtl = isIpv4 ? ipTtl(frame, ETH_HLEN) : DEFAULT_TTL;
    const error = ns.ip.output(buffer, {
      src: options.local,
      dst: remote,
      proto: options.kind === 'ipip' ? PROTO_IPIP : PROTO_GRE,
      ttl: options.ttl === 0 ? innerTtl : options.ttl,
      tos: isIpv4 ? ecnEncapsulated(0, ipTos(frame, ETH_HLEN)) : 0,
      // Where a router asks for less than can be had, it is fragmented after all (`iptunnel_xmit`).
      df: df && !(path !== null && ns.pathMtus.locked(remote, path)),
      mark,
    });
    if (error !== null) ns.kernel.drop('tunnel-xmit');
  }

  /**
   * Whether the path takes less than a packet that is not to be fragmented: its sender is told. The way into the tunnel is known
   * to take no more from now on, whatever the packet's size (`tnl_update_pmtu`).
   */
  #tooBig(frame: Uint8Array, remote: number, path: Path, df: boolean): boolean {
    const { ns } = this;
    const mtu = df ? ns.pathMtus.of(remote, path) - tunnelOverhead(this.options) : this.mtu;
    const dst = ipDst(frame, ETH_HLEN);
    if (df && mtu < this.mtu && ns.lookup(dst, 0)?.device === this) ns.pathMtus.learn(dst, mtu);
    if (!ipDf(frame, ETH_HLEN) || frame.length - ETH_HLEN <= mtu) return false;
    ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
    return true;
  }

  /** An error about a packet of the tunnel's has come (`ipip_err`, `ipgre_err`): who sends the next one is told of it. */
  failed(): void {
    const { now } = this.ns.kernel.rt;
    this.#failures = now < this.#failedAt + FAILURE_LIFETIME ? this.#failures + 1 : 1;
    this.#failedAt = now;
  }

  #tellFailure(frame: Uint8Array): void {
    if (this.#failures === 0) return;
    if (this.ns.kernel.rt.now >= this.#failedAt + FAILURE_LIFETIME) {
      this.#failures = 0;
      return;
    }
    this.#failures--;
    this.ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_HOST, 0, frame);
  }

  /** What an outer packet for this tunnel holds at `at`; `frame` is the outer frame. */
  decapsulate(frame: Uint8Array, at: number, innerType: number): void {
    const { rt, tracer } = this.ns.kernel;
    if (rt.cause < 0) {
      const how = `${this.kind} from ${formatIp4(ipSrc(frame, ETH_HLEN))}`;
      tracer.step(this.ns, { at: 'decapsulate', dev: this.name, how }, null);
    }
    const tos = ipTos(frame, ETH_HLEN);
    const tap = this.kind === 'gretap';
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

/** The tunnels of a namespace, by what their outer packets say (`ip_tunnel_lookup`). */
export class TunnelTable {
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The tunnel for packets between two addresses: both fit, or the remote, or the local alone, or one for all. */
  #find(
    kinds: readonly TunnelKind[],
    local: number,
    remote: number,
    key: number | null,
  ): IpTunnelDevice | null {
    let best: IpTunnelDevice | null = null;
    let bestScore = -1;
    for (const device of this.#ns.devices()) {
      if (!(device instanceof IpTunnelDevice) || !kinds.includes(device.kind)) continue;
      const { options } = device;
      if (!device.up) continue;
      const score = (options.remote === 0 ? 0 : 2) + (options.local === 0 ? 0 : 1);
      const fits =
        (options.remote === 0 || options.remote === remote) &&
        (options.local === 0 || options.local === local) &&
        options.key === key;
      if (fits && score > bestScore) {
        best = device;
        bestScore = score;
      }
    }
    return best;
  }

  /** Takes an outer packet of a tunnel's protocol; false where no tunnel of the node ever knew of it. */
  receive(proto: number, frame: Uint8Array, at: number, src: number, dst: number): boolean {
    if (proto === PROTO_IPIP) {
      const whole = frame.length - at >= IPV4_HLEN;
      const device = whole ? this.#find(IPIP, dst, src, null) : null;
      if (device === null) return this.#refuse(proto, frame, whole ? 'tunnel-unknown' : 'tunnel-malformed');
      device.decapsulate(frame, at, ETHERTYPE_IPV4);
      return true;
    }
    if (proto !== PROTO_GRE) return false;
    // Linux takes flags that no RFC has for a part of the version (`gre_rcv`).
    const isGre = frame.length - at >= GRE_LEAST && (frame[at + 1]! & 0x7f) === 0;
    const header = isGre ? decodeGre(frame, at, frame.length - at) : null;
    if (header === null) return this.#refuse(proto, frame, 'tunnel-malformed');
    const tap = header.etherType === ETHERTYPE_TEB;
    const device = this.#find(tap ? GRETAP : GRE, dst, src, header.key);
    if (device === null) {
      // Frames go to the tunnels of packets as well, which have nobody for them.
      if (!tap || this.#find(GRE, dst, src, header.key) === null)
        return this.#refuse(proto, frame, 'tunnel-unknown');
      this.#ns.kernel.drop('unknown-ethertype');
    } else if (header.checksum !== (device.options.checksum === 'on'))
      this.#ns.kernel.drop('tunnel-checksum');
    else if (!device.inSequence(header.sequence)) this.#ns.kernel.drop('tunnel-sequence');
    else device.decapsulate(frame, header.payloadOffset, header.etherType);
    return true;
  }

  /** An ICMP error quotes an outer packet from `off` on, with its payload at `at`. */
  error(
    proto: number,
    frame: Uint8Array,
    off: number,
    at: number,
    kind: 'unreachable' | 'exceeded',
    code: number,
  ): void {
    if (proto !== PROTO_IPIP && proto !== PROTO_GRE) return;
    let device: IpTunnelDevice | null;
    if (proto === PROTO_IPIP) device = this.#find(IPIP, ipSrc(frame, off), ipDst(frame, off), null);
    else {
      // "Impossible event", says `ipgre_err`.
      if (kind === 'unreachable' && code === UNREACH_PORT) return;
      const quoted = quotedGre(frame, at);
      if (quoted === null) return;
      const kinds = quoted.etherType === ETHERTYPE_TEB ? GRETAP : GRE;
      device = this.#find(kinds, ipSrc(frame, off), ipDst(frame, off), quoted.key);
    }
    if (device === null || device.options.remote === 0) return;
    if (kind === 'exceeded' && device.options.ttl === 0) return;
    device.failed();
  }

  /** Whether the protocol is there at all: Linux loads its module with the first tunnel, wherever that is. */
  #isKnown(proto: number): boolean {
    for (const ns of this.#ns.kernel.namespaces())
      for (const device of ns.devices())
        if (device instanceof IpTunnelDevice && (device.kind === 'ipip') === (proto === PROTO_IPIP))
          return true;
    return false;
  }

  /** No tunnel is for it (`tunnel4_rcv`, `gre_rcv`); false where the protocol is not there either. */
  #refuse(proto: number, frame: Uint8Array, why: 'tunnel-unknown' | 'tunnel-malformed'): boolean {
    if (!this.#isKnown(proto)) return false;
    this.#ns.kernel.drop(why);
    if (why === 'tunnel-unknown') this.#ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PORT, 0, frame);
    return true;
  }
}

/** Of a header that an error quotes, whose checksum is over more than that; null where it is cut off. */
function quotedGre(frame: Uint8Array, at: number): Pick<GreHeader, 'etherType' | 'key'> | null {
  if (frame.length < at + 4) return null;
  const flags = u16(frame, at);
  const keyAt = at + 4 + ((flags & GRE_CHECKSUM) !== 0 ? 4 : 0);
  const hasKey = (flags & GRE_KEY) !== 0;
  const end = keyAt + (hasKey ? 4 : 0) + ((flags & GRE_SEQUENCE) !== 0 ? 4 : 0);
  if (frame.length < end) return null;
  return { etherType: u16(frame, at + 2), key: hasKey ? u32(frame, keyAt) : null };
}
