import type { BgpNeighbor } from '../../nodes/config.ts';
import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { isLinkLocalAddress } from '../../protocols/scoped-address.ts';
import type { AddressedPort } from './addressing.ts';
import { type BgpEnds, type Ends, endTexts, swapped, type Transport } from './bgp-ends.ts';
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
  readonly ends: Ends;
  readonly neighbor: BgpNeighbor;
  /** What its entry in a list of neighbours says beside who it is. */
  readonly options?: SessionOptions;
  readonly path: Path;
}

/** Who has a session with whom: what a cluster has by itself, what is listed, and what follows from links. */
export class BgpSessions {
  readonly #nodes: readonly ResolvedNode[];
  readonly #byName: ReadonlyMap<string, ResolvedNode>;
  readonly #ends: BgpEnds;
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
    this.#byName = new Map(nodes.map((node) => [node.name, node]));
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
    const peer = this.#peerOf(node, spec, path);
    if (peer === undefined) return;
    const ends = this.#meet(node, peer, spec, path);
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

  /** The node a neighbour is; null for one outside the lab; undefined after a problem. */
  #peerOf(node: ResolvedNode, spec: NeighborSpec, path: Path): ResolvedNode | null | undefined {
    if (spec.node === undefined) {
      const port = this.#portOf(node, spec, path);
      if (port === null) return undefined;
      if (spec.address !== undefined) return this.#ends.ownerOf(spec.address.addr, port);
      if (port !== undefined) return this.#onlyOneOn(port, path);
      this.#reporter.problem(path, 'this says not who the neighbour is', 'add node:, address: or interface:');
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

  /** The interface that an entry names, itself or as the zone of its address; undefined if none, null after a problem. */
  #portOf(node: ResolvedNode, spec: NeighborSpec, path: Path): AddressedPort | undefined | null {
    const { address } = spec;
    const named = spec.interface ?? (address === undefined || address.zone === '' ? undefined : address.zone);
    if (named === undefined) {
      if (address === undefined || !isLinkLocalAddress(address.addr)) return undefined;
      const mend = `write ${formatIp(address.addr)}%eth1, with the interface`;
      this.#reporter.problem([...path, 'address'], 'a link-local address is one of a link', mend);
      return null;
    }
    const ports = this.#ends.portsOf(node);
    const port = ports.find(({ iface }) => iface === named);
    if (port !== undefined) return port;
    const key = spec.interface === undefined ? 'address' : 'interface';
    const mend = suggest(
      named,
      ports.map(({ iface }) => iface),
    );
    this.#reporter.problem([...path, key], `${node.name} has no interface ${named}`, mend);
    return null;
  }

