import test from 'ava';
import fc from 'fast-check';
import { tableFeatures } from '../../../nodes/daemons/openflow/table-features.ts';
import { setU16 } from '../../../protocols/bytes.ts';
import { writeEthernet } from '../../../protocols/ethernet.ts';
import { PROTO_TCP } from '../../../protocols/ipv4.ts';
import {
  BAD_REQUEST,
  CONTROLLER_MAX_LEN,
  ERROR,
  OFP_NO_BUFFER,
  OFP_PORT,
  OpenFlowError,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import { decodeOpenFlow } from '../../../protocols/openflow/decode.ts';
import { encodeOpenFlow } from '../../../protocols/openflow/encode.ts';
import { OpenFlowFramer } from '../../../protocols/openflow/framer.ts';
import type { MultipartReply, OfBody } from '../../../protocols/openflow/message.ts';
import { matchCovers, matchesOverlap, normalMatch } from '../../../protocols/openflow/oxm.ts';
import { ACK, encodeTcp, PSH } from '../../../protocols/tcp/segment.ts';
import { frameOf } from '../../support/router.ts';
import { saveCapture } from '../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../support/tshark.ts';
import { body, match } from './arbitrary.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('what is encoded is decoded', (t) => {
  fc.assert(
    fc.property(body, fc.integer({ min: 0, max: 0xffffffff }), (body, xid) => {
      const message = { xid, body };
      t.deepEqual(decodeOpenFlow(encodeOpenFlow(message)), message);
    }),
  );
});

test('any bytes are a message or an OpenFlowError', (t) => {
  const whole = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.uint8Array({ minLength: 8, maxLength: 200 }));
  const broken = fc.tuple(body, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }), fc.nat(400));
  const survives = (bytes: Uint8Array) => {
    try {
      decodeOpenFlow(bytes);
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
    }
  };
  fc.assert(
    fc.property(whole, ([type, bytes]) => {
      bytes[0] = 4;
      bytes[1] = type;
      setU16(bytes, 2, bytes.length);
      survives(bytes);
    }),
  );
  fc.assert(
    fc.property(broken, ([body, changes, length]) => {
      const bytes = encodeOpenFlow({ xid: 1, body });
      for (const [at, value] of changes) if (at > 7 && at < bytes.length) bytes[at] = value;
      const cut = bytes.slice(0, Math.max(8, Math.min(length, bytes.length)));
      setU16(cut, 2, cut.length);
      survives(cut);
    }),
  );
  t.pass();
});

test('a stream is cut into its messages wherever it is torn', (t) => {
  fc.assert(
    fc.property(fc.array(body, { maxLength: 4 }), fc.array(fc.nat(60)), (bodies, tears) => {
      const messages = bodies.map((body, xid) => encodeOpenFlow({ xid, body }));
      const stream = Buffer.concat(messages);
      const framer = new OpenFlowFramer();
      const out: Uint8Array[] = [];
      let at = 0;
      for (const length of [...tears, stream.length]) {
        out.push(...framer.push(stream.subarray(at, at + length)));
        at += length;
      }
      t.deepEqual(out.map(hex), messages.map(hex));
    }),
  );
});

test('a message that nothing follows from is no stream', (t) => {
  t.throws(() => new OpenFlowFramer().push(new Uint8Array(8)), { instanceOf: OpenFlowError });
});

test('the bytes are those of the specification', (t) => {
  // ofp_hello with its version bitmap, as Open vSwitch 2.17 sends it to be spoken to in OpenFlow 1.3.
  t.is(
    hex(encodeOpenFlow({ xid: 1, body: { type: 'hello', versions: 0x10 } })),
    '04000010000000010001000800000010',
  );
  // The table-miss flow that every controller begins with: priority 0, to the controller whole.
  t.is(
    hex(encodeOpenFlow({ xid: 2, body: TABLE_MISS })),
    [
      '040e005000000002',
      '00000000000000000000000000000000',
      '0000000000000000',
      'ffffffffffffffffffffffff',
      '00000000',
      '0001000400000000',
      '0004001800000000',
      '00000010fffffffdffff000000000000',
    ].join(''),
  );
});

test('what is not spoken is answered with the error for it', (t) => {
  const error = t.throws(() => decodeOpenFlow(Uint8Array.of(4, 17, 0, 8, 0, 0, 0, 1)), {
    instanceOf: OpenFlowError,
  });
  t.deepEqual([error.errorType, error.code], [ERROR.BAD_REQUEST, BAD_REQUEST.BAD_TYPE]);
  const old = t.throws(() => decodeOpenFlow(Uint8Array.of(1, 5, 0, 8, 0, 0, 0, 1)), {
    instanceOf: OpenFlowError,
  });
  t.deepEqual([old.errorType, old.code], [ERROR.BAD_REQUEST, BAD_REQUEST.BAD_VERSION]);
  t.is(decodeOpenFlow(Uint8Array.of(6, 0, 0, 8, 0, 0, 0, 1)).body.type, 'hello');
});

