import { basename, extname } from 'node:path';
import { formatIp4 } from '../../protocols/ip4.ts';
import { compileValues } from './compile.ts';
import type { CompiledLab } from './compiled.ts';
import { formatDuration } from './duration.ts';
import { Ports, type RawLink } from './generate/raw-lab.ts';
import { type Edge, type Graph, type Position, readGraph, type Vertex } from './graphml-graph.ts';
import { parseXml, XmlError } from './graphml-xml.ts';
import { formatProblem, LabError, type Path, type Place, type Problem, type Source } from './problem.ts';
import { slug } from './schema-types.ts';

/** Light in fibre takes 5 µs for a km. */
const MS_PER_KM = 0.005;

/** IUGG mean radius. */
const EARTH_RADIUS_KM = 6371.0088;

/** Delay of a link one end of which is nowhere, ms. */
const DEFAULT_DELAY = 1;

/** Private AS numbers of four octets begin here (RFC 6996). */
const FIRST_AS = 4_200_000_000;

/** LANs take their subnets from here on; links and loopbacks have 10.0.0.0/16 and 10.255.0.0/16. */
const FIRST_LAN = 0x0a010000;

/**
 * Makes a lab of a GraphML graph as the Internet Topology Zoo writes them: a router for every vertex, with an AS and a
 * loopback of its own, and eBGP on every edge, as long as the great circle. A vertex that is marked as a hyperedge is no
 * router: its neighbours share a LAN. The lab has the name of the file unless one is given.
 * @throws LabError with everything that is wrong with it.
 */
export function importGraphml(text: string, filename: string, name?: string): CompiledLab {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const make = (place: Place, message: string, mend: string): Problem => {
    return { file: filename, ...place, path: '', message, mend };
  };
  const report = (place: Place, message: string, mend: string) => problems.push(make(place, message, mend));
  const root = readRoot(text, report);
  const graph = root === null ? null : readGraph(root, report);
  if (graph?.vertices.length === 0) report({ line: 1, column: 1 }, 'the graph has no nodes', '');
  if (graph === null || problems.length > 0) throw new LabError(problems);

  const warn = (place: Place, message: string) => warnings.push(formatProblem(make(place, message, '')));
  const builder = new LabBuilder(graph, warn);
  builder.build();
  const labName = name ?? slug(basename(filename, extname(filename)));
  const raw = {
    name: labName === '' ? 'graphml' : labName,
    topology: builder.topology,
    segments: builder.segments,
  };
  return compileValues(raw, new PlacedSource(filename, builder.places), warnings);
}

function readRoot(text: string, report: (place: Place, message: string, mend: string) => void) {
  try {
    const root = parseXml(text).find((element) => element.tag === 'graphml');
    if (root !== undefined) return root;
    report({ line: 1, column: 1 }, 'this is XML and no <graphml>', '');
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    report(error.place, error.message, 'the XML is not well-formed here');
  }
  return null;
}

class PlacedSource implements Source {
  readonly file: string;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(file: string, places: ReadonlyMap<string, Place>) {
    this.file = file;
    this.#places = places;
  }

  placeOf(path: Path): Place {
    for (let length = path.length; length > 0; length--) {
      const place = this.#places.get(path.slice(0, length).join(' '));
      if (place !== undefined) return place;
    }
    return { line: 1, column: 1 };
  }
}

class LabBuilder {
  readonly topology: { nodes: Record<string, Record<string, unknown>>; links: RawLink[] } = {
    nodes: {},
    links: [],
  };
  readonly segments: Record<string, Record<string, unknown>> = {};
  /** By path, its parts joined with a space. */
  readonly places = new Map<string, Place>();
  readonly #graph: Graph;
  readonly #warn: (place: Place, message: string) => void;
  readonly #vertices: ReadonlyMap<string, Vertex>;
  /** Of the routers, by vertex id. */
  readonly #names = new Map<string, string>();
  readonly #ports = new Ports();
  #nextLan = FIRST_LAN;

  constructor(graph: Graph, warn: (place: Place, message: string) => void) {
    this.#graph = graph;
    this.#warn = warn;
    this.#vertices = new Map(graph.vertices.map((vertex) => [vertex.id, vertex]));
  }

