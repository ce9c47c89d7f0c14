import type { NeighborPool } from './neighbor-pool.ts';
import type { SysctlDirectory, SysctlValue } from './sysctl.ts';

/** `net.FAMILY.neigh.default`: how many neighbours a node may know, in all its namespaces. */
export function neighborLimits(family: 'ipv4' | 'ipv6', pool: NeighborPool): SysctlDirectory {
  const values: { [name: string]: SysctlValue } = {};
  for (const key of ['gcThresh1', 'gcThresh2', 'gcThresh3'] as const) {
    Object.defineProperty(values, `gc_thresh${key.at(-1)}`, {
      get: () => pool[key],
      set: (value: number) => {
        pool[key] = value;
      },
    });
  }
  const limit = { min: 0 };
  return {
    path: `${family}.neigh.default`,
    variables: { gc_thresh1: limit, gc_thresh2: limit, gc_thresh3: limit },
    values: () => values,
  };
}
