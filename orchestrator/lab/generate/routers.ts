import { formatDuration } from '../duration.ts';
import type { GenerateSpec } from '../schema.ts';
import { type GeneratedLab, numbered, Ports } from './raw-lab.ts';

type RoutersSpec = Exclude<GenerateSpec, { kind: 'cluster' } | { kind: 'leaf-spine' }>;

/** As many as there are two-octet private AS numbers from 65001 on (RFC 6996). */
const TWO_OCTET = 534;

/** Routers `r1`… with an AS each and eBGP on every link. */
export function generateRouters(spec: RoutersSpec): GeneratedLab {
  const names = numbered('r', spec.nodes);
  const firstAs = spec.as ?? (names.length <= TWO_OCTET ? 65001 : 4_200_000_001);
  const delay = formatDuration(spec.delay ?? 0);
  const ports = new Ports();
  const nodes = Object.fromEntries(
    names.map((name, i) => [name, { kind: 'router', bgp: { as: firstAs + i } }]),
  );
  const links = pairs(spec.kind, names.length).map(([a, b]) => ports.link(names[a]!, names[b]!, delay));
  return { topology: { nodes, links } };
}

/** Indices of the routers that are linked. A star's hub is the first. */
function pairs(kind: RoutersSpec['kind'], count: number): [number, number][] {
  const indices = Array.from({ length: count }, (_, i) => i);
  switch (kind) {
    case 'line':
      return indices.slice(1).map((i) => [i - 1, i]);
    case 'ring':
      return indices.map((i) => [i, (i + 1) % count]);
    case 'star':
      return indices.slice(1).map((i) => [0, i]);
    case 'clique':
      return indices.flatMap((i) => indices.slice(i + 1).map((j): [number, number] => [i, j]));
  }
}
