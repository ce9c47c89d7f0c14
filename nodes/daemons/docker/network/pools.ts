import { broadcastOf, type Prefix, parsePrefix, prefixesOverlap } from '../../../../protocols/ip4.ts';
import { DockerError } from '../error.ts';

/** A block that is cut into subnets of one size, `default-address-pools` of daemon.json. */
export interface DefaultAddressPool {
  readonly base: string;
  /** Prefix length of the subnets. */
  readonly size: number;
}

/** libnetwork/ipamutils: for networks of one host. */
export const LOCAL_POOLS: readonly DefaultAddressPool[] = [
  { base: '172.17.0.0/16', size: 16 },
  { base: '172.18.0.0/16', size: 16 },
  { base: '172.19.0.0/16', size: 16 },
  { base: '172.20.0.0/14', size: 16 },
  { base: '172.24.0.0/14', size: 16 },
  { base: '172.28.0.0/14', size: 16 },
  { base: '192.168.0.0/16', size: 20 },
];

/** The subnets in use in one address space. */
export class SubnetPools {
  readonly #pools: readonly Prefix[];
  readonly #sizes: readonly number[];
  readonly #order: 'lowest' | 'serial';
  readonly #taken: Prefix[] = [];
  #last: Prefix | null = null;

  constructor(pools: readonly DefaultAddressPool[], order: 'lowest' | 'serial') {
    this.#pools = pools.map(({ base }) => parsePrefix(base) ?? { addr: 0, len: 0 });
    this.#sizes = pools.map(({ size }) => size);
    this.#order = order;
  }

  /** Takes a subnet that was asked for. @throws DockerError */
  take(subnet: Prefix): void {
    if (this.#taken.some((other) => prefixesOverlap(other, subnet)))
      throw new DockerError('Pool overlaps with other one on this address space');
    this.#taken.push(subnet);
  }

  /**
   * Takes one of the default subnets that is neither in use nor in the way of the host (`avoid`, its routes): the lowest
   * of the first pool that has one, or the next after the last. @throws DockerError
   */
  next(avoid: readonly Prefix[]): Prefix {
    const candidates = this.#candidates();
    for (const subnet of candidates) {
      if (this.#taken.some((other) => prefixesOverlap(other, subnet))) continue;
      if (avoid.some((other) => other.len > 0 && prefixesOverlap(other, subnet))) continue;
      this.#taken.push(subnet);
      this.#last = subnet;
      return subnet;
    }
    throw new DockerError(
      'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network',
    );
  }

  release(subnet: Prefix): void {
    const at = this.#taken.findIndex((other) => other.addr === subnet.addr && other.len === subnet.len);
    if (at >= 0) this.#taken.splice(at, 1);
  }

  *#candidates(): Iterable<Prefix> {
    const last = this.#order === 'serial' ? this.#last : null;
    if (last === null) {
      yield* this.#all();
      return;
    }
    let past = false;
    for (const subnet of this.#all()) {
      if (past) yield subnet;
      else past = subnet.addr === last.addr;
    }
    for (const subnet of this.#all()) {
      yield subnet;
      if (subnet.addr === last.addr) return;
    }
  }

  *#all(): Iterable<Prefix> {
    for (const [i, pool] of this.#pools.entries()) {
      const len = this.#sizes[i]!;
      const end = broadcastOf(pool);
      for (let addr = pool.addr; addr <= end; addr += 2 ** (32 - len)) yield { addr, len };
    }
  }
}
