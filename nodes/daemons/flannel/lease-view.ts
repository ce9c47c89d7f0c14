import type { LeaseFacts } from '../../events/cluster.ts';
import { type StoreChange, storeKeys } from '../../store.ts';
import { StoreView } from '../store-view.ts';
import { leaseValue, parseLease } from './lease.ts';

/** The leases as last seen in the store. A lease counts until it expires: nobody sweeps the rows. */
export class LeaseView {
  readonly #view = new StoreView<LeaseFacts>('flannel.subnets.', parseLease);

  /** Takes in a change of the watch; false if it is not about a lease, or was known. */
  apply(change: StoreChange): boolean {
    return this.#view.apply(change);
  }

  /** Takes in what this node wrote itself. */
  wrote(lease: LeaseFacts, revision: number): void {
    this.#view.wrote(storeKeys.flannelSubnet(lease.subnet), leaseValue(lease), revision);
  }

  /** The lease under a key if it has not expired. */
  live(key: string, now: number): LeaseFacts | null {
    const lease = this.#view.get(key);
    return lease !== null && lease.expiresAt > now ? lease : null;
  }

  allLive(now: number): LeaseFacts[] {
    return [...this.#view.keys()].flatMap((key) => this.live(key, now) ?? []);
  }

  /** The lease under a key, expired or not. */
  get(key: string): LeaseFacts | null {
    return this.#view.get(key);
  }

  /** Whether there is a row, expired or not. */
  has(key: string): boolean {
    return this.#view.has(key);
  }

  revision(key: string): number {
    return this.#view.revision(key);
  }
}
