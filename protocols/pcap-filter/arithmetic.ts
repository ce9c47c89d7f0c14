import { u16, u32 } from '../bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV6 } from '../ethernet.ts';
import { ipFragmentOffset, ipHeaderLength, ipProto } from '../ipv4.ts';
import { IPV6_HLEN, ip6NextHeader, PROTO_ICMPV6 } from '../ipv6.ts';
import { ETHERTYPE_RARP, type FrameFilter, hasType, isIpv4, isIpv6 } from './match.ts';

/** A number made from a frame: unsigned, of 32 bits. NaN where the frame has no such bytes, or what divides is 0. */
export type FrameNumber = (frame: Uint8Array) => number;

/** An expression, and whether a frame has the headers that it looks into. */
export interface Expression {
  readonly value: FrameNumber;
  readonly applies: FrameFilter;
}

const ALWAYS: FrameFilter = () => true;

/** Where the bytes of a protocol begin; -1 for a frame without it. */
type Locate = (frame: Uint8Array) => number;

function upper(proto: number): Locate {
  return (frame) =>
    isIpv4(frame) && ipProto(frame, ETH_HLEN) === proto && ipFragmentOffset(frame, ETH_HLEN) === 0
      ? ETH_HLEN + ipHeaderLength(frame, ETH_HLEN)
      : -1;
}

function linkType(type: number): Locate {
  return (frame) => (hasType(frame, type) ? ETH_HLEN : -1);
}

/** What may stand before `[`: as in libpcap, those above IP are of IPv4, and of its first fragments. */
export const LOCATE: ReadonlyMap<string, Locate> = new Map([
  ['ether', () => 0],
  ['ip', (frame) => (isIpv4(frame) ? ETH_HLEN : -1)],
  ['ip6', linkType(ETHERTYPE_IPV6)],
  ['arp', linkType(ETHERTYPE_ARP)],
  ['rarp', linkType(ETHERTYPE_RARP)],
  ['icmp', upper(1)],
  ['igmp', upper(2)],
  ['tcp', upper(6)],
  ['udp', upper(17)],
  ['pim', upper(103)],
  ['vrrp', upper(112)],
  ['sctp', upper(132)],
  [
    'icmp6',
    (frame) => (isIpv6(frame) && ip6NextHeader(frame, ETH_HLEN) === PROTO_ICMPV6 ? ETH_HLEN + IPV6_HLEN : -1),
  ],
]);

/** Names of offsets and values (pcap-filter(7)). */
export const CONSTANTS: ReadonlyMap<string, number> = new Map([
  ['icmptype', 0],
  ['icmpcode', 1],
  ['icmp-echoreply', 0],
  ['icmp-unreach', 3],
  ['icmp-sourcequench', 4],
  ['icmp-redirect', 5],
  ['icmp-echo', 8],
  ['icmp-routeradvert', 9],
  ['icmp-routersolicit', 10],
  ['icmp-timxceed', 11],
  ['icmp-paramprob', 12],
  ['icmp-tstamp', 13],
  ['icmp-tstampreply', 14],
  ['icmp-ireq', 15],
  ['icmp-ireqreply', 16],
  ['icmp-maskreq', 17],
  ['icmp-maskreply', 18],
  ['icmp6type', 0],
  ['icmp6code', 1],
  ['icmp6-destinationunreach', 1],
  ['icmp6-packettoobig', 2],
  ['icmp6-timeexceeded', 3],
  ['icmp6-parameterproblem', 4],
  ['icmp6-echo', 128],
  ['icmp6-echoreply', 129],
  ['icmp6-multicastlistenerquery', 130],
  ['icmp6-multicastlistenerreportv1', 131],
  ['icmp6-multicastlistenerdone', 132],
  ['icmp6-routersolicit', 133],
  ['icmp6-routeradvert', 134],
  ['icmp6-neighborsolicit', 135],
  ['icmp6-neighboradvert', 136],
  ['icmp6-redirect', 137],
  ['tcpflags', 13],
  ['tcp-fin', 0x01],
  ['tcp-syn', 0x02],
  ['tcp-rst', 0x04],
  ['tcp-push', 0x08],
  ['tcp-ack', 0x10],
  ['tcp-urg', 0x20],
  ['tcp-ece', 0x40],
  ['tcp-cwr', 0x80],
]);

export function constant(value: number): Expression {
  return { value: () => value, applies: ALWAYS };
}

export const frameLength: Expression = { value: (frame) => frame.length, applies: ALWAYS };

/** `tcp[offset:size]`, big-endian. */
export function bytesAt(locate: Locate, offset: Expression, size: 1 | 2 | 4): Expression {
  return {
    applies: (frame) => locate(frame) >= 0 && offset.applies(frame),
    value: (frame) => {
      const at = locate(frame) + offset.value(frame);
      // NaN, too, is not within.
      if (!(at + size <= frame.length)) return Number.NaN;
      return size === 1 ? frame[at]! : size === 2 ? u16(frame, at) : u32(frame, at);
    },
  };
}

/** By how tightly they bind, loosest first. */
export const OPERATORS: readonly ReadonlyMap<string, (a: number, b: number) => number>[] = [
  new Map([['|', (a, b) => (a | b) >>> 0]]),
  new Map([['^', (a, b) => (a ^ b) >>> 0]]),
  new Map([['&', (a, b) => (a & b) >>> 0]]),
  new Map([
    ['<<', (a, b) => (b > 31 ? 0 : (a << b) >>> 0)],
    ['>>', (a, b) => (b > 31 ? 0 : a >>> b)],
  ]),
  new Map([
    ['+', (a, b) => (a + b) >>> 0],
    ['-', (a, b) => (a - b) >>> 0],
  ]),
  new Map([
    ['*', (a, b) => Math.imul(a, b) >>> 0],
    ['/', (a, b) => (b === 0 ? Number.NaN : Math.floor(a / b))],
    ['%', (a, b) => (b === 0 ? Number.NaN : a % b)],
  ]),
];

export const RELATIONS: ReadonlyMap<string, (a: number, b: number) => boolean> = new Map([
  ['=', (a, b) => a === b],
  ['==', (a, b) => a === b],
  ['!=', (a, b) => a !== b],
  ['<', (a, b) => a < b],
  ['<=', (a, b) => a <= b],
  ['>', (a, b) => a > b],
  ['>=', (a, b) => a >= b],
]);

export function combine(
  left: Expression,
  operator: (a: number, b: number) => number,
  right: Expression,
): Expression {
  return {
    applies: (frame) => left.applies(frame) && right.applies(frame),
    value: (frame) => {
      const [a, b] = [left.value(frame), right.value(frame)];
      // Operators on bits would make 0 of NaN.
      return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : operator(a, b);
    },
  };
}

/** A frame that lacks the bytes is refused by the whole filter, whatever else stands in it, as a BPF program returns 0 there. */
export class Refused extends Error {}

export function compare(
  left: Expression,
  relation: (a: number, b: number) => boolean,
  right: Expression,
): FrameFilter {
  return (frame) => {
    if (!left.applies(frame) || !right.applies(frame)) return false;
    const [a, b] = [left.value(frame), right.value(frame)];
    if (Number.isNaN(a) || Number.isNaN(b)) throw REFUSED;
    return relation(a, b);
  };
}

const REFUSED = new Refused('the frame lacks bytes that the filter looks at');
