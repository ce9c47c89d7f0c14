import { u16 } from '../../../../protocols/bytes.ts';
import { internetChecksum } from '../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../../protocols/icmp.ts';
import {
  IPV4_HLEN,
  ipDf,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../../protocols/ipv4.ts';
import type { Netns } from '../../netns.ts';
import type { Verdict } from '../hooks.ts';
import type { Skb } from '../skb.ts';
import type { Ipvs } from './ipvs.ts';

export const PROTO_IPIP = 4;

/** RFC 791: what every link takes. */
const LEAST_MTU = 68;

/**
 * An error about a tunnel's packet, which is quoted at `quoted`: the client is told of it as one about its own, which is within,
 * from the service's address (`ip_vs_in_icmp`).
 */
export function tunnelError(ns: Netns, ipvs: Ipvs, { frame }: Skb, quoted: number): Verdict {
  const inner = quoted + ipHeaderLength(frame, quoted);
  if (ipFragmentOffset(frame, quoted) > 0 || frame.length < inner + IPV4_HLEN) return 'accept';
  const proto = ipProto(frame, inner);
  const ports = inner + ipHeaderLength(frame, inner);
  if ((proto !== PROTO_TCP && proto !== PROTO_UDP) || ipFragmentOffset(frame, inner) > 0) return 'accept';
  if (frame.length < ports + 4) return 'accept';
  const connection = ipvs.connections.findIn(
    proto,
    ipSrc(frame, inner),
    u16(frame, ports),
    ipDst(frame, inner),
    u16(frame, ports + 2),
  );
  if (connection === null) return 'accept';
  const icmp = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  if (internetChecksum(frame, icmp, frame.length - icmp) !== 0) {
    ns.kernel.drop('ipvs-bad-checksum');
    return 'drop';
  }
  const type = frame[icmp]!;
  const code = frame[icmp + 1]!;
  let extra = ((u16(frame, icmp + 4) << 16) | u16(frame, icmp + 6)) >>> 0;
  if (type === ICMP_DEST_UNREACHABLE && code === UNREACH_FRAG_NEEDED) {
    const end = ipDst(frame, quoted);
    const path = ns.lookup(end, 0);
    // A route that the destination holds is looked up again by the next packet only, unless it is of such an error already.
    const held = path === null || ns.pathMtus.expiry(end, path) !== null ? null : path.device.mtu;
    ns.pathMtus.learn(end, extra & 0xffff);
    if (!ipDf(frame, quoted)) return 'stolen';
    const mtu = held ?? (path === null ? extra & 0xffff : ns.pathMtus.of(end, path));
    extra = mtu > LEAST_MTU + IPV4_HLEN ? mtu - IPV4_HLEN : mtu;
  }
  const about = new Uint8Array(ETH_HLEN + frame.length - inner);
  about.set(frame.subarray(0, ETH_HLEN));
  about.set(frame.subarray(inner), ETH_HLEN);
  ns.ip.icmpError(type, code, extra, about);
  // Beside the error itself, which is counted as it goes out.
  ipvs.countSent(connection, about.length - ETH_HLEN);
  return 'stolen';
}
