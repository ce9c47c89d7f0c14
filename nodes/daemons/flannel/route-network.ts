import type { RouteFacts } from '../../events/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import { RouteError } from '../../kernel/route-error.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';

/** A route to each peer's subnet, and a look every now and then whether it is still there (flannel's `RouteNetwork`). */
export class RouteNetwork {
  readonly #rt: Runtime;
  readonly #root: Netns;
  readonly #routeCheck: number;
  /** By peer's subnet. */
  readonly #routes = new Map<string, RouteFacts>();
  #timer: TimerHandle | null = null;

  /** `routeCheck` is the time between two looks, ms. */
  constructor(rt: Runtime, root: Netns, routeCheck: number) {
    this.#rt = rt;
    this.#root = root;
    this.#routeCheck = routeCheck;
  }

  start(): void {
    this.#timer = this.#rt.timers.set(this.#rt.now + this.#routeCheck, () => this.#check());
  }

  stop(): void {
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
  }

  /** A route that cannot be added now is tried again at each check. */
  set(route: RouteFacts): void {
    this.#routes.set(route.dst, route);
    this.#add(route);
  }

  remove(subnet: string): void {
    this.#routes.delete(subnet);
    this.#table(subnet).delete(subnet);
  }

  /** Adds what is missing. A route to the same subnet by another way is another's, and is left alone. */
  #check(): void {
    const { cause } = this.#rt;
    for (const [subnet, route] of this.#routes) {
      this.#rt.cause = cause;
      if (this.#table(subnet).get(subnet) === undefined) this.#add(route);
    }
    this.#rt.cause = cause;
    this.start();
  }

  #table(subnet: string): Pick<Netns['routes'], 'set' | 'get' | 'delete'> {
    return subnet.includes(':') ? this.#root.ipv6.routes : this.#root.routes;
  }

  #add(route: RouteFacts): void {
    try {
      this.#table(route.dst).set(route);
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
    }
  }
}
