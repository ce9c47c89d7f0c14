import { setU16, setU32, u16 } from '../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { readIp6 } from '../../../protocols/ip6.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipMf,
  ipProto,
  ipSrc,
  ipTotalLength,
  PROTO_UDP,
} from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, ip6NextHeader, ip6PayloadLength } from '../../../protocols/ipv6.ts';
import { findHeader, NEXT_FRAGMENT } from '../../../protocols/ipv6-headers.ts';
import { UDP_HLEN } from '../../../protocols/udp.ts';
import { VLAN_HLEN, vlanProtocol } from '../../../protocols/vlan.ts';
import { VXLAN_HLEN } from '../../../protocols/vxlan.ts';
import type { Out } from '../../support/router.ts';

/** IP id of what tests send: what the kernels send of themselves may be numbered as each likes. */
export const PACKET_ID = 4711;

export const VXLAN_PORT = 4789;
/** Where the UDP header of VXLAN stands in a frame, and the frame inside. */
export const VXLAN_AT = ETH_HLEN + IPV4_HLEN;
export const VXLAN_INNER = VXLAN_AT + UDP_HLEN + VXLAN_HLEN;

/** Takes out of a frame what two kernels may each choose as they like. */
export type Settle = (frame: Uint8Array) => void;

/** IP ids of what the kernels send of themselves, behind VLAN tags as well. */
export function settleIpId(frame: Uint8Array): void {
  if (vlanProtocol(frame) !== null) settleIpId(frame.subarray(VLAN_HLEN));
  if (frame.length < ETH_HLEN + 20 || u16(frame, 12) !== ETHERTYPE_IPV4) return;
  if (u16(frame, ETH_HLEN + 4) === PACKET_ID) return;
  setU16(frame, ETH_HLEN + 4, 0);
  setU16(frame, ETH_HLEN + 10, 0);
}

/** Numbers of fragments: who puts some together and splits them again numbers them anew. */
export function settleFragmentId(frame: Uint8Array): void {
  if (frame.length < ETH_HLEN + 40 || u16(frame, 12) !== ETHERTYPE_IPV6) return;
  const at = findHeader(frame, ETH_HLEN, frame.length, NEXT_FRAGMENT);
  if (at >= 0 && at + 8 <= frame.length) setU32(frame, at + 4, 0);
}

/** Frames as text, port first. */
export function frameTexts(out: readonly Out[], settle: Settle): string[] {
  return out.map(({ port, frame }) => {
    const copy = frame.slice();
    settle(copy);
    return `${port} ${Buffer.from(copy).toString('hex')}`;
  });
}

/**
 * Takes the source port of VXLAN out, which is a hash with a secret of the kernel's own, after a look at its range, and the
 * checksum after a look at whether it is right; and IP ids, outer and inner.
 */
export function settleVxlan([first, last]: readonly [number, number]) {
  return (frame: Uint8Array): void => {
    const outer = vxlanOf(frame);
    if (outer !== null) {
      const { at, sum } = outer;
      const port = u16(frame, at);
      const checksum = u16(frame, at + 6);
      setU16(frame, at, port >= first && port < last ? 1 : 0);
      setU16(frame, at + 6, checksum === 0 ? 0 : sum === null || sum === 0 ? 1 : 2);
      settleIpId(frame.subarray(at + UDP_HLEN + VXLAN_HLEN));
    }
    settleIpId(frame);
  };
}

/** Where the UDP header of a frame of VXLAN is, and what the datagram sums up to; null: there is but its first fragment. */
function vxlanOf(frame: Uint8Array): { readonly at: number; readonly sum: number | null } | null {
  const type = u16(frame, 12);
  const at = ETH_HLEN + (type === ETHERTYPE_IPV6 ? IPV6_HLEN : IPV4_HLEN);
  if (frame.length < at + UDP_HLEN + VXLAN_HLEN || u16(frame, at + 2) !== VXLAN_PORT) return null;
  if (type === ETHERTYPE_IPV6) {
    if (ip6NextHeader(frame, ETH_HLEN) !== PROTO_UDP) return null;
    const [src, dst] = [IP6_SRC, IP6_DST].map((offset) => readIp6(frame, ETH_HLEN + offset));
    return { at, sum: sumOf(frame, at, ip6PayloadLength(frame, ETH_HLEN), src!, dst!) };
  }
  if (type !== ETHERTYPE_IPV4 || ipProto(frame, ETH_HLEN) !== PROTO_UDP) return null;
  if (ipFragmentOffset(frame, ETH_HLEN) > 0) return null;
  if (ipMf(frame, ETH_HLEN)) return { at, sum: null };
  const length = ipTotalLength(frame, ETH_HLEN) - IPV4_HLEN;
  return { at, sum: sumOf(frame, at, length, ipSrc(frame, ETH_HLEN), ipDst(frame, ETH_HLEN)) };
}

function sumOf(frame: Uint8Array, at: number, length: number, src: IpAddress, dst: IpAddress): number {
  return internetChecksum(frame, at, length, pseudoHeaderSum(src, dst, PROTO_UDP, length));
}

/** The line of `ip -d link` that tells of a VXLAN device. */
export function vxlanKind(text: string): string {
  return (/^ +vxlan id .*?(?= addrgenmode)/m.exec(text)?.[0] ?? '')
    .replace(' localbypass', '')
    .replace(/ +/g, ' ');
}

/** The rows of `bridge fdb` that lead to VTEPs. */
export function vxlanRows(text: string): string {
  const rows = text.split('\n').filter((line) => line.includes(' dst '));
  return rows
    .map((line) => line.trimEnd())
    .sort()
    .join('\n');
}
