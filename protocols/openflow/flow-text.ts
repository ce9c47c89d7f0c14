import type { Action, Instruction } from './action.ts';
import { CONTROLLER_MAX_LEN, FLOW_FLAGS, RESERVED_PORTS } from './constants.ts';
import { GROUP } from './group.ts';
import {
  FlowSyntaxError,
  fieldName,
  fieldText,
  formatPort,
  matchWords,
  namedField,
  parseField,
  parseMatch,
  parsePort,
} from './match-text.ts';
import { METER } from './meter.ts';
import type { FieldName, Match } from './oxm.ts';

/** A flow as ovs-ofctl(8) writes it: what a flow-mod says of one. */
export interface FlowSpec {
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  /** Seconds; 0 for none. */
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly match: Match;
  readonly instructions: readonly Instruction[];
}

const FLAG_WORDS = {
  send_flow_rem: FLOW_FLAGS.SEND_FLOW_REM,
  check_overlap: FLOW_FLAGS.CHECK_OVERLAP,
  reset_counts: FLOW_FLAGS.RESET_COUNTS,
  no_packet_counts: FLOW_FLAGS.NO_PKT_COUNTS,
  no_byte_counts: FLOW_FLAGS.NO_BYT_COUNTS,
} as const;

/**
 * `table=0,priority=10,tcp,nw_dst=10.0.0.0/8,actions=…`. A flow to be added has actions, one to be looked for has none;
 * `table` is what counts where the text names none.
 * @throws FlowSyntaxError
 */
export function parseFlow(text: string, table = 0): FlowSpec {
  const at = /(^|[\s,])actions?=/.exec(text);
  const head = at === null ? text : text.slice(0, at.index);
  const actions = at === null ? null : text.slice(at.index + at[0].length);
  const numbers = { table, priority: 32_768, idle_timeout: 0, hard_timeout: 0 };
  let cookie = 0n;
  let cookieMask = 0n;
  let flags = 0;
  let outPort: number = RESERVED_PORTS.ANY;
  let outGroup: number = GROUP.ANY;
  const words: [string, string | null][] = [];
  for (const word of head.split(/[\s,]+/).filter((one) => one !== '')) {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? null : word.slice(equals + 1);
    if (value === null && Object.hasOwn(FLAG_WORDS, name))
      flags |= FLAG_WORDS[name as keyof typeof FLAG_WORDS];
    else if (value !== null && Object.hasOwn(numbers, name))
      numbers[name as keyof typeof numbers] = number(name, value, name === 'table' ? 254 : 0xffff);
    else if (value !== null && name === 'cookie') {
      const [given = '', mask] = value.split('/');
      cookie = big(given);
      cookieMask = mask === undefined ? 0n : mask === '-1' ? 0xffffffffffffffffn : big(mask);
    } else if (value !== null && name === 'out_port') outPort = port(value);
    else if (value !== null && name === 'out_group') outGroup = number(name, value, GROUP.MAX);
    else words.push([name, value]);
  }
  return {
    table: numbers.table,
    priority: numbers.priority,
    cookie,
    cookieMask,
    idleTimeout: numbers.idle_timeout,
    hardTimeout: numbers.hard_timeout,
    flags,
    outPort,
    outGroup,
    match: parseMatch(words),
    instructions: actions === null ? [] : parseInstructions(actions),
  };
}

function number(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || value > most)
    throw new FlowSyntaxError(`invalid ${name} "${text}"`);
  return value;
}

function big(text: string): bigint {
  if (!/^(0x[0-9a-f]{1,16}|\d{1,19})$/i.test(text)) throw new FlowSyntaxError(`${text}: invalid number`);
  return BigInt(text);
}

function port(text: string): number {
  const parsed = parsePort(text);
  if (parsed === null) throw new FlowSyntaxError(`${text}: unknown port`);
  return parsed;
}

