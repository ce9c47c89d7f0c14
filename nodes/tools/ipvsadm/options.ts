import { parseIp4 } from '../../../protocols/ip4.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { servicePort } from '../../../protocols/services.ts';
import type { IpvsForward, IpvsTimeoutFacts } from '../../events/ipvs.ts';
import type { ServiceKey } from '../../kernel/netfilter/ipvs/service.ts';
import { ToolError } from '../tool.ts';

/** Usage that ipvsadm refuses, with its exit code 2. */
export function fail(message: string): ToolError {
  return new ToolError(message, 2);
}

export function tryHelp(): ToolError {
  return new ToolError("Try `ipvsadm -h' or 'ipvsadm --help' for more information.", 255);
}

/** Names of commands and options, as messages have them, by letter or long name. */
const COMMANDS = {
  A: 'add-service',
  E: 'edit-service',
  D: 'delete-service',
  C: 'flush',
  L: 'list',
  l: 'list',
  a: 'add-server',
  d: 'delete-server',
  e: 'edit-server',
  set: 'set',
  R: 'restore',
  S: 'save',
  Z: 'zero',
  h: 'help',
} as const;

export type IpvsadmCommand = (typeof COMMANDS)[keyof typeof COMMANDS];

const LONG_COMMANDS: Readonly<Record<string, keyof typeof COMMANDS>> = {
  'add-service': 'A',
  'edit-service': 'E',
  'delete-service': 'D',
  clear: 'C',
  list: 'L',
  zero: 'Z',
  'add-server': 'a',
  'edit-server': 'e',
  'delete-server': 'd',
  set: 'set',
  restore: 'R',
  save: 'S',
  help: 'h',
};

/** Option by long name: its letter, what messages call it, and whether it takes a value. */
const OPTIONS: readonly (readonly [
  long: string,
  short: string,
  name: string,
  value: 'none' | 'needed' | 'optional',
])[] = [
  ['numeric', 'n', 'numeric', 'none'],
  ['connection', 'c', 'connection', 'none'],
  ['tcp-service', 't', 'service-address', 'needed'],
  ['udp-service', 'u', 'service-address', 'needed'],
  ['sctp-service', '', 'service-address', 'needed'],
  ['fwmark-service', 'f', 'service-address', 'needed'],
  ['scheduler', 's', 'scheduler', 'needed'],
  ['persistent', 'p', 'persistent', 'optional'],
  ['netmask', 'M', 'netmask', 'needed'],
  ['real-server', 'r', 'real-server', 'needed'],
  ['masquerading', 'm', 'forwarding-method', 'none'],
  ['gatewaying', 'g', 'forwarding-method', 'none'],
  ['ipip', 'i', 'forwarding-method', 'none'],
  ['weight', 'w', 'weight', 'needed'],
  ['u-threshold', 'x', 'u-threshold', 'needed'],
  ['l-threshold', 'y', 'l-threshold', 'needed'],
  ['timeout', '', 'timeout', 'none'],
  ['daemon', '', 'daemon', 'none'],
  ['stats', '', 'stats', 'none'],
  ['rate', '', 'rate', 'none'],
  ['thresholds', '', 'thresholds', 'none'],
  ['persistent-conn', '', 'persistent-conn', 'none'],
  ['nosort', '', 'nosort', 'none'],
  ['sort', '', '', 'none'],
  ['exact', 'X', 'exact', 'none'],
  ['ops', 'o', 'ops', 'none'],
  ['pe', '', 'pe', 'needed'],
  ['sched-flags', 'b', 'sched-flags', 'needed'],
  ['ipv6', '6', '', 'none'],
];

/** What each command must have (+), may have, and may have one of (1); anything else is refused (`commands_v_options`). */
const RULES: Readonly<Record<IpvsadmCommand, string>> = {
  'add-service': '+service-address scheduler persistent netmask ops pe sched-flags',
  'edit-service': '+service-address scheduler persistent netmask ops pe sched-flags',
  'delete-service': '+service-address',
  flush: '',
  list: 'numeric 1connection 1service-address 1timeout 1daemon stats rate thresholds persistent-conn nosort exact',
  'add-server': '+service-address +real-server forwarding-method weight u-threshold l-threshold',
  'delete-server': '+service-address +real-server',
  'edit-server': '+service-address +real-server forwarding-method weight u-threshold l-threshold',
  set: '',
  restore: '',
  save: 'numeric',
  zero: 'service-address',
  help: '',
};

