import type { BgpConfig, BgpNeighbor } from '../../nodes/config.ts';
import type { PolicyConfig } from '../../protocols/bgp/policy/config.ts';
import { formatIp4, prefixContains } from '../../protocols/ip4.ts';
import type { AddressedPort, Addressing } from './addressing.ts';
import { neighborOptions, type SessionOptions, type SpeakerOptions, speakerOptions } from './bgp-options.ts';
import { type Cluster, isClusterNode } from './cluster.ts';
import { isDaemon } from './external.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Path, Reporter } from './problem.ts';
import type { Broken } from './read.ts';
import type { NeighborSpec } from './schema.ts';
import { suggest } from './suggest.ts';

/** TTL of sessions over several hops: BIRD's `multihop`, which Calico's template sets, and Linux' default. */
const MULTIHOP_TTL = 64;

/** In Calico's documentation all reflectors share it. */
const DEFAULT_CLUSTER_ID = 0xf4000001;

/** One end of a BGP session. */
interface Session {
  /** null for a neighbour outside the lab. */
  readonly peer: ResolvedNode | null;
  readonly address: number;
  readonly local: number;
  readonly neighbor: BgpNeighbor;
  /** What its entry in a list of neighbours says beside who it is. */
  readonly options?: SessionOptions;
  readonly path: Path;
}

/** The BGP configuration of every node that speaks it. */
export function compileBgp(
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  cluster: Cluster | null,
  broken: Broken,
  policy: PolicyConfig | null,
  reporter: Reporter,
): Map<string, BgpConfig> {
  return new BgpCompiler(nodes, addressing, cluster, broken, policy, reporter).compile();
}

class BgpCompiler {
  readonly #nodes: readonly ResolvedNode[];
  readonly #byName: ReadonlyMap<string, ResolvedNode>;
  readonly #addressing: Addressing;
  readonly #cluster: Cluster | null;
  readonly #broken: Broken;
  readonly #policy: PolicyConfig | null;
  readonly #reporter: Reporter;
  readonly #speakers = new Map<ResolvedNode, number>();
  readonly #owners = new Map<number, ResolvedNode>();
  /** Of each speaker, by the address of the other end. */
  readonly #sessions = new Map<ResolvedNode, Map<number, Session>>();

  constructor(
    nodes: readonly ResolvedNode[],
    addressing: Addressing,
    cluster: Cluster | null,
    broken: Broken,
    policy: PolicyConfig | null,
    reporter: Reporter,
  ) {
    this.#nodes = nodes;
    this.#byName = new Map(nodes.map((node) => [node.name, node]));
    this.#addressing = addressing;
    this.#cluster = cluster;
    this.#broken = broken;
    this.#policy = policy;
    this.#reporter = reporter;
  }

