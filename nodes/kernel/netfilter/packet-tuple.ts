import { u16 } from '../../../protocols/bytes.ts';
import {
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../protocols/ipv4.ts';
import type { CtTuple } from './conntrack-entry.ts';
import { invertTuple, isIcmpQueryOrAnswer } from './flow.ts';

const PROTO_DCCP = 33;
const PROTO_SCTP = 132;
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
  src = 0;
  dst = 0;
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
    const at = off + ipHeaderLength(buf, off);
    this.src = ipSrc(buf, off);
    this.dst = ipDst(buf, off);
    this.proto = ipProto(buf, off);
    this.srcPort = 0;
    this.dstPort = 0;
    if (this.proto === PROTO_ICMP) {
      if (end - at < 8 || !isIcmpQueryOrAnswer(buf[at]!)) return false;
      this.srcPort = u16(buf, at + 4);
      this.dstPort = u16(buf, at);
    } else if (hasPorts(this.proto)) {
      if (end - at < 4) return false;
      this.srcPort = u16(buf, at);
      this.dstPort = u16(buf, at + 2);
    }
    return true;
  }
}
