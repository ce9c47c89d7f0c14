import type { IpAddress } from '../../protocols/ip.ts';
import { formatPrefix, type Prefix, parseAddress, prefixMask } from '../../protocols/ip4.ts';
import type { RuleFacts } from '../events/kernel.ts';
import type { Device } from './device.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { DEFAULT_TABLE, LOCAL_TABLE, MAIN_TABLE } from './route-table.ts';

/** What policy routing tells packets apart by beside their destination (`struct flowi4`, `struct flowi6`). */
export interface FlowKey<A extends IpAddress = number> {
  /** The unspecified address while the host has not chosen it. */
  readonly src: A;
  readonly tos: number;
  readonly mark: number;
  readonly proto: number;
  /** 0 where the packet has none. */
  readonly sport: number;
  readonly dport: number;
  /** Where the packet came in; null for the host's own, which count as lo's. */
  readonly iif: Device | null;
  /** The device that it is bound to. */
  readonly oif: Device | null;
}

/** A packet of the host's own of which nothing else is known. */
export const ANY_FLOW: FlowKey = {
  src: 0,
  tos: 0,
  mark: 0,
  proto: 0,
  sport: 0,
  dport: 0,
  iif: null,
  oif: null,
};

/** What a rule table must know of its address family. */
export interface RuleFamily<A extends IpAddress> {
  readonly name: 'inet' | 'inet6';
  /** The rules that every namespace begins with (`fib_default_rules_init`, `fib6_rules_net_init`). */
  readonly defaults: readonly RuleFacts[];
  /** What routing sees of the TOS octet. */
  readonly tosMask: number;
  /** Bits that a rule may ask for. */
  readonly tosMost: number;
  /** A prefix with its host bits as the kernel keeps it, and whether an address is in it; null: every address is. */
  prefix(text: string): { readonly text: string; contains(addr: A): boolean } | null;
}

export const LOCAL_RULE: RuleFacts = { priority: 0, action: 'lookup', table: LOCAL_TABLE, protocol: 2 };
export const MAIN_RULE: RuleFacts = { priority: 32_766, action: 'lookup', table: MAIN_TABLE, protocol: 2 };

export const INET_RULES: RuleFamily<number> = {
  name: 'inet',
  defaults: [
    LOCAL_RULE,
    MAIN_RULE,
    { priority: 32_767, action: 'lookup', table: DEFAULT_TABLE, protocol: 2 },
  ],
  // `IPTOS_RT_MASK`, since ECN has the lowest bits.
  tosMask: 0x1c,
  tosMost: 0x1e,
  prefix(text) {
    const prefix: Prefix | null = parseAddress(text);
    if (prefix === null || prefix.len === 0) return null;
    const mask = prefixMask(prefix.len);
    return { text: formatPrefix(prefix), contains: (addr) => ((addr ^ prefix.addr) & mask) === 0 };
  },
};

/** A rule as lookups use it. */
export interface Rule<A extends IpAddress = number> {
  readonly facts: RuleFacts;
  matches(dst: A, flow: FlowKey<A>): boolean;
}

/** The policy rules of a family in a namespace (`ip rule`, net/core/fib_rules.c), in the order in which they are asked. */
export class RuleTable<A extends IpAddress = number> {
  /** False while the rules are those that every namespace begins with: lookups go straight to their tables. */
  custom = false;
  /** Whether any rule was ever changed, since when the local and the main table are apart (`fib_unmerge`). */
  unmerged = false;
  readonly #ns: Netns;
  readonly #family: RuleFamily<A>;
  #rules: Rule<A>[];

  constructor(ns: Netns, family: RuleFamily<A>) {
    this.#ns = ns;
    this.#family = family;
    this.#rules = family.defaults.map((facts) => compile(facts, family));
  }

  get rules(): readonly Rule<A>[] {
    return this.#rules;
  }

  list(): RuleFacts[] {
    return this.#rules.map(({ facts }) => facts);
  }

  /** The priority of a rule that asks for none: just before the second one (`fib_default_rule_pref`). */
  nextPriority(): number {
    const second = this.#rules[1]?.facts.priority ?? 0;
    return second === 0 ? 0 : second - 1;
  }

