import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { BgpNeighbor, DaemonKind, NodeConfig } from '../../nodes/config.ts';
import { formatIpPrefix, parseIpPrefix } from '../../protocols/ip.ts';

/** A kind of BGP daemon that reroute can start: how it is configured, run and asked. Paths are relative to its folder. */
export interface DaemonProgram {
  /** As people call it. */
  readonly title: string;
  readonly executable: string;
  /** Debian package that it comes in. */
  readonly debianPackage: string;
  /** Its own command-line tools that `reroute exec` runs. */
  readonly tools: readonly string[];
  /** Its configuration, by file name. */
  files(node: DaemonConfig): Readonly<Record<string, string>>;
  /** `restarted`: it has run before in this lab, as RFC 4724's Restart State asks. */
  args(node: DaemonConfig, start: 'first' | 'restarted'): readonly string[];
  /** Command line of one of its tools, pointed at this daemon. */
  tool(node: DaemonConfig, tool: string, args: readonly string[]): readonly string[];
  /** Command line that succeeds once the daemon answers. */
  probe(node: DaemonConfig): readonly string[];
  /** Command lines to run after that, before the node counts as started. */
  afterStart(node: DaemonConfig): readonly (readonly string[])[];
  /** What its log says to be wrong though it runs, and the mend; null if nothing. */
  complaint?(log: string): string | null;
  /** Command line for `birdc show WORDS`, which is what `reroute show NODE bgp WORDS` becomes. */
  show(words: readonly string[]): readonly string[];
}

/** A daemon's node as its configuration is written from. */
export interface DaemonConfig {
  readonly name: string;
  readonly asn: number;
  readonly routerId: string;
  readonly clusterId: string | null;
  readonly maximumPaths: number;
  readonly networks4: readonly string[];
  readonly networks6: readonly string[];
  /** What it is on in the lab. */
  readonly subnets4: readonly string[];
  readonly subnets6: readonly string[];
  /** All its real addresses. */
  readonly addresses: readonly string[];
  /** The first of them, and its port on all. */
  readonly transport: { readonly address: string; readonly port: number };
  readonly sessions: readonly DaemonSession[];
  readonly gracefulRestart: NonNullable<NodeConfig['bgp']>['gracefulRestart'] | null;
  /** To be added as it stands. */
  readonly extra: string;
}

export interface DaemonSession {
  /** As our other end has it: options from the daemon's point of view, addresses those of the lab. */
  readonly neighbor: BgpNeighbor;
  readonly kind: 'internal' | 'external';
  /** Its own real address. */
  readonly local: string;
  /** Where our other end really is. */
  readonly remote: { readonly address: string; readonly port: number };
  /** Whole seconds, as daemons have them. */
  readonly holdTime: number;
  readonly keepalive: number;
  readonly connectRetry: number;
  readonly connectDelay: number;
  readonly idleHold: number;
  readonly idleHoldMax: number;
  readonly startupHold: number;
  readonly families: readonly ('ipv4' | 'ipv6')[];
  /** Its own addresses in the lab, which are next hops in place of the real ones; IPv4 may have none. */
  readonly nextHop4: string | null;
  readonly nextHop6: string;
  /** Whether it is to tell and take IPv4 routes with IPv6 next hops, RFC 8950. */
  readonly extendedNextHop: 'yes' | 'no';
  /** Whole ms; null for none. */
  readonly bfd: BfdTimes | null;
  /** Whether routes of other peers are passed on with its own next hop as well. */
  readonly nextHopSelf: boolean;
}

export interface BfdTimes {
  readonly minTx: number;
  readonly minRx: number;
  /** Between two packets while the session is not up. */
  readonly idleTx: number;
  readonly multiplier: number;
}

export class DaemonError extends Error {
  override readonly name = 'DaemonError';
}

/** RFC 4271 §8.2.2, ms. */
const STARTUP_HOLD = 240_000;

