import type { EventId } from '../events/record.ts';
import type { Runtime } from '../runtime.ts';
import type { PodStatus } from '../store.ts';
import type { StoreClient } from './store-client.ts';

interface Slot {
  /** What the key is to hold, null to be absent. */
  wanted: PodStatus | null;
  cause: EventId;
}

/** Writes pod statuses: one request a key at a time, and the last word wins. */
export class PodStatusWriter {
  readonly #rt: Runtime;
  readonly #store: StoreClient;
  readonly #slots = new Map<string, Slot>();

  constructor(rt: Runtime, store: StoreClient) {
    this.#rt = rt;
    this.#store = store;
  }

  /** Whether something is still to be written to the key. */
  isWriting(key: string): boolean {
    return this.#slots.has(key);
  }

  set(key: string, status: PodStatus | null): void {
    const { cause } = this.#rt;
    const slot = this.#slots.get(key);
    if (slot !== undefined) {
      slot.wanted = status;
      slot.cause = cause;
      return;
    }
    const fresh = { wanted: status, cause };
    this.#slots.set(key, fresh);
    this.#write(key, fresh);
  }

  #write(key: string, slot: Slot): void {
    const { wanted } = slot;
    this.#rt.cause = slot.cause;
    this.#store.request(wanted === null ? { op: 'delete', key } : { op: 'put', key, value: wanted }, () => {
      if (slot.wanted === wanted) this.#slots.delete(key);
      else this.#write(key, slot);
    });
  }
}
