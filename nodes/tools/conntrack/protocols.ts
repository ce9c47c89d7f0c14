/** Protocols that conntrack knows by name; all others are `unknown`. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [47, 'gre'],
  [58, 'icmpv6'],
  [132, 'sctp'],
  [136, 'udplite'],
]);

export function protocolName(proto: number): string {
  return NAMES.get(proto) ?? 'unknown';
}

/** Number of a protocol by its name in any case, or by its number; null if conntrack has none such. */
export function protocolNumber(text: string): number | null {
  for (const [number, name] of NAMES)
    if (text.toLowerCase() === name || text === String(number)) return number;
  return null;
}
