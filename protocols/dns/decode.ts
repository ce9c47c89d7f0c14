import { bytesKey, u16, u32 } from '../bytes.ts';
import { readIp6 } from '../ip6.ts';
import {
  CLASS_IN,
  type DnsMessage,
  type DnsQuestion,
  type Edns,
  type RecordData,
  type ResourceRecord,
  RR_TYPE,
} from './message.ts';
import { type DnsName, formatName, MAX_NAME } from './name.ts';

export const DNS_HLEN = 12;

export type DnsDecoded =
  | { readonly ok: true; readonly message: DnsMessage }
  /** What is wrong, and where; the id if so much of the header is there. */
  | { readonly ok: false; readonly problem: string; readonly id: number | null };

class Malformed extends Error {}

/**
 * Decodes a whole message (RFC 1035 §4.1): id (2), flags (2), four counts (2 each), then the sections. Compression
 * pointers must lead backwards, which ends every chain of them. Bytes behind the last record are let pass.
 */
export function decodeDns(bytes: Uint8Array): DnsDecoded {
  if (bytes.length < 2) return { ok: false, problem: `${bytes.length} bytes are no DNS message`, id: null };
  const id = u16(bytes, 0);
  try {
    if (bytes.length < DNS_HLEN) throw new Malformed('header cut off');
    return { ok: true, message: new Reader(bytes).message() };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, problem: error.message, id };
    throw error;
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = DNS_HLEN;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  message(): DnsMessage {
    const bytes = this.#bytes;
    const flags = u16(bytes, 2);
    const questions: DnsQuestion[] = [];
    for (let left = u16(bytes, 4); left > 0; left--) questions.push(this.#question());
    const opts: Edns[] = [];
    const extended: number[] = [];
    const section = (count: number, may: 'hold-opt' | 'not-hold-opt'): ResourceRecord[] => {
      const records: ResourceRecord[] = [];
      for (let left = count; left > 0; left--) {
        const start = this.#at;
        const name = this.#name();
        const header = this.#need(10);
        const type = u16(bytes, header);
        const length = u16(bytes, header + 8);
        const at = this.#need(length);
        if (type === RR_TYPE.OPT) {
          if (may === 'not-hold-opt' || name !== '' || opts.length > 0)
            throw new Malformed(`misplaced OPT record at ${start}`);
          extended.push(u32(bytes, header + 4) >>> 24);
          opts.push(this.#edns(header, at, length));
          continue;
        }
        const data = this.#data(type, u16(bytes, header + 2), at, length);
        // The highest bit is no part of a TTL (RFC 2181 §8): such a one counts as zero.
        const ttl = u32(bytes, header + 4);
        records.push({ name, class: u16(bytes, header + 2), ttl: ttl > 0x7fffffff ? 0 : ttl, data });
      }
      return records;
    };
    const answers = section(u16(bytes, 6), 'not-hold-opt');
    const authorities = section(u16(bytes, 8), 'not-hold-opt');
    const additionals = section(u16(bytes, 10), 'hold-opt');
    return {
      id: u16(bytes, 0),
      kind: (flags & 0x8000) !== 0 ? 'response' : 'query',
      opcode: (flags >>> 11) & 0xf,
      authoritative: (flags & 0x0400) !== 0,
      truncated: (flags & 0x0200) !== 0,
      recursionDesired: (flags & 0x0100) !== 0,
      recursionAvailable: (flags & 0x0080) !== 0,
      authenticData: (flags & 0x0020) !== 0,
      checkingDisabled: (flags & 0x0010) !== 0,
      rcode: ((extended[0] ?? 0) << 4) | (flags & 0xf),
      questions,
      answers,
      authorities,
      additionals,
      edns: opts[0] ?? null,
    };
  }

  #question(): DnsQuestion {
    const name = this.#name();
    const at = this.#need(4);
    return { name, type: u16(this.#bytes, at), class: u16(this.#bytes, at + 2) };
  }

  /** RFC 6891 §6.1.2: udp size as CLASS; extended rcode (1), version (1), DO and zeros (2) as TTL; options as RDATA. */
  #edns(header: number, at: number, length: number): Edns {
    const bytes = this.#bytes;
    const options: { code: number; bytes: Uint8Array }[] = [];
    for (let off = at; off < at + length; ) {
      if (at + length - off < 4) throw new Malformed(`EDNS option cut off at ${off}`);
      const size = u16(bytes, off + 2);
      if (off + 4 + size > at + length) throw new Malformed(`EDNS option cut off at ${off}`);
      options.push({ code: u16(bytes, off), bytes: bytes.slice(off + 4, off + 4 + size) });
      off += 4 + size;
    }
    return {
      udpSize: u16(bytes, header + 2),
      version: bytes[header + 5]!,
      dnssecOk: (u16(bytes, header + 6) & 0x8000) !== 0,
      options,
    };
  }

  #data(type: number, cls: number, at: number, length: number): RecordData {
    const bytes = this.#bytes;
    const end = at + length;
    const sized = (size: number) => {
      if (length !== size) throw new Malformed(`record data of ${length} bytes, not ${size}, at ${at}`);
    };
    const nameAt = (from: number, until: number): DnsName => {
      const { name, next } = this.#nameAt(from);
      if (next !== until) throw new Malformed(`record data does not end with its name at ${at}`);
      return name;
    };
    const behind = (size: number): number => {
      if (length <= size) throw new Malformed(`record data cut off at ${at}`);
      return at + size;
    };
    switch (type) {
      case RR_TYPE.A:
        if (cls !== CLASS_IN) break;
        sized(4);
        return { type: 'A', address: u32(bytes, at) };
      case RR_TYPE.AAAA:
        if (cls !== CLASS_IN) break;
        sized(16);
        return { type: 'AAAA', address: readIp6(bytes, at) };
      case RR_TYPE.NS:
        return { type: 'NS', target: nameAt(at, end) };
      case RR_TYPE.CNAME:
        return { type: 'CNAME', target: nameAt(at, end) };
      case RR_TYPE.PTR:
        return { type: 'PTR', target: nameAt(at, end) };
      case RR_TYPE.MX:
        return { type: 'MX', exchange: nameAt(behind(2), end), preference: u16(bytes, at) };
      case RR_TYPE.SRV: {
        const target = nameAt(behind(6), end);
        return {
          type: 'SRV',
          priority: u16(bytes, at),
          weight: u16(bytes, at + 2),
          port: u16(bytes, at + 4),
          target,
        };
      }
      case RR_TYPE.SOA: {
        const mname = this.#nameAt(at);
        const rname = this.#nameAt(mname.next);
        if (end - rname.next !== 20) throw new Malformed(`SOA of a wrong length at ${at}`);
        const [serial, refresh, retry, expire, minimum] = [0, 4, 8, 12, 16].map((off) =>
          u32(bytes, rname.next + off),
        ) as [number, number, number, number, number];
        return { type: 'SOA', mname: mname.name, rname: rname.name, serial, refresh, retry, expire, minimum };
      }
      case RR_TYPE.TXT: {
        const strings: string[] = [];
        for (let off = at; off < end; ) {
          const next = off + 1 + bytes[off]!;
          if (next > end) throw new Malformed(`character string cut off at ${off}`);
          strings.push(bytesKey(bytes, off + 1, next));
          off = next;
        }
        return { type: 'TXT', strings };
      }
      default:
    }
    return { type: 'other', code: type, bytes: bytes.slice(at, end) };
  }

  #name(): DnsName {
    const { name, next } = this.#nameAt(this.#at);
    this.#at = next;
    return name;
  }

  #nameAt(start: number): { readonly name: DnsName; readonly next: number } {
    const bytes = this.#bytes;
    const labels: string[] = [];
    let length = 1;
    let at = start;
    /** Where the name's own bytes end, once a pointer has been followed. */
    let next: number | null = null;
    /** Pointers must lead before this. */
    let limit = start;
    for (;;) {
      const size = bytes[at];
      if (size === undefined) throw new Malformed(`name cut off at ${start}`);
      if (size === 0) return { name: formatName(labels), next: next ?? at + 1 };
      if (size >= 0xc0) {
        if (at + 2 > bytes.length) throw new Malformed(`name cut off at ${start}`);
        const target = u16(bytes, at) & 0x3fff;
        if (target >= limit) throw new Malformed(`compression pointer at ${at} does not lead backwards`);
        next ??= at + 2;
        limit = target;
        at = target;
        continue;
      }
      if (size > 63) throw new Malformed(`unknown kind of label at ${at}`);
      if (at + 1 + size > bytes.length) throw new Malformed(`name cut off at ${start}`);
      length += 1 + size;
      if (length > MAX_NAME) throw new Malformed(`name longer than ${MAX_NAME} bytes at ${start}`);
      labels.push(bytesKey(bytes, at + 1, at + 1 + size));
      at += 1 + size;
    }
  }

  /** Steps over so many bytes, and tells where they begin. */
  #need(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) throw new Malformed(`record cut off at ${at}`);
    this.#at = at + size;
    return at;
  }
}
