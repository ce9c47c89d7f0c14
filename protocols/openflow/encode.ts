import { writeActions, writeInstructions } from './action.ts';
import { OFP_VERSION } from './constants.ts';
import {
  COMMANDS,
  FLOW_REMOVED_REASONS,
  MULTIPARTS,
  type MultipartReply,
  type MultipartRequest,
  type OfBody,
  type OfMessage,
  PACKET_IN_REASONS,
  PORT_REASONS,
  ROLES,
  TYPES,
} from './message.ts';
import { writeMatch } from './oxm.ts';
import { writePort } from './port.ts';
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

function writeRequest(out: OfWriter, request: MultipartRequest): void {
  switch (request.kind) {
    case 'flow':
    case 'aggregate':
      out.u8(request.table);
      out.zeros(3);
      out.u32(request.outPort);
      out.u32(request.outGroup);
      out.zeros(4);
      out.u64(request.cookie);
      out.u64(request.cookieMask);
      writeMatch(out, request.match);
      break;
    case 'port_stats':
      out.u32(request.port);
      out.zeros(4);
      break;
    default:
  }
}

function writeReply(out: OfWriter, reply: MultipartReply): void {
  switch (reply.kind) {
    case 'desc':
      out.text(reply.manufacturer, 256);
      out.text(reply.hardware, 256);
      out.text(reply.software, 256);
      out.text(reply.serial, 32);
      out.text(reply.datapath, 256);
      break;
    case 'flow':
      for (const flow of reply.flows) {
        const start = out.length;
        out.u16(0);
        out.u8(flow.table);
        out.zeros(1);
        out.u32(flow.durationSec);
        out.u32(flow.durationNsec);
        out.u16(flow.priority);
        out.u16(flow.idleTimeout);
        out.u16(flow.hardTimeout);
        out.u16(flow.flags);
        out.zeros(4);
        out.u64(flow.cookie);
        out.u64(flow.packets);
        out.u64(flow.bytes);
        writeMatch(out, flow.match);
        writeInstructions(out, flow.instructions);
        out.setU16(start, out.length - start);
      }
      break;
    case 'aggregate':
      out.u64(reply.packets);
      out.u64(reply.bytes);
      out.u32(reply.flows);
      out.zeros(4);
      break;
    case 'table':
      for (const table of reply.tables) {
        out.u8(table.table);
        out.zeros(3);
        out.u32(table.active);
        out.u64(table.lookups);
        out.u64(table.matched);
      }
      break;
    case 'port_stats':
      for (const port of reply.ports) {
        out.u32(port.port);
        out.zeros(4);
        for (const count of [port.rxPackets, port.txPackets, port.rxBytes, port.txBytes, port.rxDropped])
          out.u64(count);
        out.u64(port.txDropped);
        out.zeros(48);
        out.u32(port.durationSec);
        out.u32(port.durationNsec);
      }
      break;
    case 'port_desc':
      for (const port of reply.ports) writePort(out, port);
  }
}
