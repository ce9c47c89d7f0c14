import type { BgpConfig, BgpNeighbor } from '../../nodes/config.ts';
import { type AsPath, formatAsPath } from '../../protocols/bgp/as-path.ts';
import { type AttributeFields, NO_ATTRIBUTES, ORIGIN_NAMES } from '../../protocols/bgp/attributes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
} from '../../protocols/bgp/community.ts';
import { formatNextHop } from '../../protocols/bgp/nexthops.ts';
import { formatKey, parseKey } from '../../protocols/bgp/nlri.ts';
import type { Peer } from '../../protocols/bgp/path.ts';
import { parseCommunity, withCommunity } from '../../protocols/bgp/policy/community-pattern.ts';
import { type CompiledPolicy, compilePolicies, type PolicyTrace } from '../../protocols/bgp/policy/policy.ts';
import type { PolicyContext } from '../../protocols/bgp/route-policy.ts';
import { parseScoped } from '../../protocols/scoped-address.ts';
import { loadLab } from '../lab/load.ts';
import { suggest } from '../lab/suggest.ts';
import { bad, faint, good, strong, write } from './output.ts';

export interface PolicyTestOptions {
  readonly asPath?: string;
  readonly communities?: string;
  readonly med?: string;
  readonly localPref?: string;
  readonly nextHop?: string;
  readonly origin?: string;
  /** Peer that the route was learned from, for `out`; none for one originated here. */
  readonly from?: string;
}

export class PolicyTestError extends Error {
  override readonly name = 'PolicyTestError';
}

const USAGE = 2;

/** `reroute policy test`: what the policies of a session make of a route. 0 if it is accepted, 1 if rejected, 2 for a bad question. */
export async function policyTest(
  file: string,
  node: string,
  peer: string,
  direction: string,
  prefix: string,
  options: PolicyTestOptions,
): Promise<number> {
  try {
    return await run(file, node, peer, direction, prefix, options);
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'Error') throw error;
    process.stderr.write(`reroute: ${error.message}\n`);
    return USAGE;
  }
}

async function run(
  file: string,
  nodeName: string,
  peerName: string,
  direction: string,
  prefix: string,
  options: PolicyTestOptions,
): Promise<number> {
  const lab = await loadLab(file);
  const node = lab.nodes.find(({ name }) => name === nodeName);
  if (node === undefined)
    fail(
      `there is no node ${nodeName}`,
      nodeName,
      lab.nodes.map(({ name }) => name),
    );
  if (node.bgp === undefined) throw new PolicyTestError(`${nodeName} speaks no BGP`);
  const neighbor = node.bgp.neighbors.find(({ name }) => name === peerName);
  if (neighbor === undefined) {
    fail(
      `${nodeName} has no session with ${peerName}`,
      peerName,
      node.bgp.neighbors.map(({ name }) => name),
    );
  }
  if (direction !== 'in' && direction !== 'out') {
    throw new PolicyTestError(`'${direction}' is no direction: in or out`);
  }
  const key = parseKey(prefix);
  if (key === null) throw new PolicyTestError(`'${prefix}' is no prefix: write it like 10.1.0.0/16`);
  const names = (direction === 'in' ? neighbor.import : neighbor.export) ?? [];
  const what = direction === 'in' ? 'import' : 'export';
  if (names.length === 0) {
    const refused = neighbor.remoteAs !== node.bgp.asn && node.bgp.ebgpRequiresPolicy === 'on';
    write(
      `${nodeName} has no ${what} policy for ${peerName}: ${refused ? bad('rejected (RFC 8212)') : good('accepted')}\n`,
    );
    return refused ? 1 : 0;
  }
  const policies = compilePolicies(
    node.bgp.policy ?? { prefixSets: {}, asPathSets: {}, communitySets: {}, policies: {} },
  );
  const context = contextOf(node.bgp, neighbor, direction, options.from);
  let attributes = attributesOf(options, direction, neighbor);
  write(`${formatKey(key)} ${direction === 'in' ? 'from' : 'to'} ${peerName}, ${describe(attributes)}\n`);
  for (const name of names) {
    const policy: CompiledPolicy | undefined = policies[name];
    if (policy === undefined) throw new PolicyTestError(`there is no policy ${name}`);
    const trace = policy.trace(key, attributes, context);
    write(traceText(name, trace));
    if (trace.result === null) return 1;
    attributes = trace.result;
  }
  write(`${good('accepted')}: ${describe(attributes)}\n`);
  return 0;
}

function fail(message: string, wrong: string, known: readonly string[]): never {
  throw new PolicyTestError(`${message}; ${suggest(wrong, known)}`);
}

