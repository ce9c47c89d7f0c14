import { bitsOf } from '../../../protocols/ip.ts';
import { IpSet } from '../../kernel/netfilter/ipset/set.ts';
import { IpsetError, netOf } from '../../kernel/netfilter/ipset/spec.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Command } from '../tool.ts';
import { parseElement } from './element.ts';
import { describe, IpsetToolError, parameter, syntax, VERSION } from './error.ts';
import { parseAdd, parseCreate, parsePlace, parseType } from './options.ts';
import { listSet, saveSet } from './print.ts';

export interface IpsetResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const COMMANDS = {
  create: ['n', '-N', '--create'],
  add: ['a', '-A', '--add'],
  del: ['d', '-D', '--del'],
  test: ['t', '-T', '--test'],
  destroy: ['x', '-X', '--destroy'],
  list: ['l', '-L', '--list'],
  save: ['s', '-S', '--save'],
  restore: ['r', '-R', '--restore'],
  flush: ['f', '-F', '--flush'],
  rename: ['e', '-E', '--rename'],
  swap: ['w', '-W', '--swap'],
  version: ['v', '-v', '-V', '--version'],
  help: ['h', '-h', '-H', '--help'],
} as const;
type CommandName = keyof typeof COMMANDS;

/** Words that each command must have. */
const MANDATORY: Readonly<Partial<Record<CommandName, number>>> = {
  create: 2,
  add: 2,
  del: 2,
  test: 2,
  rename: 2,
  swap: 2,
};

const MOST_NAME = 31;
const TRY_HELP = "Try `ipset help' for more information.\n";
const HELP = `ipset ${VERSION}

Usage: ipset [options] COMMAND

Commands:
create SETNAME TYPENAME [type-specific-options]
        Create a new set
add SETNAME ENTRY
        Add entry to the named set
del SETNAME ENTRY
        Delete entry from the named set
test SETNAME ENTRY
        Test entry in the named set
destroy [SETNAME]
        Destroy a named set or all sets
list [SETNAME]
        List the entries of a named set or all sets
save [SETNAME]
        Save the named set or all sets to stdout
restore
        Restore a saved state
flush [SETNAME]
        Flush a named set or all sets
rename FROM-SETNAME TO-SETNAME
        Rename two sets
swap FROM-SETNAME TO-SETNAME
        Swap the contect of two existing sets
help [TYPENAME]
        Print help, and settype specific help
version
        Print version information
quit
        Quit interactive mode
`;

interface Flags {
  exist: boolean;
  quiet: boolean;
  sorted: boolean;
  name: boolean;
  terse: boolean;
  output: 'plain' | 'save';
}

/** ipset(8) 7.17 in a namespace; `stdin` is what `restore` reads. */
export function runIpset(ns: Netns, words: readonly string[], stdin = ''): IpsetResult {
  const flags: Flags = {
    exist: false,
    quiet: false,
    sorted: false,
    name: false,
    terse: false,
    output: 'plain',
  };
  const run = new Run(ns, flags);
  try {
    const code = run.command(takeFlags(words, flags), stdin);
    return { code, stdout: run.stdout, stderr: run.stderr };
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    const text = `ipset ${VERSION}: ${failure.message}\n${failure.code === 2 ? TRY_HELP : ''}`;
    return { code: failure.code, stdout: run.stdout, stderr: run.stderr + (flags.quiet ? '' : text) };
  }
}

function failureOf(error: unknown): { readonly message: string; readonly code: 1 | 2 } | null {
  if (error instanceof IpsetToolError) return error;
  return error instanceof IpsetError ? { message: describe(error.errno), code: 1 } : null;
}

/** Options that may stand anywhere. */
function takeFlags(words: readonly string[], flags: Flags): string[] {
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    switch (word) {
      case '-!':
      case '-exist':
      case '--exist':
        flags.exist = true;
        break;
      case '-q':
      case '-quiet':
      case '--quiet':
        flags.quiet = true;
        break;
      case '-s':
      case '-sorted':
      case '--sorted':
        flags.sorted = true;
        break;
      case '-n':
      case '-name':
      case '--name':
        flags.name = true;
        break;
      case '-t':
      case '-terse':
      case '--terse':
        flags.terse = true;
        break;
      case '-r':
      case '-resolve':
      case '--resolve':
        break;
      case '-o':
      case '-output':
      case '--output': {
        const mode = words[++i];
        if (mode === 'xml' || mode === 'json') throw parameter(`output mode ${mode} is not emulated`);
        if (mode !== 'plain' && mode !== 'save') throw syntax(`unknown output mode '${mode ?? ''}'`);
        flags.output = mode;
        break;
      }
      default:
        rest.push(word);
    }
  }
  return rest;
}

class Run {
  stdout = '';
  stderr = '';
  readonly #ns: Netns;
  readonly #flags: Flags;

  constructor(ns: Netns, flags: Flags) {
    this.#ns = ns;
    this.#flags = flags;
  }

