import { espLength, PROTO_ESP, sealEsp } from '../../../protocols/esp.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_IPIP } from '../../../protocols/gre.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { type Ip6, readIp6Cached } from '../../../protocols/ip6.ts';
import {
  IPV4_HLEN,
  ipDf,
  ipDst,
  ipHeaderLength,
  ipId,
  ipProto,
  ipSrc,
  ipTos,
  ipTtl,
  PROTO_UDP,
  writeIpv4Header,
} from '../../../protocols/ipv4.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  ip6HopLimit,
  ip6NextHeader,
  ip6TrafficClass,
  writeIpv6Header,
} from '../../../protocols/ipv6.ts';
import { UDP_HLEN, writeUdp } from '../../../protocols/udp.ts';
import type { Random } from '../../runtime.ts';
import { versionOf } from './flow.ts';
import type { XfrmState } from './state.ts';

export const PROTO_IPV6 = 41;

/** What the IP header around ESP says. */
interface Around {
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
  readonly df: boolean;
}

/** Defaults of packets that a tunnel makes. */
export interface TunnelDefaults {
  readonly ttl: number;
  readonly id: number;
}

function headerOf(frame: Uint8Array): Around {
  if (versionOf(frame) === 4)
    return {
      src: ipSrc(frame, ETH_HLEN),
      dst: ipDst(frame, ETH_HLEN),
      ttl: ipTtl(frame, ETH_HLEN),
      tos: ipTos(frame, ETH_HLEN),
      id: ipId(frame, ETH_HLEN),
      df: ipDf(frame, ETH_HLEN),
    };
  return {
    src: readIp6Cached(frame, ETH_HLEN + IP6_SRC),
    dst: readIp6Cached(frame, ETH_HLEN + IP6_DST),
    ttl: ip6HopLimit(frame, ETH_HLEN),
    tos: ip6TrafficClass(frame, ETH_HLEN),
    id: 0,
    // Nobody fragments it on its way, and so nobody is to fragment what it is in (`xfrm6_extract_output`).
    df: true,
  };
}

/** Bytes of the IP header and, where there is one, the UDP header in front of ESP. */
export function lengthInFront({ options: { src, encap } }: XfrmState): number {
  return (typeof src === 'number' ? IPV4_HLEN : IPV6_HLEN) + (encap === null ? 0 : UDP_HLEN);
}

/** A packet as an association sends it (`xfrm_output_one`). `sequence` is its number. */
export function sealPacket(
  frame: Uint8Array,
  state: XfrmState,
  sequence: number,
  defaults: TunnelDefaults,
  random: Random,
): Uint8Array {
  const { options } = state;
  const { suite, spi, mode, encap } = options;
  const tunnel = mode === 'tunnel';
  const four = versionOf(frame) === 4;
  const own = headerOf(frame);
  const headerLength = four ? ipHeaderLength(frame, ETH_HLEN) : IPV6_HLEN;
  const payload = frame.subarray(tunnel ? ETH_HLEN : ETH_HLEN + headerLength);
  const transported = four ? ipProto(frame, ETH_HLEN) : ip6NextHeader(frame, ETH_HLEN);
  const front = lengthInFront(state);
  const length = espLength(suite, payload.length);
  const outer = frameBuffer(ETH_HLEN + front + length);
  sealEsp(outer, ETH_HLEN + front, suite, {
    spi,
    sequence,
    high: state.high(sequence),
    iv: state.iv(sequence, random),
    payload,
    nextHeader: tunnel ? (four ? PROTO_IPIP : PROTO_IPV6) : transported,
  });
  state.lifetime.count(payload.length);
  const around: Around = tunnel ? { ...own, ...defaults, src: options.src, dst: options.dst } : own;
  if (encap !== null) {
    const at = ETH_HLEN + front - UDP_HLEN;
    // RFC 3948 §2.1: zero with IPv4; IPv6 has none that is.
    const checksum = typeof around.src === 'number' ? 'zero' : 'compute';
    writeUdp(outer, at, around.src, around.dst, encap.sport, encap.dport, length, { checksum });
  }
  writeHeader(outer, encap === null ? PROTO_ESP : PROTO_UDP, around);
  return outer;
}

/** Writes the IP header of a packet whose payload is in place. */
export function writeHeader(frame: Uint8Array, proto: number, around: Around): void {
  const { src, dst, ttl, tos, id, df } = around;
  if (typeof src === 'number' && typeof dst === 'number')
    writeIpv4Header(frame, ETH_HLEN, {
      src,
      dst,
      proto,
      ttl,
      tos,
      id,
      df,
      totalLength: frame.length - ETH_HLEN,
    });
  else
    writeIpv6Header(frame, ETH_HLEN, {
      src: src as Ip6,
      dst: dst as Ip6,
      nextHeader: proto,
      hopLimit: ttl,
      trafficClass: tos,
      payloadLength: frame.length - ETH_HLEN - IPV6_HLEN,
    });
}
