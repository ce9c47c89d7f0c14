import { descendants, type XmlElement } from './graphml-xml.ts';
import type { Place } from './problem.ts';

/** A vertex of a GraphML graph, with what the Internet Topology Zoo says of it. */
export interface Vertex {
  readonly id: string;
  /** '' where there is none. */
  readonly label: string;
  readonly country: string;
  /** Degrees; null where one of the two is missing or out of range. */
  readonly position: Position | null;
  /** A neighbouring network's router, which the map shows only as an end (`Internal` = 0). */
  readonly external: boolean;
  /** Stands for a shared medium and not for a router. */
  readonly hyperedge: boolean;
  readonly place: Place;
}

export interface Position {
  readonly latitude: number;
  readonly longitude: number;
}

export interface Edge {
  /** Two vertices; any number for a GraphML `<hyperedge>`. */
  readonly ends: readonly string[];
  readonly kind: 'undirected' | 'directed' | 'hyperedge';
  readonly place: Place;
}

export interface Graph {
  readonly vertices: readonly Vertex[];
  readonly edges: readonly Edge[];
}

type Report = (place: Place, message: string, mend: string) => void;

interface Key {
  readonly name: string;
  readonly target: string;
  readonly fallback: string;
}

/** Reads the first graph of a GraphML document, nested graphs and all. Null, reported, if there is none. */
export function readGraph(root: XmlElement, report: Report): Graph | null {
  const graph = root.children.find((child) => child.tag === 'graph');
  if (graph === undefined) {
    report(root.place, 'there is no <graph> in it', '');
    return null;
  }
  const keys = new Map<string, Key>();
  for (const { tag, attributes, children } of root.children) {
    if (tag !== 'key' || attributes.id === undefined) continue;
    const fallback = children.find((child) => child.tag === 'default')?.text ?? '';
    keys.set(attributes.id, {
      name: (attributes['attr.name'] ?? '').toLowerCase(),
      target: attributes.for ?? 'all',
      fallback,
    });
  }
  const vertices = new Map<string, Vertex>();
  for (const element of descendants(graph, 'node')) {
    const { id } = element.attributes;
    if (id === undefined) report(element.place, 'a <node> without an id', 'add id="…"');
    else if (vertices.has(id))
      report(element.place, `node id '${id}' is there twice`, 'renumber one of the two');
    else vertices.set(id, readVertex(id, element, keys));
  }
  const directed =
    isTrue(dataOf(graph, 'graph', keys).get('directed')) || graph.attributes.edgedefault === 'directed';
  const edges: Edge[] = [];
  for (const element of descendants(graph, 'edge', 'hyperedge')) {
    const ends = endsOf(element);
    const unknown = ends.filter((end) => end === undefined || !vertices.has(end));
    for (const end of unknown) {
      const what = `a <${element.tag}>`;
      if (end === undefined)
        report(element.place, `${what} that does not say where it ends`, 'add source and target');
      else
        report(
          element.place,
          `${what} to '${end}', and there is no such node`,
          'add the node or remove the edge',
        );
    }
    if (unknown.length > 0) continue;
    const own = element.attributes.directed;
    const kind = (own === undefined ? directed : isTrue(own)) ? 'directed' : 'undirected';
    edges.push({
      ends: ends.filter((end) => end !== undefined),
      kind: element.tag === 'hyperedge' ? 'hyperedge' : kind,
      place: element.place,
    });
  }
  return { vertices: [...vertices.values()], edges };
}

function endsOf(element: XmlElement): (string | undefined)[] {
  if (element.tag === 'edge') return [element.attributes.source, element.attributes.target];
  return element.children.filter((child) => child.tag === 'endpoint').map((child) => child.attributes.node);
}

function readVertex(id: string, element: XmlElement, keys: ReadonlyMap<string, Key>): Vertex {
  const data = dataOf(element, 'node', keys);
  const latitude = degrees(data.get('latitude'), 90);
  const longitude = degrees(data.get('longitude'), 180);
  return {
    id,
    label: labelOf(element, data.get('label') ?? ''),
    country: data.get('country') ?? '',
    position: latitude === null || longitude === null ? null : { latitude, longitude },
    external: isFalse(data.get('internal')),
    hyperedge: isTrue(data.get('hyperedge')) || data.get('type')?.toLowerCase() === 'hyperedge',
    place: element.place,
  };
}

/** The Zoo writes None where it knows no label; yEd keeps it in the drawing. */
function labelOf(element: XmlElement, label: string): string {
  if (label !== '' && label !== 'None') return label;
  const drawn = element.children
    .filter((child) => child.tag === 'data')
    .flatMap((child) => [...descendants(child, 'NodeLabel')]);
  return drawn.find(({ text }) => text !== '')?.text ?? '';
}

/** Values by the names of their keys, in small letters. */
function dataOf(element: XmlElement, target: string, keys: ReadonlyMap<string, Key>): Map<string, string> {
  const data = new Map<string, string>();
  for (const key of keys.values()) {
    if (key.fallback !== '' && (key.target === target || key.target === 'all'))
      data.set(key.name, key.fallback);
  }
  for (const { tag, attributes, text } of element.children) {
    const key = tag === 'data' ? keys.get(attributes.key ?? '') : undefined;
    if (key !== undefined && key.name !== '' && (key.target === target || key.target === 'all'))
      data.set(key.name, text);
  }
  return data;
}

function degrees(text: string | undefined, limit: number): number | null {
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  return Math.abs(value) <= limit ? value : null;
}

function isTrue(text: string | undefined): boolean {
  return text === '1' || text?.toLowerCase() === 'true';
}

function isFalse(text: string | undefined): boolean {
  return text === '0' || text?.toLowerCase() === 'false';
}
