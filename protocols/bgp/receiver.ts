import { setU16, setU32 } from '../bytes.ts';
import type { UpdateContext, UpdateFault } from './attribute-decode.ts';
import type { AttributeTable, PathAttributes } from './attributes.ts';
import { WellKnown } from './community.ts';
import type { FamilyName } from './config.ts';
import type { Damping } from './damping.ts';
import type { Importer } from './import.ts';
import type { LocRib } from './loc-rib.ts';
import { nlriKeys } from './mp-nlri.ts';
import type { NextHopTable } from './nexthops.ts';
import type { PrefixKey } from './nlri.ts';
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
    const paths = [...ribIn.paths()];
    ribIn.clear();
    this.#context.damping?.forget(name);
    for (const path of paths) this.#drop(path, cause);
  }

  /** The paths of a family that were stale and have not been told again; returns how many. */
  sweep({ ribIn }: Session, family: FamilyName, cause: number): number {
    const stale = ribIn.takeStale(family);
    for (const path of stale) {
      ribIn.delete(path);
      this.#drop(path, cause);
    }
    return stale.length;
  }

  /** RFC 9494 §4.3: what is stale goes on as least preferred, but for paths that must not be kept for long. */
  keepLongLived({ ribIn }: Session, family: FamilyName, cause: number): number {
    const { attributes: table, locRib } = this.#context;
    const stale = ribIn.takeStale(family);
    for (const path of stale) {
      const { communities } = path.attributes;
      if (communities.includes(WellKnown.noLlgr)) {
        ribIn.delete(path);
        this.#drop(path, cause);
        continue;
      }
      const marked = communities.includes(WellKnown.llgrStale)
        ? path.attributes
        : table.intern({ ...path.attributes, communities: [...communities, WellKnown.llgrStale] });
      const kept: Path = { ...path, attributes: marked, stale: 'long-lived' };
      ribIn.set(kept);
      locRib.replace(path.destination, path, kept.rejection === null ? kept : null, cause);
    }
    ribIn.markStale(family);
    return stale.length;
  }

  /** Judges anew what is in the Adj-RIB-In: policies, or what they look at, have changed. */
  reimport({ ribIn }: Session, importer: Importer, { cause }: Arrival): void {
    for (const path of [...ribIn.paths()]) {
      if (path.peer === null) continue;
      const { attributes, rejection } = importer.judge(path.destination.key, path.received);
      if (attributes === path.attributes && rejection === path.rejection) continue;
      this.#replace(path, path.peer, attributes, rejection, { now: path.at, cause }, ribIn);
    }
  }

  /** Damped routes that may be used again. */
  reuse(session: Session, importer: Importer, { cause }: Arrival): void {
    for (const path of [...session.ribIn.paths()]) {
      if (path.rejection !== 'damped' || path.peer === null) continue;
      if (this.#isDamped(session, path.destination.key, path.pathId)) continue;
      const { attributes, rejection } = importer.judge(path.destination.key, path.received);
      this.#replace(path, path.peer, attributes, rejection, { now: path.at, cause }, session.ribIn);
    }
  }

  #withdrawn({ stats, ribIn, name }: Session, prefixes: Prefixes, { cause, now }: Arrival): void {
    const { keys, pathIds } = prefixes;
    stats.importWithdraws += keys.length;
    for (let i = 0; i < keys.length; i++) {
      const destination = this.#context.locRib.get(keys[i]!);
      const path = destination && ribIn.get(destination, pathIds?.[i] ?? 0);
      if (path === undefined) continue;
      this.#context.damping?.withdrawn(name, path.destination.key, path.pathId, now);
      ribIn.delete(path);
      this.#drop(path, cause);
    }
  }

  #reached(
    session: Session,
    importer: Importer,
    peer: Peer,
    { keys, pathIds }: Prefixes,
    received: PathAttributes,
    arrival: Arrival,
  ): void {
    const { stats, ribIn } = session;
    const { locRib, nextHops, damping } = this.#context;
    stats.importUpdates += keys.length;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      const pathId = pathIds === null ? 0 : pathIds[i]!;
      const imported = importer.judge(key, received);
      const { attributes } = imported;
      const destination = locRib.destination(key);
      const old = ribIn.get(destination, pathId) ?? null;
      if (old !== null && old.received === received && old.peer === peer && old.stale === 'no') {
        ribIn.confirm(old);
        continue;
      }
      let { rejection } = imported;
      if (damping !== null && rejection === null) {
        if (old !== null && old.received !== received)
          damping.changed(session.name, key, pathId, arrival.now);
        if (this.#isDamped(session, key, pathId)) rejection = 'damped';
      }
      if (rejection !== null) stats.importRejected++;
      const nextHop =
        rejection === null ? nextHops.acquire(attributes.nextHop ?? attributes.nextHop6 ?? 0) : null;
      const path: Path = {
        destination,
        peer,
        pathId,
        received,
        attributes,
        nextHop,
        rejection,
        stale: 'no',
        at: arrival.now,
      };
      ribIn.set(path);
      if (old !== null && old.nextHop !== null) nextHops.release(old.nextHop);
      locRib.replace(destination, old, rejection === null ? path : null, arrival.cause);
    }
  }

  #isDamped(session: Session, key: PrefixKey, pathId: number): boolean {
    const { damping } = this.#context;
    return damping?.isSuppressed(session.name, key, pathId, session.host.now) ?? false;
  }

  #replace(
    old: Path,
    peer: Peer,
    attributes: PathAttributes,
    rejection: Rejection | null,
    { now: at, cause }: Arrival,
    ribIn: Session['ribIn'],
  ): void {
    const { locRib, nextHops } = this.#context;
    const nextHop =
      rejection === null ? nextHops.acquire(attributes.nextHop ?? attributes.nextHop6 ?? 0) : null;
    const path: Path = { ...old, peer, attributes, nextHop, rejection, at };
    ribIn.set(path);
    if (old.nextHop !== null) nextHops.release(old.nextHop);
    locRib.replace(old.destination, old, rejection === null ? path : null, cause);
  }

  /** A path that its Adj-RIB-In has given up. */
  #drop(path: Path, cause: number): void {
    const { locRib, nextHops } = this.#context;
    if (path.nextHop !== null) nextHops.release(path.nextHop);
    locRib.replace(path.destination, path, null, cause);
    locRib.sweep(path.destination);
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
