import { u16, u32 } from '../bytes.ts';
import { BAD_REQUEST, ERROR, METER_MOD_FAILED, OpenFlowError } from './constants.ts';
import { readBig } from './oxm.ts';
import type { OfWriter } from './writer.ts';

export const METER_COMMANDS = ['add', 'modify', 'delete'] as const;

/** `ofp_meter`: the highest number of a meter, and what stands for all of them. */
export const METER = { MAX: 0xffff0000, ALL: 0xffffffff } as const;

/** `ofp_meter_flags`: rates are kilobits or packets a second; bands have a burst size; counters are kept. */
export const METER_FLAGS = { KBPS: 1, PKTPS: 2, BURST: 4, STATS: 8 } as const;

/** §7.3.4.5: what is done to packets above a rate; `burst` in kilobits or packets. */
export type Band =
  | { readonly type: 'drop'; readonly rate: number; readonly burst: number }
  /** `precedence`: by how much the drop precedence of the DSCP rises. */
  | {
      readonly type: 'dscp_remark';
      readonly rate: number;
      readonly burst: number;
      readonly precedence: number;
    };

export interface MeterSpec {
  readonly meter: number;
  /** METER_FLAGS */
  readonly flags: number;
  readonly bands: readonly Band[];
}

export interface MeterMod extends MeterSpec {
  readonly command: (typeof METER_COMMANDS)[number];
}

export interface MeterStats {
  readonly meter: number;
  readonly flows: number;
  /** That came to the meter, whatever became of them. */
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly bands: readonly { readonly packets: bigint; readonly bytes: bigint }[];
}

export interface MeterFeatures {
  readonly maxMeter: number;
  /** Bits by number of the types: 1 is drop, 2 is dscp_remark. */
  readonly bandTypes: number;
  /** METER_FLAGS */
  readonly capabilities: number;
  readonly maxBands: number;
  readonly maxColor: number;
}

const bad = (message: string) => new OpenFlowError(message, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_LEN);
const failed = (message: string, code: number) => new OpenFlowError(message, ERROR.METER_MOD_FAILED, code);

const DROP = 1;
const DSCP_REMARK = 2;
const BAND_SIZE = 16;

/** command (2), flags (2), number (4), bands. */
export function writeMeterMod(out: OfWriter, { command, meter, flags, bands }: MeterMod): void {
  out.u16(METER_COMMANDS.indexOf(command));
  out.u16(flags);
  out.u32(meter);
  writeBands(out, bands);
}

/** @throws OpenFlowError */
export function readMeterMod(buf: Uint8Array, off: number): MeterMod {
  const command = METER_COMMANDS[u16(buf, off)];
  if (command === undefined) throw failed(`no command ${u16(buf, off)}`, METER_MOD_FAILED.BAD_COMMAND);
  return {
    command,
    flags: u16(buf, off + 2),
    meter: u32(buf, off + 4),
    bands: readBands(buf, off + 8, buf.length),
  };
}

/** Length (2), flags (2), number (4), bands: a meter as the configuration has it. */
export function writeMeterConfig(out: OfWriter, { meter, flags, bands }: MeterSpec): void {
  out.u16(8 + BAND_SIZE * bands.length);
  out.u16(flags);
  out.u32(meter);
  writeBands(out, bands);
}

export function readMeterConfigs(buf: Uint8Array, off: number): MeterSpec[] {
  const meters: MeterSpec[] = [];
  for (let at = off; at < buf.length; ) {
    const length = buf.length - at < 8 ? 0 : u16(buf, at);
    if (length < 8 || at + length > buf.length) throw bad('a meter is cut short');
    meters.push({
      flags: u16(buf, at + 2),
      meter: u32(buf, at + 4),
      bands: readBands(buf, at + 8, at + length),
    });
    at += length;
  }
  return meters;
}

/** type (2), length (2), rate (4), burst size (4), precedence (1) or padding, padding. */
function writeBands(out: OfWriter, bands: readonly Band[]): void {
  for (const band of bands) {
    out.u16(band.type === 'drop' ? DROP : DSCP_REMARK);
    out.u16(BAND_SIZE);
    out.u32(band.rate);
    out.u32(band.burst);
    out.u8(band.type === 'drop' ? 0 : band.precedence);
    out.zeros(3);
  }
}

function readBands(buf: Uint8Array, off: number, end: number): Band[] {
  const bands: Band[] = [];
  for (let at = off; at < end; at += BAND_SIZE) {
    if (end - at < BAND_SIZE || u16(buf, at + 2) !== BAND_SIZE) throw bad('a meter band is not of 16 bytes');
    const type = u16(buf, at);
    const rates = { rate: u32(buf, at + 4), burst: u32(buf, at + 8) };
    if (type === DROP) bands.push({ type: 'drop', ...rates });
    else if (type === DSCP_REMARK) bands.push({ type: 'dscp_remark', ...rates, precedence: buf[at + 12]! });
    else throw failed(`no meter band is of type ${type}`, METER_MOD_FAILED.BAD_BAND_TYPE);
  }
  return bands;
}

export function writeMeterStats(out: OfWriter, stats: MeterStats): void {
  out.u32(stats.meter);
  out.u16(40 + 16 * stats.bands.length);
  out.zeros(6);
  out.u32(stats.flows);
  out.u64(stats.packets);
  out.u64(stats.bytes);
  out.u32(stats.durationSec);
  out.u32(stats.durationNsec);
  for (const { packets, bytes } of stats.bands) {
    out.u64(packets);
    out.u64(bytes);
  }
}

export function readMeterStats(buf: Uint8Array, off: number): MeterStats[] {
  const meters: MeterStats[] = [];
  for (let at = off; at < buf.length; ) {
    const length = buf.length - at < 40 ? 0 : u16(buf, at + 4);
    if (length < 40 || (length - 40) % 16 !== 0 || at + length > buf.length)
      throw bad('the counters of a meter are cut short');
    const first = at + 40;
    meters.push({
      meter: u32(buf, at),
      flows: u32(buf, at + 12),
      packets: readBig(buf, at + 16, 8),
      bytes: readBig(buf, at + 24, 8),
      durationSec: u32(buf, at + 32),
      durationNsec: u32(buf, at + 36),
      bands: Array.from({ length: (length - 40) / 16 }, (_, i) => ({
        packets: readBig(buf, first + 16 * i, 8),
        bytes: readBig(buf, first + 8 + 16 * i, 8),
      })),
    });
    at += length;
  }
  return meters;
}
