import { type CompiledMatch, unionOf } from './compiled-match.ts';
import { FlowCache } from './flow-cache.ts';
import { Subtable } from './subtable.ts';

/** What a classifier holds. `order` and `next` are the classifier's to write. */
export interface Rule<T> {
  readonly priority: number;
  readonly compiled: CompiledMatch;
  /** When it came: of two with the same priority the one that came first takes a packet. */
  order: number;
  /** The next lower priority with the same match. */
  next: T | null;
}

/** With fewer sets of masks than this a cache in front of them takes longer than they do. */
const CACHED_FROM = 3;

/**
 * Finds the rule of the highest priority that takes a packet, by tuple space search (Srinivasan, Suri, Varghese 1999) as
 * lib/classifier.c of Open vSwitch: a hash table for each set of masks, those with the highest priorities looked into first,
 * until none that is left can have a better one. What a lookup costs goes with the number of such sets, not of rules.
 */
export class Classifier<T extends Rule<T>> {
  readonly #byMask = new Map<string, Subtable<T>>();
  /** The highest priority first, unless something has changed since. */
  #subtables: Subtable<T>[] = [];
  #changed: 'nothing' | 'rules' | 'masks' = 'nothing';
  #cache: FlowCache<T> | null = null;
  #orders = 0;
  size = 0;

  lookup(key: Uint32Array): T | null {
    if (this.#changed !== 'nothing') this.#settle();
    const cache = this.#cache;
    if (cache === null) return this.#search(key);
    const slot = cache.slot(key);
    const known = cache.get(slot, key);
    if (known !== undefined) return known;
    const found = this.#search(key);
    cache.set(slot, key, found);
    return found;
  }

  /** The rule of this very match and priority. */
  find(compiled: CompiledMatch, priority: number): T | null {
    let rule = this.#byMask.get(maskOf(compiled))?.find(compiled.values) ?? null;
    while (rule !== null && rule.priority > priority) rule = rule.next;
    return rule?.priority === priority ? rule : null;
  }

  /** Puts a rule in, in the place of one of the same match and priority, which it returns. */
  insert(rule: T): T | null {
    const mask = maskOf(rule.compiled);
    let subtable = this.#byMask.get(mask);
    if (subtable === undefined) {
      subtable = new Subtable(rule.compiled);
      this.#byMask.set(mask, subtable);
      this.#subtables.push(subtable);
      this.#changed = 'masks';
    } else if (this.#changed === 'nothing') this.#changed = 'rules';
    rule.order = this.#orders++;
    const replaced = subtable.insert(rule);
    if (replaced === null) this.size++;
    else rule.order = replaced.order;
    return replaced;
  }

  remove(rule: T): void {
    const mask = maskOf(rule.compiled);
    const subtable = this.#byMask.get(mask);
    if (subtable === undefined || subtable.remove(rule) === 'absent') return;
    this.size--;
    if (this.#changed === 'nothing') this.#changed = 'rules';
    if (subtable.size > 0) return;
    this.#changed = 'masks';
    this.#byMask.delete(mask);
    this.#subtables.splice(this.#subtables.indexOf(subtable), 1);
  }

  *rules(): IterableIterator<T> {
    for (const subtable of this.#byMask.values()) yield* subtable.rules();
  }

  #search(key: Uint32Array): T | null {
    const subtables = this.#subtables;
    let best: T | null = null;
    for (let i = 0; i < subtables.length; i++) {
      const subtable = subtables[i]!;
      if (best !== null && subtable.highest < best.priority) break;
      const found: T | null = subtable.lookup(key);
      if (found === null) continue;
      if (
        best === null ||
        found.priority > best.priority ||
        (found.priority === best.priority && found.order < best.order)
      )
        best = found;
    }
    return best;
  }

  /** Puts the tables in order, and what the cache knows aside, after a change. */
  #settle(): void {
    this.#subtables.sort((a, b) => b.highest - a.highest);
    if (this.#subtables.length < CACHED_FROM) this.#cache = null;
    else if (this.#changed === 'masks' || this.#cache === null) {
      const { words, masks } = unionOf(this.#subtables.map(({ shape }) => shape));
      this.#cache ??= new FlowCache();
      this.#cache.look(words, masks);
    } else this.#cache.clear();
    this.#changed = 'nothing';
  }
}

function maskOf({ words, masks }: CompiledMatch): string {
  return `${words}/${masks}`;
}
