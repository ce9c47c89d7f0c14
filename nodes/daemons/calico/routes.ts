import type { Kernel } from '../../kernel/kernel.ts';
import type { RouteTable } from '../../kernel/route-table.ts';
import { blackholeRoute } from '../route-facts.ts';

/** Where a node's own prefixes go out from: its BGP speaker. Prefixes are text, `10.244.1.0/26`. */
export interface PrefixOriginator {
  originate(prefix: string): void;
  withdraw(prefix: string): void;
}

/**
 * What BIRD does with the node's blocks under Calico's configuration: one aggregate for a block, and a blackhole that
 * keeps packets for its free addresses from going back to where they came from.
 */
export class BlockRoutes {
  readonly #kernel: Kernel;
  readonly #originator: PrefixOriginator;
  readonly #blocks = new Set<string>();

  constructor(kernel: Kernel, originator: PrefixOriginator) {
    this.#kernel = kernel;
    this.#originator = originator;
  }

  /** Does nothing for a block that is announced already. */
  announce(cidr: string): void {
    if (this.#blocks.has(cidr)) return;
    this.#blocks.add(cidr);
    this.#routesOf(cidr).set(blackholeRoute(cidr, 'bird'));
    this.#originator.originate(cidr);
  }

  #routesOf(cidr: string): Pick<RouteTable, 'set' | 'delete'> {
    const { root } = this.#kernel;
    return cidr.includes(':') ? root.ipv6.routes : root.routes;
  }

  withdraw(cidr: string): void {
    if (!this.#blocks.delete(cidr)) return;
    // The row goes first: withdrawing may install a path to the block that was learned from its new owner.
    this.#routesOf(cidr).delete(cidr);
    this.#originator.withdraw(cidr);
  }
}
