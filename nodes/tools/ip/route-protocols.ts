import type { RouteProtocol, RouteScope } from '../../events/kernel.ts';
import { DEFAULT_TABLE, LOCAL_TABLE, MAIN_TABLE } from '../../kernel/route-table.ts';
import { invalidArgument, notEmulated } from './words.ts';

/** /etc/iproute2/rt_protos, as far as the kernel's routes tell them apart. */
const NUMBERS: Readonly<Record<string, RouteProtocol>> = {
  2: 'kernel',
  3: 'boot',
  4: 'static',
  12: 'bird',
  186: 'bgp',
};

const OTHERS = ['redirect', 'gated', 'ra', 'mrt', 'zebra', 'dnrouted', 'xorp', 'ntk', 'dhcp', 'keepalived'];
const MORE_OTHERS = ['babel', 'ovn', 'openr', 'isis', 'ospf', 'rip', 'eigrp', 'unspec'];

/** A protocol by name or number. @throws ToolError */
export function protocolOf(word: string): RouteProtocol {
  const byNumber = Object.hasOwn(NUMBERS, word) ? NUMBERS[word] : undefined;
  const protocol = byNumber ?? Object.values(NUMBERS).find((name) => name === word);
  if (protocol !== undefined) return protocol;
  if ([...OTHERS, ...MORE_OTHERS].includes(word) || (/^\d{1,3}$/.test(word) && Number(word) < 256))
    throw notEmulated(`route protocol ${word}`);
  throw invalidArgument(word, '"protocol" value is invalid\n');
}

/** /etc/iproute2/rt_protos: whom a rule names as its maker. */
const RULE_PROTOCOLS: Readonly<Record<string, number>> = {
  unspec: 0,
  redirect: 1,
  kernel: 2,
  boot: 3,
  static: 4,
  zebra: 11,
  bird: 12,
  bgp: 186,
  ospf: 188,
};

/** @throws ToolError */
export function ruleProtocolOf(word: string): number {
  const known = Object.hasOwn(RULE_PROTOCOLS, word) ? RULE_PROTOCOLS[word] : undefined;
  const number = known ?? (/^\d{1,3}$/.test(word) ? Number(word) : 256);
  if (number > 255) throw invalidArgument(word, '"protocol" value is invalid\n');
  return number;
}

export function ruleProtocolName(protocol: number): string {
  return Object.entries(RULE_PROTOCOLS).find(([, number]) => number === protocol)?.[0] ?? String(protocol);
}

/** @throws ToolError */
export function routeScopeOf(word: string): RouteScope {
  switch (word) {
    case 'global':
    case 'universe':
    case '0':
      return 'global';
    case 'link':
    case '253':
      return 'link';
    case 'host':
    case '254':
      return 'host';
    default:
      throw invalidArgument(word, 'invalid "scope" value\n');
  }
}

/** /etc/iproute2/rt_tables */
const TABLES: Readonly<Record<string, number>> = {
  local: LOCAL_TABLE,
  main: MAIN_TABLE,
  default: DEFAULT_TABLE,
  unspec: 0,
};

/** A table's number by its name or number; null if it is neither. */
export function tableNumber(word: string): number | null {
  if (Object.hasOwn(TABLES, word)) return TABLES[word] ?? null;
  const number = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(word) ? Number(word) : Number.NaN;
  return number < 2 ** 32 ? number : null;
}

/** What a table is called. */
export function tableName(table: number): string {
  return Object.entries(TABLES).find(([, number]) => number === table)?.[0] ?? String(table);
}

/** The table of a route that is to be changed; 0 is main. @throws ToolError */
export function tableOf(word: string): number {
  const number = tableNumber(word);
  if (number === null) throw invalidArgument(word, '"table" value is invalid\n');
  return number === 0 ? MAIN_TABLE : number;
}

/** The table of a listing. @throws ToolError */
export function listedTable(word: string): number | 'all' {
  const number = word === 'all' ? 0 : tableNumber(word);
  if (number === null) throw invalidArgument(word, 'table id value is invalid\n');
  return number === 0 ? 'all' : number;
}

/** @throws ToolError */
export function metricOf(word: string): number {
  const metric = /^\d{1,10}$/.test(word) ? Number(word) : Number.NaN;
  if (!(metric < 2 ** 32)) throw invalidArgument(word, '"metric" value is invalid\n');
  return metric;
}
