import { u16, u32 } from '../bytes.ts';
import { BAD_REQUEST, ERROR, OpenFlowError } from './constants.ts';
import { readBig } from './oxm.ts';
import { readText } from './port.ts';
import type { OfWriter } from './writer.ts';

/** `ofp_table_feature_prop_type`; what is said of a table-miss flow stands one above. */
export const TABLE_PROPERTY = {
  INSTRUCTIONS: 0,
  NEXT_TABLES: 2,
  WRITE_ACTIONS: 4,
  APPLY_ACTIONS: 6,
  MATCH: 8,
  WILDCARDS: 10,
  WRITE_SETFIELD: 12,
  APPLY_SETFIELD: 14,
} as const;

/** Types of instructions or actions, numbers of tables, or headers of fields (class, field, has-mask, length), by its type. */
export interface TableProperty {
  readonly type: number;
  readonly values: readonly number[];
}

/** `ofp_table_features` (§7.3.5.5.1) */
export interface TableFeatures {
  readonly table: number;
  readonly name: string;
  /** Bits of the metadata that can be matched, and be written. */
  readonly metadataMatch: bigint;
  readonly metadataWrite: bigint;
  readonly config: number;
  readonly maxEntries: number;
  readonly properties: readonly TableProperty[];
}

const HEAD = 64;
const NAME = 32;

const bad = (message: string) => new OpenFlowError(message, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_LEN);

/** Bytes of a value: a table is a number, a field a header, the others a type with its length. */
function sizeOf(type: number): 1 | 4 {
  return type === TABLE_PROPERTY.NEXT_TABLES || type === TABLE_PROPERTY.NEXT_TABLES + 1 ? 1 : 4;
}

/** Whether values are types with their length of 4 behind. */
function isTyped(type: number): boolean {
  return sizeOf(type) === 4 && type < TABLE_PROPERTY.MATCH;
}

export function writeTableFeatures(out: OfWriter, features: TableFeatures): void {
  const start = out.length;
  out.u16(0);
  out.u8(features.table);
  out.zeros(5);
  out.text(features.name, NAME);
  out.u64(features.metadataMatch);
  out.u64(features.metadataWrite);
  out.u32(features.config);
  out.u32(features.maxEntries);
  for (const { type, values } of features.properties) {
    const at = out.length;
    out.u16(type);
    out.u16(4 + sizeOf(type) * values.length);
    for (const value of values) {
      if (sizeOf(type) === 1) out.u8(value);
      else if (isTyped(type)) {
        out.u16(value);
        out.u16(4);
      } else out.u32(value);
    }
    out.align(at);
  }
  out.setU16(start, out.length - start);
}

/** @throws OpenFlowError */
export function readTableFeatures(buf: Uint8Array, off: number): TableFeatures[] {
  const tables: TableFeatures[] = [];
  for (let at = off; at < buf.length; ) {
    const length = buf.length - at < HEAD ? 0 : u16(buf, at);
    const end = at + length;
    if (length < HEAD || end > buf.length) throw bad('the features of a table are cut short');
    tables.push({
      table: buf[at + 2]!,
      name: readText(buf, at + 8, NAME),
      metadataMatch: readBig(buf, at + 40, 8),
      metadataWrite: readBig(buf, at + 48, 8),
      config: u32(buf, at + 56),
      maxEntries: u32(buf, at + 60),
      properties: readProperties(buf, at + HEAD, end),
    });
    at = end;
  }
  return tables;
}

function readProperties(buf: Uint8Array, off: number, end: number): TableProperty[] {
  const properties: TableProperty[] = [];
  for (let at = off; at < end; ) {
    const length = end - at < 4 ? 0 : u16(buf, at + 2);
    if (length < 4 || at + length > end) throw bad('a property of a table is cut short');
    const type = u16(buf, at);
    const size = sizeOf(type);
    if ((length - 4) % size !== 0) throw bad(`property ${type} of a table is of ${length} bytes`);
    const value = (i: number) => {
      const place = at + 4 + size * i;
      if (size === 1) return buf[place]!;
      return isTyped(type) ? u16(buf, place) : u32(buf, place);
    };
    properties.push({ type, values: Array.from({ length: (length - 4) / size }, (_, i) => value(i)) });
    at += (length + 7) & ~7;
  }
  return properties;
}
