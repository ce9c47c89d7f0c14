import { ARP_LEN, encodeArp } from '../../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from '../../../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../../protocols/icmp.ts';
import { ICMPV6_PACKET_TOO_BIG } from '../../../../protocols/icmpv6.ts';
import type { IpAddress } from '../../../../protocols/ip.ts';
import type { Ip6 } from '../../../../protocols/ip6.ts';
import { PROTO_UDP } from '../../../../protocols/ipv4.ts';
import { UDP_HLEN, writeUdp } from '../../../../protocols/udp.ts';
import { VXLAN_HLEN, writeVxlan } from '../../../../protocols/vxlan.ts';
import { VXLAN_PORT } from '../../../interop/linux/settle.ts';
import { icmpError, ip, type Packet4, packet4 } from './frames4.ts';
import { icmpError as icmpError6, type Packet6, packet6 } from './frames6.ts';
import type { Upper } from './transport.ts';

/** Frames of stations at a VXLAN device, and those of other VTEPs that have frames in them. */

/** At this host's port, at the VTEP 10.0.0.2, and at 10.0.0.3. */
export const HERE = 0x0200_0000_0011;
export const THERE = 0x0200_0000_0012;
export const ELSEWHERE = 0x0200_0000_0013;
export const VNI = 42;

/** A frame of another protocol than IP. */
export function plain(to: number, from: number, size = 46): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + size).fill(0x61);
  // No protocol that a host would answer.
  writeEthernet(frame, to, from, 0x88b5 + 1);
  return frame;
}

/** The address of this host, and what another VTEP sends from unless it is said, by what carries the device. */
const ENDS = { inet: ['10.0.0.1', '10.0.0.2'], inet6: ['2001:db8::1', '2001:db8::2'] } as const;

export interface Tunnel {
  /** The VTEP that sends; 10.0.0.2 or 2001:db8::2 unless given. */
  readonly src?: string;
  readonly vni?: number;
  /** The first byte, in which the 8 says that there is a VNI, and the last. */
  readonly flags?: number;
  readonly reserved?: number;
  readonly tos?: number;
  readonly checksum?: 'compute' | 'zero' | 'wrong';
}

/** A datagram of a VTEP to 10.0.0.1, with a frame in it. */
export function tunnelled(
  inner: Uint8Array,
  { src = ENDS.inet[1], tos = 0, ...header }: Tunnel = {},
): Uint8Array {
  return packet4({ src, dst: ENDS.inet[0], tos, df: false, upper: vxlan(inner, header) });
}

/** The same over IPv6, to 2001:db8::1. */
export function tunnelled6(
  inner: Uint8Array,
  { src = ENDS.inet6[1], tos = 0, ...header }: Tunnel = {},
  packet: Partial<Packet6> = {},
): Uint8Array {
  return packet6({ src, dst: ENDS.inet6[0], trafficClass: tos, upper: vxlan(inner, header), ...packet });
}

export function vxlan(
  inner: Uint8Array,
  { vni = VNI, flags = 0x08, reserved = 0, checksum = 'compute' }: Omit<Tunnel, 'src' | 'tos'>,
): Upper<number> & Upper<Ip6> {
  return {
    proto: PROTO_UDP,
    bytes: (src: IpAddress, dst: IpAddress) => {
      const bytes = new Uint8Array(UDP_HLEN + VXLAN_HLEN + inner.length);
      writeVxlan(bytes, UDP_HLEN, vni);
      bytes[UDP_HLEN] = flags;
      bytes[UDP_HLEN + 7] = reserved;
      bytes.set(inner, UDP_HLEN + VXLAN_HLEN);
      const how = checksum === 'zero' ? 'zero' : 'compute';
      writeUdp(bytes, 0, src, dst, 40_000, VXLAN_PORT, bytes.length - UDP_HLEN, { checksum: how });
      if (checksum === 'wrong') bytes[6]! ^= 1;
      return bytes;
    },
  };
}

/** A router on the way to a VTEP says how long a packet may be. */
export function pathTakes(mtu: number, vtep = '10.0.0.2'): Uint8Array {
  const sent: Packet4 = { src: '10.0.0.1', dst: vtep, upper: vxlan(plain(THERE, HERE), {}) };
  const upper = icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, packet4(sent), mtu);
  return packet4({ src: '10.0.0.9', dst: '10.0.0.1', df: false, upper });
}

/** The same of the way to a VTEP over IPv6. */
export function pathTakes6(mtu: number, vtep: string = ENDS.inet6[1]): Uint8Array {
  const sent = packet6({ src: ENDS.inet6[0], dst: vtep, upper: vxlan(plain(THERE, HERE), {}) });
  const upper = icmpError6(ICMPV6_PACKET_TOO_BIG, 0, sent, mtu);
  return packet6({ src: '2001:db8::9', dst: ENDS.inet6[0], upper });
}

/** A frame with another Ethernet type. */
export function typed(frame: Uint8Array, type = ETHERTYPE_IPV4): Uint8Array {
  const copy = frame.slice();
  copy[12] = type >>> 8;
  copy[13] = type & 0xff;
  return copy;
}

export interface Arp {
  readonly op: number;
  readonly from: number;
  readonly spa: string;
  readonly tpa: string;
}

/** To all. */
export function arp({ op, from, spa, tpa }: Arp): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
  writeEthernet(frame, 0xffff_ffff_ffff, from, ETHERTYPE_ARP);
  encodeArp(frame, ETH_HLEN, { op, sha: from, spa: ip(spa), tha: 0, tpa: ip(tpa) });
  return frame;
}
