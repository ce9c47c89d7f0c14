import { isIP } from 'node:net';
import { z } from 'zod';
import type { BgpNeighbor, DaemonKind, ExternalTransport, NodeConfig, Patience } from '../../nodes/config.ts';
import { formatIp } from '../../protocols/ip.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Path, Reporter } from './problem.ts';
import { anyIp, map, name } from './schema-types.ts';

/** Kinds of nodes that are real daemons. */
export const DAEMON_KINDS = ['external', 'bird', 'frr', 'gobgp'] as const satisfies readonly DaemonKind[];

const port = z.int().min(1).max(65535);

const place = {
  address: z.string().min(1).optional(),
  port: port.optional(),
  local: anyIp.optional(),
  listen: port.optional(),
  bfd: z.enum(['single-hop', 'multihop']).optional(),
};

/** Keys of a node that is a real daemon. */
export const daemonShape = {
  external: map({ ...place, sessions: z.record(name, map(place)).optional() }).optional(),
  daemon: map({ config: z.string().optional() }).optional(),
};

/** Where BGP is on another host if nobody says otherwise. */
const BGP_PORT = 179;
/** In the place of 127.N in a compiled lab, and of the port: which are free on this host, the supervisor finds out. */
export const LOOPBACK_RANGE = 'loopback';
const UNPLACED_PORT = 0;
/** The only loopback address of IPv6: ends there have ports of their own, in a compiled lab numbered from -1 down. */
export const LOOPBACK6 = '::1';
/** Numbers below are the range's own: the address that stands for its being taken. */
const FIRST_NUMBER = 2;

/**
 * Well above what each was seen to wait for by itself: FRR's first routes come 1.2 s after the session. BIRD tells its own at once
 * or, where the event that writes them comes too late for its main loop (2.0.12, `io_loop`), after a sleep of 3 s. That costs
 * nothing as a rule, for it ends them with an End-of-RIB, unless it is told `graceful restart no`.
 */
const PATIENCE: Readonly<Record<DaemonKind, Patience>> = {
  bird: { opening: 5_000, message: 100 },
  gobgp: { opening: 500, message: 100 },
  frr: { opening: 2_000, message: 300 },
  external: { opening: 5_000, message: 500 },
};

/** Options of a session that all three daemons are configured with. */
const SESSION_OPTIONS: readonly string[] = [
  'name',
  'address',
  'localAddress',
  'remoteAs',
  'type',
  'ttl',
  'routeReflectorClient',
  'nextHopSelf',
  'passive',
  'families',
  'nextHop6',
  'nextHop4',
  'extendedNextHop',
  'addPath',
  'gracefulRestart',
  'extendedMessages',
  'holdTime',
  'keepalive',
  'bfd',
] satisfies readonly (keyof BgpNeighbor)[];

/** What a daemon does one way alone, whatever it is told. */
const FIXED: Readonly<Record<DaemonKind, readonly string[]>> = {
  external: [],
  bird: [],
  frr: ['extendedMessages'],
  gobgp: ['extendedMessages', 'extendedNextHop'],
};

/** What a session with a real daemon of a kind cannot have; and why. */
function beyondReach(kind: DaemonKind): Readonly<Partial<Record<keyof BgpNeighbor, string>>> {
  const bfd = NO_BFD[kind];
  return {
    ttlSecurity: 'the real connection does not go over the hops of the lab',
    ...(bfd === undefined ? {} : { bfd }),
  };
}

/** Why reroute has no BFD with a kind of daemon. */
export const NO_BFD: Readonly<Partial<Record<DaemonKind, string>>> = {
  frr: "its bgpd is told of BFD by zebra alone, which would change the host's own routes and is not run",
  gobgp: 'GoBGP has no BFD',
};

const SPEAKER_OPTIONS: readonly string[] = [
  'asn',
  'routerId',
  'clusterId',
  'networks',
  'maximumPaths',
  'neighbors',
  'gracefulRestart',
  'policy',
] satisfies readonly (keyof NonNullable<NodeConfig['bgp']>)[];

