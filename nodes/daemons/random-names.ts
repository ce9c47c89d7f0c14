import type { Random } from '../runtime.ts';

/** Lower-case hex digits. */
export function randomHex(random: Random, digits: number): string {
  let text = '';
  for (let i = 0; i < digits; i++) text += random.int(0, 15).toString(16);
  return text;
}

/** A locally administered unicast MAC, as the kernel's `eth_random_addr` makes them. */
export function randomMac(random: Random): number {
  const first = (random.int(0, 255) & 0xfe) | 0x02;
  return first * 2 ** 40 + random.int(0, 0xffffff) * 2 ** 16 + random.int(0, 0xffff);
}

/** Name of a network namespace as containerd gives them: `cni-` and a UUID. */
export function netnsName(random: Random): string {
  const hex = (digits: number) => randomHex(random, digits);
  return `cni-${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`;
}
