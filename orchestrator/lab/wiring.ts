import type { Prefix } from '../../protocols/ip4.ts';
import type { Prefix6 } from '../../protocols/ip6.ts';
import type { NetemParameters } from '../../protocols/netem/parameters.ts';
import type { ResolvedNode } from './inherit.ts';
import { netemOf } from './netem.ts';
import type { Path, Reporter } from './problem.ts';
import type { LabParts, PlacedLink } from './read.ts';
import type { SegmentSpec } from './schema.ts';
import type { InterfaceAddress, InterfaceAddress6 } from './schema-types.ts';
import { suggest } from './suggest.ts';

/** A wire and who is on it, before addresses are given out. */
export interface Wire {
  readonly name: string;
  readonly kind: 'p2p' | 'lan';
  readonly path: Path;
  /** Null for a link that the file gives none; 'none' where there is to be no IPv4. */
  readonly subnet: Prefix | 'none' | null;
  readonly subnet6: Prefix6 | null;
  /** First address to give out, null for the subnet's first. */
  readonly rangeStart: number | null;
  /** What happens to what is sent on it, null for nothing. */
  readonly netem: NetemParameters | null;
  readonly members: Port[];
}

export interface Port {
  readonly node: ResolvedNode;
  readonly iface: string;
  readonly wire: Wire;
  readonly mtu: number;
  /** The wire's, with what the interface's own keys say. */
  readonly netem: NetemParameters | null;
  /** Address that the file gives it. */
  readonly given: InterfaceAddress | null;
  readonly given6: InterfaceAddress6 | null;
  /** Whether it sends router advertisements. */
  readonly ra: boolean;
  /** Where the file says that it is there. */
  readonly path: Path;
}

const DEFAULT_MTU = 1500;

/** Connects nodes to segments, then to links. An interface that the file does not name is the node's lowest free ethN. */
export function wireUp(parts: LabParts, nodes: readonly ResolvedNode[], reporter: Reporter): Wire[] {
  const wiring = new Wiring(parts, nodes, reporter);
  const segments = Object.entries(parts.file.segments ?? {});
  for (const [name, spec] of segments) wiring.addSegment(name, spec);
  for (const link of parts.links) wiring.addLink(link);
  for (const node of nodes) wiring.plugNamed(node);
  for (const [name, spec] of segments) wiring.plugListed(name, spec);
  return [...wiring.wires.values()];
}

class Wiring {
  readonly wires = new Map<string, Wire>();
  readonly #parts: LabParts;
  readonly #nodes: ReadonlyMap<string, ResolvedNode>;
  readonly #reporter: Reporter;
  /** By `node:interface`. */
  readonly #plugged = new Set<string>();

  constructor(parts: LabParts, nodes: readonly ResolvedNode[], reporter: Reporter) {
    this.#parts = parts;
    this.#nodes = new Map(nodes.map((node) => [node.name, node]));
    this.#reporter = reporter;
  }

  addSegment(name: string, spec: SegmentSpec): void {
    const path = ['segments', name];
    const { subnet, subnet6 = null, rangeStart } = spec;
    this.wires.set(name, {
      name,
      kind: 'lan',
      path,
      subnet,
      subnet6,
      rangeStart: rangeStart ?? null,
      netem: netemOf(spec, null, path, this.#reporter),
      members: [],
    });
  }

  addLink({ spec, path }: PlacedLink): void {
    const [a, b] = spec.endpoints;
    const { linkSubnet } = this.#parts.file.topology;
    const { subnet = linkSubnet === 'none' ? 'none' : null, subnet6 = null } = spec;
    const netem = netemOf(spec, null, path, this.#reporter);
    const name = this.#unused(
      [a.node, a.iface, '', b.node, b.iface].join('_').replace(/[^-_a-zA-Z0-9]/g, '-'),
    );
    const link: Wire = { name, kind: 'p2p', path, subnet, subnet6, rangeStart: null, netem, members: [] };
    this.wires.set(name, link);
    if (a.node === b.node) {
      this.#reporter.problem(
        [...path, 'endpoints'],
        `both ends are on ${a.node}`,
        'link two different nodes',
      );
      return;
    }
    for (const [i, end] of spec.endpoints.entries()) {
      const at = [...path, 'endpoints', i];
      const node = this.#find(end.node, at);
      if (node === undefined) continue;
      if (this.#plugged.has(`${end.node}:${end.iface}`)) {
        const message = `${end.node}:${end.iface} already ends another link`;
        this.#reporter.problem(at, message, 'give this end another interface');
      } else this.#plug(link, node, end.iface, spec.mtu, at);
    }
  }

