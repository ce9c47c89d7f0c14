import { isLoopback, isMulticast, LIMITED_BROADCAST } from '../../protocols/ip4.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';

/** What an address is to the host (`inet_addr_type`); with a device, to that device alone (`inet_dev_addr_type`). */
export function addressType(
  ns: Netns,
  addr: number,
  device: Device | null = null,
): 'UNICAST' | 'LOCAL' | 'BROADCAST' | 'MULTICAST' {
  if (addr === 0 || addr === LIMITED_BROADCAST) return 'BROADCAST';
  if (isMulticast(addr)) return 'MULTICAST';
  if (ns.isLocal(addr) || isLoopback(addr)) {
    const own = device === null || device.addresses.some((address) => address.addr === addr);
    return own ? 'LOCAL' : 'UNICAST';
  }
  return ns.isBroadcast(addr) ? 'BROADCAST' : 'UNICAST';
}
