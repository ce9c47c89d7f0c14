import { writeInstructions } from './action.ts';
import { writeGroupDesc, writeGroupFeatures, writeGroupStats } from './group.ts';
import type { MultipartReply, MultipartRequest } from './message.ts';
import { writeMeterConfig, writeMeterStats } from './meter.ts';
import { writeMatch } from './oxm.ts';
import { writePort } from './port.ts';
import { writeTableFeatures } from './table-features.ts';
import type { OfWriter } from './writer.ts';

export function writeRequest(out: OfWriter, request: MultipartRequest): void {
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
    case 'queue':
      out.u32(request.port);
      out.u32(request.queue);
      break;
    case 'group':
      out.u32(request.group);
      out.zeros(4);
      break;
    case 'meter':
    case 'meter_config':
      out.u32(request.meter);
      out.zeros(4);
      break;
    default:
  }
}

export function writeReply(out: OfWriter, reply: MultipartReply): void {
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
      break;
    case 'table_features':
      for (const table of reply.tables) writeTableFeatures(out, table);
      break;
    case 'queue':
      for (const queue of reply.queues) {
        out.u32(queue.port);
        out.u32(queue.queue);
        for (const count of [queue.bytes, queue.packets, queue.errors]) out.u64(count);
        out.u32(queue.durationSec);
        out.u32(queue.durationNsec);
      }
      break;
    case 'group':
      for (const group of reply.groups) writeGroupStats(out, group);
      break;
    case 'group_desc':
      for (const group of reply.groups) writeGroupDesc(out, group);
      break;
    case 'group_features':
      writeGroupFeatures(out, reply);
      break;
    case 'meter':
      for (const meter of reply.meters) writeMeterStats(out, meter);
      break;
    case 'meter_config':
      for (const meter of reply.meters) writeMeterConfig(out, meter);
      break;
    case 'meter_features':
      out.u32(reply.maxMeter);
      out.u32(reply.bandTypes);
      out.u32(reply.capabilities);
      out.u8(reply.maxBands);
      out.u8(reply.maxColor);
      out.zeros(2);
  }
}
