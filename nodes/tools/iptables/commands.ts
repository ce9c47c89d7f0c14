import type { IpFamily } from '../../../protocols/ip.ts';
import { usage, XtablesError } from '../../kernel/netfilter/xtables/error.ts';
import { extensionsOf } from '../../kernel/netfilter/xtables/registry.ts';
import { isPolicy } from '../../kernel/netfilter/xtables/table.ts';
import { CommandLine } from './command-line.ts';
import type { CountedRule, Draft } from './draft.ts';
import { type Counters, RuleReader } from './read-rule.ts';

/** Flags that say how, not what. */
export interface Flags {
  numeric: boolean;
  verbose: boolean;
  exact: boolean;
  lineNumbers: boolean;
}

/** A command, with its rule read against the chains that there are. */
export type Invocation = { readonly flags: Flags; readonly table: string | null } & (
  | { readonly command: 'append'; readonly chain: string; readonly rules: readonly CountedRule[] }
  | {
      readonly command: 'insert';
      readonly chain: string;
      readonly at: number;
      readonly rules: readonly CountedRule[];
    }
  | { readonly command: 'replace'; readonly chain: string; readonly at: number; readonly rule: CountedRule }
  | { readonly command: 'delete-at'; readonly chain: string; readonly at: number }
  | { readonly command: 'delete' | 'check'; readonly chain: string; readonly rules: readonly CountedRule[] }
  | {
      readonly command: 'list' | 'list-rules' | 'zero';
      readonly chain: string | null;
      readonly at: number | null;
    }
  | { readonly command: 'flush' | 'delete-chain'; readonly chain: string | null }
  | { readonly command: 'new-chain'; readonly chain: string }
  | {
      readonly command: 'policy';
      readonly chain: string;
      readonly policy: string;
      readonly counters: Counters | null;
    }
  | { readonly command: 'rename'; readonly chain: string; readonly to: string }
  | { readonly command: 'version' | 'help' }
);

const COMMANDS = 'ACDEFILNPRSVXZh';
const CHAIN_MAX = 28;
const NO_COUNTERS: Counters = { packets: 0, bytes: 0 };

/** The table that a command line names, and what it asks for itself before the table can be looked at. */
export function tableOf(words: readonly string[]): string {
  let table = 'filter';
  for (const [i, word] of words.entries()) {
    const value = words[i + 1];
    if ((word === '-t' || word === '--table') && value !== undefined) table = value;
    else if (word.startsWith('--table=')) table = word.slice(8);
    else if (/^-t./.test(word)) table = word.slice(2);
  }
  return table;
}

/** Reads a command line. @throws XtablesError */
export function readCommand(
  words: readonly string[],
  family: IpFamily,
  draft: Pick<Draft, 'has'>,
): Invocation {
  const line = new CommandLine(words);
  const reader = new RuleReader(family, (name) => draft.has(name));
  const flags: Flags = { numeric: false, verbose: false, exact: false, lineNumbers: false };
  let command: {
    readonly letter: string;
    readonly values: readonly string[];
    readonly number: string | null;
  } | null = null;
  let table: string | null = null;
  for (let token = line.next(); token !== null; token = line.next()) {
    if (token.type === 'word') throw new XtablesError(`Bad argument \`${token.text}'`, 2);
    if (token.type === 'extension') {
      reader.extension(token, line);
      continue;
    }
    if (reader.option(token)) continue;
    const { letter, values } = token;
    if (COMMANDS.includes(letter)) {
      if (token.negated) throw usage(`unexpected '!' flag before -${letter}`);
      if (
        command !== null &&
        !(command.letter === 'L' && letter === 'Z') &&
        !(command.letter === 'Z' && letter === 'L')
      )
        throw usage(`Cannot use -${letter} with -${command.letter}\n`.trimEnd());
      const takesNumber = 'ILSZDR'.includes(letter);
      command = { letter, values, number: takesNumber ? numberAfter(letter, line) : null };
    } else if (letter === 't') table = values[0] ?? null;
    else if (letter === 'n') flags.numeric = true;
    else if (letter === 'v') flags.verbose = true;
    else if (letter === 'x') flags.exact = true;
    else if (letter === '0') flags.lineNumbers = true;
    else if (letter === (family === 'inet' ? '6' : '4')) throw usage('');
  }
  if (command === null) throw usage('no command specified');
  return { flags, table, ...invocation(command, family, reader) };
}

/** `-D CHAIN 3`, `-L CHAIN 3`: the number is a word that begins with a digit. */
function numberAfter(letter: string, line: CommandLine): string | null {
  if (
    letter === 'L' ||
    letter === 'S' ||
    letter === 'Z' ||
    letter === 'I' ||
    letter === 'D' ||
    letter === 'R'
  )
    return line.operand();
  return null;
}

type Bare<I> = I extends unknown ? Omit<I, 'flags' | 'table'> : never;

