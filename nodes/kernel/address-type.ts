import { isMulticast, LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import type { Device } from './device.ts';
import { customLocalRoute } from './fib-lookup.ts';
import type { Netns } from './netns.ts';

/**
 * What an address is to the host by its local table (`inet_addr_type`); with a device, as far as it is of that one
 * (`inet_dev_addr_type`).
 */
export function addressType(
  ns: Netns,
  addr: number,
  device: Device | null = null,
): 'UNICAST' | 'LOCAL' | 'BROADCAST' | 'MULTICAST' {
  if (addr === 0 || addr === LIMITED_BROADCAST) return 'BROADCAST';
  if (isMulticast(addr)) return 'MULTICAST';
  const { addresses } = ns;
  if (addresses.isLocal(addr)) return device === null || addresses.isOf(device, addr) ? 'LOCAL' : 'UNICAST';
  if (addresses.isBroadcast(addr))
    return device === null || addresses.broadcastDevice(addr, device) !== null ? 'BROADCAST' : 'UNICAST';
  const row = customLocalRoute(ns, addr);
  if (row === null || (device !== null && row.nexthops[0]?.device !== device)) return 'UNICAST';
  return row.type === 'local' ? 'LOCAL' : row.type === 'broadcast' ? 'BROADCAST' : 'UNICAST';
}
