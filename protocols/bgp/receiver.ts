import { setU16, setU32 } from '../bytes.ts';
import type { AdjRibIn, Route } from './adj-rib-in.ts';
import type { UpdateContext, UpdateFault } from './attribute-decode.ts';
import type { AttributeTable } from './attribute-table.ts';
import type { PathAttributes } from './attributes.ts';
import { WellKnown } from './community.ts';
import type { FamilyName } from './config.ts';
import type { Damping } from './damping.ts';
import type { Destination } from './destination.ts';
import type { Importer } from './import.ts';
import type { LocRib } from './loc-rib.ts';
import { nlriKeys } from './mp-nlri.ts';
import { type NextHop, type NextHopTable, resolvableNextHop } from './nexthops.ts';
import { familyOf, type PrefixKey } from './nlri.ts';
import { CeaseError, ErrorCode, type Notification, notification } from './notification.ts';
import type { Path, Peer, Rejection } from './path.ts';
import type { Session } from './session.ts';
import { type Update, UpdateDecoder, type UpdateResult } from './update.ts';

/** What the receiver works on. */
export interface ReceiverContext {
  readonly locRib: LocRib;
  readonly nextHops: NextHopTable;
  readonly attributes: AttributeTable;
  /** null without route flap damping. */
  readonly damping: Damping | null;
}

/** Time and cause of what comes. */
export interface Arrival {
  readonly now: number;
  readonly cause: number;
}

interface Prefixes {
  readonly keys: readonly PrefixKey[];
  readonly pathIds: readonly number[] | null;
}

const OWN_CONTEXT: UpdateContext = { asSize: 4, peer: 'internal', pathIds: { ipv4: 'none', ipv6: 'none' } };

/** Share of a prefix limit from which a warning is given, as FRR has it. */
const WARN_AT = 0.75;

/** The way of an UPDATE from its bytes through the Adj-RIB-In to the candidates of the Loc-RIB. */
export class Receiver {
  readonly #context: ReceiverContext;
  readonly #decoder: UpdateDecoder;
  #lastFaults: readonly UpdateFault[] = [];

  constructor(context: ReceiverContext) {
    this.#context = context;
    this.#decoder = new UpdateDecoder(context.attributes);
  }

  /** What was wrong with the UPDATE last found faulty. */
  get lastFaults(): readonly UpdateFault[] {
    return this.#lastFaults;
  }

  /** Reads an UPDATE of our own making: with 4-octet AS numbers, and all attributes allowed. */
  decode(body: Uint8Array): UpdateResult {
    return this.#decoder.decode(body, OWN_CONTEXT);
  }

  /** Takes an UPDATE's body; the error that ends the session, or null. */
  update(
    session: Session,
    importer: Importer,
    peer: Peer,
    body: Uint8Array,
    context: UpdateContext,
    arrival: Arrival,
  ): Notification | null {
    const { stats } = session;
    stats.updatesReceived++;
    const result = this.#decoder.decode(body, context);
    if (result.action === 'session-reset') return result.error;
    if (result.action !== 'ok') {
      this.#lastFaults = result.faults;
      if (result.action === 'treat-as-withdraw') stats.treatedAsWithdraw++;
      stats.attributesDiscarded += result.faults.filter((each) => each.action === 'attribute-discard').length;
    }
    const { update } = result;
    this.#withdrawn(session, update.withdrawn, arrival);
    for (const nlri of update.mpWithdrawn) this.#withdrawn(session, nlriKeys(nlri), arrival);
    const { attributes, reach, mpReach, endOfRib } = update;
    if (attributes !== null) this.#reached(session, importer, peer, reach, attributes, arrival);
    if (mpReach !== null) {
      this.#reached(session, importer, peer, nlriKeys(mpReach.reach.nlri), mpReach.attributes, arrival);
    }
    if (endOfRib !== null) session.endOfRib(endOfRib);
    return overLimit(session, update);
  }

  /** The session is gone, and with it all that came over it. */
  lost({ name, ribIn }: Session, cause: number): void {
    this.#context.damping?.forget(name);
    for (const route of [...ribIn.routes()]) this.#remove(ribIn, route, cause);
  }

  /** The paths of a family that were stale and have not been told again; returns how many. */
  sweep({ ribIn }: Session, family: FamilyName, cause: number): number {
    const stale = ribIn.stale(family);
    for (const route of stale) this.#remove(ribIn, route, cause);
    return stale.length;
  }

  /** RFC 9494 §4.3: what is stale goes on as least preferred, but for paths that must not be kept for long. */
  keepLongLived({ ribIn }: Session, family: FamilyName, cause: number): number {
    const { attributes: table, locRib } = this.#context;
    const stale = ribIn.stale(family);
    for (const { destination, path } of stale) {
      const { communities } = path.attributes;
      if (communities.includes(WellKnown.noLlgr)) {
        this.#remove(ribIn, { destination, path }, cause);
        continue;
      }
      const marked = communities.includes(WellKnown.llgrStale)
        ? path.attributes
        : table.intern({ ...path.attributes, communities: [...communities, WellKnown.llgrStale] });
      const kept: Path = { ...path, attributes: marked, stale: 'long-lived' };
      ribIn.set(destination, kept);
      locRib.replace(destination, path, kept.rejection === null ? kept : null, cause);
    }
    return stale.length;
  }

  /** Judges anew what is in the Adj-RIB-In: policies, or what they look at, have changed. */
  reimport({ ribIn }: Session, importer: Importer, cause: number): void {
    for (const route of [...ribIn.routes()]) this.#rejudge(ribIn, route, importer, cause);
  }

