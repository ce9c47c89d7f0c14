import test from 'ava';
import fc from 'fast-check';
import {
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  sectionHeader,
} from '../../protocols/pcapng.ts';
import { blocksOf, optionsOf, readCapture } from '../support/pcapng.ts';

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const packet = {
  interfaceId: 0,
  linkType: LINKTYPE_ETHERNET,
  at: 0,
  direction: 'none',
  length: 0,
  data: new Uint8Array(0),
  comment: '',
} as const;
const description = {
  linkType: LINKTYPE_ETHERNET,
  snapLength: 0,
  name: 'n1:eth0',
  description: 'lan',
  mac: 0,
  filter: '',
};

test('a section header by its bytes', (t) => {
  const bytes = sectionHeader({ hardware: 'hw', os: '', application: 'abcd', comment: '' });
  t.is(
    hex(bytes),
    [
      '0a0d0d0a', // type
      '30000000', // 48 bytes in all
      '4d3c2b1a', // magic, little-endian
      '01000000', // version 1.0
      'ffffffffffffffff', // length of the section unknown
      '02000200' + '68770000', // shb_hardware 'hw', padded by two
      '04000400' + '61626364', // shb_userappl 'abcd', not padded
      '00000000', // opt_endofopt
      '30000000',
    ].join(''),
  );
});

test('an interface description by its bytes', (t) => {
  const bytes = interfaceDescription({
    ...description,
    snapLength: 0x40000,
    description: '',
    mac: 0x0242ac120001,
    filter: 'arp',
  });
  t.is(
    hex(bytes),
    [
      '01000000',
      '40000000',
      '0100' + '0000', // LINKTYPE_ETHERNET, reserved
      '00000400', // snap length
      '02000700' + '6e313a65746830' + '00', // if_name
      '06000600' + '0242ac120001' + '0000', // if_MACaddr, in network order
      '09000100' + '09' + '000000', // if_tsresol: 10^-9 s
      '0b000400' + '00617270', // if_filter: 0, a libpcap text
      '00000000',
      '40000000',
    ].join(''),
  );
});

test('a packet by its bytes', (t) => {
  const data = Uint8Array.of(0x02, 1, 2, 3, 4, 5, 6);
  const bytes = enhancedPacket({ ...packet, interfaceId: 3, at: 4295.5, direction: 'in', length: 60, data });
  t.is(
    hex(bytes),
    [
      '06000000',
      '34000000',
      '03000000',
      '01000000', // 4,295,500,000 ns = 2^32 + 532,704
      'e0200800',
      '07000000', // 7 bytes kept
      '3c000000', // of 60
      '02010203040506' + '00',
      '02000400' + '05000000', // epb_flags: inbound, unicast
      '00000000',
      '34000000',
    ].join(''),
  );
});

test('a packet without direction has no options, and one without bytes is a block all the same', (t) => {
  t.is(hex(enhancedPacket(packet)), `0600000020000000${'00'.repeat(20)}20000000`);
});

test('flags tell the direction, and broadcasts and multicasts where there is an Ethernet header', (t) => {
  const flags = (first: string, direction: 'in' | 'out', linkType = LINKTYPE_ETHERNET) => {
    const data = Uint8Array.from(Buffer.from(first, 'hex'));
    const [block] = blocksOf(enhancedPacket({ ...packet, data, direction, linkType }));
    return optionsOf(block!.body, 20 + 8).get(2)?.[0];
  };
  t.is(flags('ffffffffffff', 'in'), 0b011_01);
  t.is(flags('ffffffffffff', 'out'), 0b011_10);
  t.is(flags('01005e000001', 'in'), 0b010_01);
  t.is(flags('0242ac120001', 'out'), 0b001_10);
  t.is(flags('450000540001', 'out', LINKTYPE_RAW), 0b000_10);
});

test('statistics by their bytes', (t) => {
  const counts = { received: 10, accepted: 9, dropped: 1, delivered: 8 };
  const bytes = interfaceStatistics({ interfaceId: 1, at: 2, startedAt: 0.000001, endedAt: 2, ...counts });
  const u64 = (value: number) => `${value.toString(16).padStart(2, '0')}${'00'.repeat(7)}`;
  t.is(
    hex(bytes),
    [
      '05000000',
      '64000000',
      '01000000',
      '00000000' + '80841e00', // 2 ms
      '02000800' + '00000000' + '01000000', // isb_starttime, 1 ns
      '03000800' + '00000000' + '80841e00', // isb_endtime
      `04000800${u64(10)}`, // isb_ifrecv
      `06000800${u64(9)}`, // isb_filteraccept
      `07000800${u64(1)}`, // isb_osdrop
      `08000800${u64(8)}`, // isb_usrdeliv
      '00000000',
      '64000000',
    ].join(''),
  );
});

test('times are exact to the nanosecond as far as a number holds them', (t) => {
  const at = (ms: number) =>
    readCapture(Buffer.concat([interfaceDescription(description), enhancedPacket({ ...packet, at: ms })]))
      .packets[0]!.at;
  t.is(at(1_732_378_800_123), 1_732_378_800_123_000_000n);
  t.is(at(1_732_378_800_123.5), 1_732_378_800_123_500_000n);
  t.is(at(0.000001), 1n);
  t.is(at(0.9999999), 1_000_000n);
  for (const impossible of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) t.is(at(impossible), 0n);
});

test('a text too long for an option is cut between characters', (t) => {
  const [block] = blocksOf(interfaceDescription({ ...description, name: 'é'.repeat(40_000) }));
  const name = optionsOf(block!.body, 8).get(2)!;
  t.true(name.length > 60_000);
  t.regex(new TextDecoder('utf-8', { fatal: true }).decode(name), /^é+$/);
});

test('whatever is written can be read back', (t) => {
  const arbitrary = fc.array(
    fc.record({
      interfaceId: fc.nat(2),
      linkType: fc.constant(LINKTYPE_ETHERNET),
      at: fc.nat(2 ** 31),
      direction: fc.constantFrom('in', 'out', 'none'),
      length: fc.nat(100_000),
      data: fc.uint8Array({ maxLength: 200 }),
      comment: fc.string({ unit: 'binary', maxLength: 20 }),
    }),
  );
  fc.assert(
    fc.property(arbitrary, fc.array(fc.string(), { minLength: 3, maxLength: 3 }), (packets, names) => {
      const file = Buffer.concat([
        sectionHeader({ hardware: '', os: 'os', application: names.join(), comment: '' }),
        ...names.map((name) => interfaceDescription({ ...description, name })),
        ...packets.map(enhancedPacket),
      ]);
      const read = readCapture(file);
      t.deepEqual(
        read.interfaces.map(({ name }) => name),
        names,
      );
      t.deepEqual(
        read.packets.map((one) => ({ ...one, data: [...one.data] })),
        packets.map(({ interfaceId, at, direction, length, data }) => ({
          interface: names[interfaceId]!,
          at: BigInt(at) * 1_000_000n,
          direction,
          length,
          data: [...data],
        })),
      );
    }),
  );
});