  /** Plugs the interfaces that the node's own definition names. */
  plugNamed(node: ResolvedNode): void {
    const { broken, file } = this.#parts;
    for (const [iface, { segment }] of Object.entries(node.definition.interfaces ?? {})) {
      const path = node.origin('interfaces', iface);
      const linked = this.#plugged.has(`${node.name}:${iface}`);
      if (segment === undefined) {
        // What a group or kind says of an interface holds for the nodes that have it.
        if (linked || broken.links || broken.nodes.has(node.name) || path[1] !== 'nodes') continue;
        this.#reporter.problem(
          path,
          `${iface} is on no segment and ends no link`,
          'add segment: or a link',
          'key',
        );
        continue;
      }
      const lan = this.wires.get(segment);
      const spec = file.segments?.[segment];
      const at = node.origin('interfaces', iface, 'segment');
      if (lan === undefined || spec === undefined) {
        if (broken.segments.has(segment)) continue;
        const known = Object.keys(file.segments ?? {});
        this.#reporter.problem(at, `there is no segment '${segment}'`, suggest(segment, known));
      } else if (linked) {
        this.#reporter.problem(at, `${iface} also ends a link`, 'an interface has one wire; use another');
      } else this.#plug(lan, node, iface, spec.mtu, path);
    }
  }

  /** Plugs the nodes that a segment lists, and puts all that are on it in the order of addresses. */
  plugListed(name: string, spec: SegmentSpec): void {
    const lan = this.wires.get(name)!;
    const list = spec.nodes === 'all' ? [...this.#nodes.keys()] : (spec.nodes ?? []);
    const present = new Set(lan.members.map((port) => port.node.name));
    const seen = new Set<string>();
    for (const [i, member] of list.entries()) {
      const path: Path = spec.nodes === 'all' ? [...lan.path, 'nodes'] : [...lan.path, 'nodes', i];
      const node = this.#find(member, path);
      if (node === undefined) continue;
      if (seen.has(member)) this.#reporter.problem(path, `'${member}' stands here twice`, 'remove one');
      else if (!present.has(member)) this.#plug(lan, node, this.#free(node), spec.mtu, path);
      seen.add(member);
    }
    const order = new Map([...seen].map((member, i) => [member, i]));
    const rank = ({ node }: Port) => order.get(node.name) ?? order.size + node.number;
    lan.members.sort((a, b) => rank(a) - rank(b) || natural(a.iface, b.iface));
  }

  #plug(wire: Wire, node: ResolvedNode, iface: string, wireMtu: number | undefined, path: Path): void {
    const settings = node.definition.interfaces?.[iface];
    this.#plugged.add(`${node.name}:${iface}`);
    const mtu = settings?.mtu ?? wireMtu ?? DEFAULT_MTU;
    const netem = netemOf(settings ?? {}, wire.netem, path, this.#reporter);
    const given = settings?.address ?? null;
    const given6 = settings?.address6 ?? null;
    wire.members.push({ node, iface, wire, mtu, netem, given, given6, ra: settings?.ra === true, path });
  }

  #find(name: string, path: Path): ResolvedNode | undefined {
    const node = this.#nodes.get(name);
    if (node === undefined && !this.#parts.broken.nodes.has(name)) {
      this.#reporter.problem(path, `there is no node '${name}'`, suggest(name, [...this.#nodes.keys()]));
    }
    return node;
  }

  #free(node: ResolvedNode): string {
    for (let i = 0; ; i++) {
      const name = `eth${i}`;
      if (!this.#plugged.has(`${node.name}:${name}`) && node.definition.interfaces?.[name] === undefined)
        return name;
    }
  }

  #unused(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.wires.has(name); i++) name = `${wanted}-${i}`;
    return name;
  }
}

/** eth2 before eth10. */
export function natural(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
