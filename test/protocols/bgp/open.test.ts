import test from 'ava';
import fc from 'fast-check';
import type { Capability } from '../../../protocols/bgp/capability.ts';
import type { NeighborOptions } from '../../../protocols/bgp/config.ts';
import { messageBody } from '../../../protocols/bgp/header.ts';
import { type LocalSide, localOpen, negotiate, survivor } from '../../../protocols/bgp/negotiate.ts';
import { decodeOpen, encodeOpen, type Open } from '../../../protocols/bgp/open.ts';
import { asn, u32 } from './arbitrary.ts';
import { FAST } from './lab.ts';

const family = fc.record({
  afi: fc.integer({ min: 0, max: 0xffff }),
  safi: fc.integer({ min: 0, max: 255 }),
});

const capability: fc.Arbitrary<Capability> = fc.oneof(
  fc.record({ type: fc.constant('multiprotocol' as const), family }),
  fc.record({ type: fc.constant('route-refresh' as const) }),
  fc.record({ type: fc.constant('extended-message' as const) }),
  fc.record({ type: fc.constant('enhanced-route-refresh' as const) }),
  fc.record({
    type: fc.constant('extended-next-hop' as const),
    entries: fc.array(fc.record({ family, nextHopAfi: fc.integer({ min: 0, max: 0xffff }) }), {
      maxLength: 4,
    }),
  }),
  fc.record({
    type: fc.constant('graceful-restart' as const),
    restarting: fc.boolean(),
    notification: fc.boolean(),
    time: fc.integer({ min: 0, max: 4095 }),
    families: fc.array(fc.record({ family, forwardingPreserved: fc.boolean() }), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('long-lived-graceful-restart' as const),
    families: fc.array(
      fc.record({ family, forwardingPreserved: fc.boolean(), time: fc.integer({ min: 0, max: 0xffffff }) }),
      { maxLength: 4 },
    ),
  }),
  fc.record({
    type: fc.constant('add-path' as const),
    families: fc.array(fc.record({ family, mode: fc.constantFrom('receive', 'send', 'both') }), {
      maxLength: 4,
    }),
  }) as fc.Arbitrary<Capability>,
  fc.record({
    type: fc.constant('unknown' as const),
    code: fc.integer({ min: 128, max: 255 }),
    value: fc.uint8Array({ maxLength: 255 }),
  }),
);

const open: fc.Arbitrary<Open> = fc
  .record({
    asn,
    holdTime: fc.oneof(fc.constant(0), fc.integer({ min: 3, max: 0xffff })),
    identifier: u32.filter((id) => id !== 0),
    // Up to some 1,500 bytes: RFC 9072's extended form is needed beyond 255.
    capabilities: fc.array(capability, { maxLength: 6 }),
  })
  .map((fields) => ({
    ...fields,
    version: 4,
    capabilities: [...fields.capabilities, { type: 'four-octet-as' as const, asn: fields.asn }],
  }));

test('an OPEN comes back as it went, in the extended form too', (t) => {
  fc.assert(
    fc.property(open, (sent) => {
      const decoded = decodeOpen(messageBody(encodeOpen(sent)));
      t.deepEqual(decoded, { ok: true, open: sent });
    }),
  );
});

test('an OPEN by the layout of RFC 4271 §4.2, RFC 5492, RFC 6793', (t) => {
  const bytes = encodeOpen({
    version: 4,
    asn: 4_200_000_001,
    holdTime: 240,
    identifier: 0x0a000001,
    capabilities: [
      { type: 'multiprotocol', family: { afi: 1, safi: 1 } },
      { type: 'four-octet-as', asn: 4_200_000_001 },
    ],
  });
  const expected = [
    'ff'.repeat(16),
    '002d 01', // 45 bytes, OPEN
    '04 5ba0 00f0 0a000001', // version, AS_TRANS, hold time, identifier
    '10', // 16 bytes of parameters
    '02 06 01 04 0001 00 01',
    '02 06 41 04 fa56ea01',
  ];
  t.is(Buffer.from(bytes).toString('hex'), expected.join('').replaceAll(' ', ''));
});

/** A capability of 150 bytes that nobody knows. */
const LARGE = `80 96 ${'00'.repeat(150)}`;

/** RFC 9072 §2: Non-Ext OP Len, Non-Ext OP Type 255, length (2), then parameters of type (1) and length (2). */
const EXTENDED: readonly (readonly [string, string, string])[] = [
  [
    'as it is sent',
    '04 fc00 00f0 0a000001 ff ff 0012 02 0006 01040001 0001 02 0006 4104 000afc00',
    '719872 2',
  ],
  [
    'whatever the length is that it makes void',
    '04 fc00 00f0 0a000001 01 ff 0009 02 0006 01040001 0001',
    '64512 1',
  ],
  ['without a parameter', '04 fc00 00f0 0a000001 ff ff 0000', '64512 0'],
  ['304 bytes of capabilities', `04 fc00 00f0 0a000001 ff ff 0133 02 0130 ${LARGE.repeat(2)}`, '64512 2'],
];

for (const [name, hex, expected] of EXTENDED) {
  test(`an OPEN in the extended form: ${name}`, (t) => {
    const result = decodeOpen(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    t.true(result.ok);
    if (result.ok) t.is(`${result.open.asn} ${result.open.capabilities.length}`, expected);
  });
}

/** RFC 4271 §6.2: body as hex, expected error. */
const OPEN_ERRORS: readonly (readonly [string, string, string])[] = [
  ['version', '03 fc00 00f0 0a000001 00', '2/1 0004'],
  ['hold time of one second', '04 fc00 0001 0a000001 00', '2/6'],
  ['hold time of two seconds', '04 fc00 0002 0a000001 00', '2/6'],
  ['identifier 0', '04 fc00 00f0 00000000 00', '2/3'],
  ['authentication parameter of RFC 1771', '04 fc00 00f0 0a000001 03 01 01 00', '2/4'],
  ['parameters shorter than they say', '04 fc00 00f0 0a000001 04 02 00', '2/0'],
  ['parameter that overruns', '04 fc00 00f0 0a000001 02 02 04', '2/0'],
  ['capability that overruns', '04 fc00 00f0 0a000001 04 02 02 41 04', '2/0'],
  ['type 255 where there are to be no parameters', '04 fc00 00f0 0a000001 00 ff 0000', '2/0'],
  ['extended: no length', '04 fc00 00f0 0a000001 ff ff 00', '2/0'],
  ['extended: shorter than it says', '04 fc00 00f0 0a000001 ff ff 0009 02 0006 0104', '2/0'],
  ['extended: longer than it says', '04 fc00 00f0 0a000001 ff ff 0003 02 0000 02 0000', '2/0'],
  ['extended: parameter that overruns', '04 fc00 00f0 0a000001 ff ff 0005 02 0100 4104', '2/0'],
  ['extended: too short for a header', '04 fc00 00f0 0a000001 ff ff 0002 02 00', '2/0'],
  ['extended: capability that overruns', '04 fc00 00f0 0a000001 ff ff 0005 02 0002 4104', '2/0'],
  ['extended: parameter 99', '04 fc00 00f0 0a000001 ff ff 0003 63 0000', '2/4'],
];

for (const [name, hex, expected] of OPEN_ERRORS) {
  test(`OPEN error: ${name}`, (t) => {
    const result = decodeOpen(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    t.false(result.ok);
    if (result.ok) return;
    const { code, subcode, data } = result.error;
    t.is(`${code}/${subcode} ${Buffer.from(data).toString('hex')}`.trim(), expected);
  });
}

test('mutated and random OPENs are decoded or refused, never thrown at', (t) => {
  const body = open.map((sent) => Uint8Array.from(messageBody(encodeOpen(sent))));
  const mutated = fc.tuple(body, fc.nat(), fc.nat(255), fc.nat()).map(([bytes, at, value, cut]) => {
    bytes[at % bytes.length] = value;
    return bytes.subarray(0, bytes.length - (cut % 8));
  });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 80 })), (bytes) => {
      const result = decodeOpen(bytes);
      t.is(typeof result.ok, 'boolean');
    }),
  );
});

