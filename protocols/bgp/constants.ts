/** Numbers of the protocol: RFC 4271 §4, and the IANA registry of BGP parameters. */

export const BGP_PORT = 179;
export const BGP_VERSION = 4;

/** Marker (16), length (2), type (1). */
export const HEADER_LENGTH = 19;
/** Longest message without the extended-message capability, RFC 4271 §4. */
export const MAX_MESSAGE = 4096;
/** With it, RFC 8654 §3; OPEN and KEEPALIVE stay as they are. */
export const MAX_EXTENDED_MESSAGE = 65_535;

export const MessageType = {
  open: 1,
  update: 2,
  notification: 3,
  keepalive: 4,
  routeRefresh: 5,
} as const;

/** Stands for an AS number above 65535 in a 2-octet field, RFC 6793 §9. */
export const AS_TRANS = 23456;

const Afi = { ipv4: 1, ipv6: 2 } as const;
const Safi = { unicast: 1, multicast: 2 } as const;

/** An address family as capabilities, MP attributes and ROUTE-REFRESH name it. */
export interface Family {
  readonly afi: number;
  readonly safi: number;
}

export const IPV4_UNICAST: Family = { afi: Afi.ipv4, safi: Safi.unicast };
export const IPV6_UNICAST: Family = { afi: Afi.ipv6, safi: Safi.unicast };

export const FAMILIES = { ipv4: IPV4_UNICAST, ipv6: IPV6_UNICAST } as const;

/** Name of a family that the speaker carries; null of any other. */
export function familyName({ afi, safi }: Family): 'ipv4' | 'ipv6' | null {
  if (safi !== Safi.unicast) return null;
  return afi === Afi.ipv4 ? 'ipv4' : afi === Afi.ipv6 ? 'ipv6' : null;
}

export function sameFamily(a: Family, b: Family): boolean {
  return a.afi === b.afi && a.safi === b.safi;
}

/** Path attribute type codes. */
export const Attr = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  med: 4,
  localPref: 5,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  originatorId: 9,
  clusterList: 10,
  mpReach: 14,
  mpUnreach: 15,
  extendedCommunities: 16,
  as4Path: 17,
  as4Aggregator: 18,
  largeCommunities: 32,
} as const;

/** Path attribute flags, RFC 4271 §4.3. */
export const AttrFlag = { optional: 0x80, transitive: 0x40, partial: 0x20, extendedLength: 0x10 } as const;

/** LOCAL_PREF of a path that came without one, as every implementation has it. */
export const DEFAULT_LOCAL_PREF = 100;
