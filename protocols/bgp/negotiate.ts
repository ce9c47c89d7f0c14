import type { AsSize } from './as-path.ts';
import type { UpdateContext } from './attribute-decode.ts';
import type { Capability } from './capability.ts';
import type { SpeakerTimings } from './config.ts';
import { BGP_VERSION, IPV4_UNICAST, sameFamily } from './constants.ts';
import { ErrorCode, type Notification, notification, OpenError } from './notification.ts';
import type { Open } from './open.ts';

/** Our side of a session. */
export interface LocalSide {
  readonly asn: number;
  readonly identifier: number;
  /** The AS that the neighbour is configured to be in. */
  readonly remoteAs: number;
  readonly timings: SpeakerTimings;
}

/** What two OPENs agree on. */
export interface Negotiated {
  readonly identifier: number;
  readonly asn: number;
  /** ms; 0 for neither timer. */
  readonly holdTime: number;
  readonly keepalive: number;
  readonly asSize: AsSize;
  readonly routeRefresh: 'yes' | 'no';
  readonly context: UpdateContext;
  readonly capabilities: readonly Capability[];
}

/** Hold Time as it goes into the OPEN, s. */
export function holdTimeSeconds(holdTime: number): number {
  if (holdTime <= 0) return 0;
  return Math.min(0xffff, Math.max(3, Math.round(holdTime / 1000)));
}

export function localOpen({ asn, identifier, timings }: LocalSide): Open {
  return {
    version: BGP_VERSION,
    asn,
    holdTime: holdTimeSeconds(timings.holdTime),
    identifier,
    capabilities: [
      { type: 'multiprotocol', family: IPV4_UNICAST },
      { type: 'route-refresh' },
      { type: 'four-octet-as', asn },
    ],
  };
}

/**
 * What of the session bears on its UPDATEs, from the OPENs of both sides alone, so that a reader of a log can tell
 * as well as the speakers themselves.
 */
export function updateContext(local: Open, remote: Open): UpdateContext {
  const fourOctets = [local, remote].every((open) => has(open, 'four-octet-as'));
  return {
    asSize: fourOctets ? 4 : 2,
    peer: local.asn === remote.asn ? 'internal' : 'external',
    pathIds: { ipv4: 'none', ipv6: 'none' },
  };
}

function has(open: Open, type: Capability['type']): boolean {
  return open.capabilities.some((capability) => capability.type === type);
}

/** Holds the peer's OPEN against the configuration (RFC 4271 §6.2, RFC 6286 §2.1-2.2), and what can be agreed on. */
export function negotiate(side: LocalSide, remote: Open): Negotiated | Notification {
  if (remote.asn !== side.remoteAs) return notification(ErrorCode.openMessage, OpenError.badPeerAs);
  if (remote.asn === side.asn && remote.identifier === side.identifier) {
    return notification(ErrorCode.openMessage, OpenError.badIdentifier);
  }
  const local = localOpen(side);
  if (!carriesIpv4(remote)) {
    const capability = Uint8Array.of(1, 4, 0, IPV4_UNICAST.afi, 0, IPV4_UNICAST.safi);
    return notification(ErrorCode.openMessage, OpenError.unsupportedCapability, capability);
  }
  const context = updateContext(local, remote);
  const seconds = Math.min(local.holdTime, remote.holdTime);
  const holdTime = seconds === local.holdTime ? Math.max(0, side.timings.holdTime) : 1000 * seconds;
  return {
    identifier: remote.identifier,
    asn: remote.asn,
    holdTime,
    keepalive: holdTime === 0 ? 0 : Math.min(side.timings.keepalive, holdTime / 3),
    asSize: context.asSize,
    routeRefresh: has(remote, 'route-refresh') ? 'yes' : 'no',
    context,
    capabilities: remote.capabilities,
  };
}

/** RFC 4760 §8: a speaker that announces no family at all means IPv4 unicast. */
function carriesIpv4(open: Open): boolean {
  const families = open.capabilities.filter((capability) => capability.type === 'multiprotocol');
  return families.length === 0 || families.some(({ family }) => sameFamily(family, IPV4_UNICAST));
}

/**
 * RFC 4271 §6.8, RFC 6286 §2.3: of two connections, the one opened by the speaker with the higher identifier stays,
 * or with the higher AS number where the identifiers are equal.
 */
export function survivor(side: LocalSide, remote: Open): 'outgoing' | 'incoming' {
  const higher =
    side.identifier === remote.identifier ? side.asn > remote.asn : side.identifier > remote.identifier;
  return higher ? 'outgoing' : 'incoming';
}
