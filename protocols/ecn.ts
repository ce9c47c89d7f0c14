import { setU16 } from './bytes.ts';
import { internetChecksum } from './checksum.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ethernet.ts';
import { ipHeaderLength, ipTos } from './ipv4.ts';
import { ip6TrafficClass } from './ipv6.ts';

/** Explicit congestion notification (RFC 3168): the two last bits of the type of service or traffic class. */
export const ECN_MASK = 3;
const ECT_1 = 1;
const ECT_0 = 2;
const CE = 3;

/** DSCP and ECN of a packet of IPv4 or IPv6; 0 of others (`ip_tunnel_get_dsfield`). */
export function dsField(buf: Uint8Array, off: number, etherType: number): number {
  if (etherType === ETHERTYPE_IPV4) return ipTos(buf, off);
  return etherType === ETHERTYPE_IPV6 ? ip6TrafficClass(buf, off) : 0;
}

/** The outer type of service: ECN as inside, except that a mark of congestion is not copied (RFC 3168 §9.1.1). */
export function ecnEncapsulated(outer: number, inner: number): number {
  return (outer & ~ECN_MASK) | ((inner & ECN_MASK) === CE ? ECT_0 : inner & ECN_MASK);
}

/**
 * Takes to the packet inside what its way has done to the outer header (RFC 6040 §4.2). False: it is to be dropped, as congestion
 * was met and its ends do not know of ECN.
 */
export function ecnDecapsulate(outer: number, buf: Uint8Array, off: number, etherType: number): boolean {
  if (etherType !== ETHERTYPE_IPV4 && etherType !== ETHERTYPE_IPV6) return true;
  const inner = dsField(buf, off, etherType);
  const ecn = outer & ECN_MASK;
  if ((inner & ECN_MASK) === 0) return ecn !== CE;
  if (ecn === CE) setDsField(buf, off, etherType, inner | CE);
  else if (ecn === ECT_1 && (inner & ECN_MASK) === ECT_0)
    setDsField(buf, off, etherType, (inner & ~ECN_MASK) | ECT_1);
  return true;
}

function setDsField(buf: Uint8Array, off: number, etherType: number, value: number): void {
  if (etherType === ETHERTYPE_IPV6) {
    buf[off] = (buf[off]! & 0xf0) | (value >>> 4);
    buf[off + 1] = (buf[off + 1]! & 0x0f) | ((value & 0x0f) << 4);
    return;
  }
  buf[off + 1] = value;
  setU16(buf, off + 10, 0);
  setU16(buf, off + 10, internetChecksum(buf, off, ipHeaderLength(buf, off)));
}
