import { FIELDS, type FieldName, oxmHeader } from '../../../protocols/openflow/oxm.ts';
import { TABLE_PROPERTY, type TableFeatures } from '../../../protocols/openflow/table-features.ts';
import { TABLES } from '../../kernel/openflow/pipeline.ts';

const ALL_BITS = 0xffffffffffffffffn;
/** As Open vSwitch has it; nothing counts them. */
const MAX_FLOWS = 1_000_000;

const NAMES = Object.keys(FIELDS) as FieldName[];
const INSTRUCTIONS = [1, 2, 3, 4, 5, 6];
/** Output, push and pop of VLAN tags, queue, group, both of TTLs, fields. */
export const ACTIONS: readonly number[] = [0, 17, 18, 21, 22, 23, 24, 25];
const MATCHED = NAMES.map((name) => oxmHeader(name, FIELDS[name].maskable ? 'masked' : 'exact'));
const FIXED: readonly FieldName[] = [
  'in_port',
  'eth_type',
  'ip_proto',
  'icmpv4_type',
  'icmpv4_code',
  'tunnel_id',
];
const SET = NAMES.filter((name) => !FIXED.includes(name)).map((name) => oxmHeader(name, 'exact'));
const WILD = NAMES.map((name) => oxmHeader(name, 'exact'));

/** What a table can do: the same as any other, to later tables (§7.3.5.5). A table-miss flow is a flow. */
export function tableFeatures(table: number): TableFeatures {
  const later = Array.from({ length: TABLES - 1 - table }, (_, i) => table + 1 + i);
  const both = (type: number, values: readonly number[]) => [
    { type, values },
    { type: type + 1, values },
  ];
  return {
    table,
    name: '',
    metadataMatch: ALL_BITS,
    metadataWrite: ALL_BITS,
    config: 0,
    maxEntries: MAX_FLOWS,
    properties: [
      ...both(TABLE_PROPERTY.INSTRUCTIONS, later.length === 0 ? INSTRUCTIONS.slice(1) : INSTRUCTIONS),
      ...both(TABLE_PROPERTY.NEXT_TABLES, later),
      ...both(TABLE_PROPERTY.WRITE_ACTIONS, ACTIONS),
      ...both(TABLE_PROPERTY.APPLY_ACTIONS, ACTIONS),
      { type: TABLE_PROPERTY.MATCH, values: MATCHED },
      { type: TABLE_PROPERTY.WILDCARDS, values: WILD },
      ...both(TABLE_PROPERTY.WRITE_SETFIELD, SET),
      ...both(TABLE_PROPERTY.APPLY_SETFIELD, SET),
    ],
  };
}
