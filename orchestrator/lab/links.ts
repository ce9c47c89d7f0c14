import type { CompiledLab } from './compiled.ts';

/** The device at the other end of a point-to-point link; null for a port on a LAN, or one that there is not. */
export function farEnd(
  lab: CompiledLab,
  node: string,
  device: string,
): { readonly node: string; readonly device: string } | null {
  for (const { kind, members } of lab.segments) {
    if (kind !== 'p2p' || !members.some((member) => member.node === node && member.iface === device))
      continue;
    const far = members.find((member) => member.node !== node || member.iface !== device);
    return far === undefined ? null : { node: far.node, device: far.iface };
  }
  return null;
}
