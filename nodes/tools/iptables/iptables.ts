import { XtablesError } from '../../kernel/netfilter/xtables/error.ts';
import type { Netns } from '../../kernel/netns.ts';
import { type Command, type ToolContext, ToolError } from '../tool.ts';
import { type Invocation, perform, readCommand, tableOf } from './commands.ts';
import { Draft } from './draft.ts';
import { listChains, listRule, noteRule } from './list.ts';
import { isTable, restoreText } from './restore.ts';
import { saveRules, saveTable, VERSION } from './save.ts';

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const PROGRAM = `iptables ${VERSION} (legacy)`;
const TRY_HELP = "Try `iptables -h' or 'iptables --help' for more information.\n";

const HELP = `${PROGRAM}

Usage: iptables -[ACD] chain rule-specification [options]
       iptables -I chain [rulenum] rule-specification [options]
       iptables -R chain rulenum rule-specification [options]
       iptables -D chain rulenum [options]
       iptables -[LS] [chain [rulenum]] [options]
       iptables -[FZ] [chain] [options]
       iptables -[NX] chain
       iptables -E old-chain-name new-chain-name
       iptables -P chain target [options]
       iptables -h (print this help information)

The emulated kernel has the tables filter, nat, mangle, raw and security of IPv4.
`;

/** Runs iptables in a namespace, as a daemon that calls the program does. The words come without its name. */
export function runIptables(ns: Netns, words: readonly string[]): ToolResult {
  const name = tableOf(words);
  try {
    if (!isTable(name)) {
      const text = `can't initialize iptables table \`${name}': Table does not exist (do you need to insmod?)`;
      throw new XtablesError(`${text}\nPerhaps iptables or your kernel needs to be upgraded.`, 3);
    }
    const bare = { has: (chain: string) => ns.xtables.has(name, chain) };
    const invocation = readCommand(words, bare);
    if (invocation.command === 'version') return { code: 0, stdout: `${PROGRAM}\n`, stderr: '' };
    if (invocation.command === 'help') return { code: 0, stdout: HELP, stderr: '' };
    return { code: 0, stdout: run(ns, name, invocation), stderr: '' };
  } catch (error) {
    if (!(error instanceof XtablesError)) throw error;
    return { code: error.code, stdout: '', stderr: errorText(error) };
  }
}

function errorText({ code, message }: XtablesError): string {
  if (message.startsWith('Bad argument')) return `${message}\n${TRY_HELP}`;
  if (code === 1) return `iptables: ${message}\n`;
  return `${PROGRAM}: ${message}\n${code === 2 ? TRY_HELP : ''}`;
}

function run(ns: Netns, name: Parameters<Netns['xtables']['table']>[0], invocation: Invocation): string {
  const table = ns.xtables.table(name);
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
      ns.xtables.change(name, [{ op: 'rename', chain, to }]);
      return '';
    }
    default: {
      const draft = new Draft(ns.xtables, name);
      if (invocation.command === 'check') {
        for (const { rule } of invocation.rules) draft.find(invocation.chain, rule.text);
      } else if (perform(invocation, draft)) draft.commit();
      if (!flags.verbose) return '';
      return 'rules' in invocation ? invocation.rules.map(({ rule }) => noteRule(rule)).join('') : '';
    }
  }
}

/** The tables that are in use, or one, as iptables-save writes them. */
export function saveTables(ns: Netns, only: string | null, counters: 'with' | 'without'): string {
  const tables = only !== null && isTable(only) ? [ns.xtables.table(only)] : ns.xtables.tables();
  return tables.map((table) => saveTable(table, ns.kernel.rt.now, counters)).join('');
}

/** iptables(8) */
export const iptables: Command = (args, { ns }, out) => {
  const { code, stdout, stderr } = runIptables(ns, args);
  if (stdout !== '') out.stdout(stdout);
  if (stderr !== '') out.stderr(stderr);
  return code;
};

/** iptables-save(8) */
export const iptablesSave: Command = (args, { ns }, out) => {
  const table = optionValue(args, '-t', '--table');
  if (table !== null && !isTable(table))
    throw new ToolError(
      `iptables-save ${VERSION} (legacy): Cannot initialize: Table does not exist (do you need to insmod?)`,
      1,
    );
  const counters = args.includes('-c') || args.includes('--counters') ? 'with' : 'without';
  out.stdout(saveTables(ns, table, counters));
  return 0;
};

/** iptables-restore(8), from its standard input or a file that the namespace has. */
export const iptablesRestore: Command = (args, ctx, out) => {
  const has = (...names: readonly string[]) => args.some((word) => names.includes(word));
  const only = optionValue(args, '-T', '--table');
  const { code, stderr } = restoreText(ctx.ns.xtables, inputOf(args, ctx), {
    flush: has('-n', '--noflush') ? 'noflush' : 'flush',
    counters: has('-c', '--counters') ? 'restore' : 'ignore',
    commit: has('-t', '--test') ? 'test' : 'commit',
    ...(only !== null && isTable(only) ? { only } : {}),
  });
  if (stderr !== '') out.stderr(stderr);
  return code;
};

function optionValue(args: readonly string[], ...names: readonly string[]): string | null {
  const at = args.findIndex((word) => names.includes(word));
  return at < 0 ? null : (args[at + 1] ?? null);
}

/** The file that is named, or the text itself: `iptables-restore "$(cat rules)"` where a shell would have a `<`. */
function inputOf(args: readonly string[], ctx: ToolContext): string {
  const values = ['-T', '--table', '-w', '-W', '-M'];
  const operand = args.find((word, i) => !word.startsWith('-') && !values.includes(args[i - 1] ?? ''));
  if (operand === undefined) {
    if (ctx.stdin !== undefined) return ctx.stdin;
    throw new ToolError(
      'iptables-restore: no standard input here; give it one (reroute exec -i), name a file, or give the rules as one argument',
      1,
    );
  }
  if (operand.includes('\n')) return operand;
  const text = ctx.files?.(operand) ?? null;
  if (text === null) throw new ToolError(`Can't open ${operand}: No such file or directory`, 1);
  return text;
}
