import {
  ANY_IP6,
  formatPrefix6,
  type Ip6,
  isLinkLocal,
  parseIp6,
  parsePrefix6,
} from '../../../protocols/ip6.ts';
import { Lpm6Trie } from '../../../protocols/trie6.ts';
import type { Netns } from '../netns.ts';
import { type RouteFamily, RouteTable } from '../route-table.ts';

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
  onLink: isLinkLocal,
};

export function inet6RouteTable(ns: Netns): RouteTable<Ip6> {
  return new RouteTable(ns, INET6);
}