  compile(): Map<string, BgpConfig> {
    for (const node of this.#nodes) {
      const asn = this.#asnOf(node);
      if (asn !== null) this.#speakers.set(node, asn);
      for (const { address } of this.#addressing.ports.get(node.name) ?? [])
        this.#owners.set(address.addr, node);
      for (const loopback of this.#addressing.loopbacks.get(node.name) ?? [])
        this.#owners.set(loopback, node);
    }
    for (const node of this.#speakers.keys()) this.#sessions.set(node, this.#clusterSessions(node));
    for (const node of this.#speakers.keys()) {
      for (const [i, spec] of (node.definition.bgp?.neighbors ?? []).entries()) {
        this.#addListed(node, spec, node.origin('bgp', 'neighbors', i));
      }
    }
    const derived = [...this.#speakers.keys()].map((node) => ({
      node,
      sessions: this.#derivedSessions(node),
    }));
    for (const { node, sessions } of derived) for (const session of sessions) this.#add(node, session);
    this.#warnOneSided();
    return this.#configs();
  }

  /** null for a node without BGP. */
  #asnOf(node: ResolvedNode): number | null {
    const { bgp } = node.definition;
    if (node.kind === 'host' || (isClusterNode(node) && this.#cluster?.spec.cni === 'flannel')) {
      if (bgp === undefined) return null;
      const mend = node.kind === 'host' ? 'make it a router' : 'remove it, or set cni: calico';
      const who = node.kind === 'host' ? 'a host' : 'a node of a flannel cluster';
      this.#reporter.problem(node.origin('bgp'), `${who} speaks no BGP`, mend, 'key');
      return null;
    }
    if (isClusterNode(node)) {
      if (this.#cluster === null || !this.#cluster.ports.has(node.name)) return null;
      return bgp?.as ?? this.#cluster.asNumber;
    }
    if (bgp === undefined) return null;
    if (bgp.as === undefined) {
      const mend = 'give the router its AS, as: 65001 for instance';
      this.#reporter.missing([...node.origin('bgp'), 'as'], 'missing AS', mend);
      return null;
    }
    return bgp.as;
  }

  /** Sessions of a Calico node: the mesh, or those with the reflectors. */
  #clusterSessions(node: ResolvedNode): Map<number, Session> {
    const cluster = this.#cluster;
    const own = cluster?.ports.get(node.name);
    const sessions = new Map<number, Session>();
    if (cluster === null || own === undefined) return sessions;
    for (const peer of cluster.members) {
      const port = cluster.ports.get(peer.name);
      if (peer === node || port === undefined) continue;
      const meshed = node.kind === 'node' && peer.kind === 'node';
      if (meshed && cluster.mesh === 'reflectors') continue;
      const { addr: address } = port.address;
      const local = own.address.addr;
      const neighbor: BgpNeighbor = {
        name: peer.name,
        address: formatIp4(address),
        localAddress: formatIp4(local),
        remoteAs: this.#speakers.get(peer) ?? cluster.asNumber,
        type: meshed ? 'node-to-node mesh' : 'node specific',
        // Calico's template: `rr client` unless the peer has the same cluster id.
        routeReflectorClient: clusterIdOf(node) !== null && clusterIdOf(peer) !== clusterIdOf(node),
        nextHopSelf: false,
        passive: false,
        ttl: MULTIHOP_TTL,
      };
      sessions.set(address, { peer, address, local, neighbor, path: node.origin() });
    }
    return sessions;
  }

  #addListed(node: ResolvedNode, spec: NeighborSpec, path: Path): void {
    const asn = this.#speakers.get(node)!;
    const peer = this.#peerOf(node, spec, path);
    if (peer === undefined) return;
    const place = this.#meet(node, peer, spec, path);
    if (place === null) return;
    const remoteAs = spec.as ?? (peer === null ? undefined : this.#speakers.get(peer));
    if (remoteAs === undefined) {
      if (peer !== null && (this.#broken.nodes.has(peer.name) || this.#broken.cluster)) return;
      const who = peer === null ? 'the neighbour' : peer.name;
      this.#reporter.missing([...path, 'as'], 'missing AS', `${who} has none in this lab: add as:`);
      return;
    }
    const actual = peer === null ? undefined : this.#speakers.get(peer);
    if (actual !== undefined && actual !== remoteAs) {
      const message = `${peer?.name} is in AS ${actual}, not ${remoteAs}: the session will not come up`;
      this.#reporter.warning([...path, 'as'], message);
    }
    const internal = remoteAs === asn;
    this.#add(node, {
      peer,
      address: place.address,
      local: place.local,
      path,
      neighbor: {
        name: spec.name ?? peer?.name ?? formatIp4(place.address),
        address: formatIp4(place.address),
        localAddress: formatIp4(place.local),
        remoteAs,
        type: internal || isClusterNode(node) ? 'node specific' : 'external',
        routeReflectorClient: false,
        nextHopSelf: internal && node.kind === 'router',
        passive: false,
        ttl: place.direct && !internal ? 1 : MULTIHOP_TTL,
      },
      options: sessionKeys(spec),
    });
  }

  /** The node a neighbour is; null for one outside the lab; undefined after a problem. */
  #peerOf(node: ResolvedNode, spec: NeighborSpec, path: Path): ResolvedNode | null | undefined {
    if (spec.node === undefined) {
      if (spec.address !== undefined) return this.#owners.get(spec.address) ?? null;
      this.#reporter.problem(path, 'this says not who the neighbour is', 'add node: or address:');
      return undefined;
    }
    const peer = this.#byName.get(spec.node);
    if (peer === undefined && !this.#broken.nodes.has(spec.node)) {
      const mend = suggest(spec.node, [...this.#byName.keys()]);
      this.#reporter.problem([...path, 'node'], `there is no node '${spec.node}'`, mend);
    }
    if (peer !== node) return peer;
    this.#reporter.problem(
      [...path, 'node'],
      `${node.name} cannot be its own neighbour`,
      'name another node',
    );
    return undefined;
  }

  /** The two addresses a listed session runs between; null after a problem. */
  #meet(
    node: ResolvedNode,
    peer: ResolvedNode | null,
    spec: NeighborSpec,
    path: Path,
  ): { readonly address: number; readonly local: number; readonly direct: boolean } | null {
    let { address } = spec;
    let port = address === undefined ? undefined : this.#portTowards(node, address);
    if (address === undefined && peer !== null) {
      for (const candidate of this.#addressing.ports.get(node.name) ?? []) {
        const member = this.#addressing.members.get(candidate.wire)?.find((other) => other.node === peer);
        if (member === undefined) continue;
        port = candidate;
        address = member.address.addr;
        break;
      }
      address ??= this.#mainAddress(peer);
    }
    if (address === undefined) {
      if (peer === null || this.#broken.nodes.has(peer.name)) return null;
      this.#reporter.problem(
        [...path, 'node'],
        `${peer.name} has no address`,
        'link it, or give it a loopback',
      );
      return null;
    }
    const local = spec.localAddress ?? port?.address.addr ?? this.#mainAddress(node);
    if (local === undefined) {
      this.#reporter.problem(path, `${node.name} has no address`, 'link it, or give it a loopback');
      return null;
    }
    if (spec.localAddress !== undefined && this.#owners.get(spec.localAddress) !== node) {
      const message = `${formatIp4(spec.localAddress)} is no address of ${node.name}`;
      this.#reporter.problem([...path, 'localAddress'], message, 'take one of its interfaces or loopbacks');
    }
    return { address, local, direct: port !== undefined };
  }

