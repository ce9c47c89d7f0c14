/** MAC addresses as numbers below 2^48. */

export const BROADCAST_MAC = 0xffffffffffff;

const HIGH = 2 ** 32;

/** Six colon-separated hex octets to number; null if it is not that. */
export function parseMac(text: string): number | null {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return null;
  return Number.parseInt(text.replaceAll(':', ''), 16);
}

export function formatMac(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?=.)/g, '$&:');
}

/** Whether the group bit is set: broadcast or multicast. */
export function isGroupMac(mac: number): boolean {
  return Math.floor(mac / 2 ** 40) % 2 === 1;
}

export function readMac(buf: Uint8Array, off: number): number {
  const high = (buf[off]! << 8) | buf[off + 1]!;
  const low = ((buf[off + 2]! << 24) | (buf[off + 3]! << 16) | (buf[off + 4]! << 8) | buf[off + 5]!) >>> 0;
  return high * HIGH + low;
}

export function writeMac(buf: Uint8Array, off: number, mac: number): void {
  const high = Math.floor(mac / HIGH);
  buf[off] = high >>> 8;
  buf[off + 1] = high;
  buf[off + 2] = mac / 2 ** 24;
  buf[off + 3] = mac / 2 ** 16;
  buf[off + 4] = mac / 2 ** 8;
  buf[off + 5] = mac;
}

/** The MAC that Docker (before 28) gives the endpoint of an address: 02:42 and the address' four bytes. */
export function dockerMac(ip4: number): number {
  return 0x0242 * HIGH + ip4;
}
