import type { RouteChange, RouteFacts } from '../events/kernel.ts';

/** The rows of one route table, folded: by destination and metric, in the order in which they are asked. */
export class RouteSlice {
  readonly #rows = new Map<string, readonly RouteFacts[]>();

  apply(changes: readonly RouteChange[]): void {
    for (const change of changes) {
      const key = `${change.dst} ${change.metric}`;
      const rows = this.#rows.get(key) ?? [];
      const left = changed(rows, change);
      if (left.length === 0) this.#rows.delete(key);
      else this.#rows.set(key, left);
    }
  }

  list(): RouteFacts[] {
    return [...this.#rows.values()].flat();
  }
}

function changed(rows: readonly RouteFacts[], change: RouteChange): readonly RouteFacts[] {
  if (change.op === 'del') {
    const gone = change.at ?? indexOf(rows, change.dst, change.dev ?? '');
    return rows.filter((_, i) => i !== gone);
  }
  const { op: _op, place, at, ...facts } = change;
  if (place === 'first') return [facts, ...rows];
  const old = at ?? indexOf(rows, facts.dst, attachedDevice(facts));
  if (place === 'last' || old < 0 || rows[old] === undefined) return [...rows, facts];
  return rows.map((row, i) => (i === old ? facts : row));
}

/** The first row of a key: in IPv4 there is one, in IPv6 one for each device of an attached destination. */
function indexOf(rows: readonly RouteFacts[], dst: string, dev: string): number {
  return rows.findIndex((row) => !dst.includes(':') || attachedDevice(row) === dev);
}

function attachedDevice({ dst, nexthops }: RouteFacts): string {
  const [hop, ...others] = nexthops;
  return dst.includes(':') && hop?.via === '' && others.length === 0 ? hop.dev : '';
}
