import type { IpAddress, IpFamily } from '../../../../protocols/ip.ts';
import { IP6_LENGTH } from '../../../../protocols/ip6.ts';

/** What an entry of a set is made of. */
export type Dimension = 'ip' | 'net' | 'port' | 'portnumber' | 'iface' | 'set';

export type SetType =
  | 'bitmap:ip'
  | 'bitmap:port'
  | 'hash:ip'
  | 'hash:ip,port'
  | 'hash:ip,port,ip'
  | 'hash:ip,port,net'
  | 'hash:net'
  | 'hash:net,iface'
  | 'list:set';

interface TypeInfo {
  readonly dimensions: readonly Dimension[];
  /** That the kernel has, and `ipset list` shows. */
  readonly revision: number;
  /** Bytes that an empty set takes, and one element without extensions (`memsize`). */
  readonly empty: number;
  readonly element: number;
  /** The same of a set of IPv6; absent: there is none. */
  readonly inet6?: { readonly empty: number; readonly element: number };
}

export const SET_TYPES: Readonly<Record<SetType, TypeInfo>> = {
  'bitmap:ip': { dimensions: ['ip'], revision: 3, empty: 88, element: 0 },
  'bitmap:port': { dimensions: ['portnumber'], revision: 3, empty: 72, element: 0 },
  'hash:ip': { dimensions: ['ip'], revision: 6, empty: 216, element: 4, inet6: { empty: 224, element: 16 } },
  'hash:ip,port': {
    dimensions: ['ip', 'port'],
    revision: 7,
    empty: 216,
    element: 8,
    inet6: { empty: 232, element: 20 },
  },
  'hash:ip,port,ip': {
    dimensions: ['ip', 'port', 'ip'],
    revision: 6,
    empty: 208,
    element: 12,
    inet6: { empty: 232, element: 36 },
  },
  'hash:ip,port,net': {
    dimensions: ['ip', 'port', 'net'],
    revision: 8,
    empty: 464,
    element: 12,
    inet6: { empty: 1256, element: 36 },
  },
  'hash:net': {
    dimensions: ['net'],
    revision: 7,
    empty: 456,
    element: 8,
    inet6: { empty: 1240, element: 20 },
  },
  'hash:net,iface': {
    dimensions: ['net', 'iface'],
    revision: 8,
    empty: 488,
    element: 28,
    inet6: { empty: 1264, element: 40 },
  },
  'list:set': { dimensions: ['set'], revision: 3, empty: 80, element: 48 },
};

export function isSetType(text: string): text is SetType {
  return Object.hasOwn(SET_TYPES, text);
}

/** What a set was created with; null is 'not said' or 'not of this type'. */
export interface SetSpec {
  readonly type: SetType;
  /** Of its addresses. */
  readonly family: IpFamily;
  /** First and last that a bitmap can hold. */
  readonly range: readonly [number, number] | null;
  readonly hashsize: number;
  readonly maxelem: number;
  /** Length of the prefix that addresses are cut to. */
  readonly netmask: number | null;
  /** list:set: how many it can hold. */
  readonly size: number;
  /** Seconds that an element lives, 0 for ever; null: elements have no end. */
  readonly timeout: number | null;
  readonly counters: boolean;
  readonly comment: boolean;
  readonly forceadd: boolean;
  /** Seed of the hash, of no effect here. */
  readonly initval: number;
}

/** Part of an entry: an address of either family, a net (`netKey`), `proto * 65536 + port`, a port, or a name. */
export type KeyPart = number | string;

export interface ElementOptions {
  readonly nomatch: boolean;
  /** Seconds; null: the set's own. */
  readonly timeout: number | null;
  readonly comment: string | null;
  readonly packets: number;
  readonly bytes: number;
}

/** A net as one number, one of IPv6 as its address and one character more. */
export function netKey(addr: IpAddress, length: number): KeyPart {
  return typeof addr === 'number' ? addr * 64 + length : addr + String.fromCharCode(length);
}

export function netOf(key: KeyPart): { readonly addr: IpAddress; readonly length: number } {
  if (typeof key === 'number') return { addr: Math.floor(key / 64), length: key % 64 };
  return { addr: key.slice(0, IP6_LENGTH), length: key.charCodeAt(IP6_LENGTH) };
}

/** Error numbers of ip_set(8)'s protocol (`enum ipset_errno`). */
export type IpsetErrno =
  | 'exists'
  | 'missing-set'
  | 'missing-second'
  | 'added-already'
  | 'not-added'
  | 'full'
  | 'list-full'
  | 'range'
  | 'busy'
  | 'referenced'
  | 'rename-exists'
  | 'type-mismatch'
  | 'no-timeout'
  | 'no-counters'
  | 'no-comment'
  | 'cidr'
  | 'null-element'
  | 'element-set'
  | 'list-in-list'
  | 'reference-set';

export class IpsetError extends Error {
  override readonly name = 'IpsetError';
  readonly errno: IpsetErrno;

  constructor(errno: IpsetErrno) {
    super(errno);
    this.errno = errno;
  }
}
