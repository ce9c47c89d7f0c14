import type { InterfaceConfig, NodeConfig } from '../../nodes/config.ts';
import type { CompiledLab, CompiledSegment } from '../lab/compiled.ts';
import { suggest } from '../lab/suggest.ts';

/** What is captured: a whole wire, a node's end of one, or a device that is no end of a wire. */
export type CaptureTarget =
  | { readonly type: 'link'; readonly segment: CompiledSegment }
  | { readonly type: 'port'; readonly node: NodeConfig; readonly iface: InterfaceConfig }
  /** `place` is a node or a pod as the user named it. */
  | { readonly type: 'device'; readonly place: string; readonly device: string };

export class CaptureTargetError extends Error {
  override readonly name = 'CaptureTargetError';
}

/**
 * Reads `LINK`, `NODE:DEV` or `POD:DEV` (the pod also as `namespace/pod`). Whether a device or pod is there is the
 * lab's to say. No words mean every link.
 * @throws CaptureTargetError
 */
export function parseTargets(lab: CompiledLab, words: readonly string[]): CaptureTarget[] {
  if (words.length > 0) return [...new Set(words)].map((word) => parseTarget(lab, word));
  if (lab.segments.length === 0)
    throw new CaptureTargetError(`lab ${lab.name} has no link; name a device, as in n1:eth0`);
  return lab.segments.map((segment) => ({ type: 'link', segment }));
}

function parseTarget(lab: CompiledLab, word: string): CaptureTarget {
  const colon = word.indexOf(':');
  if (colon < 0) {
    const segment = lab.segments.find((candidate) => candidate.name === word);
    if (segment !== undefined) return { type: 'link', segment };
    const node = lab.nodes.find((candidate) => candidate.name === word);
    if (node !== undefined) {
      const ports = node.interfaces.map((iface) => `${word}:${iface.name}`);
      throw new CaptureTargetError(
        `${word} is a node; name one of its devices: ${[...ports, `${word}:lo`].join(', ')}`,
      );
    }
    const names = lab.segments.map((candidate) => candidate.name);
    throw new CaptureTargetError(
      `there is no link ${word} in lab ${lab.name}; ${suggest(word, names) || 'it has none'} (a device is written n1:eth0)`,
    );
  }
  const place = word.slice(0, colon);
  const device = word.slice(colon + 1);
  if (place === '' || device === '')
    throw new CaptureTargetError(`'${word}' names no device; write it like n1:eth0 or default/web-1:eth0`);
  const node = lab.nodes.find((candidate) => candidate.name === place);
  const iface = node?.interfaces.find((candidate) => candidate.name === device);
  if (node !== undefined && iface !== undefined) return { type: 'port', node, iface };
  return { type: 'device', place, device };
}

/** `lan`, `n1:eth0`, `default/web-1:eth0`: the interface's name in the capture. */
export function targetName(target: CaptureTarget): string {
  switch (target.type) {
    case 'link':
      return target.segment.name;
    case 'port':
      return `${target.node.name}:${target.iface.name}`;
    case 'device':
      return `${target.place}:${target.device}`;
  }
}
