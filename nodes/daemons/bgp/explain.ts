import { formatAsPath } from '../../../protocols/bgp/as-path.ts';
import { ORIGIN_NAMES, type PathAttributes } from '../../../protocols/bgp/attributes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
} from '../../../protocols/bgp/community.ts';
import { type DecisionStep, explain, localPref, rankPaths } from '../../../protocols/bgp/decision.ts';
import type { Destination } from '../../../protocols/bgp/destination.ts';
import { formatNextHops } from '../../../protocols/bgp/nexthops.ts';
import { formatKey } from '../../../protocols/bgp/nlri.ts';
import type { Path, Rejection } from '../../../protocols/bgp/path.ts';
import type { Session } from '../../../protocols/bgp/session.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';

const REFUSED: Readonly<Record<Rejection, string>> = {
  'as-loop': 'our own AS is in its path (RFC 4271 §9.1.2)',
  'own-originator': 'we are its ORIGINATOR_ID (RFC 4456 §8)',
  'cluster-loop': 'our own cluster is in its CLUSTER_LIST (RFC 4456 §8)',
  'own-next-hop': 'its next hop is our own address (RFC 4271 §5.1.3)',
  'no-next-hop': 'it has no next hop',
  'first-as': 'its path does not begin with the AS of the peer (RFC 4271 §6.3)',
  'import-policy': 'import policy rejects it',
  'no-import-policy': 'there is no import policy (RFC 8212)',
  damped: 'it flaps, and is suppressed (RFC 2439)',
};

const WITHHELD: Readonly<Record<string, string>> = {
  'split-horizon': 'it came from there',
  'as-in-path': 'its AS is in the path already',
  'no-advertise': 'NO_ADVERTISE',
  'no-export': 'NO_EXPORT',
  'not-reflected': 'learned inside the AS, and not reflected there (RFC 4456 §6)',
  'long-lived-stale': 'long-lived stale, which the peer does not know of (RFC 9494 §4.6)',
  'export-policy': 'export policy rejects it',
  'no-export-policy': 'there is no export policy (RFC 8212)',
  'no-next-hop': 'over IPv6 without RFC 8950 the session needs an IPv4 next hop: set nextHop4',
  'no-extended-next-hop': 'its next hop is an IPv6 one, and the peer takes none for IPv4 (RFC 8950)',
  'too-long': 'its attributes do not fit into a message (RFC 4271 §9.2)',
};

/** What a step of the decision process compares, of one path, in words. */
function valueAt(step: DecisionStep, path: Path): string {
  const { attributes, peer } = path;
  switch (step) {
    case 'long-lived-stale':
      return path.stale === 'long-lived' ? 'long-lived stale' : 'fresh';
    case 'local-pref':
      return `LOCAL_PREF ${localPref(path)}`;
    case 'local-origin':
      return peer === null ? 'originated here' : 'learned';
    case 'as-path-length':
      return attributes.pathLength === 1 ? '1 AS hop' : `${attributes.pathLength} AS hops`;
    case 'origin':
      return `origin ${ORIGIN_NAMES[attributes.origin]}`;
    case 'med':
      return `MED ${attributes.med ?? 0} from AS ${attributes.neighborAs ?? 'none'}`;
    case 'external':
      return peer?.kind === 'internal' ? 'iBGP' : 'eBGP';
    case 'igp-metric':
      return `cost ${path.nextHop?.metric ?? 0} to the next hop`;
    case 'router-id':
      return `identifier ${formatIp4(attributes.originatorId ?? peer?.identifier ?? 0)}`;
    case 'cluster-list-length':
      return `${attributes.clusterList.length} clusters`;
    case 'peer-address':
      return `peer address ${formatIp(peer?.address ?? 0)}`;
    case 'path-id':
      return `path id ${path.pathId}`;
  }
}

/** What decides between paths that are equal for forwarding. */
const TIE_STEPS: readonly DecisionStep[] = ['router-id', 'cluster-list-length', 'peer-address', 'path-id'];