test('a match covers itself, and what it covers overlaps with it', (t) => {
  fc.assert(
    fc.property(match, match, (a, b) => {
      t.true(matchCovers(a, a));
      t.true(matchCovers([], a));
      t.is(matchesOverlap(a, b), matchesOverlap(b, a));
      if (matchCovers(a, b)) t.true(matchesOverlap(a, b));
    }),
  );
});

const TABLE_MISS: OfBody = {
  type: 'flow_mod',
  command: 'add',
  cookie: 0n,
  cookieMask: 0n,
  table: 0,
  idleTimeout: 0,
  hardTimeout: 0,
  priority: 0,
  bufferId: OFP_NO_BUFFER,
  outPort: RESERVED_PORTS.ANY,
  outGroup: RESERVED_PORTS.ANY,
  flags: 0,
  match: [],
  instructions: [
    {
      type: 'apply_actions',
      actions: [{ type: 'output', port: RESERVED_PORTS.CONTROLLER, maxLen: CONTROLLER_MAX_LEN }],
    },
  ],
};

const BUCKETS = [
  { weight: 2, watchPort: 1, watchGroup: 0xffffffff, actions: [{ type: 'output', port: 1, maxLen: 0 }] },
  { weight: 1, watchPort: 0xffffffff, watchGroup: 3, actions: [{ type: 'group', group: 3 }] },
] as const;
const BANDS = [
  { type: 'drop', rate: 1000, burst: 10 },
  { type: 'dscp_remark', rate: 500, burst: 5, precedence: 1 },
] as const;
const COUNTS = { packets: 5n, bytes: 490n };
const AGE = { durationSec: 3, durationNsec: 500 };
const reply = (one: MultipartReply): OfBody => ({ type: 'multipart_reply', more: 'last', reply: one });

const GROUPS_AND_METERS: readonly OfBody[] = [
  { type: 'group_mod', command: 'add', group: 1, groupType: 'select', buckets: BUCKETS },
  { type: 'group_mod', command: 'delete', group: 0xfffffffc, groupType: 'all', buckets: [] },
  { type: 'meter_mod', command: 'add', meter: 1, flags: 5, bands: BANDS },
  { type: 'port_mod', port: 1, mac: 0x025200010001, config: 1, mask: 1, advertise: 0 },
  { type: 'get_async_request' },
  { type: 'get_async_reply', packetIn: [3, 0], portStatus: [7, 7], flowRemoved: [15, 0] },
  { type: 'set_async', packetIn: [7, 1], portStatus: [7, 7], flowRemoved: [15, 0] },
  reply({
    kind: 'group',
    groups: [{ group: 1, references: 1, ...COUNTS, ...AGE, buckets: [COUNTS, COUNTS] }],
  }),
  reply({ kind: 'group_desc', groups: [{ group: 1, groupType: 'ff', buckets: BUCKETS }] }),
  reply({
    kind: 'group_features',
    types: 15,
    capabilities: 7,
    maxGroups: [9, 9, 9, 9],
    actions: [1, 1, 1, 1],
  }),
  reply({ kind: 'meter', meters: [{ meter: 1, flows: 1, ...COUNTS, ...AGE, bands: [COUNTS, COUNTS] }] }),
  reply({ kind: 'meter_config', meters: [{ meter: 1, flags: 5, bands: BANDS }] }),
  reply({ kind: 'meter_features', maxMeter: 9, bandTypes: 6, capabilities: 15, maxBands: 8, maxColor: 0 }),
  reply({ kind: 'queue', queues: [{ port: 1, queue: 0, ...COUNTS, errors: 0n, ...AGE }] }),
  ...[0, 1, 252, 253].map((table) => reply({ kind: 'table_features', tables: [tableFeatures(table)] })),
  reply({ kind: 'table_features', tables: [] }),
];

