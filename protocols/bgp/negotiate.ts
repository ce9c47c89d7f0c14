import type { IpFamily } from '../ip.ts';
import type { AsSize } from './as-path.ts';
import type { UpdateContext } from './attribute-decode.ts';
import type { Capability } from './capability.ts';
import type { FamilyName, GracefulRestartConfig, NeighborOptions, SpeakerTimings } from './config.ts';
import {
  BGP_VERSION,
  FAMILIES,
  type Family,
  familyName,
  IPV4_UNICAST,
  IPV6_UNICAST,
  MAX_EXTENDED_MESSAGE,
  MAX_MESSAGE,
  sameFamily,
} from './constants.ts';
import type { MpPathIds } from './mp-nlri.ts';
import { ErrorCode, type Notification, notification, OpenError } from './notification.ts';
import type { Open } from './open.ts';

/** Our side of a session. */
export interface LocalSide {
  readonly asn: number;
  readonly identifier: number;
  /** The AS numbers that the neighbour may be in. */
  readonly remoteAs: readonly number[];
  readonly timings: SpeakerTimings;
  readonly options: NeighborOptions;
  /** Family of the session's own addresses. */
  readonly transport: IpFamily;
  /** null without graceful restart. */
  readonly gracefulRestart: GracefulRestartConfig | null;
  /** Whether this speaker has just restarted, and has kept its forwarding state through it. */
  readonly restarting: 'no' | 'forwarding-lost' | 'forwarding-kept';
}

/** The peer's promise of RFC 4724 and RFC 9494. */
export interface PeerRestart {
  /** How long we are to keep its routes once it has gone, ms. */
  readonly time: number;
  readonly notification: 'ends-it' | 'does-not-end-it';
  /** Families that it restarts gracefully; those of them whose forwarding state it has kept. */
  readonly families: readonly FamilyName[];
  readonly kept: readonly FamilyName[];
  /** Long-lived stale time by family, ms. */
  readonly longLived: ReadonlyMap<FamilyName, number>;
  readonly restarting: 'yes' | 'no';
}

/** What two OPENs agree on. */
export interface Negotiated {
  readonly identifier: number;
  readonly asn: number;
  /** ms; 0 for neither timer. */
  readonly holdTime: number;
  readonly keepalive: number;
  readonly asSize: AsSize;
  readonly routeRefresh: 'enhanced' | 'yes' | 'no';
  /** Families that both ends carry. */
  readonly families: readonly FamilyName[];
  /** Longest message, bytes. */
  readonly maxMessage: number;
  /** What the peer's UPDATEs are read by. */
  readonly context: UpdateContext;
  /** Path identifiers in ours. */
  readonly sendsPathIds: MpPathIds;
  /** Whether IPv4 routes may have IPv6 next hops, RFC 8950. */
  readonly extendedNextHop: 'yes' | 'no';
  /** null if graceful restart is not agreed on. */
  readonly restart: PeerRestart | null;
  readonly capabilities: readonly Capability[];
}

/** Hold Time as it goes into the OPEN, s. */
export function holdTimeSeconds(holdTime: number): number {
  if (holdTime <= 0) return 0;
  return Math.min(0xffff, Math.max(3, Math.round(holdTime / 1000)));
}

function seconds(ms: number, limit: number): number {
  return Math.min(limit, Math.max(0, Math.round(ms / 1000)));
}

function familiesOf({ families = ['ipv4'] }: NeighborOptions): readonly Family[] {
  return families.map((name) => FAMILIES[name]);
}

export function localOpen(side: LocalSide): Open {
  const { asn, identifier, timings, options } = side;
  return {
    version: BGP_VERSION,
    asn,
    holdTime: holdTimeSeconds(options.holdTime ?? timings.holdTime),
    identifier,
    capabilities: localCapabilities(side),
  };
}

