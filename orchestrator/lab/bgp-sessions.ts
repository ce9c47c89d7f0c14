import type { BgpNeighbor } from '../../nodes/config.ts';
import { formatIp } from '../../protocols/ip.ts';
import { type BgpEnds, type Ends, endTexts, swapped } from './bgp-ends.ts';
import { BgpNeighbors } from './bgp-neighbors.ts';
import type { SessionOptions } from './bgp-options.ts';
import { type Cluster, isClusterNode } from './cluster.ts';
import { isDaemon } from './external.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Path, Reporter } from './problem.ts';
import type { Broken } from './read.ts';
import type { NeighborSpec } from './schema.ts';

/** TTL of sessions over several hops: BIRD's `multihop`, which Calico's template sets, and Linux' default. */
const MULTIHOP_TTL = 64;

/** In Calico's documentation all reflectors share it. */
const DEFAULT_CLUSTER_ID = 0xf4000001;

/** One end of a BGP session. */
export interface Session {
  /** null for a neighbour outside the lab. */
  readonly peer: ResolvedNode | null;
  readonly ends: Ends;
  readonly neighbor: BgpNeighbor;
  /** What its entry in a list of neighbours says beside who it is. */
  readonly options?: SessionOptions;
  readonly path: Path;
}

/** Who has a session with whom: what a cluster has by itself, what is listed, and what follows from links. */
export class BgpSessions {
  readonly #nodes: readonly ResolvedNode[];
  readonly #ends: BgpEnds;
  readonly #neighbors: BgpNeighbors;
  readonly #cluster: Cluster | null;
  readonly #broken: Broken;
  readonly #reporter: Reporter;
  readonly #speakers = new Map<ResolvedNode, number>();
  /** Of each speaker, by the address of the other end. */
  readonly #sessions = new Map<ResolvedNode, Map<string, Session>>();

  constructor(
    nodes: readonly ResolvedNode[],
    ends: BgpEnds,
    cluster: Cluster | null,
    broken: Broken,
    reporter: Reporter,
  ) {
    this.#nodes = nodes;
    this.#neighbors = new BgpNeighbors(nodes, ends, broken, reporter);
    this.#ends = ends;
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
  #clusterSessions(node: ResolvedNode): Map<string, Session> {
    const cluster = this.#cluster;
    const own = cluster?.ports.get(node.name);
    const sessions = new Map<string, Session>();
    if (cluster === null || own === undefined) return sessions;
    for (const peer of cluster.members) {
      const port = cluster.ports.get(peer.name);
      if (peer === node || port === undefined) continue;
      const meshed = node.kind === 'node' && peer.kind === 'node';
      if (meshed && cluster.mesh === 'reflectors') continue;
      const ends: Ends = {
        near: { addr: own.address.addr, zone: '' },
        far: { addr: port.address.addr, zone: '' },
        direct: true,
      };
      const neighbor: BgpNeighbor = {
        name: peer.name,
        ...endTexts(ends),
        remoteAs: this.#speakers.get(peer) ?? cluster.asNumber,
        type: meshed ? 'node-to-node mesh' : 'node specific',
        // Calico's template: `rr client` unless the peer has the same cluster id.
        routeReflectorClient: clusterIdOf(node) !== null && clusterIdOf(peer) !== clusterIdOf(node),
        nextHopSelf: false,
        passive: false,
        ttl: MULTIHOP_TTL,
      };
      sessions.set(neighbor.address, { peer, ends, neighbor, path: node.origin() });
    }
    return sessions;
  }