  /** Who is at the other end of an interface's wire. */
  #onlyOneOn(port: AddressedPort, path: Path): ResolvedNode | undefined {
    const others = this.#ends.othersOn(port);
    const [other] = others;
    if (other !== undefined && others.length === 1) return other.node;
    const message =
      other === undefined
        ? `nobody is at the other end of ${port.iface}`
        : `${others.length} others are on the wire of ${port.iface}`;
    const mend = other === undefined ? 'link it' : 'name the neighbour with node:';
    this.#reporter.problem([...path, 'interface'], message, mend);
    return undefined;
  }

  /** The two addresses a listed session runs between; null after a problem. */
  #meet(node: ResolvedNode, peer: ResolvedNode | null, spec: NeighborSpec, path: Path): Ends | null {
    const named = this.#portOf(node, spec, path);
    if (named === null) return null;
    if (spec.address !== undefined) return this.#meetAt(node, spec.address.addr, named, spec, path);
    if (peer === null) return null;
    const wanted = spec.transport ?? (named === undefined ? this.#agreed(node, peer) : 'unnumbered');
    for (const port of named === undefined ? this.#ends.portsOf(node) : [named]) {
      const far = this.#ends.othersOn(port).find((other) => other.node === peer);
      if (far === undefined) continue;
      const ends = this.#ends.onWire(port, far, wanted ?? this.#ends.defaultOn(port, far));
      if (ends !== null) return this.#from(node, ends, spec, path);
    }
    if (wanted === 'unnumbered') {
      const message = `${node.name} and ${peer.name} share no link, and link-local addresses reach no further`;
      this.#reporter.problem([...path, 'node'], message, 'link them, or set transport: ipv4 or ipv6');
      return null;
    }
    const address = this.#ends.mainAddress(peer, wanted ?? 'ipv4');
    if (address !== undefined)
      return this.#meetAt(node, address, this.#ends.portTowards(node, address), spec, path);
    if (this.#broken.nodes.has(peer.name)) return null;
    const message = `${peer.name} has no ${wanted === 'ipv6' ? 'IPv6 ' : ''}address`;
    this.#reporter.problem([...path, 'node'], message, 'link it, or give it a loopback');
    return null;
  }

  /** A session with somebody at an address, by an interface if it is one of its links. */
  #meetAt(
    node: ResolvedNode,
    address: IpAddress,
    named: AddressedPort | undefined,
    spec: NeighborSpec,
    path: Path,
  ): Ends | null {
    if (isLinkLocalAddress(address) && named !== undefined) {
      const peer = this.#ends.ownerOf(address, named);
      const far = this.#ends.othersOn(named).find((other) => other.node === peer);
      const ends: Ends = {
        near: { addr: this.#ends.linkLocalOf(named), zone: named.iface },
        far: { addr: address, zone: far?.iface ?? named.iface },
        direct: true,
      };
      return this.#from(node, ends, spec, path);
    }
    const port = this.#ends.portTowards(node, address);
    const local = spec.localAddress ?? this.#ends.nearEnd(node, address, port);
    if (local === undefined) {
      const message = `${node.name} has no ${typeof address === 'string' ? 'IPv6 ' : ''}address`;
      this.#reporter.problem(path, message, 'link it, or give it a loopback');
      return null;
    }
    const ends: Ends = {
      near: { addr: local, zone: '' },
      far: { addr: address, zone: '' },
      direct: port !== undefined,
    };
    return this.#from(node, ends, spec, path);
  }

  /** The same from the address that the entry wants to be used. */
  #from(node: ResolvedNode, ends: Ends, spec: NeighborSpec, path: Path): Ends | null {
    const { localAddress } = spec;
    if (localAddress === undefined) return ends;
    const at = [...path, 'localAddress'];
    const text = formatIp(localAddress);
    if (typeof localAddress !== typeof ends.far.addr) {
      const message = `${text} and ${formatIp(ends.far.addr)} are of two families`;
      this.#reporter.problem(at, message, 'take an address of the same');
      return null;
    }
    const port = ends.near.zone === '' ? undefined : this.#ends.portWith(node, ends.near.addr);
    const own = port === undefined ? this.#ends.ownerOf(localAddress, undefined) : node;
    if (own !== node)
      this.#reporter.problem(
        at,
        `${text} is no address of ${node.name}`,
        'take one of its interfaces or loopbacks',
      );
    return { ...ends, near: { ...ends.near, addr: localAddress } };
  }

  mainAddress(node: ResolvedNode): number | undefined {
    return this.#ends.mainIpv4(node);
  }

  /** The transport that one of two nodes names for its sessions; what both name has to be the same. */
  #agreed(node: ResolvedNode, peer: ResolvedNode): Transport | undefined {
    const own = node.definition.bgp?.transport;
    const other = peer.definition.bgp?.transport;
    if (own !== undefined && other !== undefined && own !== other && node.number < peer.number) {
      const message = `${node.name} would speak with ${peer.name} over ${own}, and ${peer.name} over ${other}`;
      this.#reporter.problem(
        node.origin('bgp', 'transport'),
        message,
        'set the same, or list the neighbours',
      );
    }
    return own ?? other;
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
        const transport = this.#agreed(node, far.node) ?? this.#ends.defaultOn(port, far);
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
