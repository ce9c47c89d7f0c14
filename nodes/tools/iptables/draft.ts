import type { IpFamily } from '../../../protocols/ip.ts';
import type { Policy } from '../../kernel/netfilter/xtables/chain.ts';
import { XtablesError } from '../../kernel/netfilter/xtables/error.ts';
import type { TableName } from '../../kernel/netfilter/xtables/extension.ts';
import type { Rule } from '../../kernel/netfilter/xtables/rule.ts';
import type { Table, TableChange } from '../../kernel/netfilter/xtables/table.ts';
import type { Xtables } from '../../kernel/netfilter/xtables/xtables.ts';
import type { Counters } from './read-rule.ts';

/** A rule with what it has counted. */
export interface CountedRule {
  readonly rule: Rule;
  readonly packets: number;
  readonly bytes: number;
}

interface DraftChain {
  /** Null for a chain of the user's. */
  policy: Policy | null;
  rules: CountedRule[];
  /** Null: 0, as every change leaves them. */
  policyCounters: Counters | null;
  /** Whether the rules are other than the table's. */
  touched: boolean;
}

const NO_CHAIN = 'No chain/target/match by that name.';

/** A copy of a table that commands work on, as libiptc has it; `commit` makes the table be like it. */
export class Draft {
  readonly family: IpFamily;
  readonly name: TableName;
  readonly #xtables: Xtables;
  readonly #table: Table;
  readonly #chains = new Map<string, DraftChain>();

  constructor(xtables: Xtables, name: TableName) {
    this.family = xtables.family;
    this.name = name;
    this.#xtables = xtables;
    this.#table = xtables.table(name);
    for (const chain of this.#table.chains()) {
      const rules = chain.rules.map((rule, i) => ({
        rule,
        packets: chain.packets[i] ?? 0,
        bytes: chain.bytes[i] ?? 0,
      }));
      this.#chains.set(chain.name, { policy: chain.policy, rules, policyCounters: null, touched: false });
    }
  }

  has(chain: string): boolean {
    return this.#chains.has(chain);
  }

  isBuiltin(chain: string): boolean {
    return this.#chains.get(chain)?.policy !== null && this.has(chain);
  }

  rulesOf(chain: string): readonly CountedRule[] {
    return this.#require(chain).rules;
  }

