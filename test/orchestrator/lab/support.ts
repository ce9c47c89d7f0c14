import type { BgpNeighbor, NodeConfig } from '../../../nodes/config.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import type { CompiledLab } from '../../../orchestrator/lab/compiled.ts';
import { formatProblem, LabError } from '../../../orchestrator/lab/problem.ts';

export function compile(text: string): CompiledLab {
  return compileLab(text, 'lab.yaml');
}

/** All that is wrong with a lab file, as the user sees it. */
export function problemsOf(text: string): string[] {
  return problemsIn(() => compile(text));
}

export function problemsIn(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof LabError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

export function nodeOf(lab: CompiledLab, name: string): NodeConfig {
  const node = lab.nodes.find((candidate) => candidate.name === name);
  if (node === undefined) throw new Error(`no node ${name} in ${lab.name}`);
  return node;
}

export function neighborsOf(lab: CompiledLab, name: string): readonly BgpNeighbor[] {
  return nodeOf(lab, name).bgp?.neighbors ?? [];
}

/** `interface address/len`, in the order of the ports. */
export function addressesOf(lab: CompiledLab, name: string): string[] {
  return nodeOf(lab, name).interfaces.map(({ name: iface, addresses }) => `${iface} ${addresses.join(' ')}`);
}

/** `neighbour@address AS`, in order. */
export function sessionsOf(lab: CompiledLab, name: string): string[] {
  return neighborsOf(lab, name).map(({ name: peer, address, remoteAs }) => `${peer}@${address} ${remoteAs}`);
}