/** What a daemon's configuration is written from. @throws DaemonError if the node has no session. */
export function daemonConfig(node: NodeConfig): DaemonConfig {
  const { bgp } = node;
  const sessions = (bgp?.neighbors ?? []).flatMap((neighbor) => sessionOf(node, neighbor));
  const own = bgp?.neighbors.find(({ external }) => external !== undefined)?.external;
  if (bgp === undefined || own === undefined || own.listen === null) {
    throw new DaemonError(
      `${node.name} has no BGP session with a node of the lab; link it to a router, or list it as a neighbor`,
    );
  }
  const isIpv6 = (prefix: string) => prefix.includes(':');
  const subnets = [...new Set(node.interfaces.flatMap(({ addresses }) => addresses.map(subnetOf)))];
  return {
    name: node.name,
    asn: bgp.asn,
    routerId: bgp.routerId,
    clusterId: bgp.clusterId ?? null,
    maximumPaths: bgp.maximumPaths,
    networks4: bgp.networks.filter((prefix) => !isIpv6(prefix)),
    networks6: bgp.networks.filter(isIpv6),
    subnets4: subnets.filter((prefix) => !isIpv6(prefix)),
    subnets6: subnets.filter(isIpv6),
    addresses: [...new Set(sessions.map(({ local }) => local))],
    transport: { address: own.local, port: own.listen },
    sessions,
    gracefulRestart: bgp.gracefulRestart ?? null,
    extra: node.daemonConfig ?? '',
  };
}

function sessionOf(node: NodeConfig, neighbor: BgpNeighbor): DaemonSession[] {
  const { external } = neighbor;
  if (external === undefined || external.remote === null) return [];
  const { local, remote } = external;
  const overIpv6 = neighbor.localAddress.includes(':');
  const families = neighbor.families ?? ['ipv4'];
  const offered = overIpv6 && families.includes('ipv4') && neighbor.extendedNextHop !== 'off';
  const timers = node.timers.bgp;
  const seconds = (ms: number, least: number) => Math.max(Math.ceil(ms / 1000), least);
  const kind = neighbor.remoteAs === node.bgp?.asn ? 'internal' : 'external';
  const hold = neighbor.holdTime ?? timers.holdTime;
  return [
    {
      neighbor,
      kind,
      local,
      remote,
      holdTime: hold === 0 ? 0 : seconds(hold, 3),
      keepalive: hold === 0 ? 0 : seconds(neighbor.keepalive ?? timers.keepalive, 1),
      connectRetry: seconds(timers.connectRetry, 1),
      connectDelay: seconds(timers.connectDelay, 1),
      idleHold: seconds(timers.idleHold, 1),
      idleHoldMax: seconds(timers.idleHoldMax, 1),
      startupHold: seconds(timers.startupHold ?? STARTUP_HOLD, 3),
      families,
      bfd: bfdOf(node, neighbor),
      nextHop4: overIpv6 ? (neighbor.nextHop4 ?? null) : neighbor.localAddress,
      nextHop6: neighbor.nextHop6 ?? (overIpv6 ? neighbor.localAddress : `::ffff:${neighbor.localAddress}`),
      extendedNextHop: offered ? 'yes' : 'no',
      nextHopSelf: kind === 'external' || neighbor.nextHopSelf,
    },
  ];
}

/** Over IPv6, that of IPv4 too is an IPv6 one, unless the lab says that there is to be none. */
export function nextHopOf(
  { extendedNextHop, nextHop4, nextHop6 }: DaemonSession,
  family: 'ipv4' | 'ipv6',
): string {
  return family === 'ipv6' || extendedNextHop === 'yes' || nextHop4 === null ? nextHop6 : nextHop4;
}

/** RFC 5880 §6.8.3 */
const BFD_IDLE = 1_000;

function bfdOf({ timers }: NodeConfig, { bfd }: BgpNeighbor): BfdTimes | null {
  if (bfd === undefined) return null;
  const whole = (ms: number) => Math.max(Math.round(ms), 1);
  return {
    minTx: whole(bfd.minTx),
    minRx: whole(bfd.minRx),
    idleTx: whole(timers.bfd?.slowInterval ?? BFD_IDLE),
    multiplier: bfd.multiplier,
  };
}

function subnetOf(text: string): string {
  const prefix = parseIpPrefix(text);
  return prefix === null ? text : formatIpPrefix(prefix);
}

/** Where Debian puts daemons that are not for everybody's PATH. */
const FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/usr/lib/frr'];

/** Path of an executable, on PATH or where distributions put daemons; null if it is not installed. */
export function findExecutable(name: string): string | null {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), ...FOLDERS]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return null;
}

/** The executable of a kind of daemon. @throws DaemonError that says how to get it. */
export function requireExecutable(name: string, kind: DaemonKind, debianPackage: string): string {
  const path = findExecutable(name);
  if (path !== null) return path;
  throw new DaemonError(
    `kind: ${kind} needs ${name}, which is not installed; on Debian: apt install ${debianPackage}`,
  );
}
