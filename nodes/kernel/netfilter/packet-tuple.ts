import { u16 } from '../../../protocols/bytes.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { readIp6Cached } from '../../../protocols/ip6.ts';
import { ipDst, ipHeaderLength, ipProto, ipSrc, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC } from '../../../protocols/ipv6.ts';
import { lastHeader, NEXT_NONE } from '../../../protocols/ipv6-headers.ts';
import { PROTO_SCTP } from '../../../protocols/sctp.ts';
import type { CtTuple } from './conntrack-entry.ts';
import { invertTuple, isIcmp, isIcmpQueryOrAnswer } from './flow.ts';

const PROTO_DCCP = 33;
const PROTO_UDPLITE = 136;

/** UDP and its like: a datagram is one packet, and nothing opens or closes a flow. */
export function isDatagram(proto: number): boolean {
  return proto === PROTO_UDP || proto === PROTO_UDPLITE;
}

/** Whether a protocol begins with a source and a destination port. */
export function hasPorts(proto: number): boolean {
  return (
    proto === PROTO_TCP ||
    proto === PROTO_UDP ||
    proto === PROTO_SCTP ||
    proto === PROTO_DCCP ||
    proto === PROTO_UDPLITE
  );
}

/** A tuple that is filled anew for each packet, to look up with. */
export class PacketTuple implements CtTuple {
  src: IpAddress = 0;
  dst: IpAddress = 0;
  proto = 0;
  srcPort = 0;
  dstPort = 0;

  /** Makes it the tuple of what answers. */
  invert(): void {
    const { src, dst, srcPort, dstPort } = invertTuple(this);
    this.src = src;
    this.dst = dst;
    this.srcPort = srcPort;
    this.dstPort = dstPort;
  }

  /**
   * Reads the tuple of the IP packet at `off`, which has `end` bytes at most to read (`nf_ct_get_tuple`); false where it is
   * too short, or a message of ICMP that is neither query nor answer. The IP header itself is there.
   */
  read(buf: Uint8Array, off: number, end: number): boolean {
    const at = buf[off]! >> 4 === 6 ? this.#read6(buf, off, end) : this.#read4(buf, off);
    if (at < 0) return false;
    this.srcPort = 0;
    this.dstPort = 0;
    if (isIcmp(this.proto)) {
      if (end - at < 8 || !isIcmpQueryOrAnswer(this.proto, buf[at]!)) return false;
      this.srcPort = u16(buf, at + 4);
      this.dstPort = u16(buf, at);
    } else if (hasPorts(this.proto)) {
      if (end - at < 4) return false;
      this.srcPort = u16(buf, at);
      this.dstPort = u16(buf, at + 2);
    }
    return true;
  }

  /** Where what is above IP begins. */
  #read4(buf: Uint8Array, off: number): number {
    this.src = ipSrc(buf, off);
    this.dst = ipDst(buf, off);
    this.proto = ipProto(buf, off);
    return off + ipHeaderLength(buf, off);
  }

  /** The same; -1 where the extension headers lead nowhere (`ipv6_get_l4proto`). */
  #read6(buf: Uint8Array, off: number, end: number): number {
    const upper = lastHeader(buf, off, end);
    if (upper === null || upper.fragment !== 0 || upper.proto === NEXT_NONE) return -1;
    this.src = readIp6Cached(buf, off + IP6_SRC);
    this.dst = readIp6Cached(buf, off + IP6_DST);
    this.proto = upper.proto;
    return upper.offset;
  }
}
