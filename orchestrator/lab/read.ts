import { generate } from './generate/generate.ts';
import { reportIssues } from './issues.ts';
import type { Path, Reporter } from './problem.ts';
import { generateSchema, type LabFile, type LinkSpec, labSchema } from './schema.ts';

/** A lab file that has the right form, or what of it has. */
export interface LabParts {
  readonly file: LabFile;
  readonly links: readonly PlacedLink[];
  /** Nodes and segments that are there and were not understood: nothing more is said about them. */
  readonly broken: Broken;
}

export interface Broken {
  readonly nodes: ReadonlySet<string>;
  readonly segments: ReadonlySet<string>;
  readonly links: boolean;
  readonly cluster: boolean;
}

export interface PlacedLink {
  readonly spec: LinkSpec;
  readonly path: Path;
}

type Raw = Record<string, unknown>;

/**
 * Reads a lab's plain values: expands `generate` and checks the form. What is wrong is reported and left out, so that
 * the rest can still be checked for its sense. Null if too little is left for that.
 */
export function readLab(input: unknown, reporter: Reporter): LabParts | null {
  if (!isMap(input)) {
    const mend = 'start with `name:`, then `topology:` or `generate:`';
    reporter.problem([], input === null ? 'the file is empty' : 'a lab file is a map', mend);
    return null;
  }
  const raw = expand(input);
  fillEmpty(raw);
  const first = labSchema.safeParse(raw);
  if (first.success) return partsOf(first.data, NOTHING_BROKEN, null);
  const { issues } = first.error;
  reportIssues(
    raw.generate === undefined ? issues : issues.filter(({ path }) => path.join() !== 'topology'),
    raw,
    reporter,
  );
  const pruned = prune(
    raw,
    issues.map((issue) => issue.path.map(String)),
  );
  if (pruned === null) return null;
  const second = labSchema.safeParse(raw);
  return second.success ? partsOf(second.data, pruned.broken, pruned.linkIndex) : null;
}

const NOTHING_BROKEN: Broken = { nodes: new Set(), segments: new Set(), links: false, cluster: false };

function partsOf(file: LabFile, broken: Broken, linkIndex: readonly number[] | null): LabParts {
  const specs = file.topology.links ?? [];
  const links = specs.map((spec, i) => ({ spec, path: ['topology', 'links', linkIndex?.[i] ?? i] }));
  return { file, links, broken };
}

/** The file's own keys laid over what `generate` stands for; its links come before the generated ones. */
function expand(input: Raw): Raw {
  const spec = generateSchema.safeParse(input.generate);
  if (!spec.success) return overlay({}, input);
  return overlay({ ...generate(spec.data) }, input);
}

function overlay(base: Raw, over: Raw): Raw {
  const result = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const below = result.get(key);
    if (key === 'links' && Array.isArray(below) && Array.isArray(value))
      result.set(key, [...value, ...below]);
    else result.set(key, isMap(value) ? overlay(isMap(below) ? below : {}, value) : value);
  }
  return Object.fromEntries(result);
}

/** `n1:` with nothing after it is a node with nothing to say of itself. */
function fillEmpty(raw: Raw): void {
  const { topology } = raw;
  if (!isMap(topology)) return;
  for (const part of ['nodes', 'groups', 'kinds']) {
    const definitions = topology[part];
    if (!isMap(definitions)) continue;
    for (const [name, definition] of Object.entries(definitions)) definitions[name] = definition ?? {};
  }
}

/** Takes out of `raw` what the issues are about. Null if they are about what all else rests on. */
function prune(
  raw: Raw,
  paths: readonly (readonly string[])[],
): { readonly broken: Broken; readonly linkIndex: readonly number[] } | null {
  const topology = isMap(raw.topology) ? raw.topology : {};
  const nodes = new Set<string>();
  const segments = new Set<string>();
  const links = new Set<number>();
  let cluster = false;
  for (const [part = '', item, key] of paths) {
    if (part === 'topology' && key !== undefined && item === 'nodes') nodes.add(key);
    else if (part === 'topology' && key !== undefined && item === 'links') links.add(Number(key));
    else if (part === 'segments' && item !== undefined) segments.add(item);
    else if (part === 'cluster') cluster = true;
    else if (part === 'name') raw.name = 'lab';
    else if (part === 'seed' || part === 'timers') delete raw[part];
    else if (
      !(part === '' || (part === 'topology' && item === undefined && Object.hasOwn(topology, 'nodes')))
    )
      return null;
  }
  for (const key of Object.keys(raw)) if (!Object.hasOwn(labSchema.shape, key)) delete raw[key];
  for (const key of Object.keys(topology))
    if (!Object.hasOwn(labSchema.shape.topology.shape, key)) delete topology[key];
  if (isMap(topology.nodes)) for (const name of nodes) replace(topology.nodes, name);
  if (isMap(raw.segments)) for (const name of segments) delete raw.segments[name];
  if (cluster) delete raw.cluster;
  const all = Array.isArray(topology.links) ? topology.links : [];
  const linkIndex = all.map((_, i) => i).filter((i) => !links.has(i));
  if (links.size > 0) topology.links = linkIndex.map((i) => all[i]);
  return { broken: { nodes, segments, links: links.size > 0, cluster }, linkIndex };
}

/** Leaves a node that has a name in its place, so that node numbers and references hold. */
function replace(nodes: Raw, name: string): void {
  if (labSchema.shape.topology.shape.nodes.safeParse({ [name]: {} }).success) nodes[name] = {};
  else delete nodes[name];
}

function isMap(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
