/** `/etc/iproute2/rt_dsfield`: names of DSCPs (RFC 2474, RFC 2597, RFC 3246), as they stand in the type of service. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x00, 'default'],
  ...[1, 2, 3, 4].flatMap((group) =>
    [1, 2, 3].map((drop): [number, string] => [(group << 5) | (drop << 3), `AF${group}${drop}`]),
  ),
  ...[1, 2, 3, 4, 5, 6, 7].map((group): [number, string] => [group << 5, `CS${group}`]),
  [0xb8, 'EF'],
]);

/** A type of service by its name, or in hexadecimal with or without 0x; null if it is none (`rtnl_dsfield_a2n`). */
export function parseDsfield(text: string): number | null {
  for (const [value, name] of NAMES) if (name === text) return value;
  const value = /^(0x)?[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  return value <= 0xff ? value : null;
}

/** `rtnl_dsfield_n2a` */
export function dsfieldText(value: number): string {
  return NAMES.get(value) ?? `0x${value.toString(16).padStart(2, '0')}`;
}