  /** Damped routes that may be used again. */
  reuse(session: Session, importer: Importer, cause: number): void {
    const { ribIn } = session;
    for (const route of [...ribIn.routes()]) {
      const { destination, path } = route;
      if (path.rejection !== 'damped' || this.#isDamped(session, destination.key, path.pathId)) continue;
      this.#rejudge(ribIn, route, importer, cause);
    }
  }

  #rejudge(ribIn: AdjRibIn, { destination, path }: Route, importer: Importer, cause: number): void {
    const { attributes, rejection } = importer.judge(destination.key, path.received);
    if (attributes === path.attributes && rejection === path.rejection) return;
    const judged: Path = {
      ...path,
      attributes,
      rejection,
      nextHop: this.#nextHop(attributes, rejection, path.peer),
    };
    this.#put(ribIn, destination, path, judged, cause);
  }

  #withdrawn({ stats, ribIn, name, kind }: Session, prefixes: Prefixes, { cause, now }: Arrival): void {
    const { keys, pathIds } = prefixes;
    stats.importWithdraws += keys.length;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      const destination = this.#context.locRib.get(key);
      const path = destination && ribIn.get(destination, pathIds?.[i] ?? 0);
      if (destination === undefined || path === undefined) continue;
      if (kind === 'external') this.#context.damping?.withdrawn(name, key, path.pathId, now);
      this.#remove(ribIn, { destination, path }, cause);
    }
  }

  #reached(
    session: Session,
    importer: Importer,
    peer: Peer,
    { keys, pathIds }: Prefixes,
    received: PathAttributes,
    { now: at, cause }: Arrival,
  ): void {
    const { stats, ribIn } = session;
    const { locRib } = this.#context;
    // Within the AS all have to choose among the same routes.
    const damping = peer.kind === 'external' ? this.#context.damping : null;
    stats.importUpdates += keys.length;
    if (keys.length === 0) return;
    const telling = ribIn.telling(familyOf(keys[0]!));
    let shared: Path | null = null;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      const pathId = pathIds === null ? 0 : pathIds[i]!;
      const { attributes, rejection: refused } = importer.judge(key, received);
      const destination = locRib.destination(key);
      const old = ribIn.get(destination, pathId) ?? null;
      if (old !== null && old.received === received && old.peer === peer && old.stale === 'no') {
        if (ribIn.isStale(destination, old)) this.#put(ribIn, destination, old, { ...old, telling }, cause);
        continue;
      }
      let rejection = refused;
      if (damping !== null && rejection === null) {
        if (old !== null && old.received !== received) damping.changed(session.name, key, pathId, at);
        if (this.#isDamped(session, key, pathId)) rejection = 'damped';
      }
      if (rejection !== null) stats.importRejected++;
      if (
        shared === null ||
        shared.pathId !== pathId ||
        shared.attributes !== attributes ||
        shared.rejection !== rejection
      ) {
        const nextHop = this.#nextHop(attributes, rejection, peer);
        shared = {
          peer,
          pathId,
          received,
          attributes,
          nextHop,
          rejection,
          stale: 'no',
          at,
          telling,
        };
      }
      this.#put(ribIn, destination, old, shared, cause);
    }
  }

  #isDamped(session: Session, key: PrefixKey, pathId: number): boolean {
    const { damping } = this.#context;
    return damping?.isSuppressed(session.name, key, pathId, session.host.now) ?? false;
  }

  #nextHop(
    { nextHop, nextHop6 }: PathAttributes,
    rejection: Rejection | null,
    peer: Peer | null,
  ): NextHop | null {
    if (rejection !== null) return null;
    const { nextHops } = this.#context;
    if (nextHop !== null || nextHop6 === null) return nextHops.get(nextHop ?? 0);
    return nextHops.get(resolvableNextHop(nextHop6, peer?.link?.dev ?? ''));
  }

  /** Puts a path in the place of another, or of none. */
  #put(ribIn: AdjRibIn, destination: Destination, old: Path | null, path: Path, cause: number): void {
    const { locRib, nextHops } = this.#context;
    if (path.nextHop !== null) nextHops.acquire(path.nextHop);
    if (old !== null && old.nextHop !== null) nextHops.release(old.nextHop);
    ribIn.set(destination, path);
    locRib.replace(destination, old, path.rejection === null ? path : null, cause);
  }

  #remove(ribIn: AdjRibIn, { destination, path }: Route, cause: number): void {
    const { locRib, nextHops } = this.#context;
    if (path.nextHop !== null) nextHops.release(path.nextHop);
    ribIn.delete(destination, path);
    locRib.replace(destination, path, null, cause);
    locRib.sweep(destination);
  }
}

/** RFC 4486 §4: the limit of prefixes is passed. A warning comes once on the way there. */
function overLimit(session: Session, update: Update): Notification | null {
  const { maximumPrefixes } = session.neighbor;
  if (maximumPrefixes === undefined) return null;
  const { limit, warnAt = WARN_AT, action = 'reset' } = maximumPrefixes;
  const { size } = session.ribIn;
  if (size > warnAt * limit) session.warnOfPrefixes(size, limit);
  if (size <= limit || action === 'warn') return null;
  const data = new Uint8Array(7);
  setU16(data, 0, update.mpReach?.reach.nlri.family.afi ?? 1);
  data[2] = 1;
  setU32(data, 3, limit);
  return notification(ErrorCode.cease, CeaseError.maximumPrefixes, data);
}