function invocation(
  {
    letter,
    values,
    number,
  }: { readonly letter: string; readonly values: readonly string[]; readonly number: string | null },
  family: IpFamily,
  reader: RuleReader,
): Bare<Invocation> {
  const [chain = '', second = ''] = values;
  const rules = () =>
    reader.rules(chain).map(
      (rule): CountedRule => ({
        rule,
        ...(reader.counters ?? NO_COUNTERS),
      }),
    );
  const place = number === null ? null : ruleNumber(number);
  if (reader.counters !== null && !'AIRP'.includes(letter))
    throw usage("Illegal option `-c' with this command");
  if (!'AIRDC'.includes(letter)) reader.refuse();
  switch (letter) {
    case 'A':
      checkChainName(chain);
      return { command: 'append', chain, rules: rules() };
    case 'I':
      checkChainName(chain);
      return { command: 'insert', chain, at: place ?? 0, rules: rules() };
    case 'R': {
      if (place === null) throw usage('-R requires a rule number');
      const [rule, ...more] = rules();
      if (rule === undefined || more.length > 0)
        throw usage('Replacement rule does not specify a unique address');
      return { command: 'replace', chain, at: place, rule };
    }
    case 'D':
      if (place !== null) {
        if (!reader.isEmpty) throw usage('Illegal option with -D by number');
        return { command: 'delete-at', chain, at: place };
      }
      return { command: 'delete', chain, rules: rules() };
    case 'C':
      return { command: 'check', chain, rules: rules() };
    case 'L':
      return { command: 'list', chain: values[0] ?? null, at: place };
    case 'S':
      return { command: 'list-rules', chain: values[0] ?? null, at: place };
    case 'Z':
      return { command: 'zero', chain: values[0] ?? null, at: place };
    case 'F':
      return { command: 'flush', chain: values[0] ?? null };
    case 'X':
      return { command: 'delete-chain', chain: values[0] ?? null };
    case 'N':
      checkChainName(chain);
      if (extensionsOf(family).targets.has(chain) || ['ACCEPT', 'DROP', 'RETURN', 'QUEUE'].includes(chain))
        throw usage('chain name may not clash with target name');
      return { command: 'new-chain', chain };
    case 'P':
      return { command: 'policy', chain, policy: second, counters: reader.counters };
    case 'E':
      checkChainName(second);
      return { command: 'rename', chain, to: second };
    case 'V':
      return { command: 'version' };
    default:
      return { command: 'help' };
  }
}

/** Counted from 1 on the command line, from 0 here. */
function ruleNumber(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) === 0) throw usage(`Invalid rule number \`${text}'`);
  return Number(text) - 1;
}

function checkChainName(name: string): void {
  if (name.length > CHAIN_MAX)
    throw usage(`chain name \`${name}' too long (must be under ${CHAIN_MAX + 1} chars)`);
  if (name.startsWith('-') || name.startsWith('!'))
    throw usage("chain name not allowed to start with `-' or `!'\n");
  if (name === '') throw usage('zero-length chain name not allowed\n');
}

/** Does to a draft what a command that changes something asks; false for one that does not. @throws XtablesError */
export function perform(invocation: Invocation, draft: Draft): boolean {
  if (draft.name === 'nat') refuseDrop(invocation);
  switch (invocation.command) {
    case 'append':
      draft.insert(invocation.chain, 'end', invocation.rules);
      return true;
    case 'insert':
      // Each goes to the very place, so that the last of a list of addresses stands first.
      draft.insert(invocation.chain, invocation.at, invocation.rules.toReversed());
      return true;
    case 'replace':
      draft.replace(invocation.chain, invocation.at, invocation.rule);
      return true;
    case 'delete-at':
      draft.deleteAt(invocation.chain, invocation.at);
      return true;
    case 'delete':
      for (const { rule } of invocation.rules)
        draft.deleteAt(invocation.chain, draft.find(invocation.chain, rule.text));
      return true;
    case 'flush':
      for (const chain of invocation.chain === null ? draft.chainNames() : [invocation.chain])
        draft.flush(chain);
      return true;
    case 'zero':
      for (const chain of invocation.chain === null ? draft.chainNames() : [invocation.chain])
        draft.zero(chain, invocation.at);
      return true;
    case 'new-chain':
      draft.create(invocation.chain);
      return true;
    case 'delete-chain':
      if (invocation.chain !== null) draft.delete(invocation.chain);
      else for (const chain of draft.userChains()) draft.delete(chain);
      return true;
    case 'policy':
      if (!draft.isBuiltin(invocation.chain)) throw new XtablesError('Bad built-in chain name.', 1);
      if (!isPolicy(invocation.policy))
        throw new XtablesError("Bad policy name. Run `dmesg' for more information.", 1);
      draft.setPolicy(invocation.chain, invocation.policy, invocation.counters);
      return true;
    default:
      return false;
  }
}

/** The nat table sees the first packet of a flow only: it is no place to drop. @throws XtablesError */
function refuseDrop(invocation: Invocation): void {
  const rules = 'rules' in invocation ? invocation.rules : 'rule' in invocation ? [invocation.rule] : [];
  const drops = rules.some(({ rule: { action } }) => action.type === 'verdict' && action.verdict === 'DROP');
  if (drops || ('policy' in invocation && invocation.policy === 'DROP'))
    throw usage(
      '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n',
    );
}
