import { writeActions, writeInstructions } from './action.ts';
import { OFP_VERSION } from './constants.ts';
import { writeGroupMod } from './group.ts';
import {
  COMMANDS,
  FLOW_REMOVED_REASONS,
  MULTIPARTS,
  type OfBody,
  type OfMessage,
  PACKET_IN_REASONS,
  PORT_REASONS,
  ROLES,
  TYPES,
} from './message.ts';
import { writeMeterMod } from './meter.ts';
import { writeMatch } from './oxm.ts';
import { writePort } from './port.ts';
import { writeReply, writeRequest } from './write-multipart.ts';
import { OfWriter } from './writer.ts';

/** A message: version (1), type (1), length (2), transaction id (4), body. */
export function encodeOpenFlow({ xid, body }: OfMessage): Uint8Array {
  const out = new OfWriter();
  out.u8(OFP_VERSION);
  out.u8(TYPES.indexOf(body.type));
  out.u16(0);
  out.u32(xid);
  writeBody(out, body);
  out.setU16(2, out.length);
  return out.take();
}

function writeBody(out: OfWriter, body: OfBody): void {
  switch (body.type) {
    case 'hello':
      if (body.versions === null) break;
      out.u16(1);
      out.u16(8);
      out.u32(body.versions);
      break;
    case 'error':
      out.u16(body.errorType);
      out.u16(body.code);
      out.bytes(body.data);
      break;
    case 'echo_request':
    case 'echo_reply':
      out.bytes(body.data);
      break;
    case 'features_reply':
      out.u64(body.datapathId);
      out.u32(body.buffers);
      out.u8(body.tables);
      out.u8(body.auxiliaryId);
      out.zeros(2);
      out.u32(body.capabilities);
      out.zeros(4);
      break;
    case 'get_config_reply':
    case 'set_config':
      out.u16(body.flags);
      out.u16(body.missSendLen);
      break;
    case 'packet_in':
      out.u32(body.bufferId);
      out.u16(body.totalLen);
      out.u8(PACKET_IN_REASONS.indexOf(body.reason));
      out.u8(body.table);
      out.u64(body.cookie);
      writeMatch(out, body.match);
      out.zeros(2);
      out.bytes(body.data);
      break;
    case 'flow_removed':
      out.u64(body.cookie);
      out.u16(body.priority);
      out.u8(FLOW_REMOVED_REASONS.indexOf(body.reason));
      out.u8(body.table);
      out.u32(body.durationSec);
      out.u32(body.durationNsec);
      out.u16(body.idleTimeout);
      out.u16(body.hardTimeout);
      out.u64(body.packets);
      out.u64(body.bytes);
      writeMatch(out, body.match);
      break;
    case 'port_status':
      out.u8(PORT_REASONS.indexOf(body.reason));
      out.zeros(7);
      writePort(out, body.port);
      break;
    case 'packet_out': {
      out.u32(body.bufferId);
      out.u32(body.inPort);
      const length = out.length;
      out.u16(0);
      out.zeros(6);
      const start = out.length;
      writeActions(out, body.actions);
      out.setU16(length, out.length - start);
      out.bytes(body.data);
      break;
    }
    case 'flow_mod':
      out.u64(body.cookie);
      out.u64(body.cookieMask);
      out.u8(body.table);
      out.u8(COMMANDS.indexOf(body.command));
      out.u16(body.idleTimeout);
      out.u16(body.hardTimeout);
      out.u16(body.priority);
      out.u32(body.bufferId);
      out.u32(body.outPort);
      out.u32(body.outGroup);
      out.u16(body.flags);
      out.zeros(2);
      writeMatch(out, body.match);
      writeInstructions(out, body.instructions);
      break;
    case 'group_mod':
      writeGroupMod(out, body);
      break;
    case 'meter_mod':
      writeMeterMod(out, body);
      break;
    case 'port_mod':
      out.u32(body.port);
      out.zeros(4);
      out.big(BigInt(body.mac), 6);
      out.zeros(2);
      out.u32(body.config);
      out.u32(body.mask);
      out.u32(body.advertise);
      out.zeros(4);
      break;
    case 'get_async_reply':
    case 'set_async':
      for (const mask of [...body.packetIn, ...body.portStatus, ...body.flowRemoved]) out.u32(mask);
      break;
    case 'multipart_request':
      out.u16(MULTIPARTS[body.request.kind]);
      out.u16(0);
      out.zeros(4);
      writeRequest(out, body.request);
      break;
    case 'multipart_reply':
      out.u16(MULTIPARTS[body.reply.kind]);
      out.u16(body.more === 'more' ? 1 : 0);
      out.zeros(4);
      writeReply(out, body.reply);
      break;
    case 'role_request':
    case 'role_reply':
      out.u32(ROLES.indexOf(body.role));
      out.zeros(4);
      out.u64(body.generationId);
      break;
    default:
  }
}
