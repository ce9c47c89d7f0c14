import { parseIp } from '../../../protocols/ip.ts';
import { notEmulated, usageError } from './usage.ts';

export type ConntrackCommand =
  | 'list'
  | 'delete'
  | 'update'
  | 'flush'
  | 'count'
  | 'stats'
  | 'help'
  | 'version';
type AnyCommand = ConntrackCommand | 'get' | 'create' | 'event' | 'add';

const COMMANDS: Readonly<Record<string, AnyCommand>> = {
  L: 'list',
  dump: 'list',
  D: 'delete',
  delete: 'delete',
  U: 'update',
  update: 'update',
  F: 'flush',
  flush: 'flush',
  C: 'count',
  count: 'count',
  S: 'stats',
  stats: 'stats',
  h: 'help',
  help: 'help',
  V: 'version',
  version: 'version',
  G: 'get',
  get: 'get',
  I: 'create',
  create: 'create',
  E: 'event',
  event: 'event',
  A: 'add',
  add: 'add',
};

const TABLES = ['conntrack', 'expect', 'dying', 'unconfirmed'] as const;
export type ConntrackTableName = (typeof TABLES)[number];

/** Long name of an option that takes a value, by what it is written as. */
const VALUES: Readonly<Record<string, string>> = {
  s: 'orig-src',
  src: 'orig-src',
  'orig-src': 'orig-src',
  d: 'orig-dst',
  dst: 'orig-dst',
  'orig-dst': 'orig-dst',
  r: 'reply-src',
  'reply-src': 'reply-src',
  q: 'reply-dst',
  'reply-dst': 'reply-dst',
  p: 'protonum',
  protonum: 'protonum',
  f: 'family',
  family: 'family',
  m: 'mark',
  mark: 'mark',
  u: 'status',
  status: 'status',
  o: 'output',
  output: 'output',
  t: 'timeout',
  timeout: 'timeout',
  w: 'zone',
  zone: 'zone',
  b: 'buffer-size',
  'buffer-size': 'buffer-size',
};

/** The same of those whose value may be left out. */
const OPTIONAL: Readonly<Record<string, string>> = {
  n: 'src-nat',
  'src-nat': 'src-nat',
  g: 'dst-nat',
  'dst-nat': 'dst-nat',
  j: 'any-nat',
  'any-nat': 'any-nat',
};

/** And of those that a protocol brings. */
const PORTS: Readonly<Record<string, string>> = {
  sport: 'orig-port-src',
  'orig-port-src': 'orig-port-src',
  dport: 'orig-port-dst',
  'orig-port-dst': 'orig-port-dst',
  'reply-port-src': 'reply-port-src',
  'reply-port-dst': 'reply-port-dst',
};
const OF_PROTOCOL: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  tcp: { ...PORTS, state: 'state' },
  udp: PORTS,
  udplite: PORTS,
  sctp: { ...PORTS, state: 'sctp-state' },
  dccp: PORTS,
  icmp: { 'icmp-type': 'icmp-type', 'icmp-code': 'icmp-code', 'icmp-id': 'icmp-id' },
  icmpv6: { 'icmpv6-type': 'icmp-type', 'icmpv6-code': 'icmp-code', 'icmpv6-id': 'icmp-id' },
};

const FILTERS = [
  'orig-src',
  'orig-dst',
  'reply-src',
  'reply-dst',
  'protonum',
  'mark',
  'status',
  'src-nat',
  'dst-nat',
  'any-nat',
  'zone',
];
/** What goes with which command (`commands_v_options`); options of a protocol go wherever `protonum` does. */
const ALLOWED: Readonly<Record<ConntrackCommand, readonly string[]>> = {
  list: [...FILTERS, 'family', 'output', 'zero', 'buffer-size'],
  delete: [...FILTERS, 'family', 'output', 'buffer-size'],
  update: [...FILTERS, 'family', 'output', 'timeout'],
  flush: ['family'],
  count: [],
  stats: [],
  help: [],
  version: [],
};

