import { u16, u32 } from './bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4 } from './ethernet.ts';
import { ipHeaderLength, PROTO_TCP, PROTO_UDP } from './ipv4.ts';

/** VXLAN (RFC 7348 §5): flags (1, 0x08 = VNI valid), reserved (3), VNI (3), reserved (1). */
export const VXLAN_HLEN = 8;

/**
 * Null when truncated or without a valid VNI, and where reserved bits are set: RFC 7348 §5 would have them ignored, Linux takes
 * them for an extension that it does not know (`vxlan_rcv`).
 */
export function decodeVxlan(
  buf: Uint8Array,
  off: number,
  len: number,
): { vni: number; payloadOffset: number } | null {
  if (len < VXLAN_HLEN || u32(buf, off) !== 0x0800_0000 || buf[off + 7] !== 0) return null;
  return { vni: u32(buf, off + 4) >>> 8, payloadOffset: off + VXLAN_HLEN };
}

export function writeVxlan(buf: Uint8Array, off: number, vni: number): void {
  buf.fill(0, off, off + VXLAN_HLEN);
  buf[off] = 0x08;
  buf[off + 4] = vni >>> 16;
  buf[off + 5] = vni >>> 8;
  buf[off + 6] = vni;
}

/**
 * Outer source port: a hash of the inner flow (RFC 7348 §5), so that ECMP in the underlay keeps a flow together. From the first of
 * the range, below the last (`udp_flow_src_port`).
 */
export function flowSourcePort(
  frame: Uint8Array,
  off: number,
  len: number,
  [first, last]: readonly [number, number],
): number {
  let hash = 0x811c9dc5;
  const mix = (value: number) => {
    hash = Math.imul(hash ^ value, 0x01000193);
  };
  const ip = off + ETH_HLEN;
  if (len >= ETH_HLEN + 20 && u16(frame, off + 12) === ETHERTYPE_IPV4) {
    mix(u32(frame, ip + 12));
    mix(u32(frame, ip + 16));
    const proto = frame[ip + 9]!;
    mix(proto);
    const ports = ip + ipHeaderLength(frame, ip);
    const unfragmented = (u16(frame, ip + 6) & 0x3fff) === 0;
    if ((proto === PROTO_TCP || proto === PROTO_UDP) && unfragmented && ports + 4 <= off + len)
      mix(u32(frame, ports));
  } else {
    for (let i = off; i < off + Math.min(len, 12); i++) mix(frame[i]!);
  }
  return first + ((hash >>> 0) % (last - first));
}