  build(): void {
    this.#addRouters();
    const edges = this.#usableEdges();
    const lans = new Lans(this.#graph.vertices);
    for (const edge of edges) {
      const [a, b] = edge.ends.map((end) => this.#vertices.get(end)!);
      if (edge.kind === 'hyperedge') lans.add(edge);
      else if (a!.hyperedge || b!.hyperedge) lans.attach(a!, b!);
      else this.#addLink(a!, b!, edge);
    }
    for (const lan of lans.all()) this.#addLan(lan);
  }

  #addRouters(): void {
    const taken = new Set(['orchestrator']);
    const nowhere: Vertex[] = [];
    for (const vertex of this.#graph.vertices) {
      if (vertex.hyperedge) continue;
      const name = unused(taken, slug(vertex.label).slice(0, 50), `v${slug(vertex.id)}`);
      this.#names.set(vertex.id, name);
      if (vertex.position === null) nowhere.push(vertex);
      const labels = {
        ...(vertex.label === '' ? {} : { label: vertex.label }),
        ...(vertex.country === '' ? {} : { country: vertex.country }),
        ...(vertex.external ? { internal: 'false' } : {}),
      };
      this.topology.nodes[name] = { kind: 'router', labels, bgp: { as: FIRST_AS + this.#names.size } };
      this.places.set(`topology nodes ${name}`, vertex.place);
    }
    const [first] = nowhere;
    if (first === undefined) return;
    const names = nowhere.slice(0, 5).map(({ id }) => this.#names.get(id));
    const shown = `${names.join(', ')}${nowhere.length > 5 ? ', …' : ''}`;
    const delay = formatDuration(DEFAULT_DELAY);
    this.#warn(first.place, `${nowhere.length} without coordinates (${shown}): their links take ${delay}`);
  }

  /** Without loops, and with one edge for two that run there and back. */
  #usableEdges(): Edge[] {
    const edges: Edge[] = [];
    const waiting = new Map<string, number>();
    const pairs: Edge[] = [];
    for (const edge of this.#graph.edges) {
      const [a = '', b = ''] = edge.ends;
      if (edge.kind !== 'hyperedge' && a === b) {
        this.#warn(edge.place, `an edge from '${a}' to itself is left out`);
        continue;
      }
      if (edge.kind === 'directed') {
        const back = JSON.stringify([b, a]);
        const count = waiting.get(back) ?? 0;
        if (count > 0) {
          waiting.set(back, count - 1);
          pairs.push(edge);
          continue;
        }
        const there = JSON.stringify([a, b]);
        waiting.set(there, (waiting.get(there) ?? 0) + 1);
      }
      edges.push(edge);
    }
    const [first] = pairs;
    if (first !== undefined) {
      this.#warn(
        first.place,
        `${pairs.length} directed edges that lead back along another are the same link`,
      );
    }
    return edges;
  }

  #addLink(a: Vertex, b: Vertex, edge: Edge): void {
    const delay = delayBetween(a.position, b.position) ?? DEFAULT_DELAY;
    const index = this.topology.links.length;
    const link = this.#ports.link(this.#names.get(a.id)!, this.#names.get(b.id)!, formatDuration(delay));
    this.topology.links.push(link);
    this.places.set(`topology links ${index}`, edge.place);
  }

  #addLan({ label, members, place }: Lan): void {
    const routers = [...members].filter((id) => this.#names.has(id));
    if (routers.length < 2) {
      this.#warn(place, `a hyperedge with ${routers.length} routers on it joins nothing and is left out`);
      return;
    }
    const name = unused(new Set(Object.keys(this.segments)), slug(label).slice(0, 50), 'lan');
    const len = Math.min(24, 32 - Math.ceil(Math.log2(routers.length + 2)));
    const size = 2 ** (32 - len);
    const start = Math.ceil(this.#nextLan / size) * size;
    this.#nextLan = start + size;
    const delays = routers.flatMap((a, i) => routers.slice(i + 1).flatMap((b) => this.#delay(a, b) ?? []));
    const mean =
      delays.length === 0 ? DEFAULT_DELAY : delays.reduce((sum, ms) => sum + ms, 0) / delays.length;
    this.segments[name] = {
      subnet: `${formatIp4(start)}/${len}`,
      delay: formatDuration(mean),
      nodes: routers.map((id) => this.#names.get(id)),
    };
    this.places.set(`segments ${name}`, place);
  }

  #delay(a: string, b: string): number | null {
    return delayBetween(this.#vertices.get(a)?.position ?? null, this.#vertices.get(b)?.position ?? null);
  }
}

interface Lan {
  readonly label: string;
  /** Ids of the vertices on it, in the order they came. */
  readonly members: Set<string>;
  readonly place: Place;
}

/** The LANs that hyperedges stand for. Hyperedges that are next to each other are one LAN. */
class Lans {
  readonly #byVertex = new Map<string, Lan>();
  readonly #others = new Set<Lan>();

  constructor(vertices: readonly Vertex[]) {
    for (const { id, hyperedge, label, place } of vertices) {
      if (hyperedge) this.#byVertex.set(id, { label, members: new Set(), place });
    }
  }

  attach(a: Vertex, b: Vertex): void {
    const lanA = this.#byVertex.get(a.id);
    const lanB = this.#byVertex.get(b.id);
    if (lanA !== undefined && lanB !== undefined) this.#join(lanA, lanB);
    else if (lanA !== undefined) lanA.members.add(b.id);
    else lanB?.members.add(a.id);
  }

  /** A GraphML `<hyperedge>`. */
  add({ ends, place }: Edge): void {
    const lan: Lan = { label: '', members: new Set(), place };
    this.#others.add(lan);
    for (const end of ends) {
      const other = this.#byVertex.get(end);
      if (other === undefined) lan.members.add(end);
      else this.#join(lan, other);
    }
  }

  all(): Set<Lan> {
    return new Set([...this.#byVertex.values(), ...this.#others]);
  }

  #join(kept: Lan, gone: Lan): void {
    if (kept === gone) return;
    this.#others.delete(gone);
    for (const member of gone.members) kept.members.add(member);
    for (const [id, lan] of this.#byVertex) if (lan === gone) this.#byVertex.set(id, kept);
  }
}

/** One-way delay along the great circle, ms; null if one of the two is nowhere. */
function delayBetween(a: Position | null, b: Position | null): number | null {
  if (a === null || b === null) return null;
  const phi = radians(b.latitude - a.latitude);
  const lambda = radians(b.longitude - a.longitude);
  const cosines = Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude));
  const haversine = Math.sin(phi / 2) ** 2 + cosines * Math.sin(lambda / 2) ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(haversine))) * MS_PER_KM;
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

function unused(taken: Set<string>, wanted: string, otherwise: string): string {
  const base = wanted === '' ? otherwise : wanted;
  let name = base;
  for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
  taken.add(name);
  return name;
}
