import { ANY_IP6, formatPrefix6, type Ip6, parseIp6, parsePrefix6 } from '../../../protocols/ip6.ts';
import { Lpm6Trie } from '../../../protocols/trie6.ts';
import type { RouteFacts } from '../../events/kernel.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { RouteFamily } from '../route-family.ts';
import { RouteTables } from '../route-tables.ts';
import { checkDevice6, gateway6 } from './gateway.ts';

/** `IP6_RT_PRIO_USER` and `IP6_RT_PRIO_ADDRCONF`: the metrics of routes that name none, and of the kernel's own. */
export const USER_METRIC = 1024;
export const KERNEL_METRIC = 256;

const INET6: RouteFamily<Ip6> = {
  name: 'inet6',
  unspecified: ANY_IP6,
  metric: USER_METRIC,
  rowPerDevice: true,
  trie: () => new Lpm6Trie(),
  parse: parseIp6,
  parsePrefix: parsePrefix6,
  formatPrefix: formatPrefix6,
  checkDevice: checkDevice6,
  gateway: gateway6,
};

export function inet6RouteTables(ns: Netns): RouteTables<Ip6> {
  return new RouteTables(ns, INET6);
}

/** The route to the subnet of an address, by the device that it is of (`addrconf_prefix_route`). */
export function prefixRoute(dst: string, { name: dev }: Device): RouteFacts {
  return {
    dst,
    type: 'unicast',
    protocol: 'kernel',
    scope: 'global',
    metric: KERNEL_METRIC,
    src: '',
    nexthops: [{ via: '', dev, onlink: false, weight: 1 }],
  };
}