  /** @throws NetlinkError */
  add(given: RuleFacts): void {
    const facts = canonicalRule(given, this.#family);
    if (facts.action === 'goto' && (facts.target ?? 0) <= facts.priority)
      throw new NetlinkError('Error: Backward goto not supported.');
    if (((facts.tos ?? 0) & 3) !== 0)
      throw new NetlinkError('Error: Invalid dsfield (tos): ECN bits must be 0.');
    if (((facts.tos ?? 0) & ~this.#family.tosMost) !== 0) throw new NetlinkError('Error: Invalid tos.');
    if (this.#rules.some((rule) => isCovered(facts, rule.facts)))
      throw new NetlinkError('RTNETLINK answers: File exists');
    const at = this.#rules.findIndex((rule) => rule.facts.priority > facts.priority);
    this.#change(this.#rules.toSpliced(at < 0 ? this.#rules.length : at, 0, compile(facts, this.#family)));
    this.#emit('rule.added', facts);
  }

  /** Takes out the first rule that is meant. @throws NetlinkError if none is. */
  delete(meant: (rule: RuleFacts) => boolean): void {
    const at = this.#rules.findIndex((rule) => meant(rule.facts));
    const gone = this.#rules[at];
    if (gone === undefined) throw new NetlinkError('RTNETLINK answers: No such file or directory');
    this.#change(this.#rules.toSpliced(at, 1));
    this.#emit('rule.removed', gone.facts);
  }

  #change(rules: Rule<A>[]): void {
    this.#rules = rules;
    this.unmerged = true;
    this.custom =
      rules.length !== this.#family.defaults.length ||
      rules.some(
        ({ facts }, i) =>
          JSON.stringify(facts) !== JSON.stringify(canonicalRule(this.#family.defaults[i]!, this.#family)),
      );
  }

  #emit(type: 'rule.added' | 'rule.removed', rule: RuleFacts): void {
    const { kernel, name } = this.#ns;
    const family = this.#family.name;
    kernel.rt.emit({ type, ns: name, rule, ...(family === 'inet' ? {} : { family }) });
    kernel.fibChanged(this.#ns);
  }
}

/** Whether a rule counts as there already (`rule_exists`): of a prefix or TOS that it does not ask for, any is its own. */
function isCovered(rule: RuleFacts, old: RuleFacts): boolean {
  const same = <K extends keyof RuleFacts>(key: K) => JSON.stringify(rule[key]) === JSON.stringify(old[key]);
  return (
    (['from', 'to', 'tos'] as const).every((key) => rule[key] === undefined || same(key)) &&
    (['priority', 'action', 'table', 'iif', 'oif', 'mark', 'mask'] as const).every(same) &&
    (['ipproto', 'sport', 'dport', 'suppressPrefixLength'] as const).every(same)
  );
}

/** A rule with its keys in one order and without those that say nothing. */
function canonicalRule<A extends IpAddress>(rule: RuleFacts, family: RuleFamily<A>): RuleFacts {
  const prefix = (text: string | undefined) => (text === undefined ? undefined : family.prefix(text)?.text);
  const { mark, mask } = rule;
  const marked = mark !== undefined && (mark !== 0 || (mask ?? 0) !== 0);
  const entries = Object.entries({
    priority: rule.priority,
    action: rule.action,
    table: rule.action === 'lookup' ? rule.table : undefined,
    target: rule.action === 'goto' ? rule.target : undefined,
    not: rule.not,
    from: prefix(rule.from),
    to: prefix(rule.to),
    iif: rule.iif,
    oif: rule.oif,
    mark: marked ? mark : undefined,
    mask: marked ? (mask ?? 0xffff_ffff) : undefined,
    tos: rule.tos === 0 ? undefined : rule.tos,
    ipproto: rule.ipproto === 0 ? undefined : rule.ipproto,
    sport: rule.sport,
    dport: rule.dport,
    suppressPrefixLength: rule.suppressPrefixLength,
    protocol: rule.protocol,
  }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as unknown as RuleFacts;
}

function compile<A extends IpAddress>(facts: RuleFacts, family: RuleFamily<A>): Rule<A> {
  const rule = canonicalRule(facts, family);
  const { not = false, iif, oif, mark = 0, mask = 0, tos = 0, ipproto = 0, sport, dport } = rule;
  const { tosMask } = family;
  const from = rule.from === undefined ? null : family.prefix(rule.from);
  const to = rule.to === undefined ? null : family.prefix(rule.to);
  const fits = (dst: A, flow: FlowKey<A>): boolean =>
    (from === null || from.contains(flow.src)) &&
    (to === null || to.contains(dst)) &&
    ((flow.mark ^ mark) & mask) === 0 &&
    (iif === undefined || (flow.iif?.name ?? 'lo') === iif) &&
    (oif === undefined || flow.oif?.name === oif) &&
    (tos === 0 || (flow.tos & tosMask) === tos) &&
    (ipproto === 0 || flow.proto === ipproto) &&
    (sport === undefined || (flow.sport >= sport[0] && flow.sport <= sport[1])) &&
    (dport === undefined || (flow.dport >= dport[0] && flow.dport <= dport[1]));
  return { facts: rule, matches: not ? (dst, flow) => !fits(dst, flow) : fits };
}
