import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../../protocols/ip.ts';
import type { XtablesChange } from '../../../events/xtables.ts';
import type { Netns } from '../../netns.ts';
import { netfilterOf } from '../families.ts';
import {
  HOOK_NAMES,
  type Hook,
  type HookFunction,
  NF_FORWARD,
  NF_LOCAL_IN,
  NF_LOCAL_OUT,
  NF_POST_ROUTING,
  NF_PRE_ROUTING,
  NF_PRI,
  type Verdict,
} from '../hooks.ts';
import type { NatHook } from '../nat.ts';
import type { Skb } from '../skb.ts';
import { Chain, type ChainTracer, compileRule, type Policy } from './chain.ts';
import { invalid, XtablesError } from './error.ts';
import type { CompileContext, TableName } from './extension.ts';
import { destinationOf, sourceOf, tosOf } from './packet.ts';
import { extensionsOf } from './registry.ts';
import type { Rule } from './rule.ts';

interface TableKind {
  readonly hooks: readonly Hook[];
  /** Null for nat, which the NAT engine asks. */
  readonly priority: number | null;
}

/** In the order in which iptables-save writes them. */
export const TABLES: Readonly<Record<TableName, TableKind>> = {
  security: { hooks: [NF_LOCAL_IN, NF_FORWARD, NF_LOCAL_OUT], priority: NF_PRI.security },
  raw: { hooks: [NF_PRE_ROUTING, NF_LOCAL_OUT], priority: NF_PRI.raw },
  mangle: {
    hooks: [NF_PRE_ROUTING, NF_LOCAL_IN, NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING],
    priority: NF_PRI.mangle,
  },
  nat: { hooks: [NF_PRE_ROUTING, NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING], priority: null },
  filter: { hooks: [NF_LOCAL_IN, NF_FORWARD, NF_LOCAL_OUT], priority: NF_PRI.filter },
};

/** A change of a table, with its rules read. */
export type TableChange =
  | Exclude<XtablesChange, { readonly op: 'splice' }>
  | {
      readonly op: 'splice';
      readonly chain: string;
      readonly at: number;
      readonly remove: number;
      readonly rules: readonly Rule[];
    };

/** What the kernel says. */
const NO_CHAIN = 'No chain/target/match by that name.';

/** One table of a namespace, at its hooks from its first use on (`ipt_register_table`). */
export class Table {
  readonly family: IpFamily;
  readonly name: TableName;
  readonly #ns: Netns;
  readonly #tracer: ChainTracer;
  readonly #chains = new Map<string, Chain>();
  readonly #base: (Chain | null)[] = [null, null, null, null, null];
  readonly #onDrop: () => void;