const MAX_TIMEOUT = 86_400 * 31;
/** `IPVS_SVC_PERSISTENT_TIMEOUT` */
const PERSISTENT_TIMEOUT = 360;

/** A command line of ipvsadm that has been read. */
export interface IpvsadmOptions {
  readonly command: IpvsadmCommand;
  /** Names of the options there are, as messages have them. */
  readonly given: ReadonlySet<string>;
  service: ServiceKey | null;
  server: { addr: number; port: number | null } | null;
  scheduler: string;
  persistent: number | null;
  netmask: number;
  ops: boolean;
  schedulerFlags: string;
  forward: IpvsForward;
  weight: number;
  upper: number;
  lower: number;
  timeouts: IpvsTimeoutFacts | null;
}

interface Word {
  readonly name: string;
  readonly value: string | null;
}

/** @throws ToolError */
export function parseIpvsadm(args: readonly string[]): IpvsadmOptions {
  const { command, words, operands } = split(args);
  const given = new Set<string>();
  const options: IpvsadmOptions = {
    command,
    given,
    service: null,
    server: null,
    scheduler: '',
    persistent: null,
    netmask: 0xffffffff,
    ops: false,
    schedulerFlags: '',
    forward: 'Route',
    weight: 1,
    upper: 0,
    lower: 0,
    timeouts: null,
  };
  for (const word of words) {
    const name = OPTIONS.find(([long]) => long === word.name)?.[2] ?? '';
    if (name !== '') {
      if (given.has(name)) throw fail(`multiple '${name}' options specified`);
      given.add(name);
    }
    apply(options, word);
  }
  if (command === 'set') {
    const [tcp, tcpfin, udp] = operands.splice(0, 3);
    if (tcp === undefined || tcpfin === undefined || udp === undefined)
      throw fail('--set option requires 3 timeout values');
    options.timeouts = { tcp: timeout(tcp, 0), tcpfin: timeout(tcpfin, 0), udp: timeout(udp, 0) };
  }
  if (operands[0] !== undefined) throw fail(`unexpected argument ${operands[0]}`);
  checkRules(command, given);
  return options;
}

/** The command, which comes first, and the options; popt takes letters together: `-Ln`, `-w1`. */
function split(args: readonly string[]) {
  let command: IpvsadmCommand | null = null;
  const words: Word[] = [];
  const operands: string[] = [];
  const rest = [...args];
  const takeCommand = (name: IpvsadmCommand) => {
    if (command !== null) throw fail('multiple commands specified');
    command = name;
  };
  const takeOption = (spec: (typeof OPTIONS)[number], own: string | null, shown: string) => {
    const [name, , , kind] = spec;
    if (command === null) throw tryHelp();
    if (kind === 'none') {
      words.push({ name, value: null });
      return;
    }
    const next = rest[0];
    let value = own;
    if (value === null && next !== undefined && (kind === 'needed' || !next.startsWith('-'))) {
      value = next;
      rest.shift();
    }
    if (value === null && kind === 'needed') throw new ToolError(`${shown}: missing argument`, 255);
    words.push({ name, value });
  };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word.startsWith('--')) {
      const [name = '', value = null] = splitOnce(word.slice(2));
      const letter = LONG_COMMANDS[name];
      const spec = OPTIONS.find(([long]) => long === name);
      if (letter !== undefined) takeCommand(COMMANDS[letter]);
      else if (spec !== undefined) takeOption(spec, value, word);
      else throw command === null ? tryHelp() : new ToolError(`${word}: unknown option`, 255);
    } else if (word.startsWith('-') && word.length > 1) {
      for (let at = 1; at < word.length; at++) {
        const letter = word[at]!;
        const spec = OPTIONS.find(([, short]) => short === letter);
        if (letter in COMMANDS) takeCommand(COMMANDS[letter as keyof typeof COMMANDS]);
        else if (spec !== undefined) {
          const own =
            spec[3] !== 'none' && at + 1 < word.length ? word.slice(at + 1).replace(/^=/, '') : null;
          takeOption(spec, own, word);
          if (own !== null) break;
        } else throw command === null ? tryHelp() : new ToolError(`${word}: unknown option`, 255);
      }
    } else operands.push(word);
  }
  if (command === null) throw tryHelp();
  return { command: command as IpvsadmCommand, words, operands };
}

