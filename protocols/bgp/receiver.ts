import type { UpdateContext, UpdateFault } from './attribute-decode.ts';
import type { AttributeTable, PathAttributes } from './attributes.ts';
import { type ImportContext, rejectionOf } from './import.ts';
import type { LocRib } from './loc-rib.ts';
import type { MpNlri } from './mp-nlri.ts';
import type { NextHopTable } from './nexthops.ts';
import type { PrefixKey } from './nlri.ts';
import type { Notification } from './notification.ts';
import type { Path, Peer } from './path.ts';
import type { Session } from './session.ts';
import { type Update, UpdateDecoder } from './update.ts';

/** What the receiver works on. */
export interface ReceiverContext extends ImportContext {
  readonly locRib: LocRib;
  readonly nextHops: NextHopTable;
  readonly attributes: AttributeTable;
}

/** Time and cause of what comes. */
export interface Arrival {
  readonly now: number;
  readonly cause: number;
}

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

  /** Takes an UPDATE's body; the error that ends the session, or null. */
  update(
    session: Session,
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
    this.#apply(session, peer, result.update, arrival);
    return null;
  }

  /** The session is gone, and with it all that came over it. */
  lost({ ribIn }: Session, cause: number): void {
    const paths = [...ribIn.paths()];
    ribIn.clear();
    for (const path of paths) this.#drop(path, cause);
  }

  #apply(session: Session, peer: Peer, update: Update, arrival: Arrival): void {
    this.#withdrawn(session, update.withdrawn.keys, arrival);
    for (const nlri of update.mpWithdrawn) this.#withdrawn(session, ipv4Keys(nlri), arrival);
    const { attributes, reach, mpReach, endOfRib } = update;
    if (attributes !== null) this.#reached(session, peer, reach.keys, attributes, arrival);
    if (mpReach !== null) {
      this.#reached(session, peer, ipv4Keys(mpReach.reach.nlri), mpReach.attributes, arrival);
    }
    if (endOfRib !== null) session.endOfRib(endOfRib);
  }

  #withdrawn({ stats, ribIn }: Session, keys: readonly PrefixKey[], { cause }: Arrival): void {
    stats.importWithdraws += keys.length;
    for (const key of keys) {
      const destination = this.#context.locRib.get(key);
      const path = destination && ribIn.get(destination);
      if (path === undefined) continue;
      ribIn.delete(path.destination);
      this.#drop(path, cause);
    }
  }

  #reached(
    { stats, ribIn }: Session,
    peer: Peer,
    keys: readonly PrefixKey[],
    attributes: PathAttributes,
    { now: at, cause }: Arrival,
  ): void {
    const { locRib, nextHops } = this.#context;
    const rejection = rejectionOf(attributes, peer, this.#context);
    stats.importUpdates += keys.length;
    if (rejection !== null) stats.importRejected += keys.length;
    for (const key of keys) {
      const destination = locRib.destination(key);
      const old = ribIn.get(destination) ?? null;
      if (old?.attributes === attributes) continue;
      const nextHop = rejection === null ? nextHops.acquire(attributes.nextHop ?? 0) : null;
      const path: Path = { destination, peer, pathId: 0, attributes, nextHop, rejection, at };
      ribIn.set(path);
      if (old !== null && old.nextHop !== null) nextHops.release(old.nextHop);
      locRib.replace(destination, old, rejection === null ? path : null, cause);
    }
  }

  /** A path that its Adj-RIB-In has given up. */
  #drop(path: Path, cause: number): void {
    const { locRib, nextHops } = this.#context;
    if (path.nextHop !== null) nextHops.release(path.nextHop);
    locRib.replace(path.destination, path, null, cause);
    locRib.sweep(path.destination);
  }
}

function ipv4Keys(nlri: MpNlri): readonly PrefixKey[] {
  return nlri.type === 'ipv4' ? nlri.list.keys : [];
}
