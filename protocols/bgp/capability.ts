import { setU16, setU32, u16, u32 } from '../bytes.ts';
import type { Family } from './constants.ts';

/** Capability codes of the IANA registry. */
const CapabilityCode = {
  multiprotocol: 1,
  routeRefresh: 2,
  extendedNextHop: 5,
  extendedMessage: 6,
  gracefulRestart: 64,
  fourOctetAs: 65,
  addPath: 69,
  enhancedRouteRefresh: 70,
  longLivedGracefulRestart: 71,
} as const;

/** One capability of an OPEN (RFC 5492). What is not known, or known with a length of its own, stays as bytes. */
export type Capability =
  | { readonly type: 'multiprotocol'; readonly family: Family }
  | { readonly type: 'route-refresh' }
  | { readonly type: 'extended-next-hop'; readonly entries: readonly ExtendedNextHop[] }
  | { readonly type: 'extended-message' }
  | {
      readonly type: 'graceful-restart';
      readonly restarting: boolean;
      /** RFC 8538: a NOTIFICATION other than Cease/Hard Reset does not end it. */
      readonly notification: boolean;
      /** Restart time, s, 12 bits. */
      readonly time: number;
      readonly families: readonly RestartFamily[];
    }
  | { readonly type: 'four-octet-as'; readonly asn: number }
  | { readonly type: 'add-path'; readonly families: readonly AddPathFamily[] }
  | { readonly type: 'enhanced-route-refresh' }
  | { readonly type: 'long-lived-graceful-restart'; readonly families: readonly LongLivedFamily[] }
  | { readonly type: 'unknown'; readonly code: number; readonly value: Uint8Array };

/** RFC 8950: NLRI of `family` may have a next hop of `nextHopAfi`. */
interface ExtendedNextHop {
  readonly family: Family;
  readonly nextHopAfi: number;
}

/** RFC 4724 §3 */
interface RestartFamily {
  readonly family: Family;
  readonly forwardingPreserved: boolean;
}

/** RFC 9494 §4.1 */
interface LongLivedFamily extends RestartFamily {
  /** Long-lived stale time, s, 24 bits. */
  readonly time: number;
}

/** RFC 7911 §4 */
interface AddPathFamily {
  readonly family: Family;
  readonly mode: 'receive' | 'send' | 'both';
}

const ADD_PATH_MODES = ['receive', 'send', 'both'] as const;

/**
 * A run of capabilities: code (1), length (1), value each. Null if one overruns the end (RFC 5492 leaves that to
 * the OPEN's unspecific error).
 */
export function decodeCapabilities(buf: Uint8Array, off: number, end: number): Capability[] | null {
  const capabilities: Capability[] = [];
  let at = off;
  while (at < end) {
    if (at + 2 > end) return null;
    const code = buf[at]!;
    const valueEnd = at + 2 + buf[at + 1]!;
    if (valueEnd > end) return null;
    const value = buf.slice(at + 2, valueEnd);
    capabilities.push(decodeKnown(code, value) ?? { type: 'unknown', code, value });
    at = valueEnd;
  }
  return capabilities;
}

function familyAt(value: Uint8Array, off: number): Family {
  return { afi: u16(value, off), safi: value[off + 2]! };
}

function decodeKnown(code: number, value: Uint8Array): Capability | null {
  const { length } = value;
  switch (code) {
    case CapabilityCode.multiprotocol:
      return length === 4 ? { type: 'multiprotocol', family: { afi: u16(value, 0), safi: value[3]! } } : null;
    case CapabilityCode.routeRefresh:
      return length === 0 ? { type: 'route-refresh' } : null;
    case CapabilityCode.extendedMessage:
      return length === 0 ? { type: 'extended-message' } : null;
    case CapabilityCode.enhancedRouteRefresh:
      return length === 0 ? { type: 'enhanced-route-refresh' } : null;
    case CapabilityCode.fourOctetAs:
      return length === 4 ? { type: 'four-octet-as', asn: u32(value, 0) } : null;
    case CapabilityCode.extendedNextHop:
      return length % 6 === 0 ? decodeExtendedNextHop(value) : null;
    case CapabilityCode.gracefulRestart:
      return length >= 2 && (length - 2) % 4 === 0 ? decodeGracefulRestart(value) : null;
    case CapabilityCode.longLivedGracefulRestart:
      return length % 7 === 0 ? decodeLongLived(value) : null;
    case CapabilityCode.addPath:
      return length % 4 === 0 ? decodeAddPath(value) : null;
    default:
      return null;
  }
}

function decodeExtendedNextHop(value: Uint8Array): Capability {
  const entries: ExtendedNextHop[] = [];
  for (let i = 0; i < value.length; i += 6) {
    entries.push({ family: { afi: u16(value, i), safi: u16(value, i + 2) }, nextHopAfi: u16(value, i + 4) });
  }
  return { type: 'extended-next-hop', entries };
}

