import fc from 'fast-check';
import type { Action, Instruction } from '../../../protocols/openflow/action.ts';
import { GROUP_COMMANDS, GROUP_TYPES } from '../../../protocols/openflow/group.ts';
import {
  COMMANDS,
  FLOW_REMOVED_REASONS,
  type OfBody,
  PACKET_IN_REASONS,
  PORT_REASONS,
  ROLES,
} from '../../../protocols/openflow/message.ts';
import { METER_COMMANDS } from '../../../protocols/openflow/meter.ts';
import {
  FIELDS,
  type FieldName,
  fieldOnes,
  type Match,
  normalMatch,
  type Oxm,
} from '../../../protocols/openflow/oxm.ts';

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
const bytes = fc.uint8Array({ maxLength: 80 });
const text = fc.stringMatching(/^[a-z0-9-]{0,15}$/);

const oxm = (masks: 'masks' | 'none') =>
  fc.constantFrom(...(Object.keys(FIELDS) as FieldName[])).chain((field): fc.Arbitrary<Oxm> => {
    const value = fc.bigInt({ min: 0n, max: fieldOnes(field) });
    const mask = masks === 'masks' && FIELDS[field].maskable ? fc.option(value) : fc.constant(null);
    return fc.record({ field: fc.constant(field), value, mask });
  });

export const match: fc.Arbitrary<Match> = fc
  .uniqueArray(oxm('masks'), { selector: ({ field }) => field, maxLength: 6 })
  .map(normalMatch);

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ type: fc.constant('output' as const), port: u32, maxLen: u16 }),
  fc.record({ type: fc.constant('push_vlan' as const), ethertype: u16 }),
  fc.record({ type: fc.constantFrom('pop_vlan' as const, 'dec_ttl' as const) }),
  fc.record({ type: fc.constant('set_nw_ttl' as const), ttl: u8 }),
  fc.record({ type: fc.constant('set_queue' as const), queue: u32 }),
  fc.record({ type: fc.constant('group' as const), group: u32 }),
  fc.record({ type: fc.constant('set_field' as const), oxm: oxm('none') }),
);
const actions = fc.array(action, { maxLength: 4 });

const instructions: fc.Arbitrary<Instruction[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('goto_table' as const), table: u8 }),
    fc.record({ type: fc.constant('write_metadata' as const), value: u64, mask: u64 }),
    fc.record({ type: fc.constantFrom('write_actions' as const, 'apply_actions' as const), actions }),
    fc.record({ type: fc.constant('clear_actions' as const) }),
    fc.record({ type: fc.constant('meter' as const), meter: u32 }),
  ),
  { maxLength: 4 },
);

const port = fc.record({
  port: u32,
  mac: fc.integer({ min: 0, max: 0xffffffffffff }),
  name: text,
  config: u32,
  state: u32,
});
const flow = {
  table: u8,
  priority: u16,
  idleTimeout: u16,
  hardTimeout: u16,
  cookie: u64,
  match,
};
const duration = { durationSec: u32, durationNsec: u32, packets: u64, bytes: u64 };
const query = { table: u8, outPort: u32, outGroup: u32, cookie: u64, cookieMask: u64, match };
const is = <T extends string>(...types: T[]) => fc.constantFrom(...types);

const group = {
  group: u32,
  groupType: is(...GROUP_TYPES),
  buckets: fc.array(fc.record({ weight: u16, watchPort: u32, watchGroup: u32, actions }), { maxLength: 3 }),
};
const meter = {
  meter: u32,
  flags: u16,
  bands: fc.array(
    fc.oneof(
      fc.record({ type: is('drop'), rate: u32, burst: u32 }),
      fc.record({ type: is('dscp_remark'), rate: u32, burst: u32, precedence: u8 }),
    ),
    { maxLength: 3 },
  ),
};
const counts = fc.array(fc.record({ packets: u64, bytes: u64 }), { maxLength: 3 });
const four = fc.array(u32, { minLength: 4, maxLength: 4 });

