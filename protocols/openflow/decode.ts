import { u16, u32 } from '../bytes.ts';
import { readMac } from '../mac.ts';
import { readActions, readInstructions } from './action.ts';
import {
  BAD_ACTION,
  BAD_REQUEST,
  ERROR,
  FLOW_MOD_FAILED,
  OFP_HEADER,
  OFP_VERSION,
  OpenFlowError,
} from './constants.ts';
import { readGroupMod } from './group.ts';
import {
  COMMANDS,
  FLOW_REMOVED_REASONS,
  type OfBody,
  type OfMessage,
  PACKET_IN_REASONS,
  PORT_REASONS,
  ROLES,
  TYPES,
} from './message.ts';
import { readMeterMod } from './meter.ts';
import { readReply, readRequest } from './multipart.ts';
import { readBig, readMatch } from './oxm.ts';
import { PORT_SIZE, readPort } from './port.ts';

const bad = (message: string, code: number) => new OpenFlowError(message, ERROR.BAD_REQUEST, code);

/** Least bytes of a body by type. */
const LEAST: Partial<Record<OfBody['type'], number>> = {
  error: 4,
  features_reply: 24,
  get_config_reply: 4,
  set_config: 4,
  packet_in: 26,
  flow_removed: 48,
  port_status: 8 + PORT_SIZE,
  packet_out: 16,
  flow_mod: 48,
  multipart_request: 8,
  multipart_reply: 8,
  group_mod: 8,
  meter_mod: 8,
  port_mod: 32,
  get_async_reply: 24,
  set_async: 24,
  role_request: 16,
  role_reply: 16,
};

/**
 * One whole message, its length as its header says. A HELLO of a later version is read, as §6.3.1 wants it.
 * @throws OpenFlowError with what to answer.
 */
export function decodeOpenFlow(buf: Uint8Array): OfMessage {
  if (buf.length < OFP_HEADER || u16(buf, 2) !== buf.length)
    throw bad('the length is not that of the message', BAD_REQUEST.BAD_LEN);
  const type = TYPES[buf[1]!] ?? null;
  if (buf[0] !== OFP_VERSION && type !== 'hello')
    throw bad(`version 0x${buf[0]!.toString(16)} is not OpenFlow 1.3`, BAD_REQUEST.BAD_VERSION);
  if (type === null) throw bad(`messages of type ${buf[1]} are not spoken here`, BAD_REQUEST.BAD_TYPE);
  if (buf.length - OFP_HEADER < (LEAST[type] ?? 0))
    throw bad(`a ${type} of ${buf.length} bytes is too short`, BAD_REQUEST.BAD_LEN);
  return { xid: u32(buf, 4), body: readBody(type, buf) };
}