export interface ConntrackOptions {
  readonly command: ConntrackCommand;
  readonly table: ConntrackTableName;
  /** By long name; '' where a value was left out. */
  readonly values: ReadonlyMap<string, string>;
}

/** Parses conntrack's command line as its getopt_long calls do. @throws ToolError */
export function parseConntrackOptions(
  args: readonly string[],
  protocolOf: (text: string) => string | null,
): ConntrackOptions {
  const values = new Map<string, string>();
  let command: AnyCommand | null = null;
  let table: ConntrackTableName = 'conntrack';
  let extra: Readonly<Record<string, string>> = {};
  const words = [...args];
  /** The next word, where it is no option. */
  const operand = (): string | undefined =>
    words[0] !== undefined && !words[0].startsWith('-') ? words.shift() : undefined;
  const take = (name: string, written: string, attached: string | undefined): void => {
    const asked = COMMANDS[name];
    if (asked !== undefined) {
      if (command !== null) throw usageError('Invalid commands combination');
      command = asked;
      const given = attached ?? operand();
      if (given === undefined) return;
      const known = TABLES.find((candidate) => candidate === given);
      if (known === undefined) throw usageError(`unknown type \`${given}'`);
      table = known;
    } else if (OPTIONAL[name] !== undefined) values.set(OPTIONAL[name], attached ?? operand() ?? '');
    else if (name === 'z' || name === 'zero') values.set('zero', '');
    else {
      const long = VALUES[name] ?? extra[name];
      if (long === undefined) throw usageError(`unknown option \`${written}'`);
      const value = attached ?? words.shift();
      if (value === undefined) throw usageError(`option \`${written}' requires an argument`);
      values.set(long, value);
      if (long !== 'protonum') return;
      const protocol = protocolOf(value);
      if (protocol === null) throw usageError(`\`${value}' unsupported protocol`);
      extra = OF_PROTOCOL[protocol] ?? {};
    }
  };
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = word.slice(2, equals < 0 ? undefined : equals);
      if (name.length < 2) throw usageError(`unknown option \`${word}'`);
      take(name, `--${name}`, equals < 0 ? undefined : word.slice(equals + 1));
    } else if (word.startsWith('-') && word.length > 1) {
      const name = word.charAt(1);
      take(name, `-${name}`, word.length > 2 ? word.slice(2) : undefined);
    }
  }
  const checked = check(command, values);
  checkFamilies(values);
  return { ...checked, table, values };
}

const ADDRESSES = ['orig-src', 'orig-dst', 'reply-src', 'reply-dst', 'src-nat', 'dst-nat', 'any-nat'];

/** All addresses are of one family, and of that which is named. @throws ToolError */
function checkFamilies(values: ReadonlyMap<string, string>): void {
  const named = values.get('family');
  const families = new Set(named === 'ipv4' || named === 'ipv6' ? [named] : []);
  for (const name of ADDRESSES) {
    const addr = parseIp((values.get(name) ?? '').split('/')[0]!);
    if (addr !== null) families.add(typeof addr === 'number' ? 'ipv4' : 'ipv6');
  }
  if (families.size > 1) throw usageError('mismatched address family');
}

function check(
  command: AnyCommand | null,
  values: ReadonlyMap<string, string>,
): { readonly command: ConntrackCommand } {
  switch (command) {
    case 'get':
    case 'create':
    case 'add':
      throw notEmulated(`making and asking for a single flow (-${command === 'get' ? 'G' : 'I'})`);
    case 'event':
      throw notEmulated(
        'showing events (-E)',
        '; the log of the node has them: conntrack.new, .updated, .destroyed',
      );
    default: {
      const known = command ?? 'help';
      for (const name of values.keys())
        if (!isAllowed(known, name)) throw usageError(`Illegal option \`--${name}' with this command`);
      return { command: known };
    }
  }
}

function isAllowed(command: ConntrackCommand, name: string): boolean {
  const allowed = ALLOWED[command];
  const ofProtocol = name.endsWith('state') || name.includes('-port-') || name.startsWith('icmp-');
  return allowed.includes(name) || (ofProtocol && allowed.includes('protonum'));
}
