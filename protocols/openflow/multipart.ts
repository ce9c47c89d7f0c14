import { u16, u32 } from '../bytes.ts';
import { readInstructions } from './action.ts';
import { BAD_REQUEST, ERROR, OpenFlowError } from './constants.ts';
import { readGroupDescs, readGroupFeatures, readGroupStats } from './group.ts';
import { type FlowStats, MULTIPARTS, type MultipartReply, type MultipartRequest } from './message.ts';
import { readMeterConfigs, readMeterStats } from './meter.ts';
import { readBig, readMatch } from './oxm.ts';
import { PORT_SIZE, readPort, readText } from './port.ts';
import { readTableFeatures } from './table-features.ts';

const bad = (message: string, code: number) => new OpenFlowError(message, ERROR.BAD_REQUEST, code);

const BODY = 16;

/** Body of a multipart request: type (2), flags (2), padding (4), body. @throws OpenFlowError */
export function readRequest(buf: Uint8Array): MultipartRequest {
  const kind = kindOf(buf);
  switch (kind) {
    case 'flow':
    case 'aggregate':
      need(buf, 32);
      return {
        kind,
        table: buf[BODY]!,
        outPort: u32(buf, BODY + 4),
        outGroup: u32(buf, BODY + 8),
        cookie: readBig(buf, BODY + 16, 8),
        cookieMask: readBig(buf, BODY + 24, 8),
        match: readMatch(buf, BODY + 32, buf.length).match,
      };
    case 'port_stats':
      need(buf, 8);
      return { kind, port: u32(buf, BODY) };
    case 'table_features':
      // Tables are what they are: with a body the request would change them (§7.3.5.5).
      if (buf.length > BODY) throw bad('tables cannot be changed', BAD_REQUEST.BAD_MULTIPART);
      return { kind };
    case 'queue':
      need(buf, 8);
      return { kind, port: u32(buf, BODY), queue: u32(buf, BODY + 4) };
    case 'group':
      need(buf, 8);
      return { kind, group: u32(buf, BODY) };
    case 'meter':
    case 'meter_config':
      need(buf, 8);
      return { kind, meter: u32(buf, BODY) };
    default:
      return { kind };
  }
}

/** @throws OpenFlowError */
export function readReply(buf: Uint8Array): MultipartReply {
  const kind = kindOf(buf);
  switch (kind) {
    case 'desc':
      need(buf, 1056);
      return {
        kind,
        manufacturer: readText(buf, BODY, 256),
        hardware: readText(buf, BODY + 256, 256),
        software: readText(buf, BODY + 512, 256),
        serial: readText(buf, BODY + 768, 32),
        datapath: readText(buf, BODY + 800, 256),
      };
    case 'flow':
      return { kind, flows: readFlows(buf) };
    case 'aggregate':
      need(buf, 24);
      return {
        kind,
        packets: readBig(buf, BODY, 8),
        bytes: readBig(buf, BODY + 8, 8),
        flows: u32(buf, BODY + 16),
      };
    case 'table':
      return {
        kind,
        tables: rows(buf, 24, (at) => ({
          table: buf[at]!,
          active: u32(buf, at + 4),
          lookups: readBig(buf, at + 8, 8),
          matched: readBig(buf, at + 16, 8),
        })),
      };
    case 'port_stats':
      return {
        kind,
        ports: rows(buf, 112, (at) => ({
          port: u32(buf, at),
          rxPackets: readBig(buf, at + 8, 8),
          txPackets: readBig(buf, at + 16, 8),
          rxBytes: readBig(buf, at + 24, 8),
          txBytes: readBig(buf, at + 32, 8),
          rxDropped: readBig(buf, at + 40, 8),
          txDropped: readBig(buf, at + 48, 8),
          durationSec: u32(buf, at + 104),
          durationNsec: u32(buf, at + 108),
        })),
      };
    case 'port_desc':
      return { kind, ports: rows(buf, PORT_SIZE, (at) => readPort(buf, at)) };
    case 'table_features':
      return { kind, tables: readTableFeatures(buf, BODY) };
    case 'queue':
      return {
        kind,
        queues: rows(buf, 40, (at) => ({
          port: u32(buf, at),
          queue: u32(buf, at + 4),
          bytes: readBig(buf, at + 8, 8),
          packets: readBig(buf, at + 16, 8),
          errors: readBig(buf, at + 24, 8),
          durationSec: u32(buf, at + 32),
          durationNsec: u32(buf, at + 36),
        })),
      };
    case 'group':
      return { kind, groups: readGroupStats(buf, BODY) };
    case 'group_desc':
      return { kind, groups: readGroupDescs(buf, BODY) };
    case 'group_features':
      need(buf, 40);
      return { kind, ...readGroupFeatures(buf, BODY) };
    case 'meter':
      return { kind, meters: readMeterStats(buf, BODY) };
    case 'meter_config':
      return { kind, meters: readMeterConfigs(buf, BODY) };
    case 'meter_features':
      need(buf, 16);
      return {
        kind,
        maxMeter: u32(buf, BODY),
        bandTypes: u32(buf, BODY + 4),
        capabilities: u32(buf, BODY + 8),
        maxBands: buf[BODY + 12]!,
        maxColor: buf[BODY + 13]!,
      };
  }
}

function readFlows(buf: Uint8Array): FlowStats[] {
  const flows: FlowStats[] = [];
  for (let at = BODY; at < buf.length; ) {
    const length = buf.length - at < 56 ? 0 : u16(buf, at);
    const end = at + length;
    if (length < 56 || end > buf.length) throw bad('a flow is cut short', BAD_REQUEST.BAD_LEN);
    const { match, next } = readMatch(buf, at + 48, end);
    flows.push({
      table: buf[at + 2]!,
      durationSec: u32(buf, at + 4),
      durationNsec: u32(buf, at + 8),
      priority: u16(buf, at + 12),
      idleTimeout: u16(buf, at + 14),
      hardTimeout: u16(buf, at + 16),
      flags: u16(buf, at + 18),
      cookie: readBig(buf, at + 24, 8),
      packets: readBig(buf, at + 32, 8),
      bytes: readBig(buf, at + 40, 8),
      match,
      instructions: readInstructions(buf, next, end),
    });
    at = end;
  }
  return flows;
}

function kindOf(buf: Uint8Array): keyof typeof MULTIPARTS {
  const number = u16(buf, 8);
  for (const kind of Object.keys(MULTIPARTS) as (keyof typeof MULTIPARTS)[])
    if (MULTIPARTS[kind] === number) return kind;
  throw bad(`no multipart message ${number} is known`, BAD_REQUEST.BAD_MULTIPART);
}

function need(buf: Uint8Array, bytes: number): void {
  if (buf.length < BODY + bytes) throw bad('a multipart message is cut short', BAD_REQUEST.BAD_LEN);
}

function rows<T>(buf: Uint8Array, size: number, read: (at: number) => T): T[] {
  if ((buf.length - BODY) % size !== 0) throw bad('a multipart message is cut short', BAD_REQUEST.BAD_LEN);
  return Array.from({ length: (buf.length - BODY) / size }, (_, i) => read(BODY + i * size));
}
