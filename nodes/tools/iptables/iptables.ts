import type { IpFamily } from '../../../protocols/ip.ts';
import { isExtensionHeader, NEXT_NONE } from '../../../protocols/ipv6-headers.ts';
import { netfilterOf } from '../../kernel/netfilter/families.ts';
import { XtablesError } from '../../kernel/netfilter/xtables/error.ts';
import type { TableName } from '../../kernel/netfilter/xtables/extension.ts';
import { protoName } from '../../kernel/netfilter/xtables/rule.ts';
import type { Xtables } from '../../kernel/netfilter/xtables/xtables.ts';
import type { Netns } from '../../kernel/netns.ts';
import { type Command, type ToolContext, ToolError } from '../tool.ts';
import { type Invocation, perform, readCommand, tableOf } from './commands.ts';
import { Draft } from './draft.ts';
import { listChains, listRule, noteRule } from './list.ts';
import { isTable, restoreText } from './restore.ts';
import { programOf, saveRules, saveTable, VERSION } from './save.ts';

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function titleOf(family: IpFamily): string {
  return `${programOf(family)} ${VERSION} (legacy)`;
}

function tryHelp(family: IpFamily): string {
  const name = programOf(family);
  return `Try \`${name} -h' or '${name} --help' for more information.\n`;
}

function helpOf(family: IpFamily): string {
  const name = programOf(family);
  return `${titleOf(family)}

Usage: ${name} -[ACD] chain rule-specification [options]
       ${name} -I chain [rulenum] rule-specification [options]
       ${name} -R chain rulenum rule-specification [options]
       ${name} -D chain rulenum [options]
       ${name} -[LS] [chain [rulenum]] [options]
       ${name} -[FZ] [chain] [options]
       ${name} -[NX] chain
       ${name} -E old-chain-name new-chain-name
       ${name} -P chain target [options]
       ${name} -h (print this help information)

The emulated kernel has the tables filter, nat, mangle, raw and security of IPv4 (iptables) and IPv6 (ip6tables).
`;
}

/** Runs iptables in a namespace, as a daemon that calls the program does. The words come without its name. */
export function runIptables(ns: Netns, words: readonly string[]): ToolResult {
  return runXtables(ns, 'inet', words);
}

/** The same of either family: `inet6` is ip6tables. */
export function runXtables(ns: Netns, family: IpFamily, words: readonly string[]): ToolResult {
  const name = tableOf(words);
  const { xtables } = netfilterOf(ns, family);
  try {
    if (!isTable(name)) {
      const program = programOf(family);
      const text = `can't initialize ${program} table \`${name}': Table does not exist (do you need to insmod?)`;
      throw new XtablesError(`${text}\nPerhaps ${program} or your kernel needs to be upgraded.`, 3);
    }
    const bare = { has: (chain: string) => xtables.has(name, chain) };
    const invocation = readCommand(words, family, bare);
    if (invocation.command === 'version') return { code: 0, stdout: `${titleOf(family)}\n`, stderr: '' };
    if (invocation.command === 'help') return { code: 0, stdout: helpOf(family), stderr: '' };
    return { code: 0, stdout: run(xtables, name, invocation), stderr: warningsOf(invocation) };
  } catch (error) {
    if (!(error instanceof XtablesError)) throw error;
    return { code: error.code, stdout: '', stderr: errorText(error, family) };
  }
}

/** What ip6tables says of a rule that it takes all the same. */
function warningsOf(invocation: Invocation): string {
  const rules = 'rules' in invocation ? invocation.rules : 'rule' in invocation ? [invocation.rule] : [];
  const head = rules[0]?.rule.head;
  if (head === undefined || head.family === 'inet' || head.protoNegated) return '';
  if (!isExtensionHeader(head.proto) || head.proto === 0 || head.proto === NEXT_NONE) return '';
  return `Warning: never matched protocol: ${protoName(head.proto)}. use extension match instead.\n`;
}

function errorText({ code, message }: XtablesError, family: IpFamily): string {
  // -4 of ip6tables, -6 of iptables.
  if (message === '') return tryHelp(family);
  if (message.startsWith('Bad argument')) return `${message}\n${tryHelp(family)}`;
  if (code === 1) return `${programOf(family)}: ${message}\n`;
  return `${titleOf(family)}: ${message}\n${code === 2 ? tryHelp(family) : ''}`;
}

