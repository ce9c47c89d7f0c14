import type { IpAddress } from '../../protocols/ip.ts';
import {
  commonBits6,
  type Ip6,
  mapIp4,
  type Prefix6,
  parsePrefix6,
  prefixContains6,
} from '../../protocols/ip6.ts';
import { type Peer, routeTo } from '../kernel/client-sockets.ts';
import type { Netns } from '../kernel/netns.ts';

/** A destination, and what connect(2) of a UDP socket has said of it. */
export interface Candidate<P extends Peer = Peer> {
  readonly peer: P;
  /** The address that would be sent from; null: it cannot be reached. */
  readonly source: IpAddress | null;
  /** The source is not to be used for what is new (RFC 4862 §5.5.4). */
  readonly deprecated: boolean;
  /** Prefix length of the source. */
  readonly prefix: number;
}

/** Prefix, label and precedence as glibc has them where /etc/gai.conf says nothing: RFC 3484's, not those of RFC 6724. */
const POLICY = (
  [
    ['::1/128', 0, 50],
    ['::ffff:0:0/96', 4, 10],
    ['::/96', 3, 20],
    ['2001::/32', 7, 40],
    ['2002::/16', 2, 30],
    ['fec0::/10', 5, 40],
    ['fc00::/7', 6, 40],
    ['::/0', 1, 40],
  ] as const
).map(([text, label, precedence]) => ({ prefix: parsePrefix6(text) as Prefix6, label, precedence }));

/** What getaddrinfo(3) has found for a name, in the order in which it is to be tried. */
export function inOrder<P extends Peer>(ns: Netns, peers: readonly P[]): P[] {
  if (peers.length < 2) return [...peers];
  return sortDestinations(peers.map((peer) => candidateOf(ns, peer))).map(({ peer }) => peer);
}

/** RFC 6724 §6 as glibc does it (`rfc3484_sort`); equals keep their order (rule 10). */
export function sortDestinations<P extends Peer>(candidates: readonly Candidate<P>[]): Candidate<P>[] {
  return candidates.toSorted(compare);
}

function candidateOf<P extends Peer>(ns: Netns, peer: P): Candidate<P> {
  const reached = routeTo(ns, peer);
  if (!reached.ok) return { peer, source: null, deprecated: false, prefix: 0 };
  const { src } = reached;
  for (const { addresses, inet6 } of ns.devices()) {
    const own = typeof src === 'number' ? addresses.find(({ addr }) => addr === src) : undefined;
    if (own !== undefined) return { peer, source: src, deprecated: false, prefix: own.len };
    const own6 = typeof src === 'string' ? inet6.find(src) : undefined;
    if (own6 === undefined) continue;
    const { preferredUntil, len } = own6;
    const deprecated = preferredUntil !== null && preferredUntil <= ns.kernel.rt.now;
    return { peer, source: src, deprecated, prefix: len };
  }
  return { peer, source: src, deprecated: false, prefix: typeof src === 'number' ? 8 : 128 };
}

function compare(a: Candidate, b: Candidate): number {
  const { addr: dstA } = a.peer;
  const { addr: dstB } = b.peer;
  // Rule 1: avoid unusable destinations. Of two of them there is no source to compare.
  const unusable = differ(a.source === null, b.source === null);
  if (unusable !== 0) return unusable;
  const by =
    bySource(a, b) ||
    // Rules 6 and 8: higher precedence, smaller scope.
    policy(dstB).precedence - policy(dstA).precedence ||
    scope(dstA) - scope(dstB);
  if (by !== 0 || typeof dstA !== typeof dstB) return by;
  // Rule 9: the longest prefix that destination and source share.
  return shared(b) - shared(a);
}

/** Rules 2, 3 and 5: matching scope, no deprecated source, matching label. */
function bySource(a: Candidate, b: Candidate): number {
  const unlike = ({ peer: { addr }, source }: Candidate, of: (addr: IpAddress) => number) =>
    source !== null && of(addr) !== of(source);
  const label = (addr: IpAddress) => policy(addr).label;
  return (
    differ(unlike(a, scope), unlike(b, scope)) ||
    differ(a.deprecated, b.deprecated) ||
    differ(unlike(a, label), unlike(b, label))
  );
}

function differ(a: boolean, b: boolean): number {
  return Number(a) - Number(b);
}

const LINK = 2;
const SITE = 5;
const GLOBAL = 14;

/** Scope as multicast addresses have it; of IPv4, what is of the link or the host (RFC 6724 §3.1, §3.2). */
function scope(addr: IpAddress): number {
  if (typeof addr === 'number') {
    const link = addr >>> 24 === 127 || addr >>> 16 === 0xa9fe;
    return link ? LINK : GLOBAL;
  }
  const [first = 0, second = 0] = [addr.charCodeAt(0), addr.charCodeAt(1)];
  if (first === 0xff) return second & 0x0f;
  if (first === 0xfe && (second & 0xc0) === 0x80) return LINK;
  if (first === 0xfe && (second & 0xc0) === 0xc0) return SITE;
  return policy(addr).label === 0 ? LINK : GLOBAL;
}

function policy(addr: IpAddress): { readonly label: number; readonly precedence: number } {
  const text: Ip6 = typeof addr === 'number' ? mapIp4(addr) : addr;
  return POLICY.find(({ prefix }) => prefixContains6(prefix, text)) ?? { label: 1, precedence: 40 };
}

/** Bits that source and destination share; of IPv4 only where both are of one network. */
function shared({ peer: { addr }, source, prefix }: Candidate): number {
  if (typeof addr === 'string' && typeof source === 'string') return commonBits6(addr, source);
  if (typeof addr !== 'number' || typeof source !== 'number') return 0;
  const bits = Math.clz32(addr ^ source);
  return bits >= prefix ? bits : 0;
}