  #addListed(node: ResolvedNode, spec: NeighborSpec, path: Path): void {
    const asn = this.#speakers.get(node)!;
    const peer = this.#neighbors.peerOf(node, spec, path);
    if (peer === undefined) return;
    const ends = this.#neighbors.meet(node, peer, spec, path);
    if (ends === null) return;
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
      ends,
      path,
      neighbor: {
        name: spec.name ?? peer?.name ?? endTexts(ends).address,
        ...endTexts(ends),
        remoteAs,
        type: internal || isClusterNode(node) ? 'node specific' : 'external',
        routeReflectorClient: false,
        nextHopSelf: internal && node.kind === 'router',
        passive: false,
        ttl: ends.direct && !internal ? 1 : MULTIHOP_TTL,
      },
      options: sessionKeys(spec),
    });
  }

  mainAddress(node: ResolvedNode): number | undefined {
    return this.#ends.mainIpv4(node);
  }

  /** What a router that lists no neighbours has: those it shares a wire with, and those that list it. */
  #derivedSessions(node: ResolvedNode): Session[] {
    if (!peersByItself(node) || node.definition.bgp?.neighbors !== undefined) return [];
    const sessions: Session[] = [];
    for (const port of this.#ends.portsOf(node)) {
      for (const far of this.#ends.othersOn(port)) {
        if (!peersByItself(far.node) || !this.#speakers.has(far.node)) continue;
        // A session that no emulated node has a part in is none of the lab's.
        if (isDaemon(node.kind) && isDaemon(far.node.kind)) continue;
        if (far.node.definition.bgp?.neighbors !== undefined) continue;
        const transport = this.#neighbors.agreed(node, far.node) ?? this.#ends.defaultOn(port, far);
        const ends = this.#ends.onWire(port, far, transport);
        if (ends !== null) sessions.push(this.#derived(node, far.node, ends));
      }
    }
    for (const [peer, listed] of this.#sessions) {
      for (const session of listed.values()) {
        if (session.peer === node) sessions.push(this.#derived(node, peer, swapped(session.ends)));
      }
    }
    return sessions;
  }

  #derived(node: ResolvedNode, peer: ResolvedNode, ends: Ends): Session {
    const remoteAs = this.#speakers.get(peer)!;
    const internal = remoteAs === this.#speakers.get(node);
    const direct = ends.near.zone !== '' || this.#ends.portTowards(node, ends.far.addr) !== undefined;
    const neighbor: BgpNeighbor = {
      name: peer.name,
      ...endTexts(ends),
      remoteAs,
      type: internal ? 'node specific' : 'external',
      routeReflectorClient: false,
      nextHopSelf: internal,
      passive: false,
      ttl: direct && !internal ? 1 : MULTIHOP_TTL,
    };
    return { peer, ends, neighbor, path: node.origin() };
  }

  /** Adds a session, under a name of its own: the second to one node is named after that node's interface too. */
  #add(node: ResolvedNode, session: Session): void {
    const sessions = this.#sessions.get(node)!;
    const same = sessions.get(session.neighbor.address);
    if (same !== undefined) {
      const message = `${node.name} already has a session with ${session.neighbor.address}, ${same.neighbor.name}`;
      this.#reporter.problem(session.path, message, 'list it once');
      return;
    }
    let { name } = session.neighbor;
    if ([...sessions.values()].some(({ neighbor }) => neighbor.name === name)) {
      const { peer, ends } = session;
      const port = peer === null ? undefined : this.#ends.portWith(peer, ends.far.addr);
      name = `${name}:${port?.iface ?? session.neighbor.address}`;
    }
    sessions.set(session.neighbor.address, { ...session, neighbor: { ...session.neighbor, name } });
  }

  #warnOneSided(): void {
    for (const [node, sessions] of this.#sessions) {
      for (const { peer, ends, path } of sessions.values()) {
        if (peer === null || this.#broken.nodes.has(peer.name)) continue;
        const back = endTexts(swapped(ends));
        if (this.#sessions.get(peer)?.get(back.address)?.neighbor.localAddress === back.localAddress)
          continue;
        const message = `${peer.name} has no session back to ${formatIp(ends.near.addr)} of ${node.name}`;
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
  const { node: _node, address: _address, name: _name, as: _as, localAddress: _local, ...rest } = spec;
  const { interface: _interface, transport: _transport, ...options } = rest;
  return options;
}

/** null for what is no reflector of a cluster. */
export function clusterIdOf(node: ResolvedNode): number | null {
  if (node.kind !== 'reflector') return null;
  return node.definition.routeReflectorClusterID ?? DEFAULT_CLUSTER_ID;
}
