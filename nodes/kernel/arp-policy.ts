import { prefixMask } from '../../protocols/ip4.ts';
import type { Device, InterfaceAddress } from './device.ts';
import { ANY_FLOW } from './rules.ts';

/** Wider scopes have lower numbers, as in rtnetlink.h. */
const SCOPES = { global: 0, link: 253, host: 254 } as const;

/** Whether a host keeps silent about an address of its own (`arp_ignore` of net/ipv4/arp.c); `sender` is 0 for a probe. */
export function arpIgnores(device: Device, sender: number, target: number): boolean {
  const { conf, ns } = device;
  switch (Math.max(conf.arp_ignore, ns.sysctls.all.arp_ignore)) {
    case 1:
      return !confirms([device], 0, target, SCOPES.host);
    case 2:
      return !confirms([device], sender, target, SCOPES.host);
    case 3:
      return !confirms(ns.devices(), 0, target, SCOPES.link);
    case 8:
      return true;
    default:
      return false;
  }
}

/** `inet_confirm_addr`: one of the devices has the address in a wide enough scope, and a subnet that it and the sender are in. */
function confirms(devices: readonly Device[], sender: number, target: number, scope: number): boolean {
  return devices.some(({ addresses }) => {
    const has = addresses.some((own) => own.addr === target && SCOPES[own.scope] <= scope);
    return has && addresses.some((own) => holds(own, target) && (sender === 0 || holds(own, sender)));
  });
}

function holds({ addr, len }: InterfaceAddress, other: number): boolean {
  return ((addr ^ other) & prefixMask(len)) === 0;
}

/** `arp_filter`: an answer to the sender would leave by another device. */
export function arpFilters(device: Device, sender: number, target: number): boolean {
  const { conf, ns } = device;
  if ((conf.arp_filter | ns.sysctls.all.arp_filter) === 0) return false;
  return ns.lookup(sender, sender ^ target, { ...ANY_FLOW, src: target })?.device !== device;
}

/** Whether a host makes an entry for a sender that it has not asked for (`arp_accept`): any, or one of its subnet. */
export function arpAccepts(device: Device, sender: number): boolean {
  const { conf, ns } = device;
  switch (Math.max(conf.arp_accept, ns.sysctls.all.arp_accept)) {
    case 0:
      return false;
    case 2:
      return device.addresses.some((own) => own.scope !== 'host' && holds(own, sender));
    default:
      return true;
  }
}

/**
 * The address that a host says it is when it asks for another (`arp_solicit`). By arp_announce: that of the packet which waits;
 * that one if it is in the target's subnet; or always the best of the device. `waiting`: the packet's source, 0 for none.
 */
export function arpSource(device: Device, target: number, waiting: number): number {
  const { conf, ns } = device;
  const announce = Math.max(conf.arp_announce, ns.sysctls.all.arp_announce);
  const known = waiting !== 0 && announce !== 2 && ns.isLocal(waiting);
  if (known && (announce !== 1 || ns.addresses.onLink(device, target, waiting))) return waiting;
  return ns.sourceFor(device, target);
}
