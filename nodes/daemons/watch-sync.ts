import type { StoreChange } from '../store.ts';
import type { StoreClient } from './store-client.ts';

/**
 * Tells when a watch has delivered all that stood in the store at the start. A watch gives its rows in the order of
 * their revisions and says nothing about where the old ones end; so the node writes a row of its own among them, and
 * when that comes by, everything older has.
 */
export class WatchSync {
  readonly #key: string;
  readonly #store: StoreClient;
  readonly #onSynced: () => void;
  #written = Number.POSITIVE_INFINITY;
  #seen = 0;
  #synced = false;

  /** `family` is the first token of the watched keys: the watch must cover `<family>.>`. */
  constructor(
    store: StoreClient,
    family: 'ipam' | 'ipam6' | 'flannel' | 'docker',
    node: string,
    onSynced: () => void,
  ) {
    this.#store = store;
    this.#key = `${family}.sync.${node}`;
    this.#onSynced = onSynced;
  }

  get synced(): boolean {
    return this.#synced;
  }

  start(): void {
    this.#store.request({ op: 'put', key: this.#key, value: {} }, (answer) => {
      if (answer.type === 'done') this.#written = answer.revision;
      this.#check();
    });
  }

  storeChanged(change: StoreChange): void {
    if (change.key !== this.#key) return;
    this.#seen = Math.max(this.#seen, change.revision);
    this.#check();
  }

  #check(): void {
    if (this.#synced || this.#seen < this.#written) return;
    this.#synced = true;
    this.#onSynced();
  }
}
