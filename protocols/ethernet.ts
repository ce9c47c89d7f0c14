import { u16 } from './bytes.ts';
import { writeMac } from './mac.ts';

/** Ethernet II header: destination (6), source (6), EtherType (2). */
export const ETH_HLEN = 14;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

/** EtherType of a frame of at least 14 bytes. */
export function etherType(frame: Uint8Array): number {
  return u16(frame, 12);
}

export function writeEthernet(frame: Uint8Array, dst: number, src: number, type: number): void {
  writeMac(frame, 0, dst);
  writeMac(frame, 6, src);
  frame[12] = type >>> 8;
  frame[13] = type;
}
