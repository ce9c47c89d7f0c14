import type { Path } from './problem.ts';
import type { Kind, LabFile, NodeDefinition, TimerOverrides } from './schema.ts';

/** A node's definition after inheritance. */
export interface ResolvedNode {
  readonly name: string;
  readonly number: number;
  readonly kind: Kind;
  readonly definition: NodeDefinition;
  /** Where the file says what the node has at a path of its definition: with the node, or with what it inherits from. */
  origin(...rest: Path): Path;
}

/**
 * Works out every node's definition as containerlab does: what the node says wins over its group, that over its kind,
 * that over `defaults`. Maps are merged key by key, anything else is taken whole.
 */
export function inherit(topology: LabFile['topology']): ResolvedNode[] {
  const { defaults, kinds = {}, groups = {}, nodes } = topology;
  return Object.entries(nodes).map(([name, own], i) => {
    const kindOf = (group: string | undefined) =>
      own.kind ?? groups[group ?? '']?.kind ?? defaults?.kind ?? 'node';
    const group = own.group ?? kinds[kindOf(undefined)]?.group ?? defaults?.group;
    const kind = kindOf(group);
    const layers: { readonly path: Path; readonly definition: NodeDefinition }[] = [
      { path: ['topology', 'nodes', name], definition: own },
    ];
    const groupDefinition = groups[group ?? ''];
    if (group !== undefined && groupDefinition !== undefined) {
      layers.push({ path: ['topology', 'groups', group], definition: groupDefinition });
    }
    const kindDefinition = kinds[kind];
    if (kindDefinition !== undefined)
      layers.push({ path: ['topology', 'kinds', kind], definition: kindDefinition });
    if (defaults !== undefined) layers.push({ path: ['topology', 'defaults'], definition: defaults });
    const definition = layers
      .map((layer) => layer.definition)
      .reduceRight((base, over) => merge(base, over), {});
    return {
      name,
      number: i + 1,
      kind,
      definition: { ...definition, kind, ...(group === undefined ? {} : { group }) },
      origin: (...rest) => {
        const layer = layers.find((candidate) => has(candidate.definition, rest)) ?? layers[0]!;
        return [...layer.path, ...rest];
      },
    };
  });
}

function merge(base: NodeDefinition, over: NodeDefinition): NodeDefinition {
  const merged: NodeDefinition = { ...base, ...over };
  if (base.labels !== undefined) merged.labels = { ...base.labels, ...over.labels };
  if (base.bgp !== undefined) merged.bgp = { ...base.bgp, ...over.bgp };
  if (base.timers !== undefined) merged.timers = mergeTimers(base.timers, over.timers ?? {});
  if (base.external !== undefined) merged.external = { ...base.external, ...over.external };
  if (base.daemon !== undefined) merged.daemon = { ...base.daemon, ...over.daemon };
  if (base.docker !== undefined) merged.docker = { ...base.docker, ...over.docker };
  if (base.openflow !== undefined) merged.openflow = { ...base.openflow, ...over.openflow };
  if (base.controller !== undefined) merged.controller = { ...base.controller, ...over.controller };
  if (base.interfaces !== undefined) {
    merged.interfaces = { ...base.interfaces };
    for (const [name, iface] of Object.entries(over.interfaces ?? {})) {
      merged.interfaces[name] = { ...base.interfaces[name], ...iface };
    }
  }
  return merged;
}

export function mergeTimers(base: TimerOverrides, over: TimerOverrides): TimerOverrides {
  return {
    bgp: { ...base.bgp, ...over.bgp },
    neighbor: { ...base.neighbor, ...over.neighbor },
    bridge: { ...base.bridge, ...over.bridge },
    tcp: { ...base.tcp, ...over.tcp },
    flannel: { ...base.flannel, ...over.flannel },
  };
}

function has(value: unknown, path: Path): boolean {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return false;
    at = Reflect.get(at, step);
  }
  return true;
}
