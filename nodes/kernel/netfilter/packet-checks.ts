import { u16 } from '../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_HLEN,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
} from '../../../protocols/icmp.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../protocols/ipv4.ts';
import { UDP_HLEN } from '../../../protocols/udp.ts';
import { isWholeTcp } from './tcp-read.ts';
import { areValidFlags } from './tcp-states.ts';

/** Highest type of ICMP that is known (NR_ICMP_TYPES). */
const LAST_ICMP_TYPE = 18;
const ICMP_SOURCE_QUENCH = 4;

export type TransportProblem = 'ok' | 'malformed' | 'bad-checksum' | 'bad-flags';

/** What makes a packet no part of any flow (`tcp_error`, `udp_error`, `nf_conntrack_icmpv4_error`). */
export function checkTransport(
  frame: Uint8Array,
  at: number,
  length: number,
  verify: boolean,
): TransportProblem {
  const proto = ipProto(frame, ETH_HLEN);
  switch (proto) {
    case PROTO_TCP: {
      if (!isWholeTcp(frame, at, length)) return 'malformed';
      if (verify && !isSumRight(frame, at, length, proto)) return 'bad-checksum';
      return areValidFlags(frame[at + 13]!) ? 'ok' : 'bad-flags';
    }
    case PROTO_UDP: {
      if (length < UDP_HLEN) return 'malformed';
      const udpLength = u16(frame, at + 4);
      if (udpLength > length || udpLength < UDP_HLEN) return 'malformed';
      if (!verify || u16(frame, at + 6) === 0) return 'ok';
      return isSumRight(frame, at, udpLength, proto) ? 'ok' : 'bad-checksum';
    }
    case PROTO_ICMP:
      if (length < ICMP_HLEN || frame[at]! > LAST_ICMP_TYPE) return 'malformed';
      return verify && internetChecksum(frame, at, length) !== 0 ? 'bad-checksum' : 'ok';
    default:
      return 'ok';
  }
}

/** Protocols of which REJECT knows that no checksum is over the whole of their payload. */
const NOT_SUMMED: ReadonlySet<number> = new Set([33, 47, 50, 51, 132, 136]);

/**
 * Whether a packet that is refused may be told of: one with a wrong checksum may be of somebody else (`nf_reject_verify_csum`,
 * `nf_ip_checksum`). A protocol that Linux does not know is taken for one whose payload adds up.
 */
export function mayTellOfReject(frame: Uint8Array): boolean {
  const proto = ipProto(frame, ETH_HLEN);
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const length = frame.length - at;
  if (NOT_SUMMED.has(proto)) return true;
  if (proto === PROTO_UDP && length >= UDP_HLEN && u16(frame, at + 6) === 0) return true;
  if (proto === PROTO_TCP || proto === PROTO_UDP) return isSumRight(frame, at, length, proto);
  return internetChecksum(frame, at, length) === 0;
}

function isSumRight(frame: Uint8Array, at: number, length: number, proto: number): boolean {
  const seed = pseudoHeaderSum(ipSrc(frame, ETH_HLEN), ipDst(frame, ETH_HLEN), proto, length);
  return internetChecksum(frame, at, length, seed) === 0;
}

/**
 * Where the packet begins that an ICMP error quotes; -1 where the quote is none that a flow can be found by, null where the
 * message is no error.
 */
export function quotedPacket(frame: Uint8Array, at: number, length: number): number | null {
  switch (frame[at]) {
    case ICMP_DEST_UNREACHABLE:
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER_PROBLEM:
      break;
    default:
      return null;
  }
  const inner = at + ICMP_HLEN;
  if (length < ICMP_HLEN + IPV4_HLEN || frame[inner]! >> 4 !== 4) return -1;
  const headerLength = ipHeaderLength(frame, inner);
  if (headerLength < IPV4_HLEN || length < ICMP_HLEN + headerLength) return -1;
  return ipFragmentOffset(frame, inner) > 0 ? -1 : inner;
}