  /** Names of the user's chains, sorted. */
  userChains(): string[] {
    return [...this.#chains].flatMap(([name, { policy }]) => (policy === null ? [name] : [])).sort();
  }

  chainNames(): string[] {
    const builtin = [...this.#chains].flatMap(([name, { policy }]) => (policy === null ? [] : [name]));
    return [...builtin, ...this.userChains()];
  }

  insert(chain: string, at: number | 'end', rules: readonly CountedRule[]): void {
    const draft = this.#require(chain);
    if (at !== 'end' && at > draft.rules.length) throw new XtablesError('Index of insertion too big.', 1);
    draft.rules.splice(at === 'end' ? draft.rules.length : at, 0, ...rules);
    draft.touched = true;
  }

  replace(chain: string, at: number, rule: CountedRule): void {
    const draft = this.#require(chain);
    if (at >= draft.rules.length) throw new XtablesError('Index of replacement too big.', 1);
    draft.rules[at] = rule;
    draft.touched = true;
  }

  deleteAt(chain: string, at: number): void {
    const draft = this.#require(chain);
    if (at >= draft.rules.length) throw new XtablesError('Index of deletion too big.', 1);
    draft.rules.splice(at, 1);
    draft.touched = true;
  }

  /** Place of the first rule with this text. @throws XtablesError */
  find(chain: string, text: string): number {
    const at = this.#require(chain).rules.findIndex(({ rule }) => rule.text === text);
    if (at < 0) throw new XtablesError('Bad rule (does a matching rule exist in that chain?).', 1);
    return at;
  }

  flush(chain: string): void {
    const draft = this.#require(chain);
    draft.rules = [];
    draft.touched = true;
  }

  zero(chain: string, at: number | null): void {
    const draft = this.#require(chain);
    if (at !== null && at >= draft.rules.length) throw new XtablesError('Index of counters too big.', 1);
    draft.rules = draft.rules.map((counted, i) =>
      at === null || at === i ? { ...counted, packets: 0, bytes: 0 } : counted,
    );
    draft.touched = true;
  }

  create(chain: string): void {
    if (this.has(chain)) throw new XtablesError('Chain already exists.', 1);
    this.#chains.set(chain, { policy: null, rules: [], policyCounters: null, touched: true });
  }

  delete(chain: string): void {
    const draft = this.#require(chain);
    if (draft.policy !== null) throw new XtablesError("Can't delete built-in chain", 1);
    if (this.#references(chain)) throw new XtablesError('Too many links.', 1);
    if (draft.rules.length > 0) throw new XtablesError('Directory not empty.', 1);
    this.#chains.delete(chain);
  }

  setPolicy(chain: string, policy: Policy, counters: DraftChain['policyCounters']): void {
    const draft = this.#chains.get(chain);
    if (draft === undefined || draft.policy === null) throw new XtablesError('Bad built-in chain name.', 1);
    draft.policy = policy;
    draft.policyCounters = counters;
  }

  /** Everything goes but the builtin chains and their policies, as iptables-restore begins. */
  clear(): void {
    for (const [name, draft] of this.#chains) {
      draft.rules = [];
      draft.touched = true;
      if (draft.policy === null) this.#chains.delete(name);
    }
  }

  /** Makes the table be like the draft, all or nothing. @throws XtablesError */
  commit(): void {
    const made: TableChange[] = [];
    const spliced: TableChange[] = [];
    for (const [name, draft] of this.#chains) {
      const live = this.#table.get(name);
      if (live === undefined) made.push({ op: 'chain', chain: name, policy: null });
      else if (live.policy !== draft.policy) made.push({ op: 'chain', chain: name, policy: draft.policy });
      if (draft.touched) spliced.push(...difference(name, live?.rules ?? [], draft.rules));
    }
    const gone = this.#table
      .chains()
      .filter(({ name }) => !this.#chains.has(name))
      .map(({ name }): TableChange => ({ op: 'gone', chain: name }));
    this.#xtables.change(this.name, [...made, ...spliced, ...gone]);
    this.#table.renew();
    for (const [name, { touched, rules, policyCounters }] of this.#chains) {
      const live = this.#table.require(name);
      if (touched) for (const [i, { packets, bytes }] of rules.entries()) live.setCounters(i, packets, bytes);
      // libiptc gives a table that it has changed the counters of its rules back, but not those of its policies.
      live.policyPackets = policyCounters?.packets ?? 0;
      live.policyBytes = policyCounters?.bytes ?? 0;
    }
  }

  #references(chain: string): boolean {
    for (const { rules } of this.#chains.values())
      for (const { rule } of rules) {
        const { action } = rule;
        if ((action.type === 'jump' || action.type === 'goto') && action.chain === chain) return true;
      }
    return false;
  }

  #require(chain: string): DraftChain {
    const draft = this.#chains.get(chain);
    if (draft === undefined) throw new XtablesError(NO_CHAIN, 1);
    return draft;
  }
}

/** The one splice that makes the old rules the new ones; what stands alike at both ends stays. */
function difference(chain: string, old: readonly Rule[], next: readonly CountedRule[]): TableChange[] {
  const same = (a: Rule | undefined, b: CountedRule | undefined) => a === b?.rule || a?.text === b?.rule.text;
  const shorter = Math.min(old.length, next.length);
  let head = 0;
  while (head < shorter && same(old[head], next[head])) head++;
  let tail = 0;
  while (tail < shorter - head && same(old[old.length - 1 - tail], next[next.length - 1 - tail])) tail++;
  const remove = old.length - head - tail;
  const rules = next.slice(head, next.length - tail).map(({ rule }) => rule);
  return remove === 0 && rules.length === 0 ? [] : [{ op: 'splice', chain, at: head, remove, rules }];
}
