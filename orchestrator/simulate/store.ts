import type { EventId } from '../../nodes/events/record.ts';
import type { StoreResult } from '../../nodes/runtime.ts';
import type { StoreChange, StoreOp, StoreValue } from '../../nodes/store.ts';
import type { StoreEntry } from '../running-lab.ts';

interface Row {
  readonly value: StoreValue;
  readonly revision: number;
  readonly cause: EventId;
}

/** The store of a simulated lab: the semantics of a JetStream KV bucket, in memory. */
export class SimStore {
  readonly #rows = new Map<string, Row>();
  readonly #watches = new Set<{
    readonly pattern: string;
    readonly deliver: (change: StoreChange) => void;
  }>();
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  apply(op: StoreOp, cause: EventId): StoreResult {
    const row = this.#rows.get(op.key);
    if (op.op === 'create' && row !== undefined) return { ok: false, conflict: true };
    if (op.op === 'update' && row?.revision !== op.revision) return { ok: false, conflict: true };
    if (op.op === 'delete' && op.revision !== undefined && row?.revision !== op.revision) {
      return { ok: false, conflict: true };
    }
    const revision = ++this.#revision;
    if (op.op === 'delete') this.#rows.delete(op.key);
    else this.#rows.set(op.key, { value: op.value, revision, cause });
    const change = { key: op.key, value: op.op === 'delete' ? null : op.value, revision, cause };
    for (const watch of this.#watches) if (matchesKey(watch.pattern, op.key)) watch.deliver(change);
    return { ok: true, revision };
  }

  list(pattern: string): StoreEntry[] {
    const entries: StoreEntry[] = [];
    for (const [key, row] of this.#rows) {
      if (matchesKey(pattern, key)) entries.push({ key, value: row.value, revision: row.revision });
    }
    return entries;
  }

  /** Delivers the rows that are there, then every change. Returns the function that ends the watch. */
  watch(pattern: string, deliver: (change: StoreChange) => void): () => void {
    for (const [key, row] of this.#rows) if (matchesKey(pattern, key)) deliver({ key, ...row });
    const watch = { pattern, deliver };
    this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }
}

/** Whether a key matches a pattern in NATS' manner: `*` one token, `>` one or more at the end. */
export function matchesKey(pattern: string, key: string): boolean {
  const want = pattern.split('.');
  const have = key.split('.');
  for (const [i, token] of want.entries()) {
    if (token === '>') return have.length > i;
    if (i >= have.length || (token !== '*' && token !== have[i])) return false;
  }
  return want.length === have.length;
}
