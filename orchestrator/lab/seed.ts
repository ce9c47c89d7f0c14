import { deriveSeed } from '../../nodes/random.ts';
import type { CompiledLab } from './compiled.ts';

/** The lab with other dice. */
export function reseed(lab: CompiledLab, seed: number): CompiledLab {
  return { ...lab, seed, nodes: lab.nodes.map((node) => ({ ...node, seed: deriveSeed(seed, node.name) })) };
}
