import type { BgpNeighbor } from '../../nodes/config.ts';
import { formatIp4, prefixContains } from '../../protocols/ip4.ts';
import type { AddressedPort, Addressing } from './addressing.ts';
import type { SessionOptions } from './bgp-options.ts';
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
export interface Session {
  /** null for a neighbour outside the lab. */
  readonly peer: ResolvedNode | null;
  readonly address: number;
  readonly local: number;
  readonly neighbor: BgpNeighbor;
  /** What its entry in a list of neighbours says beside who it is. */
  readonly options?: SessionOptions;
  readonly path: Path;
}

/** Who has a session with whom: what a cluster has by itself, what is listed, and what follows from links. */
export class BgpSessions {
  readonly #nodes: readonly ResolvedNode[];
  readonly #byName: ReadonlyMap<string, ResolvedNode>;
  readonly #addressing: Addressing;
  readonly #cluster: Cluster | null;
  readonly #broken: Broken;
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
    reporter: Reporter,
  ) {
    this.#nodes = nodes;
    this.#byName = new Map(nodes.map((node) => [node.name, node]));
    this.#addressing = addressing;
    this.#cluster = cluster;
    this.#broken = broken;
    this.#reporter = reporter;
  }

  /** AS number of every node that speaks BGP. */
  get speakers(): ReadonlyMap<ResolvedNode, number> {
    return this.#speakers;
  }

  of(node: ResolvedNode): readonly Session[] {
    return [...(this.#sessions.get(node)?.values() ?? [])];
  }

  compile(): this {
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
    return this;
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
      address ??= this.mainAddress(peer);
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
    const local = spec.localAddress ?? port?.address.addr ?? this.mainAddress(node);
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

  /** The address that a node is known by: its cluster's, its loopback, its first interface's. */
  mainAddress(node: ResolvedNode): number | undefined {
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
}

/** A router, emulated or real: without a list of neighbours it has those on its links. */
export function peersByItself({ kind }: ResolvedNode): boolean {
  return kind === 'router' || isDaemon(kind);
}

function sessionKeys(spec: NeighborSpec): SessionOptions {
  const { node: _node, address: _address, name: _name, as: _as, localAddress: _local, ...options } = spec;
  return options;
}

/** null for what is no reflector of a cluster. */
export function clusterIdOf(node: ResolvedNode): number | null {
  if (node.kind !== 'reflector') return null;
  return node.definition.routeReflectorClusterID ?? DEFAULT_CLUSTER_ID;
}
