import type { RouteFacts, RouteProtocol } from '../events/kernel.ts';

/** Routes as the daemons program them. `protocol` is boot where nothing is said, as netlink libraries set it. */

/** `dst dev DEV scope link` */
export function linkRoute(dst: string, dev: string, protocol: RouteProtocol = 'boot'): RouteFacts {
  return { ...base(dst, protocol), scope: 'link', nexthops: [{ via: '', dev, onlink: false, weight: 1 }] };
}

/** `dst dev DEV` */
export function deviceRoute(dst: string, dev: string, protocol: RouteProtocol = 'boot'): RouteFacts {
  return { ...base(dst, protocol), nexthops: [{ via: '', dev, onlink: false, weight: 1 }] };
}

/** `dst via GATEWAY dev DEV`, with `onlink` if the gateway need not be reachable by a route. */
export function gatewayRoute(
  dst: string,
  via: string,
  dev: string,
  gateway: 'reachable' | 'onlink' = 'reachable',
): RouteFacts {
  return { ...base(dst, 'boot'), nexthops: [{ via, dev, onlink: gateway === 'onlink', weight: 1 }] };
}

/** `blackhole dst proto PROTOCOL` */
export function blackholeRoute(dst: string, protocol: RouteProtocol): RouteFacts {
  return { ...base(dst, protocol), type: 'blackhole', nexthops: [] };
}

function base(dst: string, protocol: RouteProtocol): RouteFacts {
  return { dst, type: 'unicast', protocol, scope: 'global', metric: 0, src: '', nexthops: [] };
}
