import type { TableRouteFacts } from '../state/kernel-view.ts';
import type { Netns } from './netns.ts';
import { inetRouteTable, LOCAL_TABLE, MAIN_TABLE, type Route, type RouteTable } from './route-table.ts';

/** The route tables of a namespace, by number. A table appears when a route is first added to it. */
export class RouteTables {
  readonly main: RouteTable;
  readonly #ns: Netns;
  readonly #tables = new Map<number, RouteTable>();

  constructor(ns: Netns) {
    this.#ns = ns;
    this.main = inetRouteTable(ns);
    this.#tables.set(MAIN_TABLE, this.main);
  }

  get(table: number): RouteTable | undefined {
    return this.#tables.get(table);
  }

  /** Whether routes have been put into the local table by hand (`fib_has_custom_local_routes`). */
  get customLocal(): boolean {
    const local = this.#tables.get(LOCAL_TABLE);
    return local !== undefined && local.size > 0;
  }

  /** The table, made if it is not there yet (`fib_new_table`). */
  open(table: number): RouteTable {
    const found = this.#tables.get(table) ?? inetRouteTable(this.#ns, table);
    this.#tables.set(table, found);
    return found;
  }

  /** In the order of the kernel's hash table (`inet_dump_fib`). */
  list(): RouteTable[] {
    return [...this.#tables.values()].reverse().sort((a, b) => (a.id & 255) - (b.id & 255));
  }

  /** Removes the routes of all tables that fail a test. */
  removeWhere(test: (route: Route) => boolean): void {
    for (const table of this.#tables.values()) table.removeWhere(test);
  }

  /** Rows of all tables but main. */
  others(): TableRouteFacts[] {
    return [...this.#tables.values()]
      .filter((table) => table !== this.main)
      .flatMap((table) => table.list().map((route) => ({ table: table.id, route })));
  }
}
