import { VLAN_ID_MAX } from '../../protocols/vlan.ts';
import type { Device, DeviceOptions } from './device.ts';
import { IpvlanDevice, type IpvlanFlag, type IpvlanMode, IpvlanPort } from './ipvlan.ts';
import { MacvlanDevice, type MacvlanMode, MacvlanPort } from './macvlan.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { VlanDevice, VlanGroup, type VlanOptions } from './vlan.ts';

/** What a device can be that stands on another one. */
export type UpperOptions =
  | ({ readonly kind: 'vlan' } & VlanOptions)
  | { readonly kind: 'macvlan'; readonly mode: MacvlanMode }
  | { readonly kind: 'ipvlan'; readonly mode: IpvlanMode; readonly flag: IpvlanFlag };

/** Refuses what cannot stand on a device beside what is there. @throws NetlinkError */
export function checkUpper(parent: Device, upper: UpperOptions): void {
  if (parent.kind === 'ipvlan')
    throw new NetlinkError(
      upper.kind === 'vlan'
        ? 'Error: 8021q: VLANs not supported on device.'
        : 'RTNETLINK answers: Invalid argument',
    );
  if (!parent.hasLinkLayer && parent.kind !== 'loopback')
    throw new NetlinkError('RTNETLINK answers: Invalid argument');
  if (upper.kind === 'vlan') {
    if (parent.kind === 'loopback') throw new NetlinkError('Error: 8021q: VLANs not supported on device.');
    if (upper.id > VLAN_ID_MAX) throw new NetlinkError('Error: 8021q: Invalid VLAN id.');
    if (parent.vlans?.has(upper) === true)
      throw new NetlinkError('Error: 8021q: VLAN device already exists.');
    return;
  }
  if (parent.kind === 'loopback') throw new NetlinkError('RTNETLINK answers: Invalid argument');
  const { rxHandler } = parent;
  if (parent.master !== null || (rxHandler !== null && rxHandler.kind !== upper.kind))
    throw new NetlinkError('RTNETLINK answers: Device or resource busy');
  if (
    rxHandler instanceof MacvlanPort &&
    (rxHandler.alone || (isAlone(upper) && rxHandler.devices.length > 0))
  )
    throw new NetlinkError('RTNETLINK answers: Invalid argument');
}

function isAlone(upper: UpperOptions): boolean {
  return upper.kind === 'macvlan' && upper.mode === 'passthru';
}

/** The device by itself; `attachUpper` joins it to the one that it stands on. */
export function makeUpper(ns: Netns, options: DeviceOptions, parent: Device, upper: UpperOptions): Device {
  switch (upper.kind) {
    case 'vlan':
      return new VlanDevice(ns, options, parent, upper);
    case 'macvlan':
      return new MacvlanDevice(ns, options, parent, macvlanPort(parent), upper.mode);
    case 'ipvlan':
      return new IpvlanDevice(ns, options, parent, ipvlanPort(parent, upper.mode, upper.flag));
  }
}

/** The port of a device's macvlan devices, made where it is the first. */
function macvlanPort(parent: Device): MacvlanPort {
  if (parent.rxHandler instanceof MacvlanPort) return parent.rxHandler;
  const port = new MacvlanPort();
  parent.rxHandler = port;
  return port;
}

/** The port of a device's ipvlan devices: the mode is that of all, and the last to be set (`ipvlan_set_port_mode`). */
function ipvlanPort(parent: Device, mode: IpvlanMode, flag: IpvlanFlag): IpvlanPort {
  if (parent.rxHandler instanceof IpvlanPort) {
    parent.rxHandler.configure(mode, flag);
    return parent.rxHandler;
  }
  const port = new IpvlanPort(parent, mode, flag);
  parent.rxHandler = port;
  return port;
}

/** Joins a device to the one that it stands on. */
export function attachUpper(device: Device): void {
  const parent = device.lower();
  if (parent === null) return;
  parent.uppers.push(device);
  const port = parent.rxHandler;
  if (device instanceof VlanDevice) {
    parent.vlans ??= new VlanGroup();
    parent.vlans.add(device);
  } else if (device instanceof MacvlanDevice && port instanceof MacvlanPort) {
    port.devices.push(device);
  } else if (device instanceof IpvlanDevice && port instanceof IpvlanPort) port.devices.push(device);
  if (device.mac !== parent.mac) parent.setFilter(device.mac, 'wanted');
}

/** Takes it off again. */
export function detachUpper(device: Device): void {
  const parent = device.lower();
  if (parent === null) return;
  if (device.mac !== parent.mac) parent.setFilter(device.mac, 'unwanted');
  parent.uppers.splice(parent.uppers.indexOf(device), 1);
  const port = parent.rxHandler;
  if (device instanceof VlanDevice) {
    parent.vlans?.remove(device);
    if (parent.vlans?.size === 0) parent.vlans = null;
  } else if (device instanceof MacvlanDevice && port instanceof MacvlanPort) {
    port.devices.splice(port.devices.indexOf(device), 1);
    if (port.devices.length === 0) parent.rxHandler = null;
  } else if (device instanceof IpvlanDevice && port instanceof IpvlanPort) {
    port.devices.splice(port.devices.indexOf(device), 1);
    if (port.devices.length === 0) parent.rxHandler = null;
  }
}