const request = fc.oneof(
  fc.record({
    kind: is(
      'desc',
      'table',
      'port_desc',
      'group_desc',
      'group_features',
      'meter_features',
      'table_features',
    ),
  }),
  fc.record({ kind: is('queue'), port: u32, queue: u32 }),
  fc.record({ kind: is('group'), group: u32 }),
  fc.record({ kind: is('meter', 'meter_config'), meter: u32 }),
  fc.record({ kind: is('flow', 'aggregate'), ...query }),
  fc.record({ kind: is('port_stats'), port: u32 }),
);
const reply = fc.oneof(
  fc.record({
    kind: is('desc'),
    manufacturer: text,
    hardware: text,
    software: text,
    serial: text,
    datapath: text,
  }),
  fc.record({
    kind: is('flow'),
    flows: fc.array(fc.record({ ...flow, ...duration, flags: u16, instructions }), { maxLength: 3 }),
  }),
  fc.record({ kind: is('aggregate'), packets: u64, bytes: u64, flows: u32 }),
  fc.record({
    kind: is('table'),
    tables: fc.array(fc.record({ table: u8, active: u32, lookups: u64, matched: u64 }), { maxLength: 3 }),
  }),
  fc.record({
    kind: is('port_stats'),
    ports: fc.array(
      fc.record({
        port: u32,
        rxPackets: u64,
        txPackets: u64,
        rxBytes: u64,
        txBytes: u64,
        rxDropped: u64,
        txDropped: u64,
        durationSec: u32,
        durationNsec: u32,
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({ kind: is('port_desc'), ports: fc.array(port, { maxLength: 3 }) }),
  fc.record({
    kind: is('table_features'),
    tables: fc.array(
      fc.record({
        table: u8,
        name: text,
        metadataMatch: u64,
        metadataWrite: u64,
        config: u32,
        maxEntries: u32,
        properties: fc.array(
          fc.oneof(
            fc.record({ type: fc.constantFrom(0, 1, 4, 5, 6, 7), values: fc.array(u16, { maxLength: 5 }) }),
            fc.record({ type: fc.constantFrom(2, 3), values: fc.array(u8, { maxLength: 9 }) }),
            fc.record({
              type: fc.constantFrom(8, 10, 12, 13, 14, 15),
              values: fc.array(u32, { maxLength: 5 }),
            }),
          ),
          { maxLength: 4 },
        ),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: is('queue'),
    queues: fc.array(
      fc.record({
        port: u32,
        queue: u32,
        bytes: u64,
        packets: u64,
        errors: u64,
        durationSec: u32,
        durationNsec: u32,
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: is('group'),
    groups: fc.array(fc.record({ group: u32, references: u32, ...duration, buckets: counts }), {
      maxLength: 3,
    }),
  }),
  fc.record({ kind: is('group_desc'), groups: fc.array(fc.record(group), { maxLength: 3 }) }),
  fc.record({ kind: is('group_features'), types: u32, capabilities: u32, maxGroups: four, actions: four }),
  fc.record({
    kind: is('meter'),
    meters: fc.array(fc.record({ meter: u32, flows: u32, ...duration, bands: counts }), { maxLength: 3 }),
  }),
  fc.record({ kind: is('meter_config'), meters: fc.array(fc.record(meter), { maxLength: 3 }) }),
  fc.record({
    kind: is('meter_features'),
    maxMeter: u32,
    bandTypes: u32,
    capabilities: u32,
    maxBands: u8,
    maxColor: u8,
  }),
);

export const body: fc.Arbitrary<OfBody> = fc.oneof(
  fc.record({ type: is('hello'), versions: fc.option(u32) }),
  fc.record({ type: is('error'), errorType: u16, code: u16, data: bytes }),
  fc.record({ type: is('echo_request', 'echo_reply'), data: bytes }),
  fc.record({
    type: is(
      'features_request',
      'get_config_request',
      'barrier_request',
      'barrier_reply',
      'get_async_request',
    ),
  }),
  fc.record({
    type: is('features_reply'),
    datapathId: u64,
    buffers: u32,
    tables: u8,
    auxiliaryId: u8,
    capabilities: u32,
  }),
  fc.record({ type: is('get_config_reply', 'set_config'), flags: u16, missSendLen: u16 }),
  fc.record({
    type: is('packet_in'),
    bufferId: u32,
    totalLen: u16,
    reason: is(...PACKET_IN_REASONS),
    table: u8,
    cookie: u64,
    match,
    data: bytes,
  }),
  fc.record({ type: is('flow_removed'), ...flow, ...duration, reason: is(...FLOW_REMOVED_REASONS) }),
  fc.record({ type: is('port_status'), reason: is(...PORT_REASONS), port }),
  fc.record({ type: is('packet_out'), bufferId: u32, inPort: u32, actions, data: bytes }),
  fc.record({
    type: is('flow_mod'),
    command: is(...COMMANDS),
    ...flow,
    cookieMask: u64,
    bufferId: u32,
    outPort: u32,
    outGroup: u32,
    flags: u16,
    instructions,
  }),
  fc.record({ type: is('group_mod'), command: is(...GROUP_COMMANDS), ...group }),
  fc.record({ type: is('meter_mod'), command: is(...METER_COMMANDS), ...meter }),
  fc.record({
    type: is('port_mod'),
    port: u32,
    mac: fc.integer({ min: 0, max: 0xffffffffffff }),
    config: u32,
    mask: u32,
    advertise: u32,
  }),
  fc.record({
    type: is('get_async_reply', 'set_async'),
    packetIn: fc.tuple(u32, u32),
    portStatus: fc.tuple(u32, u32),
    flowRemoved: fc.tuple(u32, u32),
  }),
  fc.record({ type: is('multipart_request'), request }),
  fc.record({ type: is('multipart_reply'), more: is('more', 'last'), reply }),
  fc.record({ type: is('role_request', 'role_reply'), role: is(...ROLES), generationId: u64 }),
);
