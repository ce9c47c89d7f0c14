import { broadcastOf, formatIp4, type Prefix } from '../ip4.ts';

/** The one range of a host-local IPAM configuration that gives only a subnet. All ends are included. */
export interface HostLocalRange {
  readonly start: number;
  readonly end: number;
  /** Never given out. */
  readonly gateway: number;
}

/** Defaults as in host-local's `Range.Canonicalize`: all addresses between network and broadcast, the first the gateway. */
export function hostLocalRange(subnet: Prefix): HostLocalRange {
  return { start: subnet.addr + 1, end: broadcastOf(subnet) - 1, gateway: subnet.addr + 1 };
}

/**
 * The address that host-local reserves next: round robin from the one after the last reserved, wrapping, past the gateway
 * and what is reserved (`RangeIter`). `last` is null, or outside the range, where there is none to go on from.
 * Null when the range is exhausted.
 */
export function nextHostLocal(
  range: HostLocalRange,
  last: number | null,
  isReserved: (addr: number) => boolean,
): number | null {
  const size = range.end - range.start + 1;
  const from = last !== null && last >= range.start && last <= range.end ? last - range.start + 1 : 0;
  for (let i = 0; i < size; i++) {
    const addr = range.start + ((from + i) % size);
    if (addr !== range.gateway && !isReserved(addr)) return addr;
  }
  return null;
}

/** The error that host-local answers an ADD with when the range is exhausted. */
export function exhaustedMessage(range: HostLocalRange): string {
  return `no IP addresses available in range set: ${formatIp4(range.start)}-${formatIp4(range.end)}`;
}
