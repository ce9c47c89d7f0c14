import { setU16, u16 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import type { IpAddress } from './ip.ts';
import { PROTO_UDP } from './ipv4.ts';

/** UDP (RFC 768): source port (2), destination port (2), length (2), checksum (2). */
export const UDP_HLEN = 8;

export interface UdpDatagram {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly payloadOffset: number;
  readonly payloadLength: number;
}

/**
 * Null when truncated, of a bad length, or of a wrong checksum. One of 0 is none: over IPv4 it may be (`by-family`), over IPv6 it may
 * not (RFC 8200 §8.1) but for tunnels that take it (RFC 6935).
 */
export function decodeUdp(
  buf: Uint8Array,
  off: number,
  len: number,
  src: IpAddress,
  dst: IpAddress,
  zeroChecksum: 'taken' | 'by-family' = 'by-family',
): UdpDatagram | null {
  if (len < UDP_HLEN) return null;
  const length = u16(buf, off + 4);
  if (length < UDP_HLEN || length > len) return null;
  if (u16(buf, off + 6) !== 0 || (typeof src !== 'number' && zeroChecksum !== 'taken')) {
    if (internetChecksum(buf, off, length, pseudoHeaderSum(src, dst, PROTO_UDP, length)) !== 0) return null;
  }
  return {
    srcPort: u16(buf, off),
    dstPort: u16(buf, off + 2),
    payloadOffset: off + UDP_HLEN,
    payloadLength: length - UDP_HLEN,
  };
}

/** Writes the header at `off` for a payload already in place behind it. */
export function writeUdp(
  buf: Uint8Array,
  off: number,
  src: IpAddress,
  dst: IpAddress,
  srcPort: number,
  dstPort: number,
  payloadLength: number,
  options: { readonly checksum: 'compute' | 'zero' },
): void {
  const length = UDP_HLEN + payloadLength;
  setU16(buf, off, srcPort);
  setU16(buf, off + 2, dstPort);
  setU16(buf, off + 4, length);
  setU16(buf, off + 6, 0);
  if (options.checksum === 'zero') return;
  const checksum = internetChecksum(buf, off, length, pseudoHeaderSum(src, dst, PROTO_UDP, length));
  setU16(buf, off + 6, checksum === 0 ? 0xffff : checksum);
}
