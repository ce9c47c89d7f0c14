import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../../protocols/ip.ts';
import type { Hook, Verdict } from '../hooks.ts';
import type { Skb } from '../skb.ts';
import type { CompileContext, MatchFunction, TargetFunction } from './extension.ts';
import { all, headRest } from './head.ts';
import { type HeadTable, headTable } from './head-table.ts';
import { type Rule, ruleText } from './rule.ts';

export type Policy = 'ACCEPT' | 'DROP';

/** What a rule does, ready to run. */
type Step =
  | { readonly type: 'none' | 'return' }
  | { readonly type: 'verdict'; readonly verdict: Verdict }
  | { readonly type: 'jump' | 'goto'; readonly chain: Chain }
  | { readonly type: 'target'; readonly run: TargetFunction };

/** How a packet fares is told to whoever follows it. */
export interface ChainTracer {
  rule(chain: Chain, number: number, skb: Skb, hook: Hook): void;
  /** A chain's end, by RETURN or by having no more rules; a builtin chain's policy. */
  end(chain: Chain, how: 'return' | 'policy', number: number, skb: Skb, hook: Hook): void;
}

/** A chain, compiled. */
export class Chain {
  name: string;
  readonly family: IpFamily;
  readonly table: string;
  /** Of a builtin chain. */
  policy: Policy | null;
  rules: readonly Rule[] = [];
  policyPackets = 0;
  policyBytes = 0;
  packets = new Float64Array(0);
  bytes = new Float64Array(0);
  readonly #heads: HeadTable;
  #rest: (MatchFunction | null)[] = [];
  #steps: Step[] = [];

  readonly #onDrop: () => void;

  /** `onDrop` counts what a rule's DROP drops. */
  constructor(family: IpFamily, table: string, name: string, policy: Policy | null, onDrop: () => void) {
    this.family = family;
    this.#heads = headTable(family);
    this.table = table;
    this.name = name;
    this.policy = policy;
    this.#onDrop = onDrop;
  }

  /** Puts rules in the place of others, `from` and `count` of them; the others keep what they have counted. */
  splice(from: number, count: number, added: readonly Rule[], compile: (rule: Rule) => CompiledRule): void {
    const compiled = added.map(compile);
    this.rules = this.rules.toSpliced(from, count, ...added);
    this.#rest.splice(from, count, ...compiled.map(({ rest }) => rest));
    this.#steps.splice(from, count, ...compiled.map(({ step }) => step));
    this.#heads.splice(
      from,
      count,
      added.map(({ head }) => head),
    );
    this.packets = spliced(this.packets, from, count, new Float64Array(added.length));
    this.bytes = spliced(this.bytes, from, count, new Float64Array(added.length));
  }

  /** Has matches begin anew that count by themselves, as the table is changed. */
  renew(compile: (rule: Rule) => CompiledRule): void {
    for (const [i, rule] of this.rules.entries())
      if (rule.matches.some(({ match }) => match.countsAlone === true)) this.#rest[i] = compile(rule).rest;
  }

  /** Sets a rule's counters, as `-c` and iptables-restore -c do. */
  setCounters(index: number, packets: number, bytes: number): void {
    this.packets[index] = packets;
    this.bytes[index] = bytes;
  }

  zero(index?: number): void {
    if (index !== undefined) {
      this.setCounters(index, 0, 0);
      return;
    }
    this.packets.fill(0);
    this.bytes.fill(0);
    this.policyPackets = 0;
    this.policyBytes = 0;
  }

  /** A chain that rules lead to has another name now. */
  renameTarget(from: string, to: string): void {
    this.rules = this.rules.map((rule): Rule => {
      const { action, head, matches } = rule;
      if ((action.type !== 'jump' && action.type !== 'goto') || action.chain !== from) return rule;
      const renamed = { ...action, chain: to };
      return { ...rule, action: renamed, text: ruleText(head, matches, renamed) };
    });
  }

  /** Takes a packet through the chain; 'continue' where it comes out at the end (`ipt_do_table`, `ip6t_do_table`). */
  run(skb: Skb, hook: Hook, tracer: ChainTracer): Verdict | 'continue' {
    const heads = this.#heads;
    for (let i = heads.next(skb, 0); i >= 0; i = heads.next(skb, i + 1)) {
      const rest = this.#rest[i]!;
      if (rest !== null && !rest(skb)) {
        if (!skb.hotdrop) continue;
        this.#onDrop();
        return 'drop';
      }
      this.packets[i]!++;
      this.bytes[i]! += skb.frame.length - ETH_HLEN;
      const step = this.#steps[i]!;
      if (skb.trace) tracer.rule(this, i + 1, skb, hook);
      switch (step.type) {
        case 'none':
          break;
        case 'verdict':
          if (step.verdict === 'drop') this.#onDrop();
          return step.verdict;
        case 'return':
          return 'continue';
        case 'jump': {
          const verdict = step.chain.run(skb, hook, tracer);
          if (verdict !== 'continue') return verdict;
          if (skb.trace) tracer.end(step.chain, 'return', step.chain.rules.length + 1, skb, hook);
          break;
        }
        case 'goto':
          return step.chain.run(skb, hook, tracer);
        case 'target': {
          const verdict = step.run(skb, hook);
          if (verdict !== 'continue') return verdict;
        }
      }
    }
    return 'continue';
  }
}

interface CompiledRule {
  readonly rest: MatchFunction | null;
  readonly step: Step;
}

export function compileRule(
  rule: Rule,
  context: CompileContext,
  chainOf: (name: string) => Chain,
): CompiledRule {
  const first = headRest(rule.head);
  const others = rule.matches.map(({ match }) => match.compile(context));
  const rest = all([...(first === null ? [] : [first]), ...others]);
  return { rest, step: stepOf(rule, context, chainOf) };
}

function stepOf({ action }: Rule, context: CompileContext, chainOf: (name: string) => Chain): Step {
  switch (action.type) {
    case 'none':
      return { type: 'none' };
    case 'verdict':
      if (action.verdict === 'RETURN') return { type: 'return' };
      return { type: 'verdict', verdict: action.verdict === 'ACCEPT' ? 'accept' : 'drop' };
    case 'jump':
    case 'goto':
      return { type: action.type, chain: chainOf(action.chain) };
    case 'target':
      return { type: 'target', run: action.target.compile(context) };
  }
}

function spliced(
  array: Float64Array,
  from: number,
  count: number,
  added: Float64Array,
): Float64Array<ArrayBuffer> {
  const result = new Float64Array(array.length - count + added.length);
  result.set(array.subarray(0, from));
  result.set(added, from);
  result.set(array.subarray(from + count), from + added.length);
  return result;
}
