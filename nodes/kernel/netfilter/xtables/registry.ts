import type { MatchExtension, TargetExtension } from './extension.ts';
import { addrtype } from './match/addrtype.ts';
import { comment } from './match/comment.ts';
import { conntrack, state } from './match/conntrack.ts';
import { dscp, iprange, length, tos, ttl } from './match/header.ts';
import { icmp } from './match/icmp.ts';
import { ipvs } from './match/ipvs.ts';
import { mac, physdev, pkttype } from './match/link.ts';
import { connmark, mark } from './match/mark.ts';
import { limit, statistic } from './match/rate.ts';
import { recent } from './match/recent.ts';
import { set } from './match/set.ts';
import { multiport, tcp, udp } from './match/transport.ts';
import { dscp as setDscp, tos as setTos, ttl as setTtl, tcpmss } from './target/header.ts';
import { log } from './target/log.ts';
import { connmark as setConnmark, mark as setMark } from './target/mark.ts';
import { dnat, masquerade, netmap, redirect, snat } from './target/nat.ts';
import { reject } from './target/reject.ts';
import { ct, notrack, trace } from './target/simple.ts';

function byName<T extends { readonly name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((extension) => [extension.name, extension]));
}

export const matches: ReadonlyMap<string, MatchExtension> = byName([
  addrtype,
  comment,
  conntrack,
  connmark,
  dscp,
  icmp,
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
  ttl,
  udp,
]);

export const targets: ReadonlyMap<string, TargetExtension> = byName([
  ct,
  dnat,
  log,
  masquerade,
  netmap,
  notrack,
  redirect,
  reject,
  setConnmark,
  setDscp,
  setMark,
  setTos,
  setTtl,
  snat,
  tcpmss,
  trace,
]);

/** Extensions that Linux has and the emulation has not, for an honest error. */
export const NOT_EMULATED: ReadonlySet<string> = new Set([
  'AUDIT',
  'CHECKSUM',
  'CLASSIFY',
  'CLUSTERIP',
  'CONNSECMARK',
  'ECN',
  'HMARK',
  'IDLETIMER',
  'LED',
  'NFLOG',
  'NFQUEUE',
  'RATEEST',
  'SECMARK',
  'SET',
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
  'hashlimit',
  'helper',
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
  'string',
  'tcpmss',
  'time',
  'u32',
]);