export function isDaemon(kind: NodeConfig['role']): kind is DaemonKind {
  return DAEMON_KINDS.some((daemon) => daemon === kind);
}

/** Nodes that are no emulated ones, for what can only be done with those. */
export function daemonsOf(lab: { readonly nodes: readonly NodeConfig[] }): NodeConfig[] {
  return lab.nodes.filter(({ role }) => isDaemon(role));
}

/** A lab with real daemons was to run where there is no real time. */
class SimulatedDaemonError extends Error {
  override readonly name = 'SimulatedDaemonError';
}

/** @throws SimulatedDaemonError */
export function refuseDaemons(lab: { readonly nodes: readonly NodeConfig[] }): void {
  const [daemon] = daemonsOf(lab);
  if (daemon === undefined) return;
  throw new SimulatedDaemonError(
    `${daemon.name} is a real daemon (kind: ${daemon.role}) and cannot follow a virtual clock; run the lab without --simulate, or make it kind: router`,
  );
}

/**
 * Gives the sessions between nodes and real daemons their transport, on both ends where reroute configures both. What
 * comes in are configurations whose sessions run between emulated addresses, as all others do.
 */
export function connectDaemons(
  nodes: readonly ResolvedNode[],
  configs: readonly NodeConfig[],
  reporter: Reporter,
): NodeConfig[] {
  for (const node of nodes) checkSettings(node, reporter);
  const daemons = nodes.filter(({ kind }) => isDaemon(kind));
  if (daemons.length === 0) return [...configs];
  return new Connector(nodes, configs, reporter).connect();
}

interface Daemon {
  readonly node: ResolvedNode;
  readonly kind: DaemonKind;
  /** Loopback address of a daemon that reroute starts. */
  readonly transport: string;
  /** Of all its addresses. */
  readonly port: number;
  /** Name of the node that it has a session over IPv6 with. */
  overIpv6: string | null;
}

class Connector {
  readonly #nodes: readonly ResolvedNode[];
  readonly #configs: readonly NodeConfig[];
  readonly #reporter: Reporter;
  /** By emulated address. */
  readonly #daemons = new Map<string, Daemon>();
  /** Transport of the daemons' ends, by daemon and emulated address of the node. */
  readonly #farEnds = new Map<string, ExternalTransport>();
  #number = FIRST_NUMBER;
  #ports = 0;

  constructor(nodes: readonly ResolvedNode[], configs: readonly NodeConfig[], reporter: Reporter) {
    this.#nodes = nodes;
    this.#configs = configs;
    this.#reporter = reporter;
    for (const node of nodes) {
      const config = configs.find((candidate) => candidate.name === node.name);
      if (config === undefined || !isDaemon(node.kind)) continue;
      const addresses = [...config.interfaces.flatMap((each) => each.addresses), ...config.loopbacks].map(
        plain,
      );
      const hasIpv6 = configs.some(({ bgp }) =>
        bgp?.neighbors.some(({ address }) => address.includes(':') && addresses.includes(address)),
      );
      const daemon: Daemon = {
        node,
        kind: node.kind,
        transport: this.#nextAddress(),
        port: hasIpv6 ? this.#nextPort() : UNPLACED_PORT,
        overIpv6: null,
      };
      for (const address of addresses) this.#daemons.set(address, daemon);
    }
  }

  connect(): NodeConfig[] {
    const ours = this.#configs.map((config) =>
      isDaemon(config.role) ? config : this.#withTransports(config),
    );
    return ours.map((config) => (isDaemon(config.role) ? this.#daemonConfig(config) : config));
  }

  #withTransports(config: NodeConfig): NodeConfig {
    if (config.bgp === undefined) return config;
    const neighbors = config.bgp.neighbors.map((neighbor): BgpNeighbor => {
      const daemon = this.#daemons.get(neighbor.address);
      if (daemon === undefined) {
        if (neighbor.address.includes('%')) this.#checkUnnumbered(config.name, neighbor);
        return neighbor;
      }
      this.#checkReach(config.name, daemon.kind, neighbor);
      const external =
        daemon.kind === 'external'
          ? this.#toForeign(daemon.node, config.name, neighbor)
          : this.#toLaunched(daemon, config.name, neighbor);
      const passive = neighbor.passive || external.remote === null;
      return { ...neighbor, passive, external: { ...external, patience: PATIENCE[daemon.kind] } };
    });
    return { ...config, bgp: { ...config.bgp, neighbors } };
  }

