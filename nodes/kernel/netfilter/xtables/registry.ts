import type { IpFamily } from '../../../../protocols/ip.ts';
import type { MatchExtension, TargetExtension } from './extension.ts';
import { addrtype } from './match/addrtype.ts';
import { comment } from './match/comment.ts';
import { conntrack, state } from './match/conntrack.ts';
import { dst, frag, hbh, ipv6header, rt } from './match/extension-headers.ts';
import { hashlimit } from './match/hashlimit.ts';
import { dscp, hl, iprange, length, tos, ttl } from './match/header.ts';
import { icmp, icmp6 } from './match/icmp.ts';
import { ipvs } from './match/ipvs.ts';
import { mac, physdev, pkttype } from './match/link.ts';
import { connmark, mark } from './match/mark.ts';
import { limit, statistic } from './match/rate.ts';
import { recent } from './match/recent.ts';
import { set } from './match/set.ts';
import { multiport, tcp, udp } from './match/transport.ts';
import { dscp as setDscp, hl as setHl, tos as setTos, ttl as setTtl } from './target/header.ts';
import { log } from './target/log.ts';
import { connmark as setConnmark, mark as setMark } from './target/mark.ts';
import { dnat, masquerade, netmap, redirect, snat } from './target/nat.ts';
import { reject, reject6 } from './target/reject.ts';
import { setTarget } from './target/set.ts';
import { ct, notrack, trace } from './target/simple.ts';
import { tcpmss } from './target/tcpmss.ts';

function byName<T extends { readonly name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((extension) => [extension.name, extension]));
}

interface Extensions {
  readonly matches: ReadonlyMap<string, MatchExtension>;
  readonly targets: ReadonlyMap<string, TargetExtension>;
}

const MATCHES = [
  addrtype,
  comment,
  conntrack,
  connmark,
  dscp,
  hashlimit,
  iprange,
  ipvs,
  length,
  limit,
  mac,
  mark,
  multiport,
  physdev,
  pkttype,
  recent,
  set,
  state,
  statistic,
  tcp,
  tos,
  udp,
];

const TARGETS = [
  ct,
  dnat,
  log,
  masquerade,
  netmap,
  notrack,
  redirect,
  setConnmark,
  setDscp,
  setMark,
  setTarget,
  setTos,
  snat,
  tcpmss,
  trace,
];

const EXTENSIONS: Readonly<Record<IpFamily, Extensions>> = {
  inet: { matches: byName([...MATCHES, icmp, ttl]), targets: byName([...TARGETS, reject, setTtl]) },
  inet6: {
    matches: byName([...MATCHES, dst, frag, hbh, hl, icmp6, ipv6header, rt]),
    targets: byName([...TARGETS, reject6, setHl]),
  },
};

/** The matches and targets that iptables, or ip6tables, has. */
export function extensionsOf(family: IpFamily): Extensions {
  return EXTENSIONS[family];
}

/** Extensions that Linux has and the emulation has not, for an honest error. */
export const NOT_EMULATED: ReadonlySet<string> = new Set([
  'AUDIT',
  'CHECKSUM',
  'CLASSIFY',
  'CLUSTERIP',
  'CONNSECMARK',
  'DNPT',
  'ECN',
  'HMARK',
  'IDLETIMER',
  'LED',
  'NFLOG',
  'NFQUEUE',
  'RATEEST',
  'SECMARK',
  'SNPT',
  'SYNPROXY',
  'TEE',
  'TPROXY',
  'TCPOPTSTRIP',
  'ULOG',
  'ah',
  'bpf',
  'cgroup',
  'cluster',
  'connbytes',
  'connlabel',
  'connlimit',
  'cpu',
  'dccp',
  'devgroup',
  'ecn',
  'esp',
  'eui64',
  'helper',
  'mh',
  'nfacct',
  'osf',
  'owner',
  'policy',
  'quota',
  'rateest',
  'realm',
  'rpfilter',
  'sctp',
  'socket',
  'srh',
  'string',
  'tcpmss',
  'time',
  'u32',
]);
