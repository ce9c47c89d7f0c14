import type { IpAddress } from '../../protocols/ip.ts';
import { formatPrefix, parseIp4, parsePrefix } from '../../protocols/ip4.ts';
import { LpmTrie } from '../../protocols/trie.ts';
import type { NexthopFacts } from '../events/kernel.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';
import { RouteError } from './route-error.ts';
import type { Route, RouteTable } from './route-table.ts';

export interface FamilyPrefix<A> {
  readonly addr: A;
  readonly len: number;
}

export interface PrefixTrie<A, T> {
  set(addr: A, len: number, value: T): void;
  get(addr: A, len: number): T | undefined;
  delete(addr: A, len: number): boolean;
  lookup(addr: A): T | undefined;
  /** Shortest prefix first. */
  lookupAll(addr: A): T[];
  entries(): IterableIterator<{ readonly value: T }>;
}

/** What a route table must know of the addresses in it. */
export interface RouteFamily<A extends IpAddress> {
  readonly name: 'inet' | 'inet6';
  readonly unspecified: A;
  /** Metric of a route that names none (IP6_RT_PRIO_USER). */
  readonly metric: number;
  /** Whether routes of one prefix and metric by different devices are different routes, as in IPv6. */
  readonly rowPerDevice: boolean;
  trie(): PrefixTrie<A, readonly Route<A>[]>;
  parse(text: string): A | null;
  parsePrefix(text: string): FamilyPrefix<A> | null;
  formatPrefix(prefix: FamilyPrefix<A>): string;
  /** Refuses a device that no route of the family can lead by. @throws RouteError */
  checkDevice(device: Device): void;
  /** The device by which a gateway is reached, for a route of a table. @throws RouteError where there can be no such gateway. */
  gateway(ns: Netns, via: A, hop: Pick<NexthopFacts, 'dev' | 'onlink'>, table: RouteTable<A>): Device;
}

export const INET: RouteFamily<number> = {
  name: 'inet',
  unspecified: 0,
  metric: 0,
  rowPerDevice: false,
  trie: () => new LpmTrie(),
  parse: parseIp4,
  parsePrefix,
  formatPrefix,
  checkDevice(device) {
    if (!device.up) throw new RouteError('Error: Device for nexthop is not up.');
  },
  // `fib_check_nh_v4_gw`
  gateway(ns, via, { dev, onlink }, table) {
    if (onlink && dev === '') throw new RouteError('Error: Nexthop device required for onlink.');
    const device = dev === '' ? table.deviceTo(via) : ns.device(dev);
    if (device === undefined)
      throw new RouteError(
        dev === '' ? 'Error: Nexthop has invalid gateway.' : `Cannot find device "${dev}"`,
      );
    if (onlink && !device.up) throw new RouteError('Error: Nexthop device is not up.');
    if (!onlink && !(device.up && table.attaches(via, device)))
      throw new RouteError('Error: Nexthop has invalid gateway.');
    return device;
  },
};
