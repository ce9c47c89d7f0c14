import { setU16, setU32 } from '../bytes.ts';
import { writeIp6 } from '../ip6.ts';
import { DNS_HLEN } from './decode.ts';
import { type DnsMessage, type RecordData, type ResourceRecord, RR_TYPE, typeCode } from './message.ts';
import { type DnsName, parseName } from './name.ts';

/** Most bytes of a message over TCP, whose length stands in two bytes before it (RFC 1035 §4.2.2). */
export const DNS_TCP_SIZE = 0xffff;

/** A name or a string that does not fit its field. */
export class DnsEncodeError extends Error {
  override readonly name = 'DnsEncodeError';
}

/**
 * Encodes a message with compression of names (RFC 1035 §4.1.4; in RDATA of that document's own types only, RFC 3597 §4).
 * What does not fit `limit` bytes is left out from the end: answers and authorities set TC, additional records do not
 * (RFC 2181 §9). @throws DnsEncodeError
 */
export function encodeDns(message: DnsMessage, limit: number = DNS_TCP_SIZE): Uint8Array {
  const { edns } = message;
  const writer = new Writer();
  const room = limit - optLength(message);
  for (const question of message.questions) {
    writer.name(question.name, 'compress');
    writer.u16(question.type);
    writer.u16(question.class);
  }
  const counts = [message.questions.length, 0, 0, 0];
  let truncated = message.truncated;
  const sections = [message.answers, message.authorities, message.additionals];
  let full = writer.length > room;
  for (const [i, records] of sections.entries()) {
    for (const record of records) {
      if (full) break;
      const start = writer.length;
      writer.record(record);
      if (writer.length <= room) counts[i + 1]!++;
      else {
        writer.rewind(start);
        full = true;
        truncated ||= i < 2;
      }
    }
    if (full && i < 2 && counts[i + 1]! < records.length) truncated = true;
  }
  if (edns !== null) {
    writer.edns(message);
    counts[3]!++;
  }
  const bytes = writer.bytes();
  setU16(bytes, 0, message.id);
  setU16(bytes, 2, flagsOf(message, truncated));
  for (const [i, count] of counts.entries()) setU16(bytes, 4 + 2 * i, count);
  return bytes;
}

/** The message behind its length, as it goes over TCP. @throws DnsEncodeError */
export function encodeDnsTcp(message: DnsMessage): Uint8Array {
  const bytes = encodeDns(message, DNS_TCP_SIZE);
  const framed = new Uint8Array(2 + bytes.length);
  setU16(framed, 0, bytes.length);
  framed.set(bytes, 2);
  return framed;
}

function flagsOf(message: DnsMessage, truncated: boolean): number {
  return (
    (message.kind === 'response' ? 0x8000 : 0) |
    ((message.opcode & 0xf) << 11) |
    (message.authoritative ? 0x0400 : 0) |
    (truncated ? 0x0200 : 0) |
    (message.recursionDesired ? 0x0100 : 0) |
    (message.recursionAvailable ? 0x0080 : 0) |
    (message.authenticData ? 0x0020 : 0) |
    (message.checkingDisabled ? 0x0010 : 0) |
    (message.rcode & 0xf)
  );
}

function optLength({ edns }: DnsMessage): number {
  if (edns === null) return 0;
  return edns.options.reduce((sum, option) => sum + 4 + option.bytes.length, 11);
}

class Writer {
  #buf = new Uint8Array(512);
  #at = DNS_HLEN;
  /** Where names stand that a pointer can reach, by their labels from here to the root. */
  readonly #names = new Map<string, number>();

  get length(): number {
    return this.#at;
  }

  bytes(): Uint8Array {
    return this.#buf.slice(0, this.#at);
  }

  /** Forgets everything from an offset on. */
  rewind(to: number): void {
    this.#at = to;
    for (const [key, at] of this.#names) if (at >= to) this.#names.delete(key);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#buf[this.#at++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    setU16(this.#buf, this.#at, value);
    this.#at += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    setU32(this.#buf, this.#at, value);
    this.#at += 4;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buf.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  text(bytes: string): void {
    this.#reserve(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.#buf[this.#at++] = bytes.charCodeAt(i);
  }

  name(name: DnsName, how: 'compress' | 'plain'): void {
    const labels = parseName(name);
    if (labels === null) throw new DnsEncodeError(`${JSON.stringify(name)} is no domain name`);
    for (let i = 0; i < labels.length; i++) {
      const key = labels
        .slice(i)
        .map((label) => `${String.fromCharCode(label.length)}${label}`)
        .join('');
      const known = this.#names.get(key);
      if (known !== undefined && how === 'compress') {
        this.u16(0xc000 | known);
        return;
      }
      if (known === undefined && this.#at < 0x4000) this.#names.set(key, this.#at);
      const label = labels[i]!;
      this.u8(label.length);
      this.text(label);
    }
    this.u8(0);
  }

  record(record: ResourceRecord): void {
    this.name(record.name, 'compress');
    this.u16(typeCode(record.data));
    this.u16(record.class);
    this.u32(record.ttl);
    this.u16(0);
    const start = this.#at;
    this.#data(record.data);
    const length = this.#at - start;
    if (length > 0xffff) throw new DnsEncodeError(`record data of ${length} bytes`);
    setU16(this.#buf, start - 2, length);
  }

  edns(message: DnsMessage): void {
    const { edns, rcode } = message;
    if (edns === null) return;
    this.u8(0);
    this.u16(RR_TYPE.OPT);
    this.u16(edns.udpSize);
    this.u8(rcode >>> 4);
    this.u8(edns.version);
    this.u16(edns.dnssecOk ? 0x8000 : 0);
    this.u16(optLength(message) - 11);
    for (const option of edns.options) {
      this.u16(option.code);
      this.u16(option.bytes.length);
      this.raw(option.bytes);
    }
  }

  #data(data: RecordData): void {
    switch (data.type) {
      case 'A':
        this.u32(data.address);
        return;
      case 'AAAA':
        this.#reserve(16);
        writeIp6(this.#buf, this.#at, data.address);
        this.#at += 16;
        return;
      case 'NS':
      case 'CNAME':
      case 'PTR':
        this.name(data.target, 'compress');
        return;
      case 'SOA':
        this.name(data.mname, 'compress');
        this.name(data.rname, 'compress');
        for (const value of [data.serial, data.refresh, data.retry, data.expire, data.minimum])
          this.u32(value);
        return;
      case 'MX':
        this.u16(data.preference);
        this.name(data.exchange, 'compress');
        return;
      case 'TXT':
        for (const string of data.strings) {
          if (string.length > 0xff) throw new DnsEncodeError(`character string of ${string.length} bytes`);
          this.u8(string.length);
          this.text(string);
        }
        return;
      case 'SRV':
        this.u16(data.priority);
        this.u16(data.weight);
        this.u16(data.port);
        this.name(data.target, 'plain');
        return;
      case 'other':
        this.raw(data.bytes);
    }
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#buf.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#buf.length, this.#at + size));
    grown.set(this.#buf.subarray(0, this.#at));
    this.#buf = grown;
  }
}
