import { setU16, setU32, u16, u32 } from './bytes.ts';
import { readMac, writeMac } from './mac.ts';

/** ARP for IPv4 over Ethernet (RFC 826): htype, ptype, hlen, plen, op, sha (6), spa (4), tha (6), tpa (4). */
export const ARP_LEN = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

export interface ArpPacket {
  readonly op: number;
  readonly sha: number;
  readonly spa: number;
  readonly tha: number;
  readonly tpa: number;
}

/** Null when truncated, or not for IPv4 over Ethernet. */
export function decodeArp(buf: Uint8Array, off: number, len: number): ArpPacket | null {
  if (len < ARP_LEN || u16(buf, off + 2) !== 0x0800) return null;
  // IEEE 802's own number is taken too (RFC 1042), as Linux does.
  if (u16(buf, off) !== 1 && u16(buf, off) !== 6) return null;
  if (buf[off + 4] !== 6 || buf[off + 5] !== 4) return null;
  return {
    op: u16(buf, off + 6),
    sha: readMac(buf, off + 8),
    spa: u32(buf, off + 14),
    tha: readMac(buf, off + 18),
    tpa: u32(buf, off + 24),
  };
}

export function encodeArp(buf: Uint8Array, off: number, packet: ArpPacket): void {
  setU16(buf, off, 1);
  setU16(buf, off + 2, 0x0800);
  buf[off + 4] = 6;
  buf[off + 5] = 4;
  setU16(buf, off + 6, packet.op);
  writeMac(buf, off + 8, packet.sha);
  setU32(buf, off + 14, packet.spa);
  writeMac(buf, off + 18, packet.tha);
  setU32(buf, off + 24, packet.tpa);
}
