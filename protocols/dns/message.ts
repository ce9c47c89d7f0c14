import type { Ip6 } from '../ip6.ts';
import type { DnsName } from './name.ts';

/** RFC 1035 §4.2: port, and most bytes of a message over UDP without EDNS. */
export const DNS_PORT = 53;
export const DNS_UDP_SIZE = 512;

/** RFC 1035 §4.1.1, RFC 6891 §9. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export const RR_TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  ANY: 255,
} as const;

export type RrTypeName = keyof typeof RR_TYPE;

export const CLASS_IN = 1;

export interface DnsQuestion {
  readonly name: DnsName;
  /** `RR_TYPE`, or any other number. */
  readonly type: number;
  readonly class: number;
}

export type RecordData =
  | { readonly type: 'A'; readonly address: number }
  | { readonly type: 'AAAA'; readonly address: Ip6 }
  | { readonly type: 'NS' | 'CNAME' | 'PTR'; readonly target: DnsName }
  | {
      readonly type: 'SOA';
      readonly mname: DnsName;
      readonly rname: DnsName;
      readonly serial: number;
      readonly refresh: number;
      readonly retry: number;
      readonly expire: number;
      readonly minimum: number;
    }
  | { readonly type: 'MX'; readonly preference: number; readonly exchange: DnsName }
  /** Strings of their bytes' codes, each at most 255 bytes. */
  | { readonly type: 'TXT'; readonly strings: readonly string[] }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: DnsName;
    }
  /** Of a type that is not known here, or an address of a class that is not IN (RFC 3597). */
  | { readonly type: 'other'; readonly code: number; readonly bytes: Uint8Array };

export interface ResourceRecord {
  readonly name: DnsName;
  readonly class: number;
  /** Seconds. */
  readonly ttl: number;
  readonly data: RecordData;
}

/** The OPT pseudo-record (RFC 6891 §6.1). */
export interface Edns {
  /** Most bytes of a message that its sender takes over UDP. */
  readonly udpSize: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly options: readonly { readonly code: number; readonly bytes: Uint8Array }[];
}

/** RFC 1035 §4.1. The OPT record is in `edns`, not among the additional records. */
export interface DnsMessage {
  readonly id: number;
  /** QR */
  readonly kind: 'query' | 'response';
  /** 0: a standard query. */
  readonly opcode: number;
  readonly authoritative: boolean;
  /** TC */
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  /** AD and CD (RFC 4035 §3.1.6, §3.2.2). */
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** 12 bits with EDNS, else 4. */
  readonly rcode: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
  readonly edns: Edns | null;
}

/** Number of a record's type on the wire. */
export function typeCode(data: RecordData): number {
  return data.type === 'other' ? data.code : RR_TYPE[data.type];
}

const TYPE_NAMES = new Map<number, string>(Object.entries(RR_TYPE).map(([name, code]) => [code, name]));
const RCODE_NAMES = new Map<number, string>(Object.entries(RCODE).map(([name, code]) => [code, name]));

/** `A`; `TYPE65` of one that has no name here (RFC 3597 §5). */
export function typeName(code: number): string {
  return TYPE_NAMES.get(code) ?? `TYPE${code}`;
}

/** Null: no such type. */
export function typeOfName(name: string): number | null {
  const upper = name.toUpperCase();
  if (Object.hasOwn(RR_TYPE, upper)) return RR_TYPE[upper as RrTypeName];
  const number = /^TYPE(\d{1,5})$/.exec(upper)?.[1];
  return number !== undefined && Number(number) <= 0xffff ? Number(number) : null;
}

export function rcodeName(code: number): string {
  return RCODE_NAMES.get(code) ?? `RCODE${code}`;
}

/** A standard query for one question, with recursion desired. */
export function query(id: number, name: DnsName, type: number, edns: Edns | null = null): DnsMessage {
  return {
    id,
    kind: 'query',
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    authenticData: false,
    checkingDisabled: false,
    rcode: RCODE.NOERROR,
    questions: [{ name, type, class: CLASS_IN }],
    answers: [],
    authorities: [],
    additionals: [],
    edns,
  };
}
