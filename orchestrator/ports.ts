import type { CompiledLab } from './lab/compiled.ts';
import { suggest } from './lab/suggest.ts';

/** A physical port of a node. */
export interface Port {
  readonly node: string;
  readonly device: string;
}

export class PortError extends Error {
  override readonly name = 'PortError';
}

/**
 * Ports that a text stands for: `n1:eth0` for itself, a link or segment for all its ends, a node for all its interfaces.
 * @throws PortError
 */
export function portsOf(lab: CompiledLab, target: string): readonly Port[] {
  const segment = lab.segments.find(({ name }) => name === target);
  if (segment !== undefined) return segment.members.map(({ node, iface }) => ({ node, device: iface }));
  const [node = '', device, ...rest] = target.split(':');
  const found = lab.nodes.find(({ name }) => name === node);
  if (found === undefined || rest.length > 0) {
    const known = [...lab.segments.map(({ name }) => name), ...lab.nodes.map(({ name }) => name)];
    throw new PortError(`'${target}' is neither a link nor node:interface; ${suggest(node, known)}`);
  }
  const names = found.interfaces.map(({ name }) => name);
  if (device === undefined) return names.map((name) => ({ node, device: name }));
  if (names.includes(device)) return [{ node, device }];
  throw new PortError(`node ${node} has no interface ${device}; it has: ${names.join(', ')}`);
}

/** What is wrong with such a text; null if nothing is. */
export function portsProblem(lab: CompiledLab, target: string): string | null {
  try {
    portsOf(lab, target);
    return null;
  } catch (error) {
    if (error instanceof PortError) return error.message;
    throw error;
  }
}