function readBody(type: OfBody['type'], buf: Uint8Array): OfBody {
  const end = buf.length;
  switch (type) {
    case 'hello':
      return { type, versions: readVersions(buf) };
    case 'error':
      return { type, errorType: u16(buf, 8), code: u16(buf, 10), data: buf.slice(12) };
    case 'echo_request':
    case 'echo_reply':
      return { type, data: buf.slice(8) };
    case 'features_request':
    case 'get_config_request':
    case 'barrier_request':
    case 'barrier_reply':
    case 'get_async_request':
      return { type };
    case 'features_reply':
      return {
        type,
        datapathId: readBig(buf, 8, 8),
        buffers: u32(buf, 16),
        tables: buf[20]!,
        auxiliaryId: buf[21]!,
        capabilities: u32(buf, 24),
      };
    case 'get_config_reply':
    case 'set_config':
      return { type, flags: u16(buf, 8), missSendLen: u16(buf, 10) };
    case 'packet_in': {
      const { match, next } = readMatch(buf, 24, end);
      if (next + 2 > end) throw bad('a packet_in ends in its match', BAD_REQUEST.BAD_LEN);
      return {
        type,
        bufferId: u32(buf, 8),
        totalLen: u16(buf, 12),
        reason: nameOf(PACKET_IN_REASONS, buf[14]!),
        table: buf[15]!,
        cookie: readBig(buf, 16, 8),
        match,
        data: buf.slice(next + 2),
      };
    }
    case 'flow_removed':
      return {
        type,
        cookie: readBig(buf, 8, 8),
        priority: u16(buf, 16),
        reason: nameOf(FLOW_REMOVED_REASONS, buf[18]!),
        table: buf[19]!,
        durationSec: u32(buf, 20),
        durationNsec: u32(buf, 24),
        idleTimeout: u16(buf, 28),
        hardTimeout: u16(buf, 30),
        packets: readBig(buf, 32, 8),
        bytes: readBig(buf, 40, 8),
        match: readMatch(buf, 48, end).match,
      };
    case 'port_status':
      return { type, reason: nameOf(PORT_REASONS, buf[8]!), port: readPort(buf, 16) };
    case 'packet_out': {
      const actionsEnd = 24 + u16(buf, 16);
      if (actionsEnd > end)
        throw new OpenFlowError(
          'actions are longer than their message',
          ERROR.BAD_ACTION,
          BAD_ACTION.BAD_LEN,
        );
      return {
        type,
        bufferId: u32(buf, 8),
        inPort: u32(buf, 12),
        actions: readActions(buf, 24, actionsEnd),
        data: buf.slice(actionsEnd),
      };
    }
    case 'flow_mod':
      return { type, ...readFlowMod(buf) };
    case 'group_mod':
      return { type, ...readGroupMod(buf, 8) };
    case 'meter_mod':
      return { type, ...readMeterMod(buf, 8) };
    case 'port_mod':
      return {
        type,
        port: u32(buf, 8),
        mac: readMac(buf, 16),
        config: u32(buf, 24),
        mask: u32(buf, 28),
        advertise: u32(buf, 32),
      };
    case 'get_async_reply':
    case 'set_async': {
      const pair = (at: number) => [u32(buf, at), u32(buf, at + 4)] as const;
      return { type, packetIn: pair(8), portStatus: pair(16), flowRemoved: pair(24) };
    }
    case 'multipart_request':
      return { type, request: readRequest(buf) };
    case 'multipart_reply':
      return { type, more: (u16(buf, 10) & 1) === 1 ? 'more' : 'last', reply: readReply(buf) };
    case 'role_request':
    case 'role_reply':
      return { type, role: nameOf(ROLES, u32(buf, 8)), generationId: readBig(buf, 16, 8) };
  }
}

function readFlowMod(buf: Uint8Array) {
  const command = COMMANDS[buf[25]!];
  if (command === undefined)
    throw new OpenFlowError(`no command ${buf[25]}`, ERROR.FLOW_MOD_FAILED, FLOW_MOD_FAILED.BAD_COMMAND);
  const { match, next } = readMatch(buf, 48, buf.length);
  return {
    command,
    cookie: readBig(buf, 8, 8),
    cookieMask: readBig(buf, 16, 8),
    table: buf[24]!,
    idleTimeout: u16(buf, 26),
    hardTimeout: u16(buf, 28),
    priority: u16(buf, 30),
    bufferId: u32(buf, 32),
    outPort: u32(buf, 36),
    outGroup: u32(buf, 40),
    flags: u16(buf, 44),
    match,
    instructions: readInstructions(buf, next, buf.length),
  };
}

/** The first word of the version bitmap (§7.5.1); other elements are passed over. */
function readVersions(buf: Uint8Array): number | null {
  for (let at = 8; at + 4 <= buf.length; ) {
    const length = u16(buf, at + 2);
    if (length < 4 || at + length > buf.length) return null;
    if (u16(buf, at) === 1 && length >= 8) return u32(buf, at + 4);
    at += (length + 7) & ~7;
  }
  return null;
}

function nameOf<T extends string>(names: readonly T[], number: number): T {
  const name = names[number];
  if (name === undefined) throw bad(`${number} is none of ${names.join(', ')}`, BAD_REQUEST.BAD_TYPE);
  return name;
}
