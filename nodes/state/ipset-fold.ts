import type { IpsetElementFacts, IpsetEvent, IpsetFacts, IpsetHeader } from '../events/ipset.ts';

interface FoldedSet {
  readonly header: Omit<IpsetHeader, 'name'>;
  elements: IpsetElementFacts[];
}

/** Folds what ipset did in one namespace. */
export class IpsetSlice {
  readonly #sets = new Map<string, FoldedSet>();

  apply(event: IpsetEvent): void {
    switch (event.type) {
      case 'ipset.created': {
        const { name, ...header } = event.set;
        this.#sets.set(name, { header, elements: [] });
        return;
      }
      case 'ipset.destroyed':
        this.#sets.delete(event.name);
        return;
      case 'ipset.renamed': {
        const set = this.#sets.get(event.name);
        if (set === undefined) return;
        this.#sets.delete(event.name);
        this.#sets.set(event.to, set);
        return;
      }
      case 'ipset.swapped': {
        const [a, b] = [this.#sets.get(event.name), this.#sets.get(event.with)];
        if (a === undefined || b === undefined) return;
        this.#sets.set(event.name, b);
        this.#sets.set(event.with, a);
        return;
      }
      case 'ipset.added': {
        const set = this.#sets.get(event.name);
        if (set === undefined) return;
        for (const added of event.elements) {
          const known = set.elements.findIndex(({ element }) => element === added.element);
          if (known >= 0) set.elements[known] = added;
          else set.elements.splice(event.at ?? set.elements.length, 0, added);
        }
        return;
      }
      case 'ipset.removed': {
        const set = this.#sets.get(event.name);
        if (set === undefined) return;
        const gone = new Set(event.elements);
        set.elements = set.elements.filter(({ element }) => !gone.has(element));
      }
    }
  }

  list(): IpsetFacts[] {
    return [...this.#sets].map(([name, { header, elements }]) => ({
      name,
      ...header,
      elements: header.type === 'list:set' ? [...elements] : [...elements].sort(byText),
    }));
  }
}

function byText(a: IpsetElementFacts, b: IpsetElementFacts): number {
  return a.element < b.element ? -1 : a.element > b.element ? 1 : 0;
}
