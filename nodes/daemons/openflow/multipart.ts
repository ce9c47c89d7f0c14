import { BAD_REQUEST, ERROR, OpenFlowError, RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import type {
  FlowQuery,
  FlowStats,
  MultipartReply,
  MultipartRequest,
  OfBody,
} from '../../../protocols/openflow/message.ts';
import type { Flow } from '../../kernel/openflow/flow.ts';
import { TABLES } from '../../kernel/openflow/pipeline.ts';
import type { Vswitchd } from './vswitchd.ts';

/** Flows in one message: the longest of them still fit into its 64 KiB. */
const FLOWS_A_MESSAGE = 50;

/** Answers a multipart request (§7.3.5) in as many messages as it takes. @throws OpenFlowError */
export function answerMultipart(vswitchd: Vswitchd, request: MultipartRequest, now: number): OfBody[] {
  const reply = answer(vswitchd, request, now);
  if (reply.kind !== 'flow') return [{ type: 'multipart_reply', more: 'last', reply }];
  const { flows } = reply;
  const bodies: OfBody[] = [];
  for (let at = 0; at === 0 || at < flows.length; at += FLOWS_A_MESSAGE)
    bodies.push({
      type: 'multipart_reply',
      more: at + FLOWS_A_MESSAGE < flows.length ? 'more' : 'last',
      reply: { kind: 'flow', flows: flows.slice(at, at + FLOWS_A_MESSAGE) },
    });
  return bodies;
}

function answer({ bridge, config }: Vswitchd, request: MultipartRequest, now: number): MultipartReply {
  const age = duration(now - bridge.created);
  switch (request.kind) {
    case 'desc':
      return {
        kind: 'desc',
        manufacturer: 'Nicira, Inc.',
        hardware: 'Open vSwitch',
        software: 'reroute',
        serial: 'None',
        datapath: config.bridge,
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
    case 'flow':
      return { kind: 'flow', flows: select({ bridge }, request).map((flow) => statsOf(flow, now)) };
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

const filterOf = (query: FlowQuery) => ({ ...query, priority: null });

function select({ bridge }: Pick<Vswitchd, 'bridge'>, query: FlowQuery): Flow[] {
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
  return { durationSec: Math.floor(ms / 1000), durationNsec: Math.floor((ms % 1000) * 1e6) };
}