/** Every path to a prefix, the most preferred first: which is best and at which step each other one lost, what was refused, who is told. */
export function explainRoute(destination: Destination, speaker: BgpSpeaker): string {
  const { key, paths, best } = destination;
  const verdicts = explain(paths, speaker.locRib.options);
  const ranked = rankPaths(paths, speaker.locRib.options, paths.length);
  const ordered = [...ranked, ...paths.filter((path) => !ranked.includes(path))];
  const refused = [...speaker.sessions()].flatMap(({ ribIn }) =>
    Array.from(ribIn.routesTo(destination), ({ path }) => path).filter(({ rejection }) => rejection !== null),
  );
  const count = `${paths.length} ${paths.length === 1 ? 'candidate' : 'candidates'}`;
  const lines = [`${formatKey(key)}: ${count}${refused.length === 0 ? '' : `, ${refused.length} refused`}`];
  for (const path of ordered) {
    const step = verdicts.get(path);
    lines.push(
      `${path === best ? '* ' : '  '}${sourceOf(path)}${staleness(destination, path, speaker)}`,
      ...attributeLines(path.attributes),
    );
    if (path === best) {
      if (paths.length === 1) lines.push('    best: there is no other');
    } else if (step === 'unreachable') lines.push('    not chosen: its next hop cannot be reached');
    else if (step != null && best !== null) {
      const shares = sharesTraffic(destination, path, step) ? '; used beside it, for it is equal' : '';
      lines.push(`    lost at ${step}: ${valueAt(step, path)}, the best has ${valueAt(step, best)}${shares}`);
    }
  }
  for (const path of refused) {
    lines.push(`x ${sourceOf(path)}`, ...attributeLines(path.received));
    if (path.rejection !== null) lines.push(`    refused: ${path.rejection}: ${REFUSED[path.rejection]}`);
  }
  for (const session of speaker.sessions()) lines.push(...toldLines(session, destination));
  return `${lines.join('\n')}\n`;
}

/** Whether a path that is not the best is forwarded by all the same: nothing but a tie was broken. */
function sharesTraffic({ nextHops }: Destination, { nextHop }: Path, step: DecisionStep): boolean {
  return TIE_STEPS.includes(step) && nextHop !== null && nextHops.includes(nextHop.addr);
}

/** RFC 9494, or RFC 4724 §4.2: kept of a peer that has gone or not told it again yet. */
function staleness(destination: Destination, path: Path, speaker: BgpSpeaker): string {
  if (path.stale === 'long-lived') return ', long-lived stale';
  return speaker.session(path.peer?.name ?? '')?.ribIn.isStale(destination, path) === true ? ', stale' : '';
}

function sourceOf({ peer, pathId, attributes }: Path): string {
  if (peer === null) return 'originated here';
  const id = pathId === 0 ? '' : ` path ${pathId}`;
  const via = attributes.nextHop ?? attributes.nextHop6;
  const hop = via === null ? '' : ` via ${formatNextHops(via)}`;
  return `from ${peer.name}${id} (AS ${peer.asn}, ${peer.kind})${hop}`;
}

function attributeLines(attributes: PathAttributes): string[] {
  const path = formatAsPath(attributes.asPath);
  const words = [
    path === '' ? 'AS path empty' : `AS path ${path}`,
    `origin ${ORIGIN_NAMES[attributes.origin]}`,
    ...(attributes.localPref === null ? [] : [`LOCAL_PREF ${attributes.localPref}`]),
    ...(attributes.med === null ? [] : [`MED ${attributes.med}`]),
    ...(attributes.originatorId === null ? [] : [`originator ${formatIp4(attributes.originatorId)}`]),
    ...(attributes.clusterList.length === 0
      ? []
      : [`clusters ${attributes.clusterList.map(formatIp4).join(' ')}`]),
  ];
  const communities = [
    ...attributes.communities.map(formatCommunity),
    ...attributes.extendedCommunities.map(formatExtendedCommunity),
    ...attributes.largeCommunities.map(formatLargeCommunity),
  ];
  const lines = [`    ${words.join(', ')}`];
  if (communities.length > 0) lines.push(`    communities ${communities.join(' ')}`);
  return lines;
}

function toldLines({ name, advertiser, state }: Session, destination: Destination): string[] {
  if (advertiser === null || state !== 'Established') return [];
  const told = [...advertiser.advertised()].filter(([each]) => each === destination);
  if (told.length > 0) {
    return told.map(([, pathId, attributes]) => {
      const id = pathId === 0 ? '' : `path ${pathId}, `;
      const path = formatAsPath(attributes.asPath);
      const via = attributes.nextHop ?? attributes.nextHop6;
      return `> told to ${name}: ${id}AS path ${path === '' ? 'empty' : path}, next hop ${via === null ? 'none' : formatNextHops(via)}`;
    });
  }
  const { best } = destination;
  if (best === null) return [];
  const reason = advertiser.withheld(best, destination.key);
  return [`- not told to ${name}: ${reason === null ? 'not yet' : (WITHHELD[reason] ?? reason)}`];
}