  #checkReach(name: string, kind: DaemonKind, neighbor: BgpNeighbor): void {
    const node = this.#nodes.find((candidate) => candidate.name === name);
    for (const [option, reason] of Object.entries(beyondReach(kind))) {
      if (node === undefined || !(option in neighbor)) continue;
      this.#reporter.problem(
        node.origin('bgp'),
        `${name} cannot have ${option} with ${neighbor.name}: ${reason}`,
        `set it for other sessions alone, in bgp.peers or bgp.groups`,
        'key',
      );
    }
  }

  /** A daemon is on no link of the lab, and has no use for an address of one. */
  #checkUnnumbered(name: string, neighbor: BgpNeighbor): void {
    const node = this.#nodes.find((candidate) => candidate.name === name);
    const far = this.#nodes.find((candidate) => candidate.name === neighbor.name);
    if (node === undefined || far === undefined || !isDaemon(far.kind)) return;
    this.#reporter.problem(
      node.origin('bgp'),
      `${name} and ${far.name}, a real daemon, cannot speak between link-local addresses: the daemon is on no link of the lab`,
      'give the link a subnet6 and set transport: ipv6',
      'key',
    );
  }

  #toLaunched(daemon: Daemon, name: string, neighbor: BgpNeighbor): Omit<ExternalTransport, 'patience'> {
    const isIpv6 = neighbor.address.includes(':');
    if (isIpv6) this.#checkIpv6(daemon, name, neighbor);
    const local = isIpv6 ? LOOPBACK6 : this.#nextAddress();
    const listen = isIpv6 ? this.#nextPort() : UNPLACED_PORT;
    const own = isIpv6 ? LOOPBACK6 : daemon.transport;
    this.#farEnds.set(`${daemon.node.name} ${neighbor.localAddress}`, {
      remote: { address: local, port: listen },
      local: own,
      listen: daemon.port,
      patience: PATIENCE[daemon.kind],
    });
    // Between loopback addresses a daemon has no interface that is a neighbour's: to it, all are several hops away.
    const bfd = neighbor.bfd === undefined ? {} : ({ bfd: 'multihop' } as const);
    return { remote: { address: own, port: daemon.port }, local, listen, ...bfd };
  }

  /** All neighbours over IPv6 come from the one loopback address that there is. */
  #checkIpv6(daemon: Daemon, name: string, { bfd }: BgpNeighbor): void {
    const wrong = (message: string, mend: string) =>
      this.#reporter.problem(daemon.node.origin('bgp'), message, mend, 'key');
    if (daemon.overIpv6 !== null) {
      wrong(
        `${daemon.node.name}, a real daemon, has ${LOOPBACK6} alone for its sessions over IPv6 and could not tell ${daemon.overIpv6} from ${name}`,
        'set transport: ipv4 with one of them',
      );
    }
    if (bfd !== undefined) {
      wrong(
        `${daemon.node.name} and ${name} cannot have bfd over IPv6: both would want its port on ${LOOPBACK6}`,
        'set bfd: false, or transport: ipv4',
      );
    }
    daemon.overIpv6 = name;
  }

  #toForeign(node: ResolvedNode, from: string, neighbor: BgpNeighbor): Omit<ExternalTransport, 'patience'> {
    const { sessions = {}, ...shared } = node.definition.external ?? {};
    const place = { ...shared, ...sessions[from] };
    const { address, port = BGP_PORT, local, listen = null, bfd: mode = 'multihop' } = place;
    if (address === undefined && listen === null) {
      const mend = `add external: {address: 127.0.0.2, port: 1790}, or listen: for one that connects itself`;
      this.#reporter.problem(node.origin('external'), `where is the daemon ${node.name}?`, mend, 'key');
    }
    const hasAddresses = local !== undefined && address !== undefined && isIP(address) !== 0;
    if (neighbor.bfd !== undefined && !hasAddresses) {
      this.#reporter.problem(
        node.origin('external'),
        `${from} has BFD with ${node.name}: between which addresses?`,
        'set external.address and external.local to IP addresses',
        'key',
      );
    }
    const remote = address === undefined ? null : { address, port };
    const bfd = neighbor.bfd === undefined ? {} : { bfd: mode };
    return { remote, local: local === undefined ? '' : formatIp(local), listen, ...bfd };
  }

  /** The daemon's own side, from which its configuration is written. */
  #daemonConfig(config: NodeConfig): NodeConfig {
    if (config.bgp === undefined) return config;
    const node = [...this.#daemons.values()].find((daemon) => daemon.node.name === config.name)?.node;
    const neighbors = config.bgp.neighbors.map((neighbor): BgpNeighbor => {
      const far = this.#daemons.get(neighbor.address);
      if (far !== undefined && node?.definition.bgp?.neighbors !== undefined) {
        const message = `${config.name} and ${far.node.name} are both real daemons, and nobody would see their session`;
        this.#reporter.problem(node.origin('bgp', 'neighbors'), message, 'put a router between them');
      }
      const external = this.#farEnds.get(`${config.name} ${neighbor.address}`);
      return external === undefined ? neighbor : { ...neighbor, external };
    });
    if (node !== undefined && config.role !== 'external') this.#checkOptions(node, config);
    const extra = node?.definition.daemon?.config;
    return {
      ...config,
      bgp: { ...config.bgp, neighbors },
      ...(extra === undefined ? {} : { daemonConfig: extra }),
    };
  }

  #checkOptions(node: ResolvedNode, { name, bgp, role }: NodeConfig): void {
    if (!isDaemon(role)) return;
    const fixed = FIXED[role];
    for (const neighbor of bgp?.neighbors ?? []) this.#checkReach(name, role, neighbor);
    const unknown = Object.keys(bgp ?? {}).filter((key) => !SPEAKER_OPTIONS.includes(key));
    for (const { external: _, ...neighbor } of bgp?.neighbors ?? [])
      unknown.push(
        ...Object.keys(neighbor).filter(
          (key) => (!SESSION_OPTIONS.includes(key) && !(key in beyondReach(role))) || fixed.includes(key),
        ),
      );
    for (const option of new Set(unknown)) {
      this.#reporter.problem(
        node.origin('bgp'),
        `${option} is not written into the configuration of a real daemon`,
        `say it in daemon.config, in ${role}'s own words`,
        'key',
      );
    }
  }

  #nextPort(): number {
    return -++this.#ports;
  }

  #nextAddress(): string {
    const number = this.#number++;
    return `${LOOPBACK_RANGE}.${number >> 8}.${number & 255}`;
  }
}

/** Keys that mean something for some kinds only. */
function checkSettings(node: ResolvedNode, reporter: Reporter): void {
  const { external, daemon, gateway, routes } = node.definition;
  const wrong = (path: Path, message: string, mend: string) => reporter.problem(path, message, mend, 'key');
  if (external !== undefined && node.kind !== 'external') {
    wrong(node.origin('external'), `${node.name} runs nowhere else`, 'set kind: external, or remove it');
  }
  if (daemon !== undefined && (!isDaemon(node.kind) || node.kind === 'external')) {
    wrong(node.origin('daemon'), `reroute starts no daemon for ${node.name}`, 'set kind: bird, frr or gobgp');
  }
  if (!isDaemon(node.kind)) return;
  const useless = gateway !== undefined ? 'gateway' : routes !== undefined ? 'routes' : null;
  if (useless !== null) {
    wrong(node.origin(useless), `${node.name} is a real daemon: it has no kernel in the lab`, 'remove it');
  }
}

function plain(address: string): string {
  return address.split('/', 1)[0] ?? address;
}