/** RFC 8950 where it can be of use: an IPv6 next hop has to come from somewhere. */
function offersExtendedNextHop({ options, transport }: LocalSide): boolean {
  const { families = ['ipv4'], extendedNextHop = 'on' } = options;
  const useful = transport === 'inet6' || families.includes('ipv6');
  return extendedNextHop === 'on' && useful && families.includes('ipv4');
}

function localCapabilities(side: LocalSide): Capability[] {
  const { asn, options, gracefulRestart, restarting } = side;
  const families = familiesOf(options);
  const { addPath = 'off', extendedMessages = 'on' } = options;
  const capabilities: Capability[] = [
    ...families.map((family): Capability => ({ type: 'multiprotocol', family })),
    { type: 'route-refresh' },
  ];
  if (offersExtendedNextHop(side)) {
    const entries = [{ family: IPV4_UNICAST, nextHopAfi: IPV6_UNICAST.afi }];
    capabilities.push({ type: 'extended-next-hop', entries });
  }
  if (extendedMessages === 'on') capabilities.push({ type: 'extended-message' });
  if (gracefulRestart !== null) {
    const kept = families.map((family) => ({
      family,
      forwardingPreserved: restarting === 'forwarding-kept',
    }));
    capabilities.push({
      type: 'graceful-restart',
      restarting: restarting !== 'no',
      notification: gracefulRestart.notification !== 'off',
      time: seconds(gracefulRestart.restartTime, 4095),
      families: kept,
    });
    const longLived = seconds(gracefulRestart.longLivedTime ?? 0, 0xff_ffff);
    if (longLived > 0) {
      capabilities.push({
        type: 'long-lived-graceful-restart',
        families: kept.map((entry) => ({ ...entry, time: longLived })),
      });
    }
  }
  capabilities.push({ type: 'four-octet-as', asn });
  if (addPath !== 'off') {
    capabilities.push({ type: 'add-path', families: families.map((family) => ({ family, mode: addPath })) });
  }
  capabilities.push({ type: 'enhanced-route-refresh' });
  return capabilities;
}

/**
 * What of the session bears on the UPDATEs that the first speaker receives, from the OPENs of both sides alone, so that a
 * reader of a log can tell as well as the speakers themselves.
 */
export function updateContext(receiver: Open, sender: Open): UpdateContext {
  const fourOctets = [receiver, sender].every((open) => has(open, 'four-octet-as'));
  return {
    asSize: fourOctets ? 4 : 2,
    peer: receiver.asn === sender.asn ? 'internal' : 'external',
    pathIds: {
      ipv4: carriesPathIds(receiver, sender, IPV4_UNICAST) ? 'present' : 'none',
      ipv6: carriesPathIds(receiver, sender, IPV6_UNICAST) ? 'present' : 'none',
    },
  };
}

function has(open: Open, type: Capability['type']): boolean {
  return open.capabilities.some((capability) => capability.type === type);
}

/** RFC 8950 §4: IPv6 next hops of IPv4 unicast. */
function takesExtendedNextHop(open: Open): boolean {
  return open.capabilities.some(
    (capability) =>
      capability.type === 'extended-next-hop' &&
      capability.entries.some(
        ({ family, nextHopAfi }) => sameFamily(family, IPV4_UNICAST) && nextHopAfi === IPV6_UNICAST.afi,
      ),
  );
}

/** RFC 7911 §4: the receiver is able to receive, and the sender to send. */
function carriesPathIds(receiver: Open, sender: Open, family: Family): boolean {
  const receives = addPathMode(receiver, family);
  const sends = addPathMode(sender, family);
  return (receives === 'receive' || receives === 'both') && (sends === 'send' || sends === 'both');
}

/** RFC 7911 §4: of several entries for one family the last counts. */
function addPathMode(open: Open, family: Family): 'receive' | 'send' | 'both' | null {
  let mode: 'receive' | 'send' | 'both' | null = null;
  for (const capability of open.capabilities) {
    if (capability.type !== 'add-path') continue;
    for (const entry of capability.families) if (sameFamily(entry.family, family)) mode = entry.mode;
  }
  return mode;
}