/** @throws FlowSyntaxError */
function parseInstructions(text: string): Instruction[] {
  const apply: Action[] = [];
  const rest: Instruction[] = [];
  let meter: number | null = null;
  for (const word of splitWords(text)) {
    const [, name = '', inner = ''] = /^([a-zA-Z_0-9]+)(?:[:=(](.*?)\)?)?$/.exec(word) ?? [];
    switch (name.toLowerCase()) {
      case 'goto_table':
        rest.push({ type: 'goto_table', table: number('table', inner, 254) });
        break;
      case 'clear_actions':
        rest.push({ type: 'clear_actions' });
        break;
      case 'meter':
        if (apply.length > 0 || rest.length > 0)
          throw new FlowSyntaxError(
            'invalid instruction ordering: meter must appear before apply_actions, for OpenFlow 1.1+ compatibility',
          );
        meter = number('meter', inner, METER.MAX);
        break;
      case 'write_actions':
        rest.push({ type: 'write_actions', actions: splitWords(inner).map(parseAction) });
        break;
      case 'write_metadata': {
        const [value = '', mask] = inner.split('/');
        rest.push({
          type: 'write_metadata',
          value: big(value),
          mask: mask === undefined ? 0xffffffffffffffffn : big(mask),
        });
        break;
      }
      case 'drop':
        if (splitWords(text).length > 1)
          throw new FlowSyntaxError('"drop" must not be accompanied by any other action or instruction');
        break;
      default:
        apply.push(parseAction(word));
    }
  }
  const order = ['clear_actions', 'write_actions', 'write_metadata', 'goto_table'];
  rest.sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
  return [
    ...(meter === null ? [] : [{ type: 'meter' as const, meter }]),
    ...(apply.length === 0 ? [] : [{ type: 'apply_actions' as const, actions: apply }]),
    ...rest,
  ];
}

/** Cuts at commas that stand in no parentheses. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let depth = 0;
  let word = '';
  for (const char of text) {
    if (char === '(') depth++;
    else if (char === ')') depth--;
    if (depth === 0 && /[\s,]/.test(char)) {
      words.push(word);
      word = '';
    } else word += char;
  }
  words.push(word);
  return words.filter((one) => one !== '');
}

const MODS: Readonly<Record<string, FieldName>> = {
  mod_dl_src: 'eth_src',
  mod_dl_dst: 'eth_dst',
  mod_nw_src: 'ipv4_src',
  mod_nw_dst: 'ipv4_dst',
};

const READ_ONLY: readonly FieldName[] = ['eth_type', 'ip_proto'];

/** Actions alone, as a packet-out has them. @throws FlowSyntaxError */
export function parseActions(text: string): Action[] {
  const words = splitWords(text);
  return words.length === 1 && words[0] === 'drop' ? [] : words.map(parseAction);
}

/** @throws FlowSyntaxError */
function parseAction(word: string): Action {
  const colon = word.search(/[:=(]/);
  const name = (colon < 0 ? word : word.slice(0, colon)).toLowerCase();
  const value = colon < 0 ? '' : word.slice(colon + 1).replace(/\)$/, '');
  const mod = MODS[name];
  if (mod !== undefined) return { type: 'set_field', oxm: parseField(mod, value) };
  switch (name) {
    case 'output':
      return { type: 'output', port: port(value), maxLen: 0 };
    case 'controller':
      return {
        type: 'output',
        port: RESERVED_PORTS.CONTROLLER,
        maxLen: value === '' ? CONTROLLER_MAX_LEN : number('max_len', value.replace('max_len=', ''), 0xffff),
      };
    case 'push_vlan':
      return { type: 'push_vlan', ethertype: number('push_vlan', value, 0xffff) };
    case 'pop_vlan':
    case 'strip_vlan':
      return { type: 'pop_vlan' };
    case 'dec_ttl':
      return { type: 'dec_ttl' };
    case 'mod_nw_ttl':
      return { type: 'set_nw_ttl', ttl: number('ttl', value, 0xff) };
    case 'set_queue':
      return { type: 'set_queue', queue: number('set_queue', value, 0xffffffff) };
    case 'group':
      return { type: 'group', group: number('group', value, GROUP.MAX) };
    case 'set_field': {
      const [text = '', name = ''] = value.split('->');
      const field = namedField(name);
      if (field === null)
        throw new FlowSyntaxError(
          value.includes('->') ? `${name} is not a valid OXM field name` : `${value}: missing \`->'`,
        );
      if (READ_ONLY.includes(field)) throw new FlowSyntaxError(`${name} is read-only`);
      return { type: 'set_field', oxm: parseField(field, text) };
    }
    default: {
      const parsed = colon < 0 ? parsePort(word) : null;
      if (parsed === null) throw new FlowSyntaxError(`unknown action ${name}`);
      return { type: 'output', port: parsed, maxLen: 0 };
    }
  }
}

