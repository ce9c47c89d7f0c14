import { ANY_IP6, type Ip6, isLinkLocal, isMulticastIp6 } from '../../../protocols/ip6.ts';
import type { NexthopFacts } from '../../events/kernel.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { RouteError } from '../route-error.ts';
import type { RouteTable } from '../route-table.ts';

/**
 * The device by which an IPv6 gateway is reached: that of the next hop, else that of the route to it (`ip6_validate_gw`,
 * `fib6_nh_init`). @throws RouteError where there can be no such gateway.
 */
export function gateway6(
  ns: Netns,
  via: Ip6,
  { dev, onlink }: Pick<NexthopFacts, 'dev' | 'onlink'>,
  table: RouteTable<Ip6>,
): Device {
  const given = dev === '' ? null : (ns.device(dev) ?? null);
  if (dev !== '' && given === null) throw new RouteError(`Cannot find device "${dev}"`);
  if (onlink) {
    if (given === null) throw new RouteError('Error: Nexthop device required for onlink.');
    if (!given.up) throw new RouteError('Error: Nexthop device is not up.');
  }
  if (given !== null) refuseOwn(ns, via, given);
  if (via === ANY_IP6 || isMulticastIp6(via)) throw new RouteError('Error: Invalid gateway address.');
  const device =
    isLinkLocal(via) || onlink
      ? given
      : (deviceTo(table, via, given) ?? deviceTo(ns.ipv6.routes, via, given));
  if (device === null)
    throw new RouteError(
      isLinkLocal(via) ? 'Error: Egress device not specified.' : 'RTNETLINK answers: No route to host',
    );
  if (device.kind === 'loopback')
    throw new RouteError('Error: Egress device can not be loopback device for this route.');
  if (given === null) refuseOwn(ns, via, device);
  checkDevice6(device);
  return device;
}

/** @throws RouteError */
export function checkDevice6(device: Device): void {
  if (!device.inet6.enabled) throw new RouteError('Error: IPv6 is disabled on nexthop device.');
  if (!device.up) throw new RouteError('Error: Nexthop device is not up.');
}

/** One that is claimed still is the host's own too. */
function refuseOwn(ns: Netns, via: Ip6, device: Device): void {
  const own = isLinkLocal(via)
    ? device.inet6.find(via) !== undefined
    : ns.devices().some((other) => other.inet6.find(via) !== undefined);
  if (own) throw new RouteError('Error: Gateway can not be a local address.');
}

/** `ip6_route_check_nh`: a gateway is not itself behind one. */
function deviceTo(table: RouteTable<Ip6>, via: Ip6, given: Device | null): Device | null {
  const route = table.lookupWhere(
    via,
    ({ nexthops }) => given === null || nexthops.some((hop) => hop.device === given),
  );
  const hop = route?.nexthops.find((candidate) => given === null || candidate.device === given);
  return route?.type === 'unicast' && hop?.via === ANY_IP6 ? hop.device : null;
}
