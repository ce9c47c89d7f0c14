import { parsePrefix } from '../../protocols/ip4.ts';
import type { RouteGroup } from './routes.ts';

const TABLE_DUMP_V2 = 13;
const PEER_INDEX_TABLE = 1;
const RIB_IPV4_UNICAST = 2;

const ORIGINS = { IGP: 0, EGP: 1, INCOMPLETE: 2 } as const;
/** Flags of attributes: well-known transitive, optional, optional transitive. */
const WELL_KNOWN = 0x40;
const OPTIONAL = 0x80;
const TRANSITIVE = 0xc0;

/** The groups as an MRT table dump (RFC 6396 §4.3): the one way to give a running GoBGP thousands of routes at once. */
export function mrtDump(groups: readonly RouteGroup[], asn: number): Uint8Array {
  const collector = Buffer.from([10, 0, 0, 1]);
  const peer = Buffer.concat([Buffer.of(2), collector, collector, u32(asn)]);
  const records = [record(PEER_INDEX_TABLE, Buffer.concat([collector, u16(0), u16(1), peer]))];
  let sequence = 0;
  for (const group of groups) {
    const attributes = attributesOf(group);
    for (const text of group.prefixes) {
      const { addr, len } = parsePrefix(text) ?? { addr: 0, len: 0 };
      const prefix = u32(addr).subarray(0, Math.ceil(len / 8));
      const entry = Buffer.concat([u16(0), u32(0), u16(attributes.length), attributes]);
      const rib = Buffer.concat([u32(sequence++), Buffer.of(len), prefix, u16(1), entry]);
      records.push(record(RIB_IPV4_UNICAST, rib));
    }
  }
  return Buffer.concat(records);
}

function record(subtype: number, body: Buffer): Buffer {
  return Buffer.concat([u32(0), u16(TABLE_DUMP_V2), u16(subtype), u32(body.length), body]);
}

function attributesOf(group: RouteGroup): Buffer {
  const segment = [Buffer.of(2, group.path.length), ...group.path.map(u32)];
  const extended = group.extended.map(([type, asn, value]) =>
    Buffer.concat([Buffer.of(0, type === 'rt' ? 2 : 3), u16(asn), u32(value)]),
  );
  return Buffer.concat([
    attribute(WELL_KNOWN, 1, [Buffer.of(ORIGINS[group.origin])]),
    attribute(WELL_KNOWN, 2, group.path.length === 0 ? [] : segment),
    attribute(WELL_KNOWN, 3, [u32(0x0a0000fe)]),
    attribute(OPTIONAL, 4, [u32(group.med)]),
    ...some(
      TRANSITIVE,
      8,
      group.communities.map(([high, low]) => Buffer.concat([u16(high), u16(low)])),
    ),
    ...some(TRANSITIVE, 16, extended),
    ...some(
      TRANSITIVE,
      32,
      group.large.map((parts) => Buffer.concat(parts.map(u32))),
    ),
  ]);
}

function some(flags: number, type: number, parts: readonly Buffer[]): Buffer[] {
  return parts.length === 0 ? [] : [attribute(flags, type, parts)];
}

function attribute(flags: number, type: number, parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(flags, type, value.length), value]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
