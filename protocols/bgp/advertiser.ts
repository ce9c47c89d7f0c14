import { AdjRibOut, type AnnouncementTaker, type OutTarget } from './adj-rib-out.ts';
import type { PathAttributes } from './attributes.ts';
import type { FamilyName } from './config.ts';
import { FAMILIES } from './constants.ts';
import { rankPaths } from './decision.ts';
import type { Destination } from './destination.ts';
import type { Exporter } from './export.ts';
import type { SpeakerHost, TimerHandle } from './host.ts';
import type { LocRib } from './loc-rib.ts';
import { familyOf, type PrefixKey } from './nlri.ts';
import type { Path } from './path.ts';
import { encodeRouteRefresh, RefreshSubtype } from './route-refresh.ts';
import { encodeEndOfRib, type PackContext, type UpdatePacker } from './update.ts';

export interface AdvertiserOptions extends PackContext {
  /** MinRouteAdvertisementInterval, ms; 0 for none. */
  readonly mrai: number;
  readonly mraiAppliesTo: 'advertisements' | 'all';
  readonly families: readonly FamilyName[];
  /** ADD-PATH: how many paths to a destination are told at most. */
  readonly addPathLimit: number;
  /** The numbers that paths go by. */
  readonly pathIdOf: (path: Path) => number;
  /** Shared by all advertisers of a speaker: what one packs it sends before another begins. */
  readonly packer: UpdatePacker;
}

/** What the advertiser needs of its session. */
export interface AdvertiserOwner {
  readonly host: SpeakerHost;
  later(delay: number, run: () => void): TimerHandle;
  /** RFC 4271 §10: between 0.75 and 1 times the value. */
  jittered(time: number): number;
  send(message: Uint8Array): void;
  readonly blocked: boolean;
  readonly stats: { exportUpdates: number; exportWithdraws: number };
}

/** A path to a destination that goes by a number of its own. */
interface PathTarget extends OutTarget {
  readonly destination: Destination;
  readonly pathId: number;
}

type Target = Destination | PathTarget;

/** Keeps one established peer informed: Adj-RIB-Out, its packing into UPDATEs, and their timing. */
export class Advertiser {
  /** What goes without a path identifier, by destination. */
  readonly ribOut: AdjRibOut<Destination>;
  /** What goes with one. */
  readonly pathsOut: AdjRibOut<PathTarget>;
  readonly #owner: AdvertiserOwner;
  #exporter: Exporter;
  readonly #locRib: LocRib;
  readonly #options: AdvertiserOptions;
  readonly #packer: UpdatePacker;
  readonly #taker = this.#announcementTaker<Destination>(() => 0);
  readonly #pathTaker = this.#announcementTaker<PathTarget>(({ pathId }) => pathId);
  readonly #targets = new Map<Destination, Map<number, PathTarget>>();
  readonly #freeIndexes: number[] = [];
  #indexes = 0;
  /** Attributes of the message that is being packed, null for withdrawals; and the latest cause of what is in it. */
  #packing: PathAttributes | null = null;
  #cause = 0;
  #mrai: TimerHandle | null = null;
  readonly #endOfRibDue: Set<FamilyName>;
  readonly #endOfRefreshDue = new Set<FamilyName>();
  /** Families that were asked for anew before they had been told for the first time. */
  readonly #refreshDue = new Set<FamilyName>();
  /** End-of-RIB is not sent, and nothing else, until this speaker has heard from its own peers (RFC 4724 §4.1). */
  #deferred: boolean;