function run(xtables: Xtables, name: TableName, invocation: Invocation): string {
  const table = xtables.table(name);
  const { flags } = invocation;
  switch (invocation.command) {
    case 'list': {
      const { chain, at } = invocation;
      if (chain !== null && at !== null) {
        const shown = table.require(chain);
        const rule = shown.rules[at];
        if (rule === undefined) return '';
        const counted = { rule, packets: shown.packets[at] ?? 0, bytes: shown.bytes[at] ?? 0 };
        return listRule(counted, at + 1, flags);
      }
      return listChains(table, chain === null ? table.chains() : [table.require(chain)], flags);
    }
    case 'list-rules': {
      const chains = invocation.chain === null ? table.chains() : [table.require(invocation.chain)];
      return saveRules(chains, invocation.at, flags.verbose ? 'with' : 'without');
    }
    case 'rename': {
      const { chain, to } = invocation;
      if (table.get(to) !== undefined) throw new XtablesError('File exists.', 1);
      if (table.require(chain).policy !== null) throw new XtablesError('Invalid argument.', 1);
      xtables.change(name, [{ op: 'rename', chain, to }]);
      // It leaves the table's policies as every other change does.
      new Draft(xtables, name).commit();
      return '';
    }
    default: {
      const draft = new Draft(xtables, name);
      if (invocation.command === 'check') {
        for (const { rule } of invocation.rules) draft.find(invocation.chain, rule.text);
      } else if (perform(invocation, draft)) draft.commit();
      if (!flags.verbose) return '';
      return 'rules' in invocation ? invocation.rules.map(({ rule }) => noteRule(rule)).join('') : '';
    }
  }
}

/** The tables that are in use, or one, as iptables-save writes them. `now` is ms since the epoch. */
export function saveTables(
  xtables: Xtables,
  now: number,
  only: string | null,
  counters: 'with' | 'without',
): string {
  const tables = only !== null && isTable(only) ? [xtables.table(only)] : xtables.tables();
  return tables.map((table) => saveTable(table, now, counters)).join('');
}

function program(family: IpFamily): Command {
  return (args, { ns }, out) => {
    const { code, stdout, stderr } = runXtables(ns, family, args);
    if (stdout !== '') out.stdout(stdout);
    if (stderr !== '') out.stderr(stderr);
    return code;
  };
}

function saveProgram(family: IpFamily): Command {
  return (args, { ns }, out) => {
    const table = optionValue(args, '-t', '--table');
    const title = `${programOf(family)}-save ${VERSION} (legacy)`;
    if (table !== null && !isTable(table))
      throw new ToolError(`${title}: Cannot initialize: Table does not exist (do you need to insmod?)`, 1);
    if (args.includes('-V') || args.includes('--version')) out.stdout(`${title}\n`);
    else {
      const counters = args.includes('-c') || args.includes('--counters') ? 'with' : 'without';
      out.stdout(saveTables(netfilterOf(ns, family).xtables, ns.kernel.rt.now, table, counters));
    }
    return 0;
  };
}

function restoreProgram(family: IpFamily): Command {
  return (args, ctx, out) => {
    const has = (...names: readonly string[]) => args.some((word) => names.includes(word));
    const name = `${programOf(family)}-restore`;
    if (has('-V', '--version')) {
      out.stdout(`${name} ${VERSION} (legacy)\n`);
      return 0;
    }
    const only = optionValue(args, '-T', '--table');
    const { code, stderr } = restoreText(netfilterOf(ctx.ns, family).xtables, inputOf(name, args, ctx), {
      flush: has('-n', '--noflush') ? 'noflush' : 'flush',
      counters: has('-c', '--counters') ? 'restore' : 'ignore',
      commit: has('-t', '--test') ? 'test' : 'commit',
      ...(only !== null && isTable(only) ? { only } : {}),
    });
    if (stderr !== '') out.stderr(stderr);
    return code;
  };
}

/** iptables(8), iptables-save(8) and iptables-restore(8), which reads its standard input or a file that the namespace has. */
export const iptables = program('inet');
export const iptablesSave = saveProgram('inet');
export const iptablesRestore = restoreProgram('inet');

/** ip6tables(8), ip6tables-save(8), ip6tables-restore(8) */
export const ip6tables = program('inet6');
export const ip6tablesSave = saveProgram('inet6');
export const ip6tablesRestore = restoreProgram('inet6');

function optionValue(args: readonly string[], ...names: readonly string[]): string | null {
  const at = args.findIndex((word) => names.includes(word));
  return at < 0 ? null : (args[at + 1] ?? null);
}

/** The file that is named, or the text itself: `iptables-restore "$(cat rules)"` where a shell would have a `<`. */
function inputOf(name: string, args: readonly string[], ctx: ToolContext): string {
  const values = ['-T', '--table', '-w', '-W', '-M'];
  const operand = args.find((word, i) => !word.startsWith('-') && !values.includes(args[i - 1] ?? ''));
  if (operand === undefined) {
    if (ctx.stdin !== undefined) return ctx.stdin;
    throw new ToolError(
      `${name}: no standard input here; give it one (reroute exec -i), name a file, or give the rules as one argument`,
      1,
    );
  }
  if (operand.includes('\n')) return operand;
  const text = ctx.files?.(operand) ?? null;
  if (text === null) throw new ToolError(`Can't open ${operand}: No such file or directory`, 1);
  return text;
}
