import type { IpFamily } from '../../../../protocols/ip.ts';
import type { XtablesChainFacts, XtablesChange } from '../../../events/xtables.ts';
import type { Netns } from '../../netns.ts';
import { HOOK_NAMES, type Hook } from '../hooks.ts';
import type { Skb } from '../skb.ts';
import type { Chain, ChainTracer } from './chain.ts';
import type { TableName } from './extension.ts';
import { logLine } from './log-line.ts';
import type { HashlimitTable } from './match/hashlimit.ts';
import { TABLES, Table, type TableChange } from './table.ts';

/** Level of what TRACE writes. */
const WARNING = 4;
const TRACE_FLAGS = { tcpSequence: true, tcpOptions: true, ipOptions: true, macDecode: false };

/** The tables of iptables, or of ip6tables, in a namespace. A table is there from its first use on; before that it costs nothing. */
export class Xtables {
  readonly family: IpFamily;
  readonly #ns: Netns;
  /** What `-m hashlimit` counts, by the names that rules give. */
  readonly hashlimits = new Map<string, HashlimitTable>();
  readonly #tables = new Map<TableName, Table>();
  readonly #tracer: ChainTracer;

  constructor(ns: Netns, family: IpFamily) {
    this.#ns = ns;
    this.family = family;
    this.#tracer = {
      rule: (chain, number, skb, hook) => this.#trace(chain, 'rule', number, skb, hook),
      end: (chain, how, number, skb, hook) => this.#trace(chain, how, number, skb, hook),
    };
  }

  table(name: TableName): Table {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table = new Table(this.#ns, this.family, name, this.#tracer);
    this.#tables.set(name, table);
    const changes = table
      .chains()
      .map((chain) => ({ op: 'chain', chain: chain.name, policy: 'ACCEPT' }) as const);
    this.#emit(name, changes);
    return table;
  }

  /** Whether a table has a chain, without putting the table to use for it. */
  has(name: TableName, chain: string): boolean {
    const table = this.#tables.get(name);
    if (table !== undefined) return table.get(chain) !== undefined;
    return TABLES[name].hooks.some((hook) => HOOK_NAMES[hook] === chain);
  }

  /** Tables in use, in the order of iptables-save. */
  tables(): Table[] {
    return (Object.keys(TABLES) as TableName[]).flatMap((name) => this.#tables.get(name) ?? []);
  }

  /** Makes changes to a table, all or none. @throws XtablesError */
  change(name: TableName, changes: readonly TableChange[]): void {
    if (changes.length === 0) return;
    this.table(name).apply(changes);
    this.#emit(name, changes.map(factsOf));
  }

  list(): XtablesChainFacts[] {
    return this.tables().flatMap((table) =>
      table.chains().map(({ name, policy, rules }) => ({
        ...this.#named,
        table: table.name,
        chain: name,
        policy: policy ?? '',
        rules: rules.map(({ text }) => text),
      })),
    );
  }

  #emit(table: TableName, changes: readonly XtablesChange[]): void {
    this.#ns.kernel.rt.emit({ type: 'xtables.changed', ns: this.#ns.name, ...this.#named, table, changes });
  }

  /** What events say of the family. */
  get #named(): { readonly family?: 'inet6' } {
    return this.family === 'inet6' ? { family: 'inet6' } : {};
  }

  /** As the kernel's log has it: `TRACE: raw:PREROUTING:rule:1`. */
  #trace(chain: Chain, kind: 'rule' | 'return' | 'policy', number: number, skb: Skb, hook: Hook): void {
    const { kernel } = this.#ns;
    const { rt } = kernel;
    const { cause } = rt;
    const line = logLine(skb, TRACE_FLAGS);
    const rule = kind === 'rule' ? chain.rules[number - 1]?.text : undefined;
    rt.emit({
      type: 'packet.trace',
      ns: this.#ns.name,
      ...this.#named,
      hook: HOOK_NAMES[hook],
      table: chain.table,
      chain: chain.name,
      kind,
      number,
      ...(rule === undefined ? {} : { rule }),
      ...(kind === 'policy' && chain.policy !== null ? { rule: chain.policy } : {}),
      line,
    });
    // What `reroute trace` follows is not the kernel's to tell.
    if (cause >= 0) kernel.printk(WARNING, `TRACE: ${chain.table}:${chain.name}:${kind}:${number} ${line}`);
    // What the packet does next follows from what it did before, not from its being told of.
    rt.cause = cause;
  }
}

function factsOf(change: TableChange): XtablesChange {
  return change.op === 'splice' ? { ...change, rules: change.rules.map(({ text }) => text) } : change;
}
