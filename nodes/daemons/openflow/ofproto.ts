import {
  BAD_MATCH,
  BAD_REQUEST,
  ERROR,
  FLOW_FLAGS,
  METER_MOD_FAILED,
  OFP_NO_BUFFER,
  OpenFlowError,
  PORT_MOD_FAILED,
  RESERVED_PORTS,
  ROLE_REQUEST_FAILED,
} from '../../../protocols/openflow/constants.ts';
import {
  type AsyncConfig,
  FLOW_REMOVED_REASONS,
  type FlowMod,
  type FlowRemovedReason,
  type OfBody,
  type OfMessage,
  PACKET_IN_REASONS,
  PORT_REASONS,
} from '../../../protocols/openflow/message.ts';
import type { Match } from '../../../protocols/openflow/oxm.ts';
import { checkActions, checkMatch } from '../../../protocols/openflow/prerequisites.ts';
import type { OpenFlowBridge, SwitchPort } from '../../kernel/openflow/bridge.ts';
import type { Flow } from '../../kernel/openflow/flow.ts';
import { type PacketIn, TABLES } from '../../kernel/openflow/pipeline.ts';
import type { Runtime } from '../../runtime.ts';
import { answerMultipart } from './multipart.ts';
import { ASYNC_DEFAULT, type OfConn } from './ofconn.ts';

/** Statistics of flows, tables, ports, groups and queues (§7.3.1 `OFPC_…`). */
const CAPABILITIES = 0x4f;

/** What only those may ask for who are not slaves (§6.3.6). */
const CHANGES: readonly OfBody['type'][] = [
  'flow_mod',
  'group_mod',
  'meter_mod',
  'port_mod',
  'packet_out',
  'set_config',
];

/** The OpenFlow side of a bridge: what it answers, and what it tells whom. */
export class Ofproto {
  readonly bridge: OpenFlowBridge;
  readonly datapathId: string;
  readonly #rt: Runtime;
  readonly #conns = new Set<OfConn>();
  /** Number of the last choice of a master (§6.3.6). */
  #generation: bigint | null = null;

  constructor(rt: Runtime, bridge: OpenFlowBridge, datapathId: string) {
    this.#rt = rt;
    this.bridge = bridge;
    this.datapathId = datapathId;
  }

  get generation(): string {
    return this.#generation === null ? '' : String(this.#generation);
  }

  get hasController(): boolean {
    return this.#conns.size > 0;
  }

  attach(conn: OfConn): void {
    this.#conns.add(conn);
  }

  detach(conn: OfConn): void {
    this.#conns.delete(conn);
  }

