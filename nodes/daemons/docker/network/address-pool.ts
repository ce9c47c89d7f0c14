import { broadcastOf, type Prefix, prefixContains } from '../../../../protocols/ip4.ts';
import { DockerError } from '../error.ts';

/**
 * The addresses of one subnet (libnetwork/ipam). 'lowest': the lowest free one, so that one given back is the next given
 * out; 'serial', as in a swarm: the next after the last, round and round. Network and broadcast address are nobody's.
 */
export class AddressPool {
  readonly subnet: Prefix;
  /** Where addresses are taken from when none is asked for by name. */
  readonly range: Prefix;
  readonly #order: 'lowest' | 'serial';
  readonly #taken = new Set<number>();
  /** 'lowest': nothing below is free. 'serial': the last one given out. */
  #cursor: number;

  /** `last`: the one that was given out last, for 'serial'. */
  constructor(subnet: Prefix, range: Prefix, order: 'lowest' | 'serial', last = broadcastOf(range)) {
    this.subnet = subnet;
    this.range = range;
    this.#order = order;
    this.#cursor = order === 'lowest' ? range.addr : prefixContains(range, last) ? last : broadcastOf(range);
    this.#taken.add(subnet.addr);
    this.#taken.add(broadcastOf(subnet));
  }

  isTaken(addr: number): boolean {
    return this.#taken.has(addr);
  }

  /** Takes an address of the subnet. @throws DockerError */
  take(addr: number): void {
    if (!prefixContains(this.subnet, addr)) throw new DockerError('Requested address is out of range');
    if (this.#taken.has(addr)) throw new DockerError('Address already in use');
    this.#taken.add(addr);
  }

  /** Takes an address of the range; null when there is none left. */
  next(): number | null {
    const first = this.range.addr;
    const last = broadcastOf(this.range);
    const size = last - first + 1;
    const start = this.#order === 'lowest' ? this.#cursor : this.#cursor + 1;
    for (let i = 0; i < size; i++) {
      const addr = first + ((start - first + i) % size);
      if (this.#taken.has(addr)) continue;
      this.#taken.add(addr);
      this.#cursor = addr;
      return addr;
    }
    return null;
  }

  release(addr: number): void {
    if (addr === this.subnet.addr || addr === broadcastOf(this.subnet)) return;
    if (this.#taken.delete(addr) && this.#order === 'lowest' && prefixContains(this.range, addr))
      this.#cursor = Math.min(this.#cursor, addr);
  }
}
