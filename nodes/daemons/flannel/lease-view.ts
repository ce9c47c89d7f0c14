import type { LeaseFacts } from '../../events/cluster.ts';
import { type StoreChange, storeKeys } from '../../store.ts';
import { leaseValue, parseLease } from './lease.ts';

interface Row {
  /** null for a row that was deleted, or that holds no lease. */
  readonly lease: LeaseFacts | null;
  readonly present: boolean;
  readonly revision: number;
}

const FAMILY = 'flannel.subnets.';

/** The leases as last seen in the store. A lease counts until it expires: nobody sweeps the rows. */
export class LeaseView {
  readonly #rows = new Map<string, Row>();

  /** Takes in a change of the watch; false if it is not about a lease, or was known. */
  apply(change: StoreChange): boolean {
    if (!change.key.startsWith(FAMILY)) return false;
    const lease = change.value === null ? null : parseLease(change.key, change.value);
    return this.#set(change.key, { lease, present: change.value !== null, revision: change.revision });
  }

  /** Takes in what this node wrote itself. */
  wrote(lease: LeaseFacts, revision: number): void {
    const key = storeKeys.flannelSubnet(lease.subnet);
    this.#set(key, { lease: parseLease(key, leaseValue(lease)), present: true, revision });
  }

  /** The lease under a key if it has not expired. */
  live(key: string, now: number): LeaseFacts | null {
    const lease = this.#rows.get(key)?.lease ?? null;
    return lease !== null && lease.expiresAt > now ? lease : null;
  }

  allLive(now: number): LeaseFacts[] {
    return [...this.#rows.keys()].flatMap((key) => this.live(key, now) ?? []);
  }

  /** Whether there is a row, expired or not. */
  has(key: string): boolean {
    return this.#rows.get(key)?.present ?? false;
  }

  /** The lease under a key, expired or not. */
  get(key: string): LeaseFacts | null {
    return this.#rows.get(key)?.lease ?? null;
  }

  /** Revision of the last change of the row, its deletion included; 0 if there never was one. */
  revision(key: string): number {
    return this.#rows.get(key)?.revision ?? 0;
  }

  #set(key: string, row: Row): boolean {
    if (row.revision <= this.revision(key)) return false;
    this.#rows.set(key, row);
    return true;
  }
}