  /** @throws IpsetToolError, IpsetError */
  command(words: readonly string[], stdin: string): number {
    const [word, ...args] = words;
    if (word === undefined) throw parameter('No command specified.');
    const name = commandOf(word);
    if (name === null) throw parameter(`No command specified: unknown argument ${word}`);
    const [first, second] = args;
    const wanted = MANDATORY[name] ?? 0;
    if (wanted > 0 && first === undefined) throw parameter(`Missing mandatory argument to command ${name}`);
    if (wanted > 1 && second === undefined)
      throw parameter(`Missing second mandatory argument to command ${name}`);
    const { ipsets } = this.#ns;
    switch (name) {
      case 'version':
        this.stdout += `ipset ${VERSION}, protocol version: 7\n`;
        return 0;
      case 'help':
        this.stdout += HELP;
        return 0;
      case 'create': {
        checkName(first!);
        const type = parseType(second!);
        ipsets.create(first!, parseCreate(type, args.slice(2)), this.#flags.exist);
        return 0;
      }
      case 'add':
      case 'del':
        this.#change(name, first!, second!, args.slice(2));
        return 0;
      case 'test':
        return this.#test(first!, second!, args.slice(2));
      case 'destroy':
        if (first === undefined) ipsets.destroyAll();
        else ipsets.destroy(first);
        return 0;
      case 'flush':
        for (const each of first === undefined ? ipsets.all().map((set) => set.name) : [first])
          ipsets.flush(each);
        return 0;
      case 'rename':
        checkName(second!);
        ipsets.rename(first!, second!);
        return 0;
      case 'swap':
        ipsets.swap(first!, second!);
        return 0;
      case 'list':
      case 'save':
        if (second !== undefined) throw parameter(`Unknown argument ${second}`);
        this.#print(name, first ?? null);
        return 0;
      case 'restore':
        this.#restore(stdin);
        return 0;
    }
  }

  #change(op: 'add' | 'del', name: string, text: string, words: readonly string[]): void {
    const { ipsets } = this.#ns;
    const { exist } = this.#flags;
    const set = ipsets.require(name);
    if (!(set instanceof IpSet)) {
      const place = parsePlace(words);
      if (op === 'add') ipsets.addMember(set, text, place, exist);
      else ipsets.removeMember(set, text, exist);
      return;
    }
    const { type } = set.spec;
    const keys = parseElement(text, type, set.dimensions, set.spec);
    const options = parseAdd(words, type);
    if (op === 'add') ipsets.add(set, keys, options, exist);
    else ipsets.remove(set, keys, exist);
  }

  #test(name: string, text: string, words: readonly string[]): number {
    const set = this.#ns.ipsets.require(name);
    const found = set instanceof IpSet ? isIn(set, text, words) : set.members.includes(text);
    this.stderr += found ? `Warning: ${text} is in set ${name}.\n` : `${text} is NOT in set ${name}.\n`;
    return found ? 0 : 1;
  }

  #print(command: 'list' | 'save', name: string | null): void {
    const { ipsets, kernel } = this.#ns;
    const { sorted, terse, name: names, output } = this.#flags;
    const { now } = kernel.rt;
    const sets = name === null ? ipsets.all() : [ipsets.require(name)];
    if (names && command === 'list') for (const set of sets) this.stdout += `${set.name}\n`;
    else if (command === 'save' || output === 'save')
      for (const set of sets) this.stdout += saveSet(set, now, sorted);
    else
      this.stdout += sets
        .map((set) => listSet(set, { references: ipsets.references(set.name), now, sorted, terse }))
        .join('\n');
  }

  #restore(text: string): void {
    for (const [i, line] of text.split('\n').entries()) {
      if (line.trim() === '' || line.startsWith('#') || line.trim() === 'COMMIT') continue;
      try {
        this.command(takeFlags(splitLine(line), this.#flags), '');
      } catch (error) {
        const failure = failureOf(error);
        if (failure === null) throw error;
        throw new IpsetToolError(`Error in line ${i + 1}: ${failure.message}`, failure.code);
      }
    }
  }
}

function isIn(set: IpSet, text: string, words: readonly string[]): boolean {
  const { type } = set.spec;
  const [key] = parseElement(text, type, set.dimensions, set.spec);
  if (key === undefined) return false;
  const { nomatch } = parseAdd(words, type);
  const exact = set.exact(key);
  if (exact !== null) return exact.nomatch === nomatch;
  // An address is in a set of nets where a net holds it.
  const at = set.dimensions.indexOf('net');
  if (at < 0) return false;
  const { addr, length } = netOf(key[at]!);
  if (length !== bitsOf(addr)) return false;
  const whole = [...key];
  whole[at] = addr;
  const found = set.find(whole);
  return found !== null && found.nomatch === nomatch;
}

function commandOf(word: string): CommandName | null {
  for (const [name, others] of Object.entries(COMMANDS))
    if (name === word || (others as readonly string[]).includes(word)) return name as CommandName;
  return null;
}

function checkName(name: string): void {
  if (name.length > MOST_NAME) throw syntax(`setname '${name}' is longer than ${MOST_NAME} characters`);
}

/** Words of a line; quotes hold blanks together. */
function splitLine(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quotedText, word]) => quotedText ?? word ?? '');
}

/** ipset(8) */
export const ipset: Command = (args, ctx, out) => {
  const { code, stdout, stderr } = runIpset(ctx.ns, args, ctx.stdin ?? '');
  if (stdout !== '') out.stdout(stdout);
  if (stderr !== '') out.stderr(stderr);
  return code;
};
