import { AdjRibOut } from './adj-rib-out.ts';
import type { AsSize } from './as-path.ts';
import type { PathAttributes } from './attributes.ts';
import type { Exporter } from './export.ts';
import type { SpeakerHost, TimerHandle } from './host.ts';
import type { Destination, LocRib } from './loc-rib.ts';
import { encodeEndOfRib, UpdatePacker } from './update.ts';

export interface AdvertiserOptions {
  /** MinRouteAdvertisementInterval, ms; 0 for none. */
  readonly mrai: number;
  readonly mraiAppliesTo: 'advertisements' | 'all';
  readonly asSize: AsSize;
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
  readonly ribOut = new AdjRibOut();
  readonly #owner: AdvertiserOwner;
  readonly #exporter: Exporter;
  readonly #locRib: LocRib;
  readonly #options: AdvertiserOptions;
  readonly #packer = new UpdatePacker();
  #mrai: TimerHandle | null = null;
  #endOfRibDue = true;

  constructor(owner: AdvertiserOwner, exporter: Exporter, locRib: LocRib, options: AdvertiserOptions) {
    this.#owner = owner;
    this.#exporter = exporter;
    this.#locRib = locRib;
    this.#options = options;
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
    if (!held) {
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
  }

  #sendWithdrawals(): boolean {
    let any = false;
    this.#packer.begin(null);
    let packed: Destination[] = [];
    let cause = 0;
    const send = () => {
      if (packed.length === 0) return;
      this.#owner.stats.exportWithdraws += packed.length;
      for (const destination of packed) {
        this.ribOut.withdrawn(destination);
        this.#locRib.sweep(destination);
      }
      this.#send(cause);
      this.#packer.begin(null);
      any = true;
      packed = [];
      cause = 0;
    };
    for (const [destination, reason] of this.ribOut.withdrawals()) {
      if (!this.#packer.add(destination.key)) {
        send();
        if (this.#owner.blocked) return any;
        this.#packer.add(destination.key);
      }
      packed.push(destination);
      cause = Math.max(cause, reason);
    }
    send();
    return any;
  }

  #sendAnnouncements(): boolean {
    let any = false;
    for (const [attributes, bucket] of this.ribOut.buckets()) {
      if (this.#owner.blocked) return any;
      this.#sendBucket(attributes, bucket);
      any = true;
    }
    return any;
  }

  #sendBucket(attributes: PathAttributes, bucket: Iterable<readonly [Destination, number]>): void {
    const wire = attributes.wire(this.#options.asSize);
    this.#packer.begin(wire);
    let packed: Destination[] = [];
    let cause = 0;
    const send = () => {
      if (packed.length === 0) return;
      this.#owner.stats.exportUpdates += packed.length;
      for (const destination of packed) this.ribOut.announced(destination, attributes);
      this.#send(cause);
      this.#packer.begin(wire);
      packed = [];
      cause = 0;
    };
    for (const [destination, reason] of bucket) {
      if (!this.#packer.add(destination.key)) {
        send();
        if (this.#owner.blocked) return;
        this.#packer.add(destination.key);
      }
      packed.push(destination);
      cause = Math.max(cause, reason);
    }
    send();
  }

  /** Sends what is packed, as the consequence of the latest event that something in it follows from. */
  #send(cause: number): void {
    const { host } = this.#owner;
    const current = host.cause;
    host.cause = cause;
    this.#owner.send(this.#packer.finish());
    host.cause = current;
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