function traceText(name: string, { terms, decidedBy, result }: PolicyTrace): string {
  const lines = [`policy ${strong(name)}`];
  for (const { term, conditions, matched, set, action } of terms) {
    lines.push(`  term ${term}: ${matched ? 'matches' : 'does not match'}`);
    for (const { text, holds } of conditions) lines.push(`    ${holds ? good('✔') : bad('✘')} ${text}`);
    for (const text of set) lines.push(`    set ${text}`);
    if (action !== null) lines.push(`    ${action === 'next' ? 'goes on' : action}`);
  }
  if (decidedBy === 'otherwise')
    lines.push(faint(`  no term decides: ${result === null ? 'reject' : 'accept'}`));
  if (result === null) lines.push(bad('rejected'));
  return `${lines.join('\n')}\n`;
}

function contextOf(
  bgp: BgpConfig,
  neighbor: BgpNeighbor,
  direction: 'in' | 'out',
  from: string | undefined,
): PolicyContext {
  const peer = peerOf(bgp, neighbor);
  const { asn } = bgp;
  if (direction === 'in') return { source: peer, peer, direction: 'import', asn };
  if (from === undefined) return { source: null, peer, direction: 'export', asn };
  const source = bgp.neighbors.find(({ name }) => name === from);
  if (source === undefined) {
    fail(
      `there is no session with ${from}`,
      from,
      bgp.neighbors.map(({ name }) => name),
    );
  }
  return { source: peerOf(bgp, source), peer, direction: 'export', asn };
}

function peerOf({ asn }: BgpConfig, neighbor: BgpNeighbor): Peer {
  return {
    name: neighbor.name,
    kind: neighbor.remoteAs === asn ? 'internal' : 'external',
    asn: neighbor.remoteAs,
    identifier: 0,
    address: parseScoped(neighbor.address)?.addr ?? 0,
    localAddress: parseScoped(neighbor.localAddress)?.addr ?? 0,
    link: null,
    extendedNextHop: 'yes',
    client: neighbor.routeReflectorClient,
    nextHopSelf: neighbor.nextHopSelf,
    asSize: 4,
    ipv4: 'yes',
    ipv6: 'yes',
    longLived: 'no',
    sendsPathIds: { ipv4: 'none', ipv6: 'none' },
    maxMessage: 65_535,
    options: neighbor,
  };
}

/** What the options say of the route; as the peer itself would originate it where they say nothing. */
function attributesOf(
  options: PolicyTestOptions,
  direction: 'in' | 'out',
  neighbor: BgpNeighbor,
): AttributeFields {
  const ownPath: AsPath = direction === 'in' ? [{ type: 'sequence', asns: [neighbor.remoteAs] }] : [];
  const origin = options.origin?.toUpperCase() ?? 'IGP';
  const names: readonly string[] = ORIGIN_NAMES;
  const index = names.indexOf(origin);
  if (index < 0) throw new PolicyTestError(`'${options.origin}' is no origin: igp, egp or incomplete`);
  const hop = parseScoped(options.nextHop ?? (direction === 'in' ? neighbor.address : neighbor.localAddress));
  if (hop === null) throw new PolicyTestError(`'${options.nextHop}' is no address`);
  const { addr } = hop;
  let attributes: AttributeFields = {
    ...NO_ATTRIBUTES,
    origin: index as 0 | 1 | 2,
    asPath: options.asPath === undefined ? ownPath : parseAsPath(options.asPath),
    nextHop: typeof addr === 'number' ? addr : null,
    nextHop6: typeof addr === 'number' ? null : addr,
    med: numberOf('--med', options.med),
    localPref: numberOf('--local-pref', options.localPref),
  };
  for (const text of (options.communities ?? '').split(/[\s,]+/).filter((word) => word !== '')) {
    attributes = withCommunity(attributes, parseCommunity(text));
  }
  return attributes;
}

function parseAsPath(text: string): AsPath {
  const words = text.split(/\s+/).filter((word) => word !== '');
  const asns = words.map(Number);
  if (words.some((word, i) => !/^\d+$/.test(word) || asns[i]! < 1 || asns[i]! > 0xffffffff)) {
    throw new PolicyTestError(`'${text}' is no AS path: write it like '65001 65002'`);
  }
  return asns.length === 0 ? [] : [{ type: 'sequence', asns }];
}

function numberOf(option: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,10}$/.test(text)) throw new PolicyTestError(`${option} ${text}: not a number`);
  return Number(text);
}

function describe(attributes: AttributeFields): string {
  const { communities, extendedCommunities, largeCommunities, med, localPref } = attributes;
  const path = formatAsPath(attributes.asPath);
  const all = [
    ...communities.map(formatCommunity),
    ...extendedCommunities.map(formatExtendedCommunity),
    ...largeCommunities.map(formatLargeCommunity),
  ];
  return [
    path === '' ? 'AS path empty' : `AS path ${path}`,
    `next hop ${formatNextHop(attributes.nextHop ?? attributes.nextHop6 ?? 0)}`,
    `origin ${ORIGIN_NAMES[attributes.origin]}`,
    ...(localPref === null ? [] : [`LOCAL_PREF ${localPref}`]),
    ...(med === null ? [] : [`MED ${med}`]),
    ...(all.length === 0 ? [] : [`communities ${all.join(' ')}`]),
  ].join(', ');
}
