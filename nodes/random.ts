import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Random } from './runtime.ts';

const UNIT = 2 ** 32;

/** A seeded generator (xoroshiro128+). Equal seeds give equal sequences on every machine. */
export function seededRandom(seed: number): Random {
  const generator = xoroshiro128plus(seed | 0);
  return {
    int: (from, to) => uniformInt(generator, from, to),
    unit: () => (generator.next() >>> 0) / UNIT,
  };
}

/** Derives an independent seed from a lab's seed and a name, so that adding a node moves no other node's dice (FNV-1a). */
export function deriveSeed(seed: number, name: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
