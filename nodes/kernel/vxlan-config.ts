import { familyOf } from '../../protocols/ip.ts';
import { ANY_IP6, isLinkLocal, isMulticastIp6 } from '../../protocols/ip6.ts';
import { NetlinkError } from './netlink.ts';
import { isGroup, type VxlanOptions } from './vxlan.ts';

/**
 * Refuses settings that cannot be together, or that another device of the host has already (`vxlan_config_validate`).
 * @throws NetlinkError
 */
export function validateVxlan(options: VxlanOptions, others: readonly VxlanOptions[]): void {
  const { local, remote = null, link = null, flowLabel = 0 } = options;
  if (remote !== null && familyOf(local) !== familyOf(remote))
    throw new NetlinkError('Error: Local and remote address must be from the same family.');
  if (isGroup(local)) throw new NetlinkError('Error: Local address cannot be multicast.');
  if (typeof local === 'string' && !sameScope(local, remote))
    throw new NetlinkError('Error: Invalid combination of local and remote address scopes.');
  if (flowLabel !== 0 && typeof local === 'number')
    throw new NetlinkError('Error: Label attribute only applies to IPv6 VXLAN devices.');
  if (link === null && remote !== null && isGroup(remote))
    throw new NetlinkError('Error: Local interface required for multicast remote destination.');
  if (link === null && isOfLink(options))
    throw new NetlinkError('Error: Local interface required for link-local local/remote addresses.');
  if (link?.inet6.conf.disable_ipv6 === 1 && typeof local === 'string')
    throw new NetlinkError('Error: IPv6 support disabled by administrator.');
  if (others.some((other) => isSame(other, options)))
    throw new NetlinkError('Error: A VXLAN device with the specified VNI already exists.');
}

/** An address of a link has nobody to talk to but others of it. */
function sameScope(local: string, remote: VxlanOptions['remote'] | null): boolean {
  const other = typeof remote === 'string' ? remote : ANY_IP6;
  if (!isLinkLocal(local)) return !isLinkLocal(other);
  return isLinkLocal(other) || other === ANY_IP6 || (isMulticastIp6(other) && isLinkGroup(other));
}

function isLinkGroup(group: string): boolean {
  return (group.charCodeAt(1) & 0x0f) === 2;
}

function isOfLink({ local }: VxlanOptions): boolean {
  return typeof local === 'string' && isLinkLocal(local);
}

/** `vxlan_vni_in_use`: those of either family are told apart, and those that take other datagrams. */
function isSame(a: VxlanOptions, b: VxlanOptions): boolean {
  return (
    a.vni === b.vni &&
    a.dstPort === b.dstPort &&
    familyOf(a.local) === familyOf(b.local) &&
    (a.zeroChecksum6 ?? 'dropped') === (b.zeroChecksum6 ?? 'dropped')
  );
}
