import { formatIp } from '../../../protocols/ip.ts';
import { formatIp4, formatPrefix, parsePrefix } from '../../../protocols/ip4.ts';
import type { AddressFacts, LinkFacts, RouteFacts, RouteScope, RouteType } from '../../events/kernel.ts';
import { addresses6Of, addressesOf } from './addresses.ts';

/** The local table (255), which the kernel keeps by itself: it follows from the addresses (`fib_add_ifaddr`). */
export function localTable(links: readonly LinkFacts[], addresses: readonly AddressFacts[]): RouteFacts[] {
  return links.flatMap((link) => {
    const row = (dst: string, type: RouteType, scope: RouteScope, src: string): RouteFacts => ({
      dst,
      type,
      protocol: 'kernel',
      scope,
      metric: 0,
      src,
      nexthops: [{ via: '', dev: link.name, onlink: false, weight: 1 }],
    });
    const rows: RouteFacts[] = [];
    const shown = addressesOf(link, addresses);
    for (const { facts, prefix, role } of shown) {
      const subnet = parsePrefix(facts.address);
      if (subnet === null) continue;
      const primary = shown.find(
        (other) =>
          other.role === 'primary' &&
          other.prefix.len === subnet.len &&
          parsePrefix(other.facts.address)?.addr === subnet.addr,
      );
      const src = formatIp4(
        role === 'secondary' && primary !== undefined ? primary.prefix.addr : prefix.addr,
      );
      rows.push(row(`${formatIp4(prefix.addr)}/32`, 'local', 'host', src));
      // The rest goes when the device goes down, the host's own address stays.
      if (!link.up || role === 'secondary' || prefix.len >= 31) continue;
      if (link.kind === 'loopback') rows.push(row(formatPrefix(subnet), 'local', 'host', src));
      const last = formatIp4((subnet.addr + 2 ** (32 - subnet.len) - 1) >>> 0);
      rows.push(row(`${last}/32`, 'broadcast', 'link', src));
    }
    return rows;
  });
}

/** The local table of IPv6: the addresses that may be used, and the groups of every link that is up. */
export function localTable6(
  links: readonly LinkFacts[],
  addresses: readonly AddressFacts[],
  enabled: (dev: string) => boolean,
): RouteFacts[] {
  return links.flatMap((link) => {
    const row = (dst: string, type: RouteType, metric: number): RouteFacts => ({
      dst,
      type,
      protocol: 'kernel',
      scope: 'global',
      metric,
      src: '',
      nexthops: [{ via: '', dev: link.name, onlink: false, weight: 1 }],
    });
    const own = addresses6Of(link, addresses)
      .filter(({ facts }) => facts.dad === undefined)
      .map(({ prefix }) => row(`${formatIp(prefix.addr)}/128`, 'local', 0));
    const listens = link.up && link.kind !== 'loopback' && enabled(link.name);
    return listens ? [...own, row('ff00::/8', 'multicast', 256)] : own;
  });
}
