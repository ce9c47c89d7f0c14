import fc from 'fast-check';
import type { DnsMessage, RecordData, ResourceRecord } from '../../../protocols/dns/message.ts';
import { formatName } from '../../../protocols/dns/name.ts';
import { mapIp4, readIp6 } from '../../../protocols/ip6.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const byteString = (minLength: number, maxLength: number) =>
  fc
    .array(fc.integer({ min: 0, max: 255 }), { minLength, maxLength })
    .map((codes) => String.fromCharCode(...codes));

/** Names that often share their ends, some of them as long as can be. */
export const names = fc.oneof(
  fc
    .array(fc.constantFrom('web', 'db', 'svc', 'cluster', 'local', 'mynet', 'WEB'), { maxLength: 5 })
    .map((labels) => formatName(labels)),
  fc.array(byteString(1, 63), { maxLength: 3 }).map((labels) => formatName(labels)),
);

const data: fc.Arbitrary<RecordData> = fc.oneof(
  u32.map((address) => ({ type: 'A' as const, address })),
  fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((bytes) => ({ type: 'AAAA' as const, address: readIp6(bytes, 0) })),
  u32.map((address) => ({ type: 'AAAA' as const, address: mapIp4(address) })),
  fc.record({ type: fc.constantFrom('NS' as const, 'CNAME' as const, 'PTR' as const), target: names }),
  fc.record({
    type: fc.constant('SOA' as const),
    mname: names,
    rname: names,
    serial: u32,
    refresh: u32,
    retry: u32,
    expire: u32,
    minimum: u32,
  }),
  fc.record({ type: fc.constant('MX' as const), preference: u16, exchange: names }),
  fc.record({ type: fc.constant('TXT' as const), strings: fc.array(byteString(0, 40), { maxLength: 4 }) }),
  fc.record({ type: fc.constant('SRV' as const), priority: u16, weight: u16, port: u16, target: names }),
  fc.record({
    type: fc.constant('other' as const),
    code: fc.constantFrom(13, 43, 46, 65, 257),
    bytes: fc.uint8Array({ maxLength: 40 }),
  }),
);

const record: fc.Arbitrary<ResourceRecord> = fc.record({
  name: names,
  class: fc.constant(1),
  ttl: fc.integer({ min: 0, max: 0x7fffffff }),
  data,
});
const records = fc.array(record, { maxLength: 4 });

export const messages: fc.Arbitrary<DnsMessage> = fc
  .record({
    id: u16,
    kind: fc.constantFrom('query' as const, 'response' as const),
    opcode: fc.integer({ min: 0, max: 15 }),
    authoritative: fc.boolean(),
    truncated: fc.boolean(),
    recursionDesired: fc.boolean(),
    recursionAvailable: fc.boolean(),
    authenticData: fc.boolean(),
    checkingDisabled: fc.boolean(),
    rcode: fc.integer({ min: 0, max: 4095 }),
    questions: fc.array(fc.record({ name: names, type: u16, class: u16 }), { maxLength: 2 }),
    answers: records,
    authorities: records,
    additionals: records,
    edns: fc.option(
      fc.record({
        udpSize: u16,
        version: fc.integer({ min: 0, max: 255 }),
        dnssecOk: fc.boolean(),
        options: fc.array(fc.record({ code: u16, bytes: fc.uint8Array({ maxLength: 20 }) }), {
          maxLength: 2,
        }),
      }),
    ),
  })
  .map((message) => (message.edns === null ? { ...message, rcode: message.rcode & 0xf } : message));
