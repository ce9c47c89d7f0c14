import { u16 } from './bytes.ts';
import { ETH_HLEN } from './ethernet.ts';

/**
 * An 802.1Q tag stands between the source address and the EtherType: protocol id (2), then priority (3 bits), drop
 * eligible (1) and VLAN id (12). A frame may have several, the outer one of 802.1ad (QinQ).
 */
export const VLAN_HLEN = 4;
export const ETHERTYPE_8021Q = 0x8100;
export const ETHERTYPE_8021AD = 0x88a8;

export type VlanProtocol = typeof ETHERTYPE_8021Q | typeof ETHERTYPE_8021AD;

/** The highest VLAN id that a port can be in; 0 is a priority tag, 4095 reserved (IEEE 802.1Q §9.6). */
export const VLAN_ID_MAX = 4094;

/** The protocol of a frame's outer tag; null if it has none, or is too short for it. */
export function vlanProtocol(frame: Uint8Array): VlanProtocol | null {
  if (frame.length < ETH_HLEN + VLAN_HLEN) return null;
  const type = u16(frame, ETH_HLEN - 2);
  return type === ETHERTYPE_8021Q || type === ETHERTYPE_8021AD ? type : null;
}

/** VLAN id of the outer tag of a frame that has one. */
export function vlanId(frame: Uint8Array): number {
  return u16(frame, ETH_HLEN) & 0xfff;
}

/** Priority of the outer tag of a frame that has one (PCP), 0 to 7. */
export function vlanPriority(frame: Uint8Array): number {
  return frame[ETH_HLEN]! >>> 5;
}

/** A copy of a frame with a tag put before what it has. */
export function tagged(frame: Uint8Array, protocol: VlanProtocol, id: number, priority = 0): Uint8Array {
  const out = new Uint8Array(frame.length + VLAN_HLEN);
  out.set(frame.subarray(0, ETH_HLEN - 2));
  out[ETH_HLEN - 2] = protocol >>> 8;
  out[ETH_HLEN - 1] = protocol & 0xff;
  out[ETH_HLEN] = (priority << 5) | (id >>> 8);
  out[ETH_HLEN + 1] = id & 0xff;
  out.set(frame.subarray(ETH_HLEN - 2), ETH_HLEN + 2);
  return out;
}

/** A copy of a frame that has a tag, without the outer one. */
export function untagged(frame: Uint8Array): Uint8Array {
  const out = new Uint8Array(frame.length - VLAN_HLEN);
  out.set(frame.subarray(0, ETH_HLEN - 2));
  out.set(frame.subarray(ETH_HLEN + 2), ETH_HLEN - 2);
  return out;
}