testWithTshark('tshark reads what is encoded', async (t) => {
  const port = { port: 1, mac: 0x025200010001, name: 's1-eth1', config: 0, state: 4 };
  const flow = {
    table: 0,
    priority: 100,
    idleTimeout: 10,
    hardTimeout: 0,
    cookie: 7n,
    match: normalMatch([
      { field: 'in_port', value: 1n, mask: null },
      { field: 'eth_dst', value: 0x010000000000n, mask: 0x010000000000n },
      { field: 'eth_type', value: 0x800n, mask: null },
      { field: 'vlan_vid', value: 0x1005n, mask: null },
      { field: 'ip_proto', value: 6n, mask: null },
      { field: 'ipv4_dst', value: 0x0a000000n, mask: 0xff000000n },
      { field: 'tcp_dst', value: 80n, mask: null },
    ]),
  };
  const counts = { durationSec: 3, durationNsec: 500, packets: 5n, bytes: 490n };
  const instructions = [
    { type: 'write_metadata', value: 5n, mask: 0xffn },
    {
      type: 'apply_actions',
      actions: [
        { type: 'push_vlan', ethertype: 0x8100 },
        { type: 'set_field', oxm: { field: 'vlan_vid', value: 0x1005n, mask: null } },
        { type: 'set_field', oxm: { field: 'eth_dst', value: 0x025200010002n, mask: null } },
        { type: 'pop_vlan' },
        { type: 'dec_ttl' },
      ],
    },
    { type: 'write_actions', actions: [{ type: 'output', port: 2, maxLen: 0 }] },
    { type: 'goto_table', table: 1 },
  ] as const;
  const query = {
    table: 0xff,
    outPort: 0xffffffff,
    outGroup: 0xffffffff,
    cookie: 0n,
    cookieMask: 0n,
    match: [],
  };
  const packet = new Uint8Array(60);
  writeEthernet(packet, 0x025200010002, 0x025200010001, 0x88b5);
  const bodies: OfBody[] = [
    { type: 'hello', versions: 0x10 },
    {
      type: 'error',
      errorType: 1,
      code: 1,
      data: encodeOpenFlow({ xid: 9, body: { type: 'features_request' } }),
    },
    { type: 'echo_request', data: Uint8Array.of(1, 2, 3) },
    { type: 'features_request' },
    { type: 'features_reply', datapathId: 1n, buffers: 0, tables: 254, auxiliaryId: 0, capabilities: 7 },
    { type: 'set_config', flags: 0, missSendLen: 128 },
    TABLE_MISS,
    {
      type: 'flow_mod',
      command: 'delete_strict',
      ...flow,
      cookieMask: 0n,
      bufferId: OFP_NO_BUFFER,
      outPort: 0xffffffff,
      outGroup: 0xffffffff,
      flags: 1,
      instructions,
    },
    {
      type: 'packet_in',
      bufferId: OFP_NO_BUFFER,
      totalLen: 60,
      reason: 'no_match',
      table: 0,
      cookie: 0n,
      match: [{ field: 'in_port', value: 1n, mask: null }],
      data: packet,
    },
    {
      type: 'packet_out',
      bufferId: OFP_NO_BUFFER,
      inPort: 1,
      actions: [{ type: 'output', port: RESERVED_PORTS.FLOOD, maxLen: 0 }],
      data: packet,
    },
    { type: 'flow_removed', ...flow, ...counts, reason: 'idle_timeout' },
    { type: 'port_status', reason: 'modify', port },
    { type: 'multipart_request', request: { kind: 'flow', ...query } },
    {
      type: 'multipart_reply',
      more: 'last',
      reply: { kind: 'flow', flows: [{ ...flow, ...counts, flags: 1, instructions }] },
    },
    { type: 'multipart_request', request: { kind: 'port_desc' } },
    { type: 'multipart_reply', more: 'last', reply: { kind: 'port_desc', ports: [port] } },
    {
      type: 'multipart_reply',
      more: 'last',
      reply: { kind: 'desc', manufacturer: 'a', hardware: 'b', software: 'c', serial: 'd', datapath: 'e' },
    },
    {
      type: 'multipart_reply',
      more: 'last',
      reply: { kind: 'table', tables: [{ table: 0, active: 1, lookups: 2n, matched: 1n }] },
    },
    { type: 'multipart_reply', more: 'last', reply: { kind: 'aggregate', packets: 1n, bytes: 2n, flows: 3 } },
    {
      type: 'multipart_reply',
      more: 'last',
      reply: {
        kind: 'port_stats',
        ports: [
          {
            port: 1,
            rxPackets: 1n,
            txPackets: 2n,
            rxBytes: 3n,
            txBytes: 4n,
            rxDropped: 0n,
            txDropped: 0n,
            durationSec: 1,
            durationNsec: 0,
          },
        ],
      },
    },
    { type: 'barrier_request' },
    { type: 'barrier_reply' },
    { type: 'role_request', role: 'master', generationId: 3n },
    ...GROUPS_AND_METERS,
  ];
  let seq = 1;
  const frames = bodies.map((body, xid) => {
    const data = encodeOpenFlow({ xid, body });
    const ports = { srcPort: 40_000, dstPort: OFP_PORT, window: 65_535, urgent: 0 };
    const segment = encodeTcp(
      { ...ports, seq, ack: 1, flags: ACK | PSH, payload: data },
      0x0a000001,
      0x0a000002,
    );
    seq += data.length;
    return frameOf(0x0a000001, 0x0a000002, PROTO_TCP, segment);
  });
  const file = saveCapture(t, frames, 1);
  t.deepEqual(await complaints(file), []);
  const types = await tshark(file, '-T', 'fields', '-e', 'openflow_v4.type');
  t.deepEqual(
    types.map((type) => Number.parseInt(type, 10)),
    [
      0,
      1,
      2,
      5,
      6,
      9,
      14,
      14,
      10,
      13,
      11,
      12,
      18,
      19,
      18,
      19,
      19,
      19,
      19,
      19,
      20,
      21,
      24,
      15,
      15,
      29,
      16,
      26,
      27,
      28,
      ...new Array(12).fill(19),
    ],
  );
});
