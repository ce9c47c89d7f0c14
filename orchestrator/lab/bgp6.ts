import type { BgpConfig, BgpNeighbor } from '../../nodes/config.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { formatIp6 } from '../../protocols/ip6.ts';
import { parseScoped } from '../../protocols/scoped-address.ts';
import { type Addressing, hasIpv4 } from './addressing.ts';
import type { Addressing6 } from './addressing6.ts';
import type { ResolvedNode } from './inherit.ts';

/** The nodes of a cluster that give pods addresses of both families tell each other both. */
export type ClusterFamilies = 'single-stack' | 'dual-stack';

/**
 * What IPv6 adds to a speaker: its own IPv6 address as the next hop of what it tells on sessions that carry IPv6, a
 * router's IPv6 loopbacks among its networks, both families between the nodes of a dual-stack cluster and on sessions over
 * IPv6, and there the own IPv4 address for peers that take no other next hop of IPv4.
 */
export function withIpv6(
  bgp: BgpConfig,
  node: ResolvedNode,
  addressing: Addressing,
  addressing6: Addressing6,
  families: ClusterFamilies,
): BgpConfig {
  const ports = addressing.ports.get(node.name) ?? [];
  const loopbacks = addressing6.loopbacksOf(node).map(formatIp6);
  const nextHopOf = (localAddress: string): string | undefined => {
    const port = ports.find(({ address }) => formatIp4(address.addr) === localAddress);
    const own = port === undefined ? null : addressing6.addressOf(port);
    if (own !== null) return formatIp6(own.addr);
    const first = ports.map((each) => addressing6.addressOf(each)).find((address) => address !== null);
    return loopbacks[0] ?? (first === undefined ? undefined : formatIp6(first.addr));
  };
  const overIpv6 = (neighbor: BgpNeighbor): BgpNeighbor => {
    const local = parseScoped(neighbor.localAddress);
    const port = ports.find(
      (each) => each.iface === local?.zone || addressing6.addressOf(each)?.addr === local?.addr,
    );
    const own = port === undefined || local?.zone === '' ? null : addressing6.addressOf(port);
    return {
      ...neighbor,
      families: neighbor.families ?? ['ipv4', 'ipv6'],
      // A global address of the interface goes before the link-local one, as in FRR.
      ...(own === null ? {} : { nextHop6: neighbor.nextHop6 ?? formatIp6(own.addr) }),
      ...(port === undefined || !hasIpv4(port)
        ? {}
        : { nextHop4: neighbor.nextHop4 ?? formatIp4(port.address.addr) }),
    };
  };
  const neighbors = bgp.neighbors.map((neighbor): BgpNeighbor => {
    if (neighbor.localAddress.includes(':')) return overIpv6(neighbor);
    const both = families === 'dual-stack' && neighbor.type !== 'external';
    const carried = neighbor.families ?? (both ? (['ipv4', 'ipv6'] as const) : undefined);
    if (carried?.includes('ipv6') !== true) return neighbor;
    const nextHop6 = neighbor.nextHop6 ?? nextHopOf(neighbor.localAddress);
    return { ...neighbor, families: carried, ...(nextHop6 === undefined ? {} : { nextHop6 }) };
  });
  const announced = node.kind === 'router' ? loopbacks.map((addr) => `${addr}/128`) : [];
  return { ...bgp, neighbors, networks: [...new Set([...bgp.networks, ...announced])] };
}