const OPTIONS: NeighborOptions = { routeReflectorClient: false, nextHopSelf: false, passive: false, ttl: 1 };
const SIDE: LocalSide = {
  asn: 65001,
  identifier: 0x0a000001,
  remoteAs: [65002],
  timings: FAST,
  transport: 'inet',
  options: OPTIONS,
  gracefulRestart: null,
  restarting: 'no',
};
const PEER: Open = {
  version: 4,
  asn: 65002,
  holdTime: 30,
  identifier: 0x0a000002,
  capabilities: [{ type: 'four-octet-as', asn: 65002 }],
};

test('the shorter hold time is agreed on, and a keepalive that fits into it thrice', (t) => {
  const agreed = negotiate(SIDE, PEER);
  t.like(agreed, { holdTime: 30_000, keepalive: 10_000, asSize: 4, routeRefresh: 'no' });
  t.like(negotiate(SIDE, { ...PEER, holdTime: 0 }), { holdTime: 0, keepalive: 0 });
  t.like(negotiate(SIDE, { ...PEER, holdTime: 600 }), { holdTime: 90_000, keepalive: 30_000 });
});

test('a hold time below the three seconds of the wire is in force between speakers that share it', (t) => {
  const side = { ...SIDE, timings: { ...FAST, holdTime: 2400, keepalive: 800 } };
  const own = localOpen(side);
  t.is(own.holdTime, 3);
  t.like(negotiate(side, { ...PEER, holdTime: 3 }), { holdTime: 2400, keepalive: 800 });
});

test('what the peer does not have is not used', (t) => {
  t.like(negotiate(SIDE, { ...PEER, capabilities: [] }), { asSize: 2 });
  const ipv6Only: Capability[] = [{ type: 'multiprotocol', family: { afi: 2, safi: 1 } }];
  t.like(negotiate(SIDE, { ...PEER, capabilities: ipv6Only }), { code: 2, subcode: 7 });
});

test('the peer has to be who it is configured to be', (t) => {
  t.like(negotiate(SIDE, { ...PEER, asn: 65003 }), { code: 2, subcode: 2 });
  const internal = { ...SIDE, remoteAs: [65001] };
  t.like(negotiate(internal, { ...PEER, asn: 65001, identifier: 0x0a000001 }), { code: 2, subcode: 3 });
  // RFC 6286 §2.1: identifiers need to be unique within an AS only.
  t.like(negotiate(SIDE, { ...PEER, identifier: 0x0a000001 }), { identifier: 0x0a000001 });
});

test('both ends of a collision keep the same connection', (t) => {
  fc.assert(
    fc.property(u32, u32, asn, asn, (id1, id2, as1, as2) => {
      fc.pre(id1 !== id2 || as1 !== as2);
      const a = survivor({ ...SIDE, identifier: id1, asn: as1 }, { ...PEER, identifier: id2, asn: as2 });
      const b = survivor({ ...SIDE, identifier: id2, asn: as2 }, { ...PEER, identifier: id1, asn: as1 });
      t.not(a, b);
    }),
  );
  t.is(survivor({ ...SIDE, identifier: 2 }, { ...PEER, identifier: 1 }), 'outgoing');
});
