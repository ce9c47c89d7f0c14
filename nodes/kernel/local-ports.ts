import type { Netns } from './netns.ts';

/** `net.ipv4.ip_local_port_range`: the first and the last. */
export function localPortRange(text: string): readonly [number, number] {
  const [first = 0, last = 0] = text.split('\t').map(Number);
  return [first, last];
}

/** A free port for a socket that asks for none, of `net.ipv4.ip_local_port_range`; null if none is free (EADDRNOTAVAIL). */
export function ephemeralPort(ns: Netns, isFree: (port: number) => boolean): number | null {
  const [first, last] = localPortRange(ns.sysctls.ipv4.ip_local_port_range);
  const start = ns.kernel.rt.random.int(first, last);
  const count = last - first + 1;
  for (let i = 0; i < count; i++) {
    const port = first + ((start - first + i) % count);
    if (isFree(port)) return port;
  }
  return null;
}
