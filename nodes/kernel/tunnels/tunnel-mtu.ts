import { ANY_IP6 } from '../../../protocols/ip6.ts';
import { IPV6_MIN_MTU } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { type TunnelOptions, tunnelOverhead } from './ip-tunnel.ts';
import { isOver6, type Tunnel6Options, tunnel6Overhead } from './ip6-tunnel.ts';

const ETHERNET_MTU = 1500;

/**
 * The MTU that a new tunnel has of itself, bytes: what is left of that of the device to its other end, or of Ethernet's where none
 * is known (`ip6_tnl_link_config`, `ipip6_tunnel_bind_dev`).
 */
export function tunnelMtu(ns: Netns, tunnel: TunnelOptions | Tunnel6Options): number {
  if (isOver6(tunnel)) {
    const overhead = tunnel6Overhead(tunnel);
    const ends = tunnel.local !== ANY_IP6 && tunnel.remote !== ANY_IP6;
    const device = ends ? ns.ipv6.layer.lookup(tunnel.remote, 0, null)?.device : undefined;
    return leftOf(device, overhead);
  }
  const overhead = tunnelOverhead(tunnel);
  if (tunnel.kind !== 'sit') return ETHERNET_MTU - overhead;
  return leftOf(tunnel.remote === 0 ? undefined : ns.lookup(tunnel.remote, 0)?.device, overhead);
}

function leftOf(device: Device | undefined, overhead: number): number {
  return device === undefined ? ETHERNET_MTU - overhead : Math.max(device.mtu - overhead, IPV6_MIN_MTU);
}