  #mainAddress(node: ResolvedNode): number | undefined {
    const clusterPort = this.#cluster?.ports.get(node.name);
    if (clusterPort !== undefined) return clusterPort.address.addr;
    return (
      this.#addressing.loopbacks.get(node.name)?.[0] ??
      this.#addressing.ports.get(node.name)?.[0]?.address.addr
    );
  }

  /** What a router that lists no neighbours has: those it shares a wire with, and those that list it. */
  #derivedSessions(node: ResolvedNode): Session[] {
    if (!peersByItself(node) || node.definition.bgp?.neighbors !== undefined) return [];
    const sessions: Session[] = [];
    for (const port of this.#addressing.ports.get(node.name) ?? []) {
      for (const far of this.#addressing.members.get(port.wire) ?? []) {
        if (far.node === node || !peersByItself(far.node) || !this.#speakers.has(far.node)) continue;
        // A session that no emulated node has a part in is none of the lab's.
        if (isDaemon(node.kind) && isDaemon(far.node.kind)) continue;
        if (far.node.definition.bgp?.neighbors !== undefined) continue;
        sessions.push(this.#derived(node, far.node, far.address.addr, port.address.addr));
      }
    }
    for (const [peer, listed] of this.#sessions) {
      for (const session of listed.values()) {
        if (session.peer === node) sessions.push(this.#derived(node, peer, session.local, session.address));
      }
    }
    return sessions;
  }

  #derived(node: ResolvedNode, peer: ResolvedNode, address: number, local: number): Session {
    const remoteAs = this.#speakers.get(peer)!;
    const internal = remoteAs === this.#speakers.get(node);
    const direct = this.#portTowards(node, address) !== undefined;
    const neighbor: BgpNeighbor = {
      name: peer.name,
      address: formatIp4(address),
      localAddress: formatIp4(local),
      remoteAs,
      type: internal ? 'node specific' : 'external',
      routeReflectorClient: false,
      nextHopSelf: internal,
      passive: false,
      ttl: direct && !internal ? 1 : MULTIHOP_TTL,
    };
    return { peer, address, local, neighbor, path: node.origin() };
  }

  /** The node's interface that is on the same subnet as an address. */
  #portTowards(node: ResolvedNode, address: number): AddressedPort | undefined {
    return this.#addressing.ports.get(node.name)?.find(({ wire }) => {
      const subnet = this.#addressing.subnets.get(wire);
      return subnet !== undefined && prefixContains(subnet, address);
    });
  }

  /** Adds a session, under a name of its own: the second to one node is named after that node's interface too. */
  #add(node: ResolvedNode, session: Session): void {
    const sessions = this.#sessions.get(node)!;
    const same = sessions.get(session.address);
    if (same !== undefined) {
      const message = `${node.name} already has a session with ${session.neighbor.address}, ${same.neighbor.name}`;
      this.#reporter.problem(session.path, message, 'list it once');
      return;
    }
    let { name } = session.neighbor;
    if ([...sessions.values()].some(({ neighbor }) => neighbor.name === name)) {
      const ports = session.peer === null ? [] : (this.#addressing.ports.get(session.peer.name) ?? []);
      const port = ports.find(({ address }) => address.addr === session.address);
      name = `${name}:${port?.iface ?? session.neighbor.address}`;
    }
    sessions.set(session.address, { ...session, neighbor: { ...session.neighbor, name } });
  }

  #warnOneSided(): void {
    for (const [node, sessions] of this.#sessions) {
      for (const { peer, address, local, path } of sessions.values()) {
        if (peer === null || this.#broken.nodes.has(peer.name)) continue;
        if (this.#sessions.get(peer)?.get(local)?.local === address) continue;
        const message = `${peer.name} has no session back to ${formatIp4(local)} of ${node.name}`;
        this.#reporter.warning(path, message, `list ${node.name} there, or no neighbours at all`);
      }
    }
  }

  /** The sessions of a node with the options that apply to each: all sessions', its group's, its peer's, its entry's. */
  #neighbors(node: ResolvedNode): BgpNeighbor[] {
    const { bgp = {} } = node.definition;
    const sessions = [...this.#sessions.get(node)!.values()];
    const known = sessions.map(({ neighbor }) => neighbor.name);
    for (const peer of Object.keys(bgp.peers ?? {})) {
      if (known.includes(peer)) continue;
      const mend = known.length === 0 ? 'it has no sessions' : suggest(peer, known);
      this.#reporter.problem(
        node.origin('bgp', 'peers', peer),
        `${node.name} has no session with '${peer}'`,
        mend,
        'key',
      );
    }
    return sessions.map(({ neighbor, options, path }) => {
      const own = bgp.peers?.[neighbor.name];
      const group = options?.group ?? own?.group;
      const shared = group === undefined ? undefined : bgp.groups?.[group];
      if (group !== undefined && shared === undefined) {
        const groups = Object.keys(bgp.groups ?? {});
        const mend = groups.length === 0 ? 'add it under bgp.groups' : suggest(group, groups);
        this.#reporter.problem(path, `there is no group '${group}'`, mend);
      }
      const merged = neighborOptions([bgp.session, shared, own, options]);
      for (const policy of [...(merged.import ?? []), ...(merged.export ?? [])])
        this.#checkPolicy(policy, node);
      return { ...neighbor, ...merged };
    });
  }

  /** Calico's template for BIRD has `graceful restart` on; BIRD knows nothing of RFC 8538. */
  #restartOf(node: ResolvedNode): SpeakerOptions['gracefulRestart'] {
    const own = node.definition.bgp?.gracefulRestart;
    if (!isClusterNode(node)) return own;
    const restart = own ?? this.#cluster?.spec.calico?.gracefulRestart ?? true;
    return restart === false ? false : { notification: false, ...(restart === true ? {} : restart) };
  }

  #checkPolicy(policy: string, node: ResolvedNode): void {
    const known = Object.keys(this.#policy?.policies ?? {});
    if (known.includes(policy)) return;
    const mend = known.length === 0 ? 'add it under policy.policies' : suggest(policy, known);
    this.#reporter.problem(node.origin('bgp'), `there is no policy '${policy}'`, mend, 'key');
  }

  #configs(): Map<string, BgpConfig> {
    const configs = new Map<string, BgpConfig>();
    const routerIds = new Map<number, string>();
    for (const [node, asn] of this.#speakers) {
      const { bgp = {} } = node.definition;
      const routerId = bgp.routerId ?? this.#mainAddress(node);
      if (routerId === undefined) {
        const mend = 'link it, give it a loopback, or set bgp.routerId';
        this.#reporter.problem(
          node.origin('bgp'),
          `${node.name} has no address to be its router id`,
          mend,
          'key',
        );
        continue;
      }
      const other = routerIds.get(routerId);
      if (other !== undefined) {
        const message = `${formatIp4(routerId)} is also the router id of ${other}`;
        this.#reporter.problem(node.origin('bgp', 'routerId'), message, 'give each its own');
      }
      routerIds.set(routerId, node.name);
      const clusterId = clusterIdOf(node) ?? bgp.clusterId ?? null;
      const loopbacks = peersByItself(node) ? (this.#addressing.loopbacks.get(node.name) ?? []) : [];
      const networks = [...loopbacks.map((addr) => `${formatIp4(addr)}/32`), ...(bgp.networks ?? [])];
      configs.set(node.name, {
        asn,
        routerId: formatIp4(routerId),
        ...(clusterId === null ? {} : { clusterId: formatIp4(clusterId) }),
        networks: [...new Set(networks)],
        maximumPaths: bgp.maximumPaths ?? 1,
        ...speakerOptions({ ...bgp, gracefulRestart: this.#restartOf(node) }),
        ...(bgp.originate === undefined
          ? {}
          : { originate: { mrt: bgp.originate.mrt, peer: bgp.originate.peer ?? 'first' } }),
        neighbors: this.#neighbors(node),
        ...(this.#policy === null ? {} : { policy: this.#policy }),
      });
    }
    return configs;
  }
}

/** A router, emulated or real: without a list of neighbours it has those on its links. */
function peersByItself({ kind }: ResolvedNode): boolean {
  return kind === 'router' || isDaemon(kind);
}

function sessionKeys(spec: NeighborSpec): SessionOptions {
  const { node: _node, address: _address, name: _name, as: _as, localAddress: _local, ...options } = spec;
  return options;
}

/** null for what is no reflector of a cluster. */
function clusterIdOf(node: ResolvedNode): number | null {
  if (node.kind !== 'reflector') return null;
  return node.definition.routeReflectorClusterID ?? DEFAULT_CLUSTER_ID;
}
