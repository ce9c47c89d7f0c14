import {
  BAD_REQUEST,
  ERROR,
  METER_MOD_FAILED,
  OpenFlowError,
  QUEUE_OP_FAILED,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import { GROUP, type GroupStats } from '../../../protocols/openflow/group.ts';
import type {
  FlowQuery,
  FlowStats,
  MultipartReply,
  MultipartRequest,
  OfBody,
} from '../../../protocols/openflow/message.ts';
import { METER, METER_FLAGS, type MeterStats } from '../../../protocols/openflow/meter.ts';
import type { OpenFlowBridge } from '../../kernel/openflow/bridge.ts';
import type { Flow } from '../../kernel/openflow/flow.ts';
import type { Group } from '../../kernel/openflow/group-table.ts';
import { MAX_BANDS, MAX_METERS, type Meter } from '../../kernel/openflow/meter-table.ts';
import { TABLES } from '../../kernel/openflow/pipeline.ts';
import { ACTIONS, tableFeatures } from './table-features.ts';

/** Flows in one message: the longest of them still fit into its 64 KiB. */
const FLOWS_A_MESSAGE = 50;
const TABLES_A_MESSAGE = 30;

/** Answers a multipart request (§7.3.5) in as many messages as it takes. @throws OpenFlowError */
export function answerMultipart(bridge: OpenFlowBridge, request: MultipartRequest, now: number): OfBody[] {
  const reply = answer(bridge, request, now);
  const parts = (
    reply.kind === 'flow'
      ? chunks(reply.flows, FLOWS_A_MESSAGE).map((flows) => ({ ...reply, flows }))
      : reply.kind === 'table_features'
        ? chunks(reply.tables, TABLES_A_MESSAGE).map((tables) => ({ ...reply, tables }))
        : [reply]
  ) satisfies MultipartReply[];
  return parts.map((part, i) => ({
    type: 'multipart_reply',
    more: i + 1 < parts.length ? 'more' : 'last',
    reply: part,
  }));
}

/** At least one. */
function chunks<T>(rows: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at === 0 || at < rows.length; at += size) parts.push(rows.slice(at, at + size));
  return parts;
}

function answer(bridge: OpenFlowBridge, request: MultipartRequest, now: number): MultipartReply {
  const age = duration(now - bridge.created);
  switch (request.kind) {
    case 'desc':
      return {
        kind: 'desc',
        manufacturer: 'Nicira, Inc.',
        hardware: 'Open vSwitch',
        software: 'reroute',
        serial: 'None',
        datapath: 'None',
      };
    case 'table':
      return {
        kind: 'table',
        tables: Array.from({ length: TABLES }, (_, table) => {
          const { size, lookups, matched } = bridge.pipeline.table(table);
          return { table, active: size, lookups: BigInt(lookups), matched: BigInt(matched) };
        }),
      };
    case 'port_desc':
      return { kind: 'port_desc', ports: bridge.ports.map((port) => bridge.describe(port)) };
    case 'port_stats': {
      const { port: wanted } = request;
      const ports = bridge.ports.filter(({ number }) => wanted === RESERVED_PORTS.ANY || number === wanted);
      if (ports.length === 0 && wanted !== RESERVED_PORTS.ANY)
        throw new OpenFlowError(`there is no port ${wanted}`, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_PORT);
      return {
        kind: 'port_stats',
        ports: ports.map((port) => ({
          port: port.number,
          rxPackets: BigInt(port.rxPackets),
          txPackets: BigInt(port.txPackets),
          rxBytes: BigInt(port.rxBytes),
          txBytes: BigInt(port.txBytes),
          rxDropped: 0n,
          txDropped: BigInt(port.txDropped),
          ...age,
        })),
      };
    }
    case 'table_features':
      return {
        kind: 'table_features',
        tables: Array.from({ length: TABLES }, (_, table) => tableFeatures(table)),
      };
    case 'queue': {
      const wanted = bridge.ports.filter(({ number }) => {
        return request.port === RESERVED_PORTS.ANY || request.port === number;
      });
      if (wanted.length === 0) throw badQueue(`there is no port ${request.port}`, QUEUE_OP_FAILED.BAD_PORT);
      if (request.queue !== ANY_QUEUE && request.queue !== 0)
        throw badQueue(`there is no queue ${request.queue}`, QUEUE_OP_FAILED.BAD_QUEUE);
      return {
        kind: 'queue',
        queues: wanted.map(({ number, txPackets, txBytes }) => ({
          port: number,
          queue: 0,
          bytes: BigInt(txBytes),
          packets: BigInt(txPackets),
          errors: 0n,
          ...age,
        })),
      };
    }
    case 'group': {
      const { groups } = bridge.pipeline;
      const one = groups.get(request.group);
      const wanted = request.group === GROUP.ALL ? groups.list() : one === undefined ? [] : [one];
      return { kind: 'group', groups: wanted.map((group) => groupStats(bridge, group, now)) };
    }
    case 'group_desc':
      return { kind: 'group_desc', groups: bridge.pipeline.groups.list().map(({ spec }) => spec) };
    case 'group_features':
      return {
        kind: 'group_features',
        types: 0xf,
        capabilities: GROUP_CAPABILITIES,
        maxGroups: new Array(4).fill(GROUP.MAX),
        actions: new Array(4).fill(ACTION_BITS),
      };
    case 'meter':
      return {
        kind: 'meter',
        meters: selectMeters(bridge, request.meter).map((meter) => meterStats(bridge, meter, now)),
      };
    case 'meter_config':
      return { kind: 'meter_config', meters: selectMeters(bridge, request.meter).map(({ spec }) => spec) };
    case 'meter_features':
      return {
        kind: 'meter_features',
        maxMeter: MAX_METERS,
        bandTypes: 0b110,
        capabilities: METER_FLAGS.KBPS | METER_FLAGS.PKTPS | METER_FLAGS.BURST | METER_FLAGS.STATS,
        maxBands: MAX_BANDS,
        maxColor: 0,
      };
    case 'flow':
      return { kind: 'flow', flows: select(bridge, request).map((flow) => statsOf(flow, now)) };
    case 'aggregate': {
      const flows = bridge.pipeline.select(request.table, filterOf(request));
      return {
        kind: 'aggregate',
        packets: BigInt(flows.reduce((sum, { packets }) => sum + packets, 0)),
        bytes: BigInt(flows.reduce((sum, { bytes }) => sum + bytes, 0)),
        flows: flows.length,
      };
    }
  }
}

