import type { IpFamily } from '../../../../protocols/ip.ts';
import type { MatchExtension, TargetExtension } from './extension.ts';
import { addrtype } from './match/addrtype.ts';
import { comment } from './match/comment.ts';
import { connbytes } from './match/connbytes.ts';
import { connlimit } from './match/connlimit.ts';
import { conntrack, state } from './match/conntrack.ts';
import { dccp } from './match/dccp.ts';
import { ecn } from './match/ecn.ts';
import { dst, frag, hbh, ipv6header, rt } from './match/extension-headers.ts';
import { hashlimit } from './match/hashlimit.ts';
import { dscp, hl, iprange, length, tos, ttl } from './match/header.ts';
import { helper } from './match/helper.ts';
import { icmp, icmp6 } from './match/icmp.ts';
import { ah, ah6, esp } from './match/ipsec.ts';
import { ipvs } from './match/ipvs.ts';
import { mac, physdev, pkttype } from './match/link.ts';
import { connmark, mark } from './match/mark.ts';
import { policy } from './match/policy.ts';
import { quota } from './match/quota.ts';
import { limit, statistic } from './match/rate.ts';
import { recent } from './match/recent.ts';
import { rpfilter } from './match/rpfilter.ts';
import { sctp } from './match/sctp.ts';
import { set } from './match/set.ts';
import { string } from './match/string.ts';
import { tcpmss as hasMss } from './match/tcpmss.ts';
import { multiport, tcp, udp } from './match/transport.ts';
import { u32 } from './match/u32.ts';
import { checksum, classify } from './target/classify.ts';
import { ecn as setEcn } from './target/ecn.ts';
import { dscp as setDscp, hl as setHl, tos as setTos, ttl as setTtl } from './target/header.ts';
import { log } from './target/log.ts';
import { connmark as setConnmark, mark as setMark } from './target/mark.ts';
import { dnat, masquerade, netmap, redirect, snat } from './target/nat.ts';
import { nflog } from './target/nflog.ts';
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
  connbytes,
  connlimit,
  conntrack,
  connmark,
  dccp,
  dscp,
  ecn,
  esp,
  hashlimit,
  hasMss,
  helper,
  iprange,
  ipvs,
  length,
  limit,
  mac,
  mark,
  multiport,
  physdev,
  pkttype,
  policy,
  quota,
  recent,
  rpfilter,
  sctp,
  set,
  state,
  statistic,
  string,
  tcp,
  tos,
  u32,
  udp,
];

const TARGETS = [
  checksum,
  classify,
  ct,
  dnat,
  log,
  masquerade,
  netmap,
  nflog,
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
  inet: {
    matches: byName([...MATCHES, ah, icmp, ttl]),
    targets: byName([...TARGETS, reject, setEcn, setTtl]),
  },
  inet6: {
    matches: byName([...MATCHES, ah6, dst, frag, hbh, hl, icmp6, ipv6header, rt]),
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
  'CLUSTERIP',
  'CONNSECMARK',
  'DNPT',
  'HMARK',
  'IDLETIMER',
  'LED',
  'NFQUEUE',
  'RATEEST',
  'SECMARK',
  'SNPT',
  'SYNPROXY',
  'TEE',
  'TPROXY',
  'TCPOPTSTRIP',
  'ULOG',
  'bpf',
  'cgroup',
  'cluster',
  'connlabel',
  'cpu',
  'devgroup',
  'eui64',
  'mh',
  'nfacct',
  'osf',
  'owner',
  'rateest',
  'realm',
  'socket',
  'srh',
  'time',
]);
