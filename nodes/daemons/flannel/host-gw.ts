import type { LeaseFacts } from '../../events/cluster.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Runtime } from '../../runtime.ts';
import { gatewayRoute } from '../route-facts.ts';
import type { Backend, PublicInterface } from './backend.ts';
import { RouteNetwork } from './route-network.ts';

/** flannel's host-gw: a plain route to each peer's subnet. */
export class HostGwBackend implements Backend {
  readonly type = 'host-gw';
  readonly mtu: number;
  readonly data = {};
  readonly #device: string;
  readonly #network: RouteNetwork;

  /** `routeCheck` is the time between two looks at the routes, ms. */
  constructor(rt: Runtime, root: Netns, iface: PublicInterface, routeCheck: number) {
    this.#device = iface.name;
    this.mtu = iface.mtu;
    this.#network = new RouteNetwork(rt, root, routeCheck);
  }

  prepare(): void {}

  up(): void {
    this.#network.start();
  }

  /** A route that cannot be added now is tried again, so the peer counts as programmed. */
  setPeer({ subnet, publicIP, ipv6 }: LeaseFacts, old: LeaseFacts | null): boolean {
    this.#network.set(gatewayRoute(subnet, publicIP, this.#device));
    if (old?.ipv6 !== undefined && old.ipv6.subnet !== ipv6?.subnet) this.#network.remove(old.ipv6.subnet);
    if (ipv6 !== undefined) this.#network.set(gatewayRoute(ipv6.subnet, ipv6.publicIP, this.#device));
    return true;
  }

  removePeer({ subnet, ipv6 }: LeaseFacts): void {
    this.#network.remove(subnet);
    if (ipv6 !== undefined) this.#network.remove(ipv6.subnet);
  }

  stop(): void {
    this.#network.stop();
  }
}