/** `show bgp summary` in FRR's manner. */
export function summary(speaker: BgpSpeaker, now: number): string {
  const { asn, routerId } = speaker.config;
  const { routes, paths } = speaker.stats;
  const head = ['Neighbor', 'AS', 'UpdRcvd', 'UpdSent', 'Up/Down', 'State/PfxRcd', 'Refused', 'PfxSnt'];
  const rows = [...speaker.sessions()].map((session) => {
    const { name, neighbor, stats, ribIn, advertiser, state, stopped } = session;
    const refused = [...ribIn.routes()].filter(({ path }) => path.rejection !== null).length;
    const stale = ribIn.staleCount > 0 ? ` (${ribIn.staleCount} stale)` : '';
    return [
      name,
      String(session.peer?.asn ?? neighbor.remoteAs),
      String(stats.updatesReceived),
      String(stats.updatesSent),
      age(now - session.since),
      state === 'Established' ? `${ribIn.size}${stale}` : `${stopped ? 'Idle (stopped)' : state}${stale}`,
      String(refused),
      String(advertiser?.size ?? 0),
    ];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return `${[
    `BGP router identifier ${routerId}, local AS number ${asn}`,
    `${routes} prefixes, ${paths} paths received`,
    '',
    line(head),
    ...rows.map(line),
  ].join('\n')}\n`;
}

/** `00:01:23`, `1d02h`, as FRR prints it. */
function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds >= 86_400)
    return `${Math.floor(seconds / 86_400)}d${String(Math.floor(seconds / 3600) % 24).padStart(2, '0')}h`;
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

/** What was agreed on with a neighbour, what runs, and what was refused of what it said. */
export function neighborText(session: Session, now: number): string {
  const { name, neighbor, kind, state, stats, ribIn, advertiser, connection, lastError } = session;
  const { negotiated } = connection;
  const lines = [
    `BGP neighbor ${name}, ${neighbor.address}, remote AS ${session.peer?.asn ?? neighbor.remoteAs}, ${kind}`,
    `  State: ${session.stopped ? `${state} (stopped)` : state}, for ${age(now - session.since)}`,
  ];
  if (negotiated !== null && state === 'Established') {
    const { families, sendsPathIds, context, restart } = negotiated;
    lines.push(
      `  Identifier: ${formatIp4(negotiated.identifier)}`,
      `  Hold time ${negotiated.holdTime / 1000} s, keepalive ${negotiated.keepalive / 1000} s`,
      `  Families: ${families.join(', ')}`,
      `  AS numbers of ${negotiated.asSize} bytes, messages up to ${negotiated.maxMessage} bytes, route refresh: ${negotiated.routeRefresh}`,
      `  IPv4 routes with IPv6 next hops (RFC 8950): ${negotiated.extendedNextHop}`,
      `  Path identifiers received: ${withPathIds(context.pathIds)}; sent: ${withPathIds(sendsPathIds)}`,
      restart === null
        ? '  Graceful restart: not agreed on'
        : `  Graceful restart: ${restart.families.join(', ') || 'no family'}, restart time ${restart.time / 1000} s, long-lived ${[...restart.longLived].map(([family, time]) => `${family} ${time / 1000} s`).join(', ') || 'none'}`,
      `  End-of-RIB received: ${session.endOfRibReceived ? 'yes' : 'not yet'}`,
    );
  }
  if (lastError !== '') lines.push(`  Last error: ${lastError}`);
  const refused = new Map<string, number>();
  for (const { path } of ribIn.routes()) {
    const { rejection } = path;
    if (rejection !== null) refused.set(rejection, (refused.get(rejection) ?? 0) + 1);
  }
  lines.push(
    `  Prefixes: ${ribIn.size} received (${ribIn.staleCount} stale), ${advertiser?.size ?? 0} sent`,
    `  Refused: ${[...refused].map(([reason, count]) => `${count} ${reason}`).join(', ') || 'none'}`,
    `  UPDATEs: ${stats.updatesReceived} received, ${stats.updatesSent} sent; RFC 7606: ${stats.treatedAsWithdraw} treated as withdraw, ${stats.attributesDiscarded} attributes discarded`,
  );
  return `${lines.join('\n')}\n`;
}

function withPathIds({ ipv4, ipv6 }: { readonly ipv4: string; readonly ipv6: string }): string {
  const names = [ipv4 === 'present' ? 'ipv4' : '', ipv6 === 'present' ? 'ipv6' : ''].filter(
    (name) => name !== '',
  );
  return names.join(', ') || 'none';
}