export function formatInstructions(instructions: readonly Instruction[]): string {
  const words = instructions.flatMap(instructionWords);
  return words.length === 0 ? 'drop' : words.join(',');
}

function instructionWords(instruction: Instruction): readonly string[] {
  switch (instruction.type) {
    case 'apply_actions':
      return instruction.actions.map(formatAction);
    case 'write_actions':
      return [`write_actions(${instruction.actions.map(formatAction).join(',')})`];
    case 'write_metadata': {
      const mask = instruction.mask === 0xffffffffffffffffn ? '' : `/0x${instruction.mask.toString(16)}`;
      return [`write_metadata:0x${instruction.value.toString(16)}${mask}`];
    }
    case 'goto_table':
      return [`goto_table:${instruction.table}`];
    case 'clear_actions':
      return ['clear_actions'];
    case 'meter':
      return [`meter:${instruction.meter}`];
  }
}

export function formatAction(action: Action): string {
  switch (action.type) {
    case 'output':
      if (action.port === RESERVED_PORTS.CONTROLLER) return `CONTROLLER:${action.maxLen}`;
      return action.port >= RESERVED_PORTS.IN_PORT ? formatPort(action.port) : `output:${action.port}`;
    case 'push_vlan':
      return `push_vlan:0x${action.ethertype.toString(16)}`;
    case 'set_nw_ttl':
      return `mod_nw_ttl:${action.ttl}`;
    case 'set_queue':
      return `set_queue:${action.queue}`;
    case 'group':
      return `group:${action.group}`;
    case 'set_field':
      return `set_field:${fieldText(action.oxm)}->${fieldName(action.oxm.field)}`;
    default:
      return action.type;
  }
}

/** Flags, as they stand before the priority. */
export function flagWords(flags: number): string[] {
  return Object.entries(FLAG_WORDS).flatMap(([word, bit]) =>
    (flags & bit) !== 0 && word !== 'check_overlap' ? [word] : [],
  );
}

/** `priority=10,tcp,nw_dst=10.0.0.0/8`; a priority of 32768 is not written. */
export function formatRule(priority: number, match: Match): string {
  return [...(priority === 32_768 ? [] : [`priority=${priority}`]), ...matchWords(match)].join(',');
}

/** Timeouts and flags, each with a comma or blank behind it, and the rule, as a line of `dump-flows` has them. */
export function formatTail(flow: Omit<FlowSpec, 'cookieMask' | 'outPort' | 'outGroup'>): string {
  const times = [
    ...(flow.idleTimeout === 0 ? [] : [`idle_timeout=${flow.idleTimeout}`]),
    ...(flow.hardTimeout === 0 ? [] : [`hard_timeout=${flow.hardTimeout}`]),
  ];
  const flags = flagWords(flow.flags).map((word) => `${word} `);
  const rule = formatRule(flow.priority, flow.match);
  const actions = `actions=${formatInstructions(flow.instructions)}`;
  return `${times.map((word) => `${word}, `).join('')}${flags.join('')}${rule}${rule === '' ? '' : ' '}${actions}`;
}

/** A flow in the form that `parseFlow` reads. */
export function formatFlow(flow: Omit<FlowSpec, 'cookieMask' | 'outPort' | 'outGroup'>): string {
  return `cookie=0x${flow.cookie.toString(16)}, table=${flow.table}, ${formatTail(flow)}`;
}