function splitOnce(text: string): string[] {
  const at = text.indexOf('=');
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function apply(options: IpvsadmOptions, { name, value }: Word): void {
  const text = value ?? '';
  switch (name) {
    case 'tcp-service':
    case 'udp-service': {
      const proto = name === 'tcp-service' ? PROTO_TCP : PROTO_UDP;
      const place = address(text, proto);
      if (place === null) throw fail('illegal virtual server address[:port] specified');
      options.service = { proto, addr: place.addr, port: place.port ?? 0 };
      return;
    }
    case 'sctp-service':
      throw fail('SCTP services are not emulated: use -t or -u');
    case 'ipv6':
      throw fail('IPVS for IPv6 is not emulated');
    case 'pe':
      throw fail('persistence engines (--pe) are not emulated');
    case 'fwmark-service': {
      const fwmark = number(text, 1, 0xffffffff);
      if (fwmark === null) throw fail(`invalid fwmark value \`${text}' specified`);
      options.service = { fwmark };
      return;
    }
    case 'scheduler':
      options.scheduler = text;
      return;
    case 'persistent':
      options.persistent = value === null ? PERSISTENT_TIMEOUT : timeout(value, 1);
      return;
    case 'netmask': {
      const mask = parseIp4(text);
      if (mask === null) throw fail('illegal virtual server persistent mask specified');
      options.netmask = mask;
      return;
    }
    case 'real-server': {
      const proto =
        options.service !== null && 'proto' in options.service ? options.service.proto : PROTO_TCP;
      options.server = address(text, proto);
      if (options.server === null) throw fail('illegal real server address[:port] specified');
      return;
    }
    case 'masquerading':
      options.forward = 'Masq';
      return;
    case 'gatewaying':
      options.forward = 'Route';
      return;
    case 'ipip':
      options.forward = 'Tunnel';
      return;
    case 'weight':
      options.weight = limit(text, 65_535, 'weight');
      return;
    case 'u-threshold':
      options.upper = limit(text, 0x7fffffff, 'u_threshold');
      return;
    case 'l-threshold':
      options.lower = limit(text, 0x7fffffff, 'l_threshold');
      return;
    case 'ops':
      options.ops = true;
      return;
    case 'sched-flags':
      options.schedulerFlags = text;
  }
}

/** `parse_service`: null where it is none; without a port, that is null. */
function address(text: string, proto: number): { addr: number; port: number | null } | null {
  if (/^\d*$/.test(text)) return null;
  if (text.startsWith('[') || text.split(':').length > 2) throw fail('IPVS for IPv6 is not emulated');
  const [host = '', port] = text.split(':');
  const addr = parseIp4(host);
  if (addr === null) return null;
  if (port === undefined) return { addr, port: null };
  const found = number(port, 0, 65_535) ?? servicePort(port, proto === PROTO_TCP ? 'tcp' : 'udp');
  return found === null ? null : { addr, port: found };
}

function number(text: string, least: number, most: number): number | null {
  if (!/^\s*[+-]?\d+$/.test(text)) return null;
  const value = Number(text);
  return value >= least && value <= most ? value : null;
}

function limit(text: string, most: number, name: string): number {
  const value = number(text, 0, most);
  if (value === null) throw fail(`illegal ${name} specified`);
  return value;
}

function timeout(text: string, least: number): number {
  const value = number(text, least, MAX_TIMEOUT);
  if (value === null) throw fail(`invalid timeout value \`${text}' specified`);
  return value;
}

/** `generic_opt_check`: in the order in which the table has the options. */
function checkRules(command: IpvsadmCommand, given: ReadonlySet<string>): void {
  const rules = RULES[command].split(' ');
  let one: string | null = null;
  for (const name of new Set(OPTIONS.map(([, , each]) => each))) {
    if (name === '') continue;
    if (!given.has(name)) {
      if (rules.includes(`+${name}`))
        throw fail(`You need to supply the '${name}' option for the '${command}' command`);
      continue;
    }
    if (rules.includes(`1${name}`)) {
      if (one !== null)
        throw fail(`The option '${name}' conflicts with the '${one}' option in the '${command}' command`);
      one = name;
    } else if (!rules.includes(name) && !rules.includes(`+${name}`))
      throw fail(`Illegal '${name}' option with the '${command}' command`);
  }
}