  constructor(
    owner: AdvertiserOwner,
    exporter: Exporter,
    locRib: LocRib,
    options: AdvertiserOptions,
    deferred: 'deferred' | 'at-once' = 'at-once',
  ) {
    this.#owner = owner;
    this.#exporter = exporter;
    this.#locRib = locRib;
    this.ribOut = new AdjRibOut(() => locRib.destinations());
    this.pathsOut = new AdjRibOut(() => this.#allTargets());
    this.#options = options;
    this.#packer = options.packer;
    this.#endOfRibDue = new Set(options.families);
    this.#deferred = deferred === 'deferred';
    if (this.sendsPaths) locRib.watchCandidates();
  }

  /** Whether the peer is told of more paths than the best. */
  get sendsPaths(): boolean {
    const { ipv4, ipv6 } = this.#options.pathIds;
    return ipv4 === 'present' || ipv6 === 'present';
  }

  /** Destinations whose news has yet to go out, and the End-of-RIB markers. */
  get pending(): number {
    const markers = this.#endOfRibDue.size + this.#endOfRefreshDue.size;
    return this.ribOut.pending + this.pathsOut.pending + markers;
  }

  /** Prefixes, or paths with ADD-PATH, that the peer has been told of. */
  get size(): number {
    return this.ribOut.size + this.pathsOut.size;
  }

  /** What the peer holds: prefix, path identifier (0 without ADD-PATH), attributes. */
  *advertised(): Generator<readonly [Destination, number, PathAttributes]> {
    for (const [destination, attributes] of this.ribOut.advertised()) yield [destination, 0, attributes];
    for (const [target, attributes] of this.pathsOut.advertised()) {
      yield [target.destination, target.pathId, attributes];
    }
  }

  /** Why the peer is not told of a path; null if it is. For display. */
  withheld(path: Path, key: PrefixKey): string | null {
    const result = this.#exporter.judge(path, key);
    return typeof result === 'string' ? result : null;
  }

  /** The best path of a destination is another now, or with ADD-PATH any of its paths, for that cause. */
  update(destination: Destination, cause: number): void {
    const family = familyOf(destination.key);
    if (!this.#options.families.includes(family)) return;
    if (this.#options.pathIds[family] === 'present') this.#updatePaths(destination, cause);
    else {
      const { best } = destination;
      this.ribOut.schedule(
        destination,
        best === null ? null : this.#exporter.export(best, destination.key),
        cause,
      );
    }
  }

  #updatePaths(destination: Destination, cause: number): void {
    const { addPathLimit, pathIdOf } = this.#options;
    const paths = rankPaths(destination.paths, this.#locRib.options, addPathLimit);
    const known = this.#targets.get(destination);
    const wanted = new Set<number>();
    for (const path of paths) {
      const attributes = this.#exporter.export(path, destination.key);
      if (attributes === null) continue;
      const pathId = pathIdOf(path);
      wanted.add(pathId);
      this.pathsOut.schedule(this.#target(destination, pathId), attributes, cause);
    }
    for (const [pathId, target] of known ?? []) {
      if (!wanted.has(pathId)) this.pathsOut.schedule(target, null, cause);
      if (target.holders === 0) this.#forgetTarget(target);
    }
  }

  #target(destination: Destination, pathId: number): PathTarget {
    let targets = this.#targets.get(destination);
    if (targets === undefined) {
      targets = new Map();
      this.#targets.set(destination, targets);
      destination.holders++;
    }
    let target = targets.get(pathId);
    if (target === undefined) {
      const index = this.#freeIndexes.pop() ?? this.#indexes++;
      target = { key: destination.key, destination, pathId, index, holders: 0 };
      targets.set(pathId, target);
    }
    return target;
  }

  #forgetTarget({ destination, pathId, index }: PathTarget): void {
    const targets = this.#targets.get(destination);
    if (targets === undefined || !targets.delete(pathId)) return;
    this.#freeIndexes.push(index);
    if (targets.size > 0) return;
    this.#targets.delete(destination);
    destination.holders--;
    this.#locRib.sweep(destination);
  }

  *#allTargets(): Generator<PathTarget> {
    for (const targets of this.#targets.values()) yield* targets.values();
  }

  /** Everything there is, for a peer that has nothing yet, or because what it is to be told is judged by other rules now. */
  announceAll(cause: number): void {
    for (const destination of this.#locRib.destinations()) {
      if (destination.best !== null) this.update(destination, cause);
    }
  }

  /** From now on this decides on what the peer is told. */
  setExporter(exporter: Exporter, cause: number): void {
    this.#exporter = exporter;
    this.announceAll(cause);
  }

  /** What was held back goes out. */
  release(): void {
    this.#deferred = false;
    this.flush();
  }

  /**
   * Sends what may be sent now: withdrawals, and unless the MRAI timer runs announcements, which start it (RFC 4271
   * §9.2.1.1). Stops when the connection takes no more; what is left goes when it does again.
   */
  flush(): void {
    if (this.#deferred || this.pending === 0 || this.#owner.blocked) return;
    const held = this.#mrai !== null;
    if (!held || this.#options.mraiAppliesTo === 'advertisements') {
      const sent = this.#sendWithdrawals();
      if (sent && this.#options.mraiAppliesTo === 'all') this.#startMrai();
    }
    if (!held && !this.#owner.blocked) {
      if (this.#sendAnnouncements()) this.#startMrai();
      if (this.ribOut.pending + this.pathsOut.pending > 0) return;
      for (const family of this.#endOfRibDue) {
        if (this.#owner.blocked) return;
        this.#endOfRibDue.delete(family);
        this.#owner.send(encodeEndOfRib(family));
      }
      if (this.#refreshDue.size > 0) {
        this.#beginRefreshes();
        return;
      }
      for (const family of this.#endOfRefreshDue) {
        if (this.#owner.blocked) return;
        this.#endOfRefreshDue.delete(family);
        this.#owner.send(encodeRouteRefresh({ family: FAMILIES[family], subtype: RefreshSubtype.end }));
      }
    }
  }

  /**
   * Tells the peer again all that it holds of a family (RFC 2918 §4), between BoRR and EoRR where the peer knows what these
   * are (RFC 7313 §4.2).
   */
  refresh(family: FamilyName, markers: 'marked' | 'plain'): void {
    if (!this.#options.families.includes(family)) return;
    if (markers === 'marked') {
      // RFC 7313 §4: not before the End-of-RIB.
      if (this.#endOfRibDue.has(family)) {
        this.#refreshDue.add(family);
        return;
      }
      this.#owner.send(encodeRouteRefresh({ family: FAMILIES[family], subtype: RefreshSubtype.begin }));
      this.#endOfRefreshDue.add(family);
    }
    const which = ({ key }: Target) => familyOf(key) === family;
    this.ribOut.retell(which);
    this.pathsOut.retell(which);
  }

  #beginRefreshes(): void {
    for (const family of this.#refreshDue) this.refresh(family, 'marked');
    this.#refreshDue.clear();
    this.flush();
  }

  /** The session is gone. */
  close(): void {
    if (this.#mrai !== null) this.#owner.host.timers.cancel(this.#mrai);
    this.#mrai = null;
    if (this.sendsPaths) this.#locRib.unwatchCandidates();
    this.pathsOut.clear();
    const destinations = [...this.#targets.keys()];
    this.#targets.clear();
    for (const destination of destinations) {
      destination.holders--;
      this.#locRib.sweep(destination);
    }
    for (const destination of this.ribOut.clear()) this.#locRib.sweep(destination);
  }

  #sendWithdrawals(): boolean {
    const gone: Destination[] = [];
    const paths: PathTarget[] = [];
    const take =
      <T extends Target>(taken: T[], idOf: (target: T) => number) =>
      (target: T, cause: number): 'taken' | 'stop' => {
        if (!this.#pack(target, idOf(target), cause)) return 'stop';
        taken.push(target);
        return 'taken';
      };
    this.#begin(null);
    if (this.ribOut.pendingWithdrawals > 0) this.ribOut.takeWithdrawals({ take: take(gone, () => 0) });
    if (this.pathsOut.pendingWithdrawals > 0 && !this.#owner.blocked) {
      this.pathsOut.takeWithdrawals({ take: take(paths, ({ pathId }) => pathId) });
    }
    this.#send();
    this.#owner.stats.exportWithdraws += gone.length + paths.length;
    for (const destination of gone) this.#locRib.sweep(destination);
    for (const target of paths) if (target.holders === 0) this.#forgetTarget(target);
    return gone.length + paths.length > 0;
  }

  #sendAnnouncements(): boolean {
    const { stats } = this.#owner;
    const before = stats.exportUpdates;
    this.ribOut.takeAnnouncements(this.#taker);
    if (!this.#owner.blocked) this.pathsOut.takeAnnouncements(this.#pathTaker);
    return stats.exportUpdates > before;
  }

  #announcementTaker<T extends Target>(idOf: (target: T) => number): AnnouncementTaker<T> {
    return {
      begin: (attributes) => this.#begin(attributes),
      take: (target, cause) => {
        if (!this.#pack(target, idOf(target), cause)) return 'stop';
        this.#owner.stats.exportUpdates++;
        return 'taken';
      },
      end: () => {
        this.#send();
        return this.#owner.blocked ? 'stop' : 'go-on';
      },
    };
  }

  #begin(attributes: PathAttributes | null): void {
    this.#packing = attributes;
    this.#packer.begin(attributes, this.#options);
    this.#cause = 0;
  }

  /** Adds a route to the message, which goes when it is full; false if the connection takes no more. */
  #pack({ key }: Target, pathId: number, cause: number): boolean {
    if (!this.#packer.add(key, pathId)) {
      this.#send();
      if (this.#owner.blocked) return false;
      this.#packer.add(key, pathId);
    }
    if (cause > this.#cause) this.#cause = cause;
    return true;
  }

  /** Sends what is packed, if anything, as the consequence of the latest event that something in it follows from. */
  #send(): void {
    if (this.#packer.isEmpty) return;
    const { host } = this.#owner;
    const current = host.cause;
    host.cause = this.#cause;
    this.#owner.send(this.#packer.finish());
    host.cause = current;
    this.#begin(this.#packing);
  }

  #startMrai(): void {
    const { mrai } = this.#options;
    if (mrai <= 0 || this.#mrai !== null) return;
    const delay = this.#owner.jittered(mrai);
    this.#mrai = this.#owner.later(delay, () => {
      this.#mrai = null;
      this.flush();
    });
  }
}
