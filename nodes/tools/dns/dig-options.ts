import { parseHostAddress, reverseName } from '../../../protocols/dns/address.ts';
import { RR_TYPE, typeOfName } from '../../../protocols/dns/message.ts';
import { parseName } from '../../../protocols/dns/name.ts';
import type { LookupFamily } from '../../../protocols/dns/resolver.ts';
import { ToolError } from '../tool.ts';

export interface DigOptions {
  /** '' for those of resolv.conf. */
  readonly server: string;
  readonly name: string;
  readonly type: number;
  /** Parts of the output, and ways to ask. */
  readonly on: ReadonlySet<DigSwitch>;
  /** ms */
  readonly timeout: number;
  readonly tries: number;
  readonly udpSize: number;
  /** Which servers are asked. */
  readonly family: LookupFamily;
}

const SWITCHES = [
  'cmd',
  'comments',
  'question',
  'answer',
  'authority',
  'additional',
  'stats',
  'short',
  'recurse',
  'edns',
  'dnssec',
  'tcp',
  'search',
] as const;

export type DigSwitch = (typeof SWITCHES)[number];

const SECTIONS: readonly DigSwitch[] = [
  'cmd',
  'comments',
  'question',
  'answer',
  'authority',
  'additional',
  'stats',
];
const DEFAULTS: readonly DigSwitch[] = [...SECTIONS, 'recurse', 'edns'];
const ALIASES: Readonly<Record<string, DigSwitch>> = {
  vc: 'tcp',
  rec: 'recurse',
  defname: 'search',
  do: 'dnssec',
};
/** Of those that change nothing here. */
const IGNORED = [
  'cookie',
  'multiline',
  'ttlid',
  'class',
  'ignore',
  'fail',
  'idnin',
  'idnout',
  'adflag',
  'cdflag',
  'aaonly',
];

const USAGE = `Usage:  dig [@global-server] [domain] [q-type] [q-class] {q-opt}
            {global-d-opt} host [@local-server] {local-d-opt}
            [ host [@local-server] {local-d-opt} [...]]

Use "dig -h" (or "dig -h | more") for complete list of options`;

/** @throws ToolError */
export function parseDigOptions(args: readonly string[]): DigOptions {
  let server = '';
  let name: string | null = null;
  let type: number | null = null;
  const on = new Set<DigSwitch>(DEFAULTS);
  let timeout = 5000;
  let tries = 3;
  let udpSize = 1232;
  let family: LookupFamily = 'any';
  const named = (text: string) => {
    if (name !== null) throw new ToolError('dig: several queries are not emulated', 1);
    if (parseName(text) === null) throw new ToolError(`dig: '${text}' is not a legal name (bad label)`, 10);
    name = text === '.' ? '' : text;
  };
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word.startsWith('@')) server = word.slice(1);
    else if (word.startsWith('+')) {
      const [, no = '', key = '', value = ''] = /^\+(no)?([a-z]+)(?:=(.*))?$/.exec(word) ?? [];
      const flag = SWITCHES.find((one) => one === key) ?? ALIASES[key];
      if (flag !== undefined) {
        if (no === '') on.add(flag);
        else on.delete(flag);
      } else if (key === 'all') {
        for (const section of SECTIONS)
          if (no === '') on.add(section);
          else on.delete(section);
      } else if (key === 'time' || key === 'timeout') timeout = Math.max(1, wholeNumber(word, value)) * 1000;
      else if (key === 'tries') tries = Math.max(1, wholeNumber(word, value));
      else if (key === 'retry') tries = wholeNumber(word, value) + 1;
      else if (key === 'bufsize') udpSize = wholeNumber(word, value);
      else if (!IGNORED.includes(key)) throw new ToolError(`Invalid option: ${word}\n${USAGE}`, 1);
    } else if (word === '-x') {
      const address = parseHostAddress(args[++i] ?? '');
      if (address === null) throw new ToolError(`dig: Invalid IP address ${args[i] ?? ''}`, 1);
      named(reverseName(address));
      type ??= RR_TYPE.PTR;
    } else if (word === '-t' || word === '-q') {
      const value = args[++i] ?? '';
      if (word === '-q') named(value);
      else type = typeOfName(value) ?? invalidType(value);
    } else if (word === '-4' || word === '-6') {
      const wanted = word === '-4' ? 'ipv4' : 'ipv6';
      if (family !== 'any' && family !== wanted) throw new ToolError('dig: only one of -4 and -6 allowed', 1);
      family = wanted;
    } else if (word === '-u') continue;
    else if (word === '-h') throw new ToolError(USAGE, 0);
    else if (word === '-v') throw new ToolError('DiG 9.18.49', 0);
    else if (word.startsWith('-')) throw new ToolError(`Invalid option: ${word}\n${USAGE}`, 1);
    else if (/^(in|any)$/i.test(word) && name !== null && word.toUpperCase() === 'IN') continue;
    else {
      const known = typeOfName(word);
      if (known !== null) type = known;
      else named(word);
    }
  }
  // Without a name, dig asks for the root's servers.
  if (name === null)
    return { server, name: '', type: type ?? RR_TYPE.NS, on, timeout, tries, udpSize, family };
  return { server, name, type: type ?? RR_TYPE.A, on, timeout, tries, udpSize, family };
}

function wholeNumber(word: string, value: string): number {
  if (!/^\d{1,5}$/.test(value)) throw new ToolError(`dig: invalid value in ${word}`, 1);
  return Number(value);
}

function invalidType(value: string): never {
  throw new ToolError(`dig: unknown type '${value}'`, 1);
}