  /** @throws OpenFlowError that is to be answered. */
  serve(conn: OfConn, { body, xid }: OfMessage): void {
    if (conn.role === 'slave' && CHANGES.includes(body.type))
      throw new OpenFlowError('a slave changes nothing', ERROR.BAD_REQUEST, BAD_REQUEST.IS_SLAVE);
    const { bridge } = this;
    switch (body.type) {
      case 'features_request':
        conn.send(
          {
            type: 'features_reply',
            datapathId: BigInt(`0x${this.datapathId}`),
            buffers: 0,
            tables: TABLES,
            auxiliaryId: 0,
            capabilities: CAPABILITIES,
          },
          xid,
        );
        break;
      case 'set_config':
        conn.missSendLen = body.missSendLen;
        break;
      case 'get_config_request':
        conn.send({ type: 'get_config_reply', flags: 0, missSendLen: conn.missSendLen }, xid);
        break;
      case 'barrier_request':
        // Every message is worked off before the next one is read.
        conn.send({ type: 'barrier_reply' }, xid);
        break;
      case 'flow_mod':
        needNoBuffer(body.bufferId);
        this.#flowMod(body);
        break;
      case 'group_mod':
        if (body.command !== 'delete')
          for (const { actions } of body.buckets) checkActions(actions, 'any', null);
        bridge.groupMod(body);
        break;
      case 'meter_mod':
        bridge.meterMod(body);
        break;
      case 'port_mod':
        this.#portMod(body);
        break;
      case 'packet_out':
        needNoBuffer(body.bufferId);
        this.#packetOut(body);
        break;
      case 'multipart_request':
        for (const reply of answerMultipart(bridge, body.request, this.#rt.now)) conn.send(reply, xid);
        break;
      case 'role_request':
        this.#setRole(conn, body.role, body.generationId);
        conn.send(
          { type: 'role_reply', role: conn.role, generationId: this.#generation ?? 0xffffffffffffffffn },
          xid,
        );
        break;
      case 'get_async_request':
        conn.send({ type: 'get_async_reply', ...(conn.asyncConfig ?? ASYNC_DEFAULT) }, xid);
        break;
      case 'set_async': {
        const { packetIn, portStatus, flowRemoved } = body;
        conn.asyncConfig = { packetIn, portStatus, flowRemoved };
        const masks = asyncMasks(body);
        if (conn.name !== '')
          this.#rt.emit({ type: 'openflow.async', bridge: bridge.bridge, controller: conn.name, masks });
        break;
      }
      case 'error':
        break;
      default:
        throw new OpenFlowError(`a switch takes no ${body.type}`, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_TYPE);
    }
  }

  packetIn({ frame, inPort, metadata, reason, table, cookie }: PacketIn): 'sent' | 'unwanted' {
    let sent: 'sent' | 'unwanted' = 'unwanted';
    // Fields of the pipeline that are 0 are left out (§7.4.1).
    const match: Match = [
      { field: 'in_port', value: BigInt(inPort), mask: null },
      ...(metadata === 0n ? [] : [{ field: 'metadata', value: metadata, mask: null } as const]),
    ];
    for (const conn of this.#conns) {
      if (!conn.wants('packetIn', PACKET_IN_REASONS.indexOf(reason))) continue;
      sent = 'sent';
      // Without buffers the controller is sent all of it, whatever max_len says (§7.2.5).
      conn.send({
        type: 'packet_in',
        bufferId: OFP_NO_BUFFER,
        totalLen: frame.length,
        reason,
        table,
        cookie,
        match,
        data: frame,
      });
    }
    return sent;
  }

  flowRemoved(flow: Flow, reason: FlowRemovedReason): void {
    if ((flow.flags & FLOW_FLAGS.SEND_FLOW_REM) === 0) return;
    const age = this.#rt.now - flow.created;
    for (const conn of this.#conns)
      if (conn.wants('flowRemoved', FLOW_REMOVED_REASONS.indexOf(reason)))
        conn.send({
          type: 'flow_removed',
          cookie: flow.cookie,
          priority: flow.priority,
          reason,
          table: flow.table,
          durationSec: Math.floor(age / 1000),
          durationNsec: Math.floor((age % 1000) * 1e6),
          idleTimeout: flow.idleTimeout,
          hardTimeout: flow.hardTimeout,
          packets: BigInt(flow.packets),
          bytes: BigInt(flow.bytes),
          match: flow.match,
        });
  }

  portChanged(port: SwitchPort): void {
    const reason = 'modify';
    for (const conn of this.#conns)
      if (conn.wants('portStatus', PORT_REASONS.indexOf(reason)))
        conn.send({ type: 'port_status', reason, port: this.bridge.describe(port) });
  }

  #flowMod(mod: FlowMod): void {
    const { groups, meters } = this.bridge.pipeline;
    checkMatch(mod.match);
    const isDelete = mod.command.startsWith('delete');
    for (const one of isDelete ? [] : mod.instructions) {
      if (one.type === 'apply_actions')
        checkActions(one.actions, mod.match, (group) => groups.get(group) !== undefined);
      else if (one.type === 'write_actions')
        checkActions(one.actions, 'any', (group) => groups.get(group) !== undefined);
      else if (one.type === 'meter' && meters.get(one.meter) === undefined)
        throw new OpenFlowError(
          `there is no meter ${one.meter}`,
          ERROR.METER_MOD_FAILED,
          METER_MOD_FAILED.INVALID_METER,
        );
    }
    const inPort = mod.match.find(({ field }) => field === 'in_port');
    if (inPort?.value === 0n)
      throw new OpenFlowError('there is no port 0', ERROR.BAD_MATCH, BAD_MATCH.BAD_VALUE);
    this.bridge.pipeline.flowMod(mod);
  }

  #packetOut({ data, inPort, actions }: Extract<OfBody, { type: 'packet_out' }>): void {
    if (data.length < 14) throw new OpenFlowError('no frame', ERROR.BAD_REQUEST, BAD_REQUEST.BAD_PACKET);
    const isNone = inPort === RESERVED_PORTS.CONTROLLER || inPort === RESERVED_PORTS.ANY;
    if (!isNone && inPort > MAX_PORT && inPort !== RESERVED_PORTS.LOCAL)
      throw new OpenFlowError(`${inPort} is no port`, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_PORT);
    const { groups } = this.bridge.pipeline;
    checkActions(actions, 'any', (group) => groups.get(group) !== undefined);
    this.bridge.packetOut(data.slice(), inPort, actions);
  }

  #portMod({ port: number, mac, config, mask }: Extract<OfBody, { type: 'port_mod' }>): void {
    const port = this.bridge.port(number);
    if (port === undefined)
      throw new OpenFlowError(`there is no port ${number}`, ERROR.PORT_MOD_FAILED, PORT_MOD_FAILED.BAD_PORT);
    if (port.device.mac !== mac)
      throw new OpenFlowError(
        `port ${number} has another address`,
        ERROR.PORT_MOD_FAILED,
        PORT_MOD_FAILED.BAD_HW_ADDR,
      );
    this.bridge.portMod(port, config, mask);
  }

  /** A new master makes a slave of the one before it; what is older than the last choice is refused. */
  #setRole(conn: OfConn, role: 'nochange' | 'equal' | 'master' | 'slave', generation: bigint): void {
    if (role === 'nochange') return;
    if (role !== 'equal') {
      if (this.#generation !== null && BigInt.asIntN(64, generation - this.#generation) < 0n)
        throw new OpenFlowError(
          `generation ${generation} is older than ${this.#generation}`,
          ERROR.ROLE_REQUEST_FAILED,
          ROLE_REQUEST_FAILED.STALE,
        );
      this.#generation = generation;
    }
    if (role === 'master')
      for (const other of this.#conns)
        if (other !== conn && other.role === 'master') this.#become(other, 'slave');
    this.#become(conn, role);
  }

  #become(conn: OfConn, role: OfConn['role']): void {
    conn.role = role;
    if (conn.name === '') return;
    const { generation } = this;
    const { bridge } = this.bridge;
    this.#rt.emit({ type: 'openflow.role', bridge, controller: conn.name, role, generation });
  }
}

/** OFPP_MAX */
const MAX_PORT = 0xffffff00;

/** Nothing is buffered here: n_buffers is 0. */
function needNoBuffer(bufferId: number): void {
  if (bufferId !== OFP_NO_BUFFER)
    throw new OpenFlowError('no such buffer', ERROR.BAD_REQUEST, BAD_REQUEST.BUFFER_UNKNOWN);
}

/** The masks of SET_ASYNC in a row, as events have them. */
export function asyncMasks({ packetIn, portStatus, flowRemoved }: AsyncConfig): number[] {
  return [...packetIn, ...portStatus, ...flowRemoved];
}
