import type { IpAddress } from '../../protocols/ip.ts';
import type { TableRouteFacts } from '../state/kernel-view.ts';
import type { Netns } from './netns.ts';
import type { RouteFamily } from './route-family.ts';
import { LOCAL_TABLE, MAIN_TABLE, type Route, RouteTable } from './route-table.ts';

/** The route tables of one address family of a namespace, by number. A table appears when a route is first added to it. */
export class RouteTables<A extends IpAddress = number> {
  readonly main: RouteTable<A>;
  readonly #ns: Netns;
  readonly #family: RouteFamily<A>;
  readonly #tables = new Map<number, RouteTable<A>>();

  constructor(ns: Netns, family: RouteFamily<A>) {
    this.#ns = ns;
    this.#family = family;
    this.main = new RouteTable(ns, family);
    this.#tables.set(MAIN_TABLE, this.main);
  }

  get(table: number): RouteTable<A> | undefined {
    return this.#tables.get(table);
  }

  /** Whether routes have been put into the local table by hand (`fib_has_custom_local_routes`). */
  get customLocal(): boolean {
    const local = this.#tables.get(LOCAL_TABLE);
    return local !== undefined && local.size > 0;
  }

  /** The table, made if it is not there yet (`fib_new_table`). */
  open(table: number): RouteTable<A> {
    const found = this.#tables.get(table) ?? new RouteTable(this.#ns, this.#family, table, this.main);
    this.#tables.set(table, found);
    return found;
  }

  /** In the order of the kernel's hash table (`inet_dump_fib`, `inet6_dump_fib`). */
  list(): RouteTable<A>[] {
    return [...this.#tables.values()].reverse().sort((a, b) => (a.id & 255) - (b.id & 255));
  }

  /** Removes the routes of all tables that fail a test. */
  removeWhere(test: (route: Route<A>) => boolean): void {
    for (const table of this.#tables.values()) table.removeWhere(test);
  }

  /** Rows of all tables but main. */
  others(): TableRouteFacts[] {
    return [...this.#tables.values()]
      .filter((table) => table !== this.main)
      .flatMap((table) => table.list().map((route) => ({ table: table.id, route })));
  }
}
