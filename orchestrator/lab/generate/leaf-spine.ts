import { formatDuration } from '../duration.ts';
import type { GenerateSpec } from '../schema.ts';
import { type GeneratedLab, numbered, Ports } from './raw-lab.ts';

const SPINE_AS = 65000;

/**
 * A two-tier Clos fabric with eBGP as RFC 7938 §5.2 numbers it: one AS for all spines, one for each leaf. Leaf k's hosts
 * share the segment `rack<k>`, where the leaf is the gateway.
 */
export function generateLeafSpine(spec: Extract<GenerateSpec, { kind: 'leaf-spine' }>): GeneratedLab {
  const spines = numbered('spine', spec.spines);
  const leaves = numbered('leaf', spec.leaves);
  const hosts = spec.hosts ?? 0;
  const delay = formatDuration(spec.delay ?? 0);
  const ports = new Ports();
  const nodes: Record<string, Record<string, unknown>> = {};
  const segments: Record<string, Record<string, unknown>> = {};
  for (const spine of spines) nodes[spine] = { kind: 'router', bgp: { as: SPINE_AS } };
  for (const [i, leaf] of leaves.entries()) {
    const subnet = rackSubnet(i);
    const bgp = { as: SPINE_AS + 1 + i, maximumPaths: spines.length };
    nodes[leaf] = { kind: 'router', bgp: hosts === 0 ? bgp : { ...bgp, networks: [subnet] } };
    if (hosts === 0) continue;
    const names = numbered(`h${i + 1}-`, hosts);
    segments[`rack${i + 1}`] = { subnet, delay, nodes: [leaf, ...names] };
    for (const host of names) nodes[host] = { kind: 'host' };
  }
  const links = leaves.flatMap((leaf) => spines.map((spine) => ports.link(leaf, spine, delay)));
  return { topology: { nodes, links }, segments };
}

/** 10.1.1.0/24 on, 250 racks in each 10.x. */
function rackSubnet(index: number): string {
  return `10.${1 + Math.floor(index / 250)}.${1 + (index % 250)}.0/24`;
}
