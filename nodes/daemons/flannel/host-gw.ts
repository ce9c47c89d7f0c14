import type { LeaseFacts } from '../../events/cluster.ts';
import type { Netns } from '../../kernel/netns.ts';
import { RouteError } from '../../kernel/route-table.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { gatewayRoute } from '../route-facts.ts';
import type { Backend, PublicInterface } from './backend.ts';

/** flannel's host-gw: a plain route to each peer's subnet, and a look every now and then whether it is still there. */
export class HostGwBackend implements Backend {
  readonly type = 'host-gw';
  readonly mtu: number;
  readonly data = {};
  readonly #rt: Runtime;
  readonly #root: Netns;
  readonly #device: string;
  readonly #routeCheck: number;
  /** Gateway of each peer's subnet. */
  readonly #routes = new Map<string, string>();
  #timer: TimerHandle | null = null;

  /** `routeCheck` is the time between two looks, ms. */
  constructor(rt: Runtime, root: Netns, iface: PublicInterface, routeCheck: number) {
    this.#rt = rt;
    this.#root = root;
    this.#device = iface.name;
    this.mtu = iface.mtu;
    this.#routeCheck = routeCheck;
  }

  prepare(): void {}

  up(): void {
    this.#timer = this.#rt.timers.set(this.#rt.now + this.#routeCheck, () => this.#check());
  }

  /** A route that cannot be added now is tried again at each check, so the peer counts as programmed. */
  setPeer(lease: LeaseFacts): boolean {
    this.#routes.set(lease.subnet, lease.publicIP);
    this.#add(lease.subnet, lease.publicIP);
    return true;
  }

  removePeer(lease: LeaseFacts): void {
    this.#routes.delete(lease.subnet);
    this.#root.routes.delete(lease.subnet);
  }

  stop(): void {
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
  }

  /** Adds what is missing. A route to the same subnet by another way is another's, and is left alone. */
  #check(): void {
    const { cause } = this.#rt;
    for (const [subnet, gateway] of this.#routes) {
      this.#rt.cause = cause;
      if (this.#root.routes.get(subnet) === undefined) this.#add(subnet, gateway);
    }
    this.#rt.cause = cause;
    this.up();
  }

  #add(subnet: string, gateway: string): void {
    try {
      this.#root.routes.set(gatewayRoute(subnet, gateway, this.#device));
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
    }
  }
}