/** Holds the peer's OPEN against the configuration (RFC 4271 §6.2, RFC 6286 §2.1-2.2), and what can be agreed on. */
export function negotiate(side: LocalSide, remote: Open): Negotiated | Notification {
  if (!side.remoteAs.includes(remote.asn)) return notification(ErrorCode.openMessage, OpenError.badPeerAs);
  if (remote.asn === side.asn && remote.identifier === side.identifier) {
    return notification(ErrorCode.openMessage, OpenError.badIdentifier);
  }
  const local = localOpen(side);
  const theirs = announcedFamilies(remote);
  const ours = side.options.families ?? ['ipv4'];
  const families = ours.filter((name) => theirs.some((family) => sameFamily(family, FAMILIES[name])));
  if (families.length === 0) {
    const wanted = familiesOf(side.options).flatMap(({ afi, safi }) => [1, 4, 0, afi, 0, safi]);
    return notification(ErrorCode.openMessage, OpenError.unsupportedCapability, Uint8Array.from(wanted));
  }
  const context = updateContext(local, remote);
  const agreed = Math.min(local.holdTime, remote.holdTime);
  const configured = side.options.holdTime ?? side.timings.holdTime;
  const holdTime = agreed === local.holdTime ? Math.max(0, configured) : 1000 * agreed;
  const extended = has(local, 'extended-message') && has(remote, 'extended-message');
  return {
    identifier: remote.identifier,
    asn: remote.asn,
    holdTime,
    keepalive: holdTime === 0 ? 0 : Math.min(side.options.keepalive ?? side.timings.keepalive, holdTime / 3),
    asSize: context.asSize,
    routeRefresh: !has(remote, 'route-refresh')
      ? 'no'
      : has(remote, 'enhanced-route-refresh')
        ? 'enhanced'
        : 'yes',
    families,
    maxMessage: extended ? MAX_EXTENDED_MESSAGE : MAX_MESSAGE,
    context,
    sendsPathIds: updateContext(remote, local).pathIds,
    extendedNextHop: takesExtendedNextHop(local) && takesExtendedNextHop(remote) ? 'yes' : 'no',
    restart: side.gracefulRestart === null ? null : peerRestart(side.gracefulRestart, remote, families),
    capabilities: remote.capabilities,
  };
}

function peerRestart(
  own: GracefulRestartConfig,
  remote: Open,
  families: readonly FamilyName[],
): PeerRestart | null {
  let graceful: Extract<Capability, { type: 'graceful-restart' }> | null = null;
  const longLived = new Map<FamilyName, number>();
  for (const capability of remote.capabilities) {
    if (capability.type === 'graceful-restart') graceful = capability;
    if (capability.type !== 'long-lived-graceful-restart') continue;
    for (const { family, time } of capability.families) {
      const name = familyName(family);
      if (name !== null && families.includes(name)) longLived.set(name, 1000 * time);
    }
  }
  if (graceful === null) return null;
  const named = (which: 'all' | 'kept') =>
    (graceful?.families ?? []).flatMap(({ family, forwardingPreserved }) => {
      const name = familyName(family);
      const counts = name !== null && families.includes(name) && (which === 'all' || forwardingPreserved);
      return counts ? [name] : [];
    });
  return {
    time: 1000 * graceful.time,
    notification: graceful.notification && own.notification !== 'off' ? 'does-not-end-it' : 'ends-it',
    families: named('all'),
    kept: named('kept'),
    longLived,
    restarting: graceful.restarting ? 'yes' : 'no',
  };
}

/** RFC 4760 §8: a speaker that announces no family at all means IPv4 unicast. */
function announcedFamilies(open: Open): readonly Family[] {
  const families = open.capabilities.flatMap((capability) =>
    capability.type === 'multiprotocol' ? [capability.family] : [],
  );
  return families.length === 0 ? [IPV4_UNICAST] : families;
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