function decodeGracefulRestart(value: Uint8Array): Capability {
  const families: RestartFamily[] = [];
  for (let i = 2; i < value.length; i += 4) {
    families.push({ family: familyAt(value, i), forwardingPreserved: (value[i + 3]! & 0x80) !== 0 });
  }
  const head = u16(value, 0);
  return {
    type: 'graceful-restart',
    restarting: (head & 0x8000) !== 0,
    notification: (head & 0x4000) !== 0,
    time: head & 0x0fff,
    families,
  };
}

function decodeLongLived(value: Uint8Array): Capability {
  const families: LongLivedFamily[] = [];
  for (let i = 0; i < value.length; i += 7) {
    const time = (value[i + 4]! << 16) | u16(value, i + 5);
    families.push({ family: familyAt(value, i), forwardingPreserved: (value[i + 3]! & 0x80) !== 0, time });
  }
  return { type: 'long-lived-graceful-restart', families };
}

function decodeAddPath(value: Uint8Array): Capability | null {
  const families: AddPathFamily[] = [];
  for (let i = 0; i < value.length; i += 4) {
    const mode = ADD_PATH_MODES[value[i + 3]! - 1];
    // RFC 7911 §4: an entry with any other value is ignored.
    if (mode !== undefined) families.push({ family: familyAt(value, i), mode });
  }
  return { type: 'add-path', families };
}

/** Code, length, value. A value is at most 255 bytes; what `Capability` can express from a decoded OPEN is. */
export function encodeCapability(capability: Capability): Uint8Array {
  const { code, value } = encodeValue(capability);
  const encoded = new Uint8Array(2 + value.length);
  encoded[0] = code;
  encoded[1] = value.length;
  encoded.set(value, 2);
  return encoded;
}

function encodeValue(capability: Capability): { readonly code: number; readonly value: Uint8Array } {
  switch (capability.type) {
    case 'multiprotocol': {
      const value = new Uint8Array(4);
      setU16(value, 0, capability.family.afi);
      value[3] = capability.family.safi;
      return { code: CapabilityCode.multiprotocol, value };
    }
    case 'route-refresh':
      return { code: CapabilityCode.routeRefresh, value: new Uint8Array(0) };
    case 'extended-message':
      return { code: CapabilityCode.extendedMessage, value: new Uint8Array(0) };
    case 'enhanced-route-refresh':
      return { code: CapabilityCode.enhancedRouteRefresh, value: new Uint8Array(0) };
    case 'four-octet-as': {
      const value = new Uint8Array(4);
      setU32(value, 0, capability.asn);
      return { code: CapabilityCode.fourOctetAs, value };
    }
    case 'extended-next-hop': {
      const value = new Uint8Array(6 * capability.entries.length);
      for (const [i, entry] of capability.entries.entries()) {
        setU16(value, 6 * i, entry.family.afi);
        setU16(value, 6 * i + 2, entry.family.safi);
        setU16(value, 6 * i + 4, entry.nextHopAfi);
      }
      return { code: CapabilityCode.extendedNextHop, value };
    }
    case 'graceful-restart': {
      const value = new Uint8Array(2 + 4 * capability.families.length);
      const flags = (capability.restarting ? 0x8000 : 0) | (capability.notification ? 0x4000 : 0);
      setU16(value, 0, flags | (capability.time & 0x0fff));
      for (const [i, entry] of capability.families.entries()) {
        writeFamily(value, 2 + 4 * i, entry.family, entry.forwardingPreserved ? 0x80 : 0);
      }
      return { code: CapabilityCode.gracefulRestart, value };
    }
    case 'long-lived-graceful-restart': {
      const value = new Uint8Array(7 * capability.families.length);
      for (const [i, entry] of capability.families.entries()) {
        writeFamily(value, 7 * i, entry.family, entry.forwardingPreserved ? 0x80 : 0);
        value[7 * i + 4] = (entry.time >>> 16) & 0xff;
        setU16(value, 7 * i + 5, entry.time & 0xffff);
      }
      return { code: CapabilityCode.longLivedGracefulRestart, value };
    }
    case 'add-path': {
      const value = new Uint8Array(4 * capability.families.length);
      for (const [i, entry] of capability.families.entries()) {
        writeFamily(value, 4 * i, entry.family, ADD_PATH_MODES.indexOf(entry.mode) + 1);
      }
      return { code: CapabilityCode.addPath, value };
    }
    case 'unknown':
      return capability;
  }
}

function writeFamily(value: Uint8Array, off: number, family: Family, last: number): void {
  setU16(value, off, family.afi);
  value[off + 2] = family.safi;
  value[off + 3] = last;
}
