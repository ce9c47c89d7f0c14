import { BridgeDevice } from './bridge.ts';
import { type Device, PortDevice } from './device.ts';
import { MacvlanDevice } from './macvlan.ts';
import { InternalDevice } from './openflow/internal-device.ts';
import { VlanDevice } from './vlan.ts';

// What a change of one device means to others, as the kernel's notifiers of network devices have it (`call_netdevice_notifiers`).

/** Tells of a device as it is now (`RTM_NEWLINK`). */
export function emitLink(device: Device): void {
  const { ns } = device;
  ns.kernel.rt.emit({ type: 'link.set', ns: ns.name, link: device.facts() });
  device.inet6.refresh();
}

/** Tells of the device below one that comes up or goes down, where that has to hear more then, or less. */
export function emitLower(device: Device): void {
  const lower = device.lower();
  if (device instanceof MacvlanDevice && device.mode === 'passthru' && lower !== null) emitLink(lower);
}

/** Tells of those that name a device as the one they stand on, or as their peer. */
export function emitNaming(device: Device): void {
  const peer = device.peer();
  if (peer !== null) emitLink(peer);
  for (const upper of device.uppers) emitLink(upper);
}

/** Tells of a device whose carrier is another; neighbours go with it where they are to. */
export function carrierChanged(device: Device): void {
  emitLink(device);
  if (device.carrier) return;
  const { all } = device.ns.sysctls;
  const { all: all6 } = device.ns.ipv6.sysctls;
  if ((all.arp_evict_nocarrier & device.conf.arp_evict_nocarrier) !== 0) device.neighbors.carrierLost();
  if ((all6.ndisc_evict_nocarrier & device.inet6.conf.ndisc_evict_nocarrier) !== 0)
    device.inet6.neighbors.carrierLost();
}

/** A veth end has carrier while its peer is up. */
export function refreshPeer(device: Device): void {
  const peer = device.peer();
  if (peer === null || peer.carrier === device.up) return;
  if (peer.ns.links.get(peer.name) !== peer) return;
  peer.carrier = device.up;
  carrierChanged(peer);
  refreshMaster(peer);
  refreshUppers(peer);
}

/** A bridge forgets what was behind a port without carrier, and has carrier itself while a port has. */
export function refreshMaster(device: Device): void {
  const { master } = device;
  if (device instanceof InternalDevice) device.changed();
  if (!(master instanceof BridgeDevice)) {
    master?.portChanged?.(device);
    return;
  }
  if (!device.usable) master.flush(device);
  refreshBridge(master);
}

/** A bridge has carrier while a port has. */
export function refreshBridge(bridge: BridgeDevice): void {
  if (!bridge.refreshCarrier()) return;
  carrierChanged(bridge);
  refreshUppers(bridge);
}

/** What stands on a device has its carrier, and a VLAN goes up and down with it (`vlan_device_event`). */
export function refreshUppers(device: Device): void {
  for (const upper of [...device.uppers]) {
    const { links } = upper.ns;
    // `ipvlan_device_event` does not look at a device that goes down.
    if (!device.up && upper.kind === 'ipvlan') continue;
    if (!device.up && upper.kind === 'vlan') links.setDown(upper.name);
    if (upper.carrier !== device.usable) links.setCarrier(upper, device.usable);
    if (device.up && upper.kind === 'vlan') links.setUp(upper.name);
  }
}

/** A bridge for which neither was chosen has the lowest address and the smallest MTU of its ports. */
export function followPorts(bridge: BridgeDevice): void {
  if (!bridge.macSet) changeMac(bridge, bridge.portsMac);
  const { portsMtu } = bridge;
  if (bridge.mtuSet || bridge.mtu === portsMtu) return;
  bridge.mtu = portsMtu;
  emitLink(bridge);
}

/** Gives a device an address, which others have with it. */
export function changeMac(device: Device, mac: number): void {
  const old = device.mac;
  if (old === mac) return;
  const lower = device.lower();
  if (lower !== null && old !== lower.mac) lower.setFilter(old, 'unwanted');
  device.mac = mac;
  const bridge = device instanceof BridgeDevice ? device : device.master;
  if (bridge instanceof BridgeDevice) bridge.macsChanged();
  if (lower !== null && mac !== lower.mac) lower.setFilter(mac, 'wanted');
  if (device instanceof PortDevice) device.filterChanged();
  emitLink(device);
  if (device.up) notifyArp(device);
  for (const upper of device.uppers) if (followsMac(upper)) changeMac(upper, mac);
}

/** A VLAN that has no address of its own, while it is up, ipvlan devices, and a macvlan device of mode passthru. */
function followsMac(upper: Device): boolean {
  if (upper instanceof VlanDevice) return upper.inherits && upper.up;
  return !(upper instanceof MacvlanDevice) || upper.mode === 'passthru';
}

/** By arp_notify a device tells its segment of its addresses as it comes up, and as its own changes (`inetdev_event`). */
export function notifyArp(device: Device): void {
  if (!device.hasLinkLayer || device.noArp) return;
  if (Math.max(device.conf.arp_notify, device.ns.sysctls.all.arp_notify) === 0) return;
  for (const { addr } of device.addresses) device.neighbors.announce(addr);
}
