import { u16, u32 } from '../bytes.ts';
import { type Action, readActions, writeActions } from './action.ts';
import { BAD_REQUEST, ERROR, GROUP_MOD_FAILED, OpenFlowError, RESERVED_PORTS } from './constants.ts';
import { readBig } from './oxm.ts';
import type { OfWriter } from './writer.ts';

/** §5.6.1: every bucket, one by weight, the only one, the first that is live. By number (`ofp_group_type`). */
export const GROUP_TYPES = ['all', 'select', 'indirect', 'ff'] as const;
export type GroupType = (typeof GROUP_TYPES)[number];

export const GROUP_COMMANDS = ['add', 'modify', 'delete'] as const;

/** `ofp_group`: the highest number of a group, and what stands for all of them, and for none. */
export const GROUP = { MAX: 0xffffff00, ALL: 0xfffffffc, ANY: 0xffffffff } as const;

/** `ofp_bucket` (§7.3.4.2) */
export interface Bucket {
  /** Of a select group: its share. */
  readonly weight: number;
  /** The port, and the group, that tell whether it is live; ANY for none. */
  readonly watchPort: number;
  readonly watchGroup: number;
  readonly actions: readonly Action[];
}

/** What a group is. */
export interface GroupSpec {
  readonly group: number;
  readonly groupType: GroupType;
  readonly buckets: readonly Bucket[];
}

export interface GroupMod extends GroupSpec {
  readonly command: (typeof GROUP_COMMANDS)[number];
}

export interface GroupStats {
  readonly group: number;
  /** How often flows send packets to it. */
  readonly references: number;
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly buckets: readonly { readonly packets: bigint; readonly bytes: bigint }[];
}

export interface GroupFeatures {
  /** Bits by number of the types. */
  readonly types: number;
  /** OFPGFC_…: weights, liveness, chaining, its check. */
  readonly capabilities: number;
  /** For each type. */
  readonly maxGroups: readonly number[];
  /** Bits by number of the actions. */
  readonly actions: readonly number[];
}

const bad = (message: string) => new OpenFlowError(message, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_LEN);
const failed = (message: string, code: number) => new OpenFlowError(message, ERROR.GROUP_MOD_FAILED, code);

export const BUCKET_NONE = { watchPort: RESERVED_PORTS.ANY, watchGroup: GROUP.ANY } as const;

/** command (2), type (1), padding, number (4), buckets. */
export function writeGroupMod(out: OfWriter, { command, ...spec }: GroupMod): void {
  out.u16(GROUP_COMMANDS.indexOf(command));
  writeGroup(out, spec);
}

/** @throws OpenFlowError */
export function readGroupMod(buf: Uint8Array, off: number): GroupMod {
  const command = GROUP_COMMANDS[u16(buf, off)];
  if (command === undefined) throw failed(`no command ${u16(buf, off)}`, GROUP_MOD_FAILED.BAD_COMMAND);
  return { command, ...readGroup(buf, off + 2, buf.length) };
}

/** Length (2), type (1), padding, number (4), buckets: a group as a description has it. */
export function writeGroupDesc(out: OfWriter, spec: GroupSpec): void {
  const start = out.length;
  out.u16(0);
  writeGroup(out, spec);
  out.setU16(start, out.length - start);
}

export function readGroupDescs(buf: Uint8Array, off: number): GroupSpec[] {
  const groups: GroupSpec[] = [];
  for (let at = off; at < buf.length; ) {
    const end = partEnd(buf, at, 8);
    groups.push(readGroup(buf, at + 2, end));
    at = end;
  }
  return groups;
}

function writeGroup(out: OfWriter, { group, groupType, buckets }: GroupSpec): void {
  out.u8(GROUP_TYPES.indexOf(groupType));
  out.zeros(1);
  out.u32(group);
  for (const { weight, watchPort, watchGroup, actions } of buckets) {
    const start = out.length;
    out.u16(0);
    out.u16(weight);
    out.u32(watchPort);
    out.u32(watchGroup);
    out.zeros(4);
    writeActions(out, actions);
    out.setU16(start, out.length - start);
  }
}

function readGroup(buf: Uint8Array, off: number, end: number): GroupSpec {
  const groupType = GROUP_TYPES[buf[off]!];
  if (groupType === undefined) throw failed(`no group is of type ${buf[off]}`, GROUP_MOD_FAILED.BAD_TYPE);
  const buckets: Bucket[] = [];
  for (let at = off + 6; at < end; ) {
    const length = end - at < 16 ? 0 : u16(buf, at);
    if (length < 16 || length % 8 !== 0 || at + length > end)
      throw failed('a bucket is cut short', GROUP_MOD_FAILED.BAD_BUCKET);
    buckets.push({
      weight: u16(buf, at + 2),
      watchPort: u32(buf, at + 4),
      watchGroup: u32(buf, at + 8),
      actions: readActions(buf, at + 16, at + length),
    });
    at += length;
  }
  return { group: u32(buf, off + 2), groupType, buckets };
}

export function writeGroupStats(out: OfWriter, stats: GroupStats): void {
  const start = out.length;
  out.u16(0);
  out.zeros(2);
  out.u32(stats.group);
  out.u32(stats.references);
  out.zeros(4);
  out.u64(stats.packets);
  out.u64(stats.bytes);
  out.u32(stats.durationSec);
  out.u32(stats.durationNsec);
  for (const { packets, bytes } of stats.buckets) {
    out.u64(packets);
    out.u64(bytes);
  }
  out.setU16(start, out.length - start);
}

export function readGroupStats(buf: Uint8Array, off: number): GroupStats[] {
  const groups: GroupStats[] = [];
  for (let at = off; at < buf.length; ) {
    const end = partEnd(buf, at, 40);
    if ((end - at - 40) % 16 !== 0) throw bad('the counters of a bucket are cut short');
    groups.push({
      group: u32(buf, at + 4),
      references: u32(buf, at + 8),
      packets: readBig(buf, at + 16, 8),
      bytes: readBig(buf, at + 24, 8),
      durationSec: u32(buf, at + 32),
      durationNsec: u32(buf, at + 36),
      buckets: Array.from({ length: (end - at - 40) / 16 }, (_, i) => ({
        packets: readBig(buf, at + 40 + 16 * i, 8),
        bytes: readBig(buf, at + 48 + 16 * i, 8),
      })),
    });
    at = end;
  }
  return groups;
}

export function writeGroupFeatures(out: OfWriter, features: GroupFeatures): void {
  out.u32(features.types);
  out.u32(features.capabilities);
  for (const word of [...features.maxGroups, ...features.actions]) out.u32(word);
}

export function readGroupFeatures(buf: Uint8Array, off: number): GroupFeatures {
  const four = (at: number) => [0, 4, 8, 12].map((i) => u32(buf, at + i));
  return {
    types: u32(buf, off),
    capabilities: u32(buf, off + 4),
    maxGroups: four(off + 8),
    actions: four(off + 24),
  };
}

function partEnd(buf: Uint8Array, at: number, least: number): number {
  const length = buf.length - at < least ? 0 : u16(buf, at);
  if (length < least || at + length > buf.length) throw bad('a group is cut short');
  return at + length;
}
