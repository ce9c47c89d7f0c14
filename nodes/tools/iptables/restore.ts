import type { IpFamily } from '../../../protocols/ip.ts';
import { XtablesError } from '../../kernel/netfilter/xtables/error.ts';
import type { TableName } from '../../kernel/netfilter/xtables/extension.ts';
import { isPolicy, TABLES } from '../../kernel/netfilter/xtables/table.ts';
import type { Xtables } from '../../kernel/netfilter/xtables/xtables.ts';
import { perform, readCommand } from './commands.ts';
import { Draft } from './draft.ts';
import { programOf, VERSION } from './save.ts';

export interface RestoreOptions {
  /** Whether what a table holds goes first. */
  readonly flush: 'flush' | 'noflush';
  readonly counters: 'restore' | 'ignore';
  /** 'test' reads and checks alone. */
  readonly commit: 'commit' | 'test';
  /** Of all tables in the text, only this one. */
  readonly only?: TableName;
}

interface Ended {
  readonly code: number;
  readonly stderr: string;
}

/** Reads what iptables-save writes; a table is changed at its COMMIT, wholly or not at all. */
export function restoreText(xtables: Xtables, text: string, options: RestoreOptions): Ended {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  let draft: Draft | null = null;
  let skipped = false;
  const name = `${programOf(xtables.family)}-restore`;
  const title = `${name} ${VERSION} (legacy)`;
  const help = `Try \`${name} -h' or '${name} --help' for more information.\n`;
  const failed = (number: number): Ended => ({ code: 1, stderr: `${name}: line ${number} failed\n` });
  for (const [i, raw] of lines.entries()) {
    const number = i + 1;
    const line = raw.trim();
    try {
      if (line === '' || line.startsWith('#')) continue;
      if (line === 'COMMIT' && (draft !== null || skipped)) {
        if (options.commit === 'commit') draft?.commit();
        draft = null;
        skipped = false;
      } else if (line.startsWith('*') && draft === null) {
        const table = line.slice(1);
        if (!isTable(table)) {
          const problem = `${title}: ${name}: unable to initialize table '${table}'`;
          return { code: 2, stderr: `${problem}\nError occurred at line: ${number}\n${help}` };
        }
        skipped = options.only !== undefined && options.only !== table;
        if (skipped) continue;
        draft = new Draft(xtables, table);
        if (options.flush === 'flush') draft.clear();
      } else if (skipped) continue;
      else if (line.startsWith(':') && draft !== null) {
        const problem = chainLine(draft, line, options);
        if (problem !== null)
          return { code: 1, stderr: `${title}: ${problem} line ${number}: Bad policy name\n` };
      } else if (draft !== null) ruleLine(draft, line, options);
      else return failed(number);
    } catch (error) {
      if (!(error instanceof XtablesError)) throw error;
      if (error.code === 1) return failed(number);
      return {
        code: error.code,
        stderr: `${title}: ${error.message}\nError occurred at line: ${number}\n${help}`,
      };
    }
  }
  if (draft !== null || skipped)
    return { code: 1, stderr: `${name}: COMMIT expected at line ${lines.length + 1}\n` };
  return { code: 0, stderr: '' };
}

export function isTable(name: string): name is TableName {
  return Object.hasOwn(TABLES, name);
}

/** `:CHAIN POLICY [packets:bytes]`; what is wrong with the policy, or null. */
function chainLine(draft: Draft, line: string, { counters }: RestoreOptions): string | null {
  const [name = '', policy = '-', counts = ''] = line.slice(1).split(/\s+/);
  const [, packets = '0', bytes = '0'] = /^\[(\d+):(\d+)\]$/.exec(counts) ?? [];
  if (draft.isBuiltin(name)) {
    if (policy === '-') return null;
    if (!isPolicy(policy)) return `Can't set policy \`${policy}' on \`${name}'`;
    const restored = counters === 'restore' ? { packets: Number(packets), bytes: Number(bytes) } : null;
    draft.setPolicy(name, policy, restored);
  } else if (draft.has(name)) draft.flush(name);
  else draft.create(name);
  return null;
}

const OTHERS: Readonly<Record<IpFamily, readonly string[]>> = {
  inet: ['-6', '--ipv6'],
  inet6: ['-4', '--ipv4'],
};

function ruleLine(draft: Draft, line: string, { counters }: RestoreOptions): void {
  const match = /^\[(\d+):(\d+)\]\s*(.*)$/.exec(line);
  const words = split(match?.[3] ?? line);
  // A line for the other family only.
  if (words.some((word) => OTHERS[draft.family].includes(word))) return;
  const counted = match !== null && counters === 'restore' ? ['-c', match[1]!, match[2]!] : [];
  const invocation = readCommand([...words, ...counted], draft.family, draft);
  if (!perform(invocation, draft)) throw new XtablesError('not a change', 1);
}

/** Words as a shell would part them: double quotes keep blanks, a backslash in them what follows. */
export function split(line: string): string[] {
  const words: string[] = [];
  for (const [, quoted, plain] of line.matchAll(/"((?:\\.|[^"\\])*)"|([^\s"]+)/g))
    words.push(quoted === undefined ? plain! : quoted.replace(/\\(.)/g, '$1'));
  return words;
}
