import { broadcastOf, formatPrefix, type Prefix, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { parseIp6, parsePrefix6 } from '../../../protocols/ip6.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import { type StoreValue, storeKeys } from '../../store.ts';

/** Subnets that allocation picks from at most. */
const CANDIDATES = 100;

/** A lease as the store holds it: flannel's own fields, and the expiry that etcd would keep beside them. */
export function leaseValue(lease: LeaseFacts): StoreValue {
  const { subnet, publicIP, backendType, backendData, expiresAt, ipv6 } = lease;
  return {
    subnet,
    PublicIP: publicIP,
    ...(ipv6 === undefined ? {} : { ipv6Subnet: ipv6.subnet, PublicIPv6: ipv6.publicIP }),
    BackendType: backendType,
    BackendData: backendData,
    ...(ipv6 === undefined ? {} : { BackendV6Data: ipv6.backendData }),
    expiresAt,
  };
}

/** Reads a row of `flannel.subnets.>`; null unless it is the lease of the subnet that the key names. */
export function parseLease(key: string, value: StoreValue): LeaseFacts | null {
  const { subnet, PublicIP: publicIP, BackendType: backendType, BackendData: data, expiresAt } = value;
  if (typeof subnet !== 'string' || typeof publicIP !== 'string' || typeof backendType !== 'string')
    return null;
  if (typeof expiresAt !== 'number' || typeof data !== 'object' || data === null) return null;
  const prefix = parsePrefix(subnet);
  if (prefix === null || formatPrefix(prefix) !== subnet || storeKeys.flannelSubnet(subnet) !== key)
    return null;
  if (parseIp4(publicIP) === null) return null;
  const ipv6 = parseIpv6(value);
  return {
    subnet,
    publicIP,
    backendType,
    backendData: dataOf(data),
    expiresAt,
    ...(ipv6 === null ? {} : { ipv6 }),
  };
}

function dataOf(data: object): Record<string, string | number> {
  const known: Record<string, string | number> = {};
  for (const [name, item] of Object.entries(data))
    if (typeof item === 'string' || typeof item === 'number') known[name] = item;
  return known;
}

/** What a lease says of IPv6; null where it says nothing that makes sense. */
function parseIpv6(value: StoreValue): NonNullable<LeaseFacts['ipv6']> | null {
  const { ipv6Subnet: subnet, PublicIPv6: publicIP, BackendV6Data: data = {} } = value;
  if (typeof subnet !== 'string' || typeof publicIP !== 'string') return null;
  if (parsePrefix6(subnet) === null || parseIp6(publicIP) === null) return null;
  return typeof data === 'object' && data !== null ? { subnet, publicIP, backendData: dataOf(data) } : null;
}

/** First and last subnet that flannel gives out: all of the network but the first (`CheckNetworkConfig`). */
export function subnetRange(
  network: Prefix,
  subnetLen: number,
): { readonly min: number; readonly max: number } {
  const size = 2 ** (32 - subnetLen);
  return { min: network.addr + size, max: broadcastOf(network) + 1 - size };
}

/** Whether a subnet could have been given out under this configuration (`isSubnetConfigCompat`). */
export function isCompatible(network: Prefix, subnetLen: number, subnet: Prefix): boolean {
  const { min, max } = subnetRange(network, subnetLen);
  return subnet.len === subnetLen && subnet.addr >= min && subnet.addr <= max;
}

/** The first free subnets, of which allocation takes a random one (`allocateSubnet`); none when the network is used up. */
export function freeSubnets(network: Prefix, subnetLen: number, taken: readonly Prefix[]): Prefix[] {
  const { min, max } = subnetRange(network, subnetLen);
  const size = 2 ** (32 - subnetLen);
  const free: Prefix[] = [];
  for (let addr = min; addr <= max && free.length < CANDIDATES; addr += size) {
    const last = addr + size - 1;
    if (!taken.some((other) => other.addr <= last && broadcastOf(other) >= addr))
      free.push({ addr, len: subnetLen });
  }
  return free;
}