/** Weights, liveness, chaining (`OFPGFC_…`). */
const GROUP_CAPABILITIES = 0b111;
const ACTION_BITS = ACTIONS.reduce((bits, action) => bits | (1 << action), 0) >>> 0;
/** OFPQ_ALL */
const ANY_QUEUE = 0xffffffff;

function badQueue(message: string, code: number): OpenFlowError {
  return new OpenFlowError(message, ERROR.QUEUE_OP_FAILED, code);
}

function selectMeters({ pipeline: { meters } }: OpenFlowBridge, number: number): Meter[] {
  if (number === METER.ALL) return meters.list();
  const meter = meters.get(number);
  if (meter === undefined)
    throw new OpenFlowError(
      `there is no meter ${number}`,
      ERROR.METER_MOD_FAILED,
      METER_MOD_FAILED.UNKNOWN_METER,
    );
  return [meter];
}

function groupStats({ pipeline }: OpenFlowBridge, group: Group, now: number): GroupStats {
  const { spec, packets, bytes, bucketPackets, bucketBytes, created } = group;
  return {
    group: spec.group,
    references: pipeline.flows().reduce((sum, flow) => sum + flow.sendsTo(spec.group), 0),
    packets: BigInt(packets),
    bytes: BigInt(bytes),
    ...duration(now - created),
    buckets: counts(bucketPackets, bucketBytes),
  };
}

function meterStats({ pipeline }: OpenFlowBridge, meter: Meter, now: number): MeterStats {
  const { spec, packets, bytes, bandPackets, bandBytes, created } = meter;
  return {
    meter: spec.meter,
    flows: pipeline.flows().filter((flow) => flow.isMetered(spec.meter)).length,
    packets: BigInt(packets),
    bytes: BigInt(bytes),
    ...duration(now - created),
    bands: counts(bandPackets, bandBytes),
  };
}

function counts(packets: readonly number[], bytes: readonly number[]) {
  return packets.map((count, i) => ({ packets: BigInt(count), bytes: BigInt(bytes[i] ?? 0) }));
}

const filterOf = (query: FlowQuery) => ({ ...query, priority: null });

function select(bridge: OpenFlowBridge, query: FlowQuery): Flow[] {
  return bridge.pipeline.select(query.table, filterOf(query));
}

function statsOf(flow: Flow, now: number): FlowStats {
  const { table, priority, idleTimeout, hardTimeout, flags, cookie, match, instructions } = flow;
  return {
    table,
    ...duration(now - flow.created),
    priority,
    idleTimeout,
    hardTimeout,
    flags,
    cookie,
    packets: BigInt(flow.packets),
    bytes: BigInt(flow.bytes),
    match,
    instructions,
  };
}

function duration(ms: number): { durationSec: number; durationNsec: number } {
  return { durationSec: Math.floor(ms / 1000), durationNsec: Math.floor(ms % 1000) * 1e6 };
}
