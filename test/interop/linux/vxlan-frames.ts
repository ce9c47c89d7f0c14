import fc from 'fast-check';
import { ARP_LEN, encodeArp } from '../../../protocols/arp.ts';
import { setU16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { encodeIcmpError, ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED } from '../../../protocols/icmp.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { fragmentIpv4, PROTO_ICMP, PROTO_UDP, writeIpv4Header } from '../../../protocols/ipv4.ts';
import { writeIpv6Header } from '../../../protocols/ipv6.ts';
import { writeMac } from '../../../protocols/mac.ts';
import { UDP_HLEN, writeUdp } from '../../../protocols/udp.ts';
import { ETHERTYPE_8021Q, tagged } from '../../../protocols/vlan.ts';
import { VXLAN_HLEN, writeVxlan } from '../../../protocols/vxlan.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../support/router.ts';
import { drawnPacket, framesOf } from './packets.ts';
import { VXLAN_AT as AT, VXLAN_INNER as INNER, PACKET_ID, VXLAN_PORT } from './settle.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

export const VNI = 42;

/** A station at the port of the bridge, at two VTEPs, the device's own address; and one nobody has. */
export const MACS = [
  0x0200_0000_0011, 0x0200_0000_0012, 0x0200_0000_0013, 0x0200_0000_0050, 0x0200_0000_0019,
];
const GROUPS = [0xffff_ffff_ffff, 0x0100_5e01_0203];

function withMacs(frames: readonly Uint8Array[], dst: number, src: number): Uint8Array[] {
  return frames.map((frame) => {
    const copy = frame.slice();
    writeMac(copy, 0, dst);
    writeMac(copy, 6, src);
    return copy;
  });
}

const HOSTS = ['10.1.0.11', '10.1.0.12', '10.1.0.13', '10.1.0.1', '255.255.255.255', '0.0.0.0', '224.0.0.5'];

const packets = drawnPacket({ ports: 1, src: HOSTS.map(ip), dst: HOSTS.map(ip) }).chain((drawn) =>
  one(drawn.size, drawn.size, 1370, 1422, 1430, 1400).map((size) =>
    framesOf({ ...drawn, size, mtu: drawn.mtu === 0 ? 0 : 700 }),
  ),
);

const arp = fc
  .record({
    op: one(1, 1, 1, 2, 3),
    sha: one(...MACS),
    spa: one('10.1.0.11', '10.1.0.12', '0.0.0.0').map(ip),
    tpa: one('10.1.0.12', '10.1.0.13', '10.1.0.1', '127.0.0.1', '224.0.0.1', '10.1.0.11').map(ip),
    cut: one(0, 0, 0, 4),
  })
  .map(({ op, sha, spa, tpa, cut }) => {
    const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
    writeEthernet(frame, 0, 0, ETHERTYPE_ARP);
    encodeArp(frame, ETH_HLEN, { op, sha, spa, tha: 0, tpa });
    return [frame.slice(0, frame.length - cut)];
  });

const ip6Packet = fc
  .record({
    src: one('2001:db8::11', '::', 'ff02::1', '::1'),
    size: one(0, 8, 1400, 1420),
    proto: one(59, 17, 58),
    type: one(128, 1, 135, 137),
    hopLimit: one(64, 1, 255),
    trafficClass: one(0, 0x28, 2, 3),
  })
  .map(({ src, size, proto, type, hopLimit, trafficClass }) => {
    const frame = new Uint8Array(ETH_HLEN + 40 + size).fill(type, ETH_HLEN + 40);
    writeEthernet(frame, 0, 0, 0x86dd);
    writeIpv6Header(frame, ETH_HLEN, {
      src: parseIp6(src)!,
      dst: parseIp6('2001:db8::12')!,
      nextHeader: proto,
      hopLimit,
      payloadLength: size,
      trafficClass,
    });
    return [frame];
  });

const other = fc.nat(60).map((size) => {
  const frame = new Uint8Array(ETH_HLEN + size).fill(0x61);
  setU16(frame, 12, 0x88b6);
  return [frame];
});
const short = one(0x0800, 0x86dd, 0x0806, 0x8100).chain((type) =>
  one(1, 10, 19, 20, 39).map((size) => {
    const frame = new Uint8Array(ETH_HLEN + size);
    setU16(frame, 12, type);
    if (size > 0) frame[ETH_HLEN] = type === 0x0800 ? 0x45 : 0x60;
    return [frame];
  }),
);

/** Frames of a station. */
export const stationFrames = fc
  .tuple(
    fc.oneof(
      { weight: 8, arbitrary: packets },
      { weight: 3, arbitrary: arp },
      { weight: 2, arbitrary: ip6Packet },
      { weight: 1, arbitrary: other },
      { weight: 1, arbitrary: short },
      {
        weight: 1,
        arbitrary: packets.map((frames) => frames.map((frame) => tagged(frame, ETHERTYPE_8021Q, 7, 3))),
      },
    ),
    one(...MACS, ...MACS, ...GROUPS),
    one(...MACS, ...MACS, 0x0100_5e00_0001, 0),
  )
  .map(([frames, dst, src]) => withMacs(frames, dst, src));

const VTEPS = ['10.0.0.2', '10.0.0.3', '10.0.9.4', '10.0.0.77'].map(ip);

/** What comes from another VTEP, not always as it should. */
export const tunnelFrames = fc
  .record({
    inner: stationFrames,
    src: one(...VTEPS),
    vni: one(VNI, VNI, VNI, VNI, VNI, 43, 0xffffff),
    flags: one(0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x00, 0x88, 0x0c),
    reserved: one(0, 0, 0, 0, 0, 1),
    tos: one(0, 0, 1, 2, 3, 0xb8),
    checksum: one<'compute' | 'zero' | 'wrong'>('compute', 'zero', 'zero', 'wrong'),
    cut: one<number | null>(null, null, null, null, null, null, 0, 4, 8, 12, 22),
    mtu: one(0, 0, 0, 0, 600),
    dst: one('10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.255').map(ip),
    port: one(VXLAN_PORT, VXLAN_PORT, VXLAN_PORT, VXLAN_PORT, 8472),
  })
  .map(({ inner, src, vni, flags, reserved, tos, checksum, cut, mtu, dst, port }) =>
    inner.flatMap((frame) => {
      const carried = frame.subarray(0, 1600);
      const length = cut === null ? VXLAN_HLEN + carried.length : Math.min(cut, VXLAN_HLEN + carried.length);
      const whole = new Uint8Array(INNER + carried.length);
      writeVxlan(whole, INNER - VXLAN_HLEN, vni);
      whole[INNER - VXLAN_HLEN] = flags;
      whole[INNER - 1] = reserved;
      whole.set(carried, INNER);
      const packet = whole.slice(0, AT + UDP_HLEN + length);
      const how = checksum === 'zero' ? 'zero' : 'compute';
      writeUdp(packet, AT, src, dst, 40_000 + (src & 0xff), port, length, { checksum: how });
      if (checksum === 'wrong') packet[AT + 7]! ^= 1;
      writeEthernet(
        packet,
        dst === ip('10.0.0.1') ? ROUTER_MAC : 0xffff_ffff_ffff,
        NEIGHBOR_MAC,
        ETHERTYPE_IPV4,
      );
      const totalLength = packet.length - ETH_HLEN;
      const header = { src, dst, proto: PROTO_UDP, ttl: 64, tos, totalLength, id: PACKET_ID };
      writeIpv4Header(packet, ETH_HLEN, { ...header, df: false });
      const limit = mtu === 0 ? 1500 : mtu;
      if (totalLength <= limit) return [packet];
      return fragmentIpv4(packet.subarray(ETH_HLEN), limit).map((part) =>
        Uint8Array.of(...packet.subarray(0, ETH_HLEN), ...part),
      );
    }),
  );

/** A router on the way to a VTEP says what it takes. */
export const fragmentationNeeded = fc
  .record({ dst: one(...VTEPS), mtu: one(1400, 1000, 700, 300, 1490) })
  .map(({ dst, mtu }) => {
    const quoted = new Uint8Array(INNER + 20);
    writeVxlan(quoted, INNER - VXLAN_HLEN, VNI);
    writeUdp(quoted, AT, ip('10.0.0.1'), dst, 45_000, VXLAN_PORT, 1400, { checksum: 'zero' });
    const header = { src: ip('10.0.0.1'), dst, proto: PROTO_UDP, ttl: 60, totalLength: 1428, id: 9 };
    writeIpv4Header(quoted, ETH_HLEN, { ...header, df: false });
    const message = encodeIcmpError(
      ICMP_DEST_UNREACHABLE,
      UNREACH_FRAG_NEEDED,
      mtu,
      quoted,
      ETH_HLEN,
      quoted.length - ETH_HLEN,
    );
    const frame = new Uint8Array(AT + message.length);
    writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV4);
    const totalLength = frame.length - ETH_HLEN;
    const outer = { src: ip('10.0.0.3'), dst: ip('10.0.0.1'), proto: PROTO_ICMP, ttl: 64 };
    writeIpv4Header(frame, ETH_HLEN, { ...outer, totalLength, id: PACKET_ID, df: false });
    frame.set(message, AT);
    return [frame];
  });
