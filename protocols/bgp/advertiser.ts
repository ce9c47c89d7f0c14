import { AdjRibOut } from './adj-rib-out.ts';
import type { AsSize } from './as-path.ts';
import type { PathAttributes } from './attributes.ts';
import type { Exporter } from './export.ts';
import type { SpeakerHost, TimerHandle } from './host.ts';
import type { Destination, LocRib } from './loc-rib.ts';
import { encodeEndOfRib, type UpdatePacker } from './update.ts';

export interface AdvertiserOptions {
  /** MinRouteAdvertisementInterval, ms; 0 for none. */
  readonly mrai: number;
  readonly mraiAppliesTo: 'advertisements' | 'all';
  readonly asSize: AsSize;
  /** Shared by all advertisers of a speaker: what one packs it sends before another begins. */
  readonly packer: UpdatePacker;
}

/** What the advertiser needs of its session. */
export interface AdvertiserOwner {
  readonly host: SpeakerHost;
  later(delay: number, run: () => void): TimerHandle;
  send(message: Uint8Array): void;
  readonly blocked: boolean;
  readonly stats: { exportUpdates: number; exportWithdraws: number };
}

/** Keeps one established peer informed: Adj-RIB-Out, its packing into UPDATEs, and their timing. */
export class Advertiser {
  readonly ribOut: AdjRibOut;
  readonly #slot: number;
  readonly #owner: AdvertiserOwner;
  readonly #exporter: Exporter;
  readonly #locRib: LocRib;
  readonly #options: AdvertiserOptions;
  readonly #packer: UpdatePacker;
  /** Attributes of the message that is being packed, null for withdrawals; and the latest cause of what is in it. */
  #packing: Uint8Array | null = null;
  #cause = 0;
  #mrai: TimerHandle | null = null;
  #endOfRibDue = true;

  constructor(owner: AdvertiserOwner, exporter: Exporter, locRib: LocRib, options: AdvertiserOptions) {
    this.#owner = owner;
    this.#exporter = exporter;
    this.#locRib = locRib;
    this.#slot = locRib.acquireSlot();
    this.ribOut = new AdjRibOut({ slot: this.#slot, destinations: () => locRib.destinations() });
    this.#options = options;
    this.#packer = options.packer;
  }

  /** Destinations whose news has yet to go out, and the End-of-RIB marker. */
  get pending(): number {
    return this.ribOut.pending + (this.#endOfRibDue ? 1 : 0);
  }

  /** The best path of a destination is another now, for that cause. */
  update(destination: Destination, cause: number): void {
    const { best } = destination;
    this.ribOut.schedule(destination, best === null ? null : this.#exporter.export(best), cause);
  }

  /** Everything there is, for a peer that has nothing yet. */
  announceAll(cause: number): void {
    for (const destination of this.#locRib.destinations()) {
      if (destination.best !== null) this.update(destination, cause);
    }
  }

  /**
   * Sends what may be sent now: withdrawals, and unless the MRAI timer runs announcements, which start it (RFC 4271
   * §9.2.1.1). Stops when the connection takes no more; what is left goes when it does again.
   */
  flush(): void {
    if (this.pending === 0 || this.#owner.blocked) return;
    const held = this.#mrai !== null;
    if (!held || this.#options.mraiAppliesTo === 'advertisements') {
      const sent = this.#sendWithdrawals();
      if (sent && this.#options.mraiAppliesTo === 'all') this.#startMrai();
    }
    if (!held && !this.#owner.blocked) {
      if (this.#sendAnnouncements()) this.#startMrai();
      if (this.#endOfRibDue && this.ribOut.pending === 0 && !this.#owner.blocked) {
        this.#endOfRibDue = false;
        this.#owner.send(encodeEndOfRib());
      }
    }
  }

  /** Tells the peer again all that it holds (RFC 2918 §4). */
  refresh(): void {
    const byAttributes = new Map<PathAttributes, Destination[]>();
    for (const [destination, attributes] of this.ribOut.advertised()) {
      const group = byAttributes.get(attributes);
      if (group === undefined) byAttributes.set(attributes, [destination]);
      else group.push(destination);
    }
    for (const [attributes, destinations] of byAttributes) {
      this.#packer.begin(attributes.wire(this.#options.asSize));
      for (const { key } of destinations) {
        if (this.#packer.add(key)) continue;
        this.#owner.send(this.#packer.finish());
        this.#packer.begin(attributes.wire(this.#options.asSize));
        this.#packer.add(key);
      }
      this.#owner.send(this.#packer.finish());
    }
  }

  /** The session is gone. */
  close(): void {
    if (this.#mrai !== null) this.#owner.host.timers.cancel(this.#mrai);
    this.#mrai = null;
    for (const destination of this.ribOut.clear()) this.#locRib.sweep(destination);
    this.#locRib.releaseSlot(this.#slot);
  }

  #sendWithdrawals(): boolean {
    if (this.ribOut.pendingWithdrawals === 0) return false;
    const gone: Destination[] = [];
    this.#begin(null);
    this.ribOut.takeWithdrawals((destination, cause) => {
      if (!this.#pack(destination, cause)) return 'stop';
      gone.push(destination);
      return 'taken';
    });
    this.#send();
    this.#owner.stats.exportWithdraws += gone.length;
    for (const destination of gone) this.#locRib.sweep(destination);
    return gone.length > 0;
  }

  #sendAnnouncements(): boolean {
    let count = 0;
    this.ribOut.takeAnnouncements({
      begin: (attributes) => this.#begin(attributes.wire(this.#options.asSize)),
      take: (destination, cause) => {
        if (!this.#pack(destination, cause)) return 'stop';
        count++;
        return 'taken';
      },
      end: () => {
        this.#send();
        return this.#owner.blocked ? 'stop' : 'go-on';
      },
    });
    this.#owner.stats.exportUpdates += count;
    return count > 0;
  }

  #begin(attributes: Uint8Array | null): void {
    this.#packing = attributes;
    this.#packer.begin(attributes);
    this.#cause = 0;
  }

  /** Adds a destination to the message, which goes when it is full; false if the connection takes no more. */
  #pack({ key }: Destination, cause: number): boolean {
    if (!this.#packer.add(key)) {
      this.#send();
      if (this.#owner.blocked) return false;
      this.#packer.add(key);
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
    const delay = mrai * (0.75 + 0.25 * this.#owner.host.random.unit());
    this.#mrai = this.#owner.later(delay, () => {
      this.#mrai = null;
      this.flush();
    });
  }
}
