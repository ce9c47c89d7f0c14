import { formatIp4 } from '../ip4.ts';

/** Well-known communities: RFC 1997, RFC 3765, RFC 7999, RFC 8326, RFC 9494. */
export const WellKnown = {
  gracefulShutdown: 0xffff0000,
  llgrStale: 0xffff0006,
  noLlgr: 0xffff0007,
  blackhole: 0xffff029a,
  noExport: 0xffffff01,
  noAdvertise: 0xffffff02,
  noExportSubconfed: 0xffffff03,
  noPeer: 0xffffff04,
} as const;

/** Three 32-bit numbers, RFC 8092. */
export type LargeCommunity = readonly [global: number, local1: number, local2: number];

/** Eight bytes as two 32-bit numbers, RFC 4360. */
export type ExtendedCommunity = readonly [high: number, low: number];

/** `65000:100`, or the name of a well-known one. */
export function formatCommunity(community: number): string {
  switch (community) {
    case WellKnown.gracefulShutdown:
      return 'graceful-shutdown';
    case WellKnown.llgrStale:
      return 'llgr-stale';
    case WellKnown.noLlgr:
      return 'no-llgr';
    case WellKnown.blackhole:
      return 'blackhole';
    case WellKnown.noExport:
      return 'no-export';
    case WellKnown.noAdvertise:
      return 'no-advertise';
    case WellKnown.noExportSubconfed:
      return 'local-AS';
    case WellKnown.noPeer:
      return 'no-peer';
    default:
      return `${community >>> 16}:${community & 0xffff}`;
  }
}

export function formatLargeCommunity(community: LargeCommunity): string {
  return community.join(':');
}

/** `rt:65000:100`, `ro:10.0.0.1:5` for the types of RFC 4360 §4-5 and RFC 5668; `0x…` for any other. */
export function formatExtendedCommunity([high, low]: ExtendedCommunity): string {
  const type = (high >>> 24) & 0xbf;
  const subtype = (high >>> 16) & 0xff;
  const name = subtype === 2 ? 'rt' : subtype === 3 ? 'ro' : null;
  if (name !== null && type === 0) return `${name}:${high & 0xffff}:${low}`;
  if (name !== null && (type === 1 || type === 2)) {
    const administrator = (((high & 0xffff) << 16) | (low >>> 16)) >>> 0;
    return `${name}:${type === 1 ? formatIp4(administrator) : administrator}:${low & 0xffff}`;
  }
  return `0x${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
}
