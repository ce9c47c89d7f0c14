import type { StoreChange, StoreValue } from '../store.ts';

interface Row<T> {
  /** null for a row that was deleted. */
  readonly value: StoreValue | null;
  readonly revision: number;
  /** What the value says, null if it cannot be read; read when it is first asked for. */
  item?: T | null;
}

/** A family of keys as last seen in the store, with the revisions to compare and swap against. */
export class StoreView<T> {
  readonly #prefix: string;
  readonly #parse: (key: string, value: StoreValue) => T | null;
  readonly #rows = new Map<string, Row<T>>();

  /** `prefix` is what the keys begin with, the dot included. */
  constructor(prefix: string, parse: (key: string, value: StoreValue) => T | null) {
    this.#prefix = prefix;
    this.#parse = parse;
  }

  /** Takes in a change of the watch; false if it is of another family, or was known. */
  apply(change: StoreChange): boolean {
    return change.key.startsWith(this.#prefix) && this.wrote(change.key, change.value, change.revision);
  }

  /** Takes in what this node wrote itself; false if something newer is known. */
  wrote(key: string, value: StoreValue | null, revision: number): boolean {
    if (revision <= this.revision(key)) return false;
    this.#rows.set(key, { value, revision });
    return true;
  }

  /** null if there is no row, or none that can be read. */
  get(key: string): T | null {
    const row = this.#rows.get(key);
    if (row === undefined || row.value === null) return null;
    if (row.item === undefined) row.item = this.#parse(key, row.value);
    return row.item;
  }

  /** Whether there is a row, be it one that cannot be read. */
  has(key: string): boolean {
    return (this.#rows.get(key)?.value ?? null) !== null;
  }

  /** Revision of the last change of the row, its deletion included; 0 if there never was one. */
  revision(key: string): number {
    return this.#rows.get(key)?.revision ?? 0;
  }

  keys(): Iterable<string> {
    return this.#rows.keys();
  }
}
