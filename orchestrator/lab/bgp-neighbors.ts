import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { isLinkLocalAddress } from '../../protocols/scoped-address.ts';
import type { AddressedPort } from './addressing.ts';
import type { BgpEnds, Ends, Transport } from './bgp-ends.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Path, Reporter } from './problem.ts';
import type { Broken } from './read.ts';
import type { NeighborSpec } from './schema.ts';
import { suggest } from './suggest.ts';

/** Whom the entries of `neighbors:` name, and between which two addresses their sessions run. */
export class BgpNeighbors {
  readonly #byName: ReadonlyMap<string, ResolvedNode>;
  readonly #ends: BgpEnds;
  readonly #broken: Broken;
  readonly #reporter: Reporter;

  constructor(nodes: readonly ResolvedNode[], ends: BgpEnds, broken: Broken, reporter: Reporter) {
    this.#byName = new Map(nodes.map((node) => [node.name, node]));
    this.#ends = ends;
    this.#broken = broken;
    this.#reporter = reporter;
  }

  /** The node a neighbour is; null for one outside the lab; undefined after a problem. */
  peerOf(node: ResolvedNode, spec: NeighborSpec, path: Path): ResolvedNode | null | undefined {
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
  meet(node: ResolvedNode, peer: ResolvedNode | null, spec: NeighborSpec, path: Path): Ends | null {
    const named = this.#portOf(node, spec, path);
    if (named === null) return null;
    if (spec.address !== undefined) return this.#meetAt(node, spec.address.addr, named, spec, path);
    if (peer === null) return null;
    const wanted = spec.transport ?? (named === undefined ? this.agreed(node, peer) : 'unnumbered');
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

  /** The transport that one of two nodes names for its sessions; what both name has to be the same. */
  agreed(node: ResolvedNode, peer: ResolvedNode): Transport | undefined {
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
}
