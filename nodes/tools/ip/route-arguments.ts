import { familyOf, formatIp, formatIpPrefix, type IpFamily, parseIp } from '../../../protocols/ip.ts';
import { maskIp6 } from '../../../protocols/ip6.ts';
import type { NexthopFacts, RouteProtocol, RouteScope, RouteType } from '../../events/kernel.ts';
import { ToolError } from '../tool.ts';
import {
  type IpContext,
  type IpOptions,
  refused,
  requireDevice,
  requireIpAddress,
  requireIpPrefix,
  takeDevice,
} from './context.ts';
import { metricOf, protocolOf, routeScopeOf, tableOf } from './route-protocols.ts';
import { garbage, invalidArgument, keywordOf, notEmulated, type Words } from './words.ts';

/** A route as a command line names it; null where it says nothing. */
export interface RouteArguments {
  readonly family: IpFamily;
  /** Canonical prefix. */
  readonly dst: string;
  readonly type: RouteType | null;
  /** Number of the table, null where none is named. */
  readonly table: number | null;
  readonly protocol: RouteProtocol | null;
  readonly scope: RouteScope | null;
  readonly metric: number | null;
  readonly src: string;
  readonly nexthops: readonly NexthopFacts[];
}

const TYPES = ['unicast', 'local', 'broadcast', 'blackhole', 'unreachable', 'prohibit', 'throw'] as const;
const OTHER_TYPES = ['anycast', 'multicast', 'nat'];
const ATTRIBUTES = [
  ...[
    'mtu',
    'advmss',
    'as',
    'rtt',
    'rttvar',
    'reordering',
    'window',
    'cwnd',
    'initcwnd',
    'ssthresh',
    'realms',
  ],
  ...[
    'rto_min',
    'hoplimit',
    'initrwnd',
    'features',
    'quickack',
    'congctl',
    'pref',
    'expires',
    'encap',
    'tos',
  ],
  ...['dsfield', 'ttl-propagate', 'fastopen_no_cookie', 'nhid', 'vrf', 'pervasive', 'mark', 'realm'],
];

const PARTS = ['via', 'dev', 'oif', 'weight', 'onlink'] as const;

interface Hop {
  via: string;
  dev: string | null;
  onlink: boolean;
  weight: number;
}

/** @throws ToolError; null: nothing was said. */
export function parseRoute(words: Words, ctx: IpContext): RouteArguments | null {
  if (words.done) return null;
  let dst: string | null = null;
  let type: RouteArguments['type'] = null;
  let table: number | null = null;
  let protocol: RouteProtocol | null = null;
  let scope: RouteScope | null = null;
  let metric: number | null = null;
  let src = '';
  const first: Hop = { via: '', dev: null, onlink: false, weight: 1 };
  const more: Hop[] = [];
  for (let word = words.next(); word !== undefined; word = words.next()) {
    const hop = more.at(-1) ?? first;
    if (word === 'nexthop') more.push({ via: '', dev: null, onlink: false, weight: 1 });
    else if (takeHopPart(hop, word, words, familySoFar(ctx, dst))) continue;
    else if (word === 'src') src = formatIp(requireIpAddress(words.argument(), familySoFar(ctx, dst)));
    else if (keywordOf(word, ['metric', 'priority', 'preference']) !== undefined && word.length > 1)
      metric = metricOf(words.argument());
    else if (word === 'scope') scope = routeScopeOf(words.argument());
    else if (word === 'proto' || word === 'protocol') protocol = protocolOf(words.argument());
    else if (word === 'table') table = tableOf(words.argument());
    else if (typeOf(word) !== undefined) type = typeOf(word) ?? null;
    else if (OTHER_TYPES.includes(word)) throw notEmulated(`route type ${word}`);
    else if (ATTRIBUTES.includes(word)) throw notEmulated(`route attribute ${word}`);
    else {
      const text = word === 'to' ? words.argument() : word;
      if (dst !== null) throw garbage('to', text);
      dst = destinationOf(text, ctx);
    }
  }
  const used = first.via !== '' || first.dev !== null ? [first, ...more] : more;
  for (const { dev } of used) if (dev !== null) requireDevice(ctx.ns, dev);
  const family = familyOfRoute(ctx, dst, used);
  return {
    family,
    dst: isDefault(dst) ? (family === 'inet6' ? '::/0' : '0.0.0.0/0') : dst,
    type,
    table,
    protocol,
    scope,
    metric,
    src,
    nexthops: used.map((hop) => ({ ...hop, dev: hop.dev ?? '' })),
  };
}

