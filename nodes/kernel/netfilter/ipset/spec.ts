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
}

export const SET_TYPES: Readonly<Record<SetType, TypeInfo>> = {
  'bitmap:ip': { dimensions: ['ip'], revision: 3, empty: 88, element: 0 },
  'bitmap:port': { dimensions: ['portnumber'], revision: 3, empty: 72, element: 0 },
  'hash:ip': { dimensions: ['ip'], revision: 6, empty: 216, element: 4 },
  'hash:ip,port': { dimensions: ['ip', 'port'], revision: 7, empty: 216, element: 8 },
  'hash:ip,port,ip': { dimensions: ['ip', 'port', 'ip'], revision: 6, empty: 208, element: 12 },
  'hash:ip,port,net': { dimensions: ['ip', 'port', 'net'], revision: 8, empty: 464, element: 12 },
  'hash:net': { dimensions: ['net'], revision: 7, empty: 456, element: 8 },
  'hash:net,iface': { dimensions: ['net', 'iface'], revision: 8, empty: 488, element: 28 },
  'list:set': { dimensions: ['set'], revision: 3, empty: 80, element: 48 },
};

export function isSetType(text: string): text is SetType {
  return Object.hasOwn(SET_TYPES, text);
}

/** What a set was created with; null is 'not said' or 'not of this type'. */
export interface SetSpec {
  readonly type: SetType;
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

/** Part of an entry: an address, a net (`netKey`), `proto * 65536 + port`, a port, or a name. */
export type KeyPart = number | string;

export interface ElementOptions {
  readonly nomatch: boolean;
  /** Seconds; null: the set's own. */
  readonly timeout: number | null;
  readonly comment: string | null;
  readonly packets: number;
  readonly bytes: number;
}

/** A net as one number. */
export function netKey(addr: number, length: number): number {
  return addr * 64 + length;
}

export function netOf(key: number): { readonly addr: number; readonly length: number } {
  return { addr: Math.floor(key / 64), length: key % 64 };
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