  constructor(ns: Netns, family: IpFamily, name: TableName, tracer: ChainTracer) {
    this.#ns = ns;
    this.family = family;
    this.name = name;
    this.#tracer = tracer;
    this.#onDrop = () => ns.kernel.drop('netfilter-drop');
    const { hooks, priority } = TABLES[name];
    const { netfilter, nat } = netfilterOf(ns, family);
    for (const hook of hooks) {
      const chain = new Chain(family, name, HOOK_NAMES[hook], 'ACCEPT', this.#onDrop);
      this.#chains.set(chain.name, chain);
      this.#base[hook] = chain;
      const run = name === 'mangle' && hook === NF_LOCAL_OUT ? this.#runMangleOutput : this.#run;
      if (priority === null) nat.registerTable(hook as NatHook, run);
      else netfilter.register(hook, priority, run);
    }
  }

  get #context(): CompileContext {
    return { ns: this.#ns, family: this.family };
  }

  /** Builtin chains by hook, then the user's by name. */
  chains(): Chain[] {
    const all = [...this.#chains.values()];
    const own = all.filter(({ policy }) => policy === null).sort((a, b) => (a.name < b.name ? -1 : 1));
    return [...all.filter(({ policy }) => policy !== null), ...own];
  }

  get(name: string): Chain | undefined {
    return this.#chains.get(name);
  }

  /** @throws XtablesError */
  require(name: string): Chain {
    const chain = this.#chains.get(name);
    if (chain === undefined) throw new XtablesError(NO_CHAIN, 1);
    return chain;
  }

  /** Rules that lead to a chain. */
  references(name: string): number {
    let count = 0;
    for (const chain of this.#chains.values())
      for (const { action } of chain.rules)
        if ((action.type === 'jump' || action.type === 'goto') && action.chain === name) count++;
    return count;
  }

  /** Makes changes in order, all or none; they have been checked one by one. @throws XtablesError */
  apply(changes: readonly TableChange[]): void {
    this.#checkShape(changes);
    for (const change of changes) this.#applyOne(change);
  }

  /** What the kernel does beside, whatever it is that has changed. */
  renew(): void {
    for (const chain of this.#chains.values()) chain.renew(this.#compile);
  }

  readonly #compile = (rule: Rule) => compileRule(rule, this.#context, (name) => this.require(name));

  #applyOne(change: TableChange): void {
    switch (change.op) {
      case 'chain':
        if (this.#chains.has(change.chain)) this.require(change.chain).policy = change.policy;
        else
          this.#chains.set(change.chain, new Chain(this.family, this.name, change.chain, null, this.#onDrop));
        return;
      case 'gone':
        this.#chains.delete(change.chain);
        return;
      case 'rename':
        this.#rename(change.chain, change.to);
        return;
      case 'splice':
        this.require(change.chain).splice(change.at, change.remove, change.rules, this.#compile);
    }
  }

  /** Rules hold on to the chain itself; their text has its name. */
  #rename(from: string, to: string): void {
    const chain = this.require(from);
    this.#chains.delete(from);
    chain.name = to;
    this.#chains.set(to, chain);
    for (const other of this.#chains.values()) other.renameTarget(from, to);
  }

  /**
   * What the kernel checks before it takes a table: no loops, and no target where it cannot be (`check_target`,
   * `mark_source_chains`). @throws XtablesError
   */
  #checkShape(changes: readonly TableChange[]): void {
    const added = changes.flatMap((change) => (change.op === 'splice' ? change.rules : []));
    for (const { matches, action } of added) {
      for (const { match } of matches) {
        if (match.tables?.includes(this.name) === false) throw invalid();
        match.check?.(this.#context);
      }
      if (action.type === 'target') action.target.check?.(this.#context);
    }
    const matters = added.some(
      ({ action, matches }) =>
        (action.type !== 'verdict' && action.type !== 'none') ||
        matches.some(({ match }) => match.hooks !== undefined),
    );
    if (!matters) return;
    const rules = this.#rulesAfter(changes);
    const reached = new Map<string, Set<Hook>>();
    const walk = (name: string, hook: Hook, path: ReadonlySet<string>) => {
      if (path.has(name)) throw new XtablesError('Too many levels of symbolic links.', 1);
      const hooks = reached.get(name) ?? new Set();
      reached.set(name, hooks);
      if (hooks.has(hook)) return;
      hooks.add(hook);
      const longer = new Set(path).add(name);
      for (const { action } of rules.get(name) ?? []) {
        if (action.type === 'jump' || action.type === 'goto') walk(action.chain, hook, longer);
      }
    };
    for (const hook of TABLES[this.name].hooks) walk(HOOK_NAMES[hook], hook, new Set());
    for (const [name, list] of rules) {
      for (const { action, matches } of list) {
        const here = [...(reached.get(name) ?? [])];
        if (matches.some(({ match }) => !here.every((hook) => match.hooks?.includes(hook) ?? true)))
          throw invalid();
        if (action.type !== 'target') continue;
        const extension = extensionsOf(this.family).targets.get(action.name);
        const lacksSyn =
          extension?.needsSyn === true && !matches.some(({ match }) => match.asksForSyn === true);
        const isHere = extension?.tables?.includes(this.name) ?? true;
        const hooks = action.target.hooks ?? extension?.hooks;
        const fits = here.every((hook) => hooks?.includes(hook) ?? true);
        if (!isHere || !fits || lacksSyn) throw invalid();
      }
    }
  }

  #rulesAfter(changes: readonly TableChange[]): Map<string, readonly Rule[]> {
    const rules = new Map([...this.#chains.values()].map((chain) => [chain.name, chain.rules]));
    for (const change of changes) {
      if (change.op === 'chain') rules.set(change.chain, rules.get(change.chain) ?? []);
      else if (change.op === 'gone') rules.delete(change.chain);
      else if (change.op === 'splice') {
        const old = rules.get(change.chain) ?? [];
        rules.set(change.chain, old.toSpliced(change.at, change.remove, ...change.rules));
      }
    }
    return rules;
  }

  readonly #run: HookFunction = (skb, hook) => {
    const chain = this.#base[hook]!;
    const verdict = chain.run(skb, hook, this.#tracer);
    return verdict === 'continue' ? this.#byPolicy(chain, skb, hook) : verdict;
  };

  #byPolicy(chain: Chain, skb: Skb, hook: Hook): Verdict {
    chain.policyPackets++;
    chain.policyBytes += skb.frame.length - ETH_HLEN;
    if (skb.trace) this.#tracer.end(chain, 'policy', chain.rules.length + 1, skb, hook);
    if (chain.policy === 'ACCEPT') return 'accept';
    this.#onDrop();
    return 'drop';
  }

  /** A packet of the host's own is routed anew where mangle has changed what routing goes by (`ipt_mangle_out`). */
  readonly #runMangleOutput: HookFunction = (skb, hook) => {
    const { mark } = skb;
    const src = sourceOf(skb);
    const dst = destinationOf(skb);
    const tos = tosOf(skb);
    const verdict = this.#run(skb, hook);
    const changed = sourceOf(skb) !== src || destinationOf(skb) !== dst || tosOf(skb) !== tos;
    if (verdict === 'accept' && (changed || skb.mark !== mark)) skb.reroute = true;
    return verdict;
  };
}

export function isPolicy(text: string): text is Policy {
  return text === 'ACCEPT' || text === 'DROP';
}