/** Takes a word that describes a next hop; false if it does not. @throws ToolError */
function takeHopPart(hop: Hop, word: string, words: Words, family: IpOptions['family']): boolean {
  const part = PARTS.find((candidate) => candidate === word);
  switch (part) {
    case undefined:
      return false;
    case 'via': {
      hop.via = takeGateway(words, family).via;
      return true;
    }
    case 'dev':
    case 'oif':
      hop.dev = takeDevice(hop.dev, words.argument());
      return true;
    case 'onlink':
      hop.onlink = true;
      return true;
    case 'weight': {
      const text = words.argument();
      const weight = /^\d{1,3}$/.test(text) ? Number(text) : 0;
      if (weight < 1 || weight > 256) throw invalidArgument(text, '"weight" is invalid\n');
      hop.weight = weight;
      return true;
    }
  }
}

const GATEWAY_FAMILIES = ['inet', 'inet6', 'mpls', 'bridge', 'link'];

/** `via [ FAMILY ] ADDRESS`. @throws ToolError */
export function takeGateway(words: Words, family: IpOptions['family']): { readonly via: string } {
  const text = words.argument();
  if (!GATEWAY_FAMILIES.includes(text)) return { via: formatIp(requireIpAddress(text, family)) };
  if (text !== 'inet' && text !== 'inet6') throw notEmulated(`via ${text}`);
  return { via: formatIp(requireIpAddress(words.argument(), text)) };
}

function typeOf(word: string): RouteType | undefined {
  return TYPES.find((type) => type === (word === 'brd' ? 'broadcast' : word));
}

const WHOLE = ['default', 'any', 'all'];

function isDefault(dst: string | null): dst is null {
  return dst === null || WHOLE.includes(dst);
}

/** What is known of the family before the gateways are. */
function familySoFar({ options }: IpContext, dst: string | null): IpOptions['family'] {
  if (options.family !== 'any' || isDefault(dst)) return options.family;
  return dst.includes(':') ? 'inet6' : 'inet';
}

/** That of the command, else of its destination, else of a gateway. @throws ToolError */
function familyOfRoute(ctx: IpContext, dst: string | null, hops: readonly Hop[]): IpFamily {
  const vias = hops.flatMap(({ via }) => (via === '' ? [] : [familyOf(parseIp(via) ?? 0)]));
  const known = familySoFar(ctx, dst);
  const family = known === 'any' ? (vias[0] ?? 'inet') : known;
  if (family === 'inet6' && vias.includes('inet'))
    throw refused('Error: IPv6 does not support RTA_VIA attribute.');
  return family;
}

/** The kernel takes no IPv4 prefix with host bits set; those of IPv6 it leaves out. @throws ToolError */
function destinationOf(text: string, ctx: IpContext): string {
  if (WHOLE.includes(text)) return text;
  const { addr, len } = requireIpPrefix(text, ctx.options.family);
  if (typeof addr === 'string') return formatIpPrefix({ addr: maskIp6(addr, len), len });
  const canonical = formatIpPrefix({ addr, len });
  const given = text.includes('/') ? text : `${text}/32`;
  if (given !== canonical) throw refused('Error: Invalid prefix for given prefix length.');
  return canonical;
}

/** `ip route add` without words. */
const ROUTE_USAGE = `Usage: ip route { list | flush } SELECTOR
       ip route get [ fibmatch ] ADDRESS [ from ADDRESS iif STRING ] [ oif STRING ]
                    [ tos TOS ] [ mark NUMBER ] [ ipproto PROTOCOL ]
                    [ sport NUMBER ] [ dport NUMBER ]
       ip route { add | del | change | append | prepend | replace } ROUTE
SELECTOR := [ root PREFIX ] [ match PREFIX ] [ exact PREFIX ]
            [ table TABLE_ID ] [ proto RTPROTO ] [ dev STRING ]
            [ via ADDRESS ] [ src ADDRESS ] [ type TYPE ] [ scope SCOPE ]
ROUTE := [ TYPE ] PREFIX [ proto RTPROTO ] [ scope SCOPE ] [ metric METRIC ]
         [ src ADDRESS ] [ table TABLE_ID ] { NH | [ nexthop NH ]... }
NH := [ via [ FAMILY ] ADDRESS ] [ dev STRING ] [ weight NUMBER ] [ onlink ]
FAMILY := [ inet | inet6 ]
TYPE := { unicast | local | broadcast | throw | unreachable | prohibit | blackhole }
TABLE_ID := [ local | main | default | all | NUMBER ]
SCOPE := [ host | link | global | NUMBER ]
RTPROTO := [ kernel | boot | static | bird | bgp | NUMBER ]`;

export function routeUsage(): ToolError {
  return new ToolError(ROUTE_USAGE, 255);
}
