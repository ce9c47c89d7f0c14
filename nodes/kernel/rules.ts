import { formatPrefix, type Prefix, parseAddress, prefixMask } from '../../protocols/ip4.ts';
import type { RuleFacts } from '../events/kernel.ts';
import type { Device } from './device.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { DEFAULT_TABLE, LOCAL_TABLE, MAIN_TABLE } from './route-table.ts';

/** What policy routing tells packets apart by beside their destination (`struct flowi4`). */
export interface FlowKey {
  /** 0 while the host has not chosen it. */
  readonly src: number;
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

/** The rules that every namespace begins with (`fib_default_rules_init`). */
export const DEFAULT_RULES: readonly RuleFacts[] = [
  { priority: 0, action: 'lookup', table: LOCAL_TABLE, protocol: 2 },
  { priority: 32_766, action: 'lookup', table: MAIN_TABLE, protocol: 2 },
  { priority: 32_767, action: 'lookup', table: DEFAULT_TABLE, protocol: 2 },
];

/** `IPTOS_RT_MASK` is what routing sees of the TOS octet since ECN has its lowest bits. */
const TOS_MASK = 0x1c;

/** A rule as lookups use it. */
export interface Rule {
  readonly facts: RuleFacts;
  matches(dst: number, flow: FlowKey): boolean;
}

/** The policy rules of a namespace (`ip rule`, net/core/fib_rules.c), in the order in which they are asked. */
export class RuleTable {
  /** False while the rules are those that every namespace begins with: lookups go straight to their tables. */
  custom = false;
  /** Whether any rule was ever changed, since when the local and the main table are apart (`fib_unmerge`). */
  unmerged = false;
  readonly #ns: Netns;
  #rules: Rule[];

  constructor(ns: Netns) {
    this.#ns = ns;
    this.#rules = DEFAULT_RULES.map((facts) => compile(facts));
  }

  get rules(): readonly Rule[] {
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
    const facts = canonicalRule(given);
    if (facts.action === 'goto' && (facts.target ?? 0) <= facts.priority)
      throw new NetlinkError('Error: Backward goto not supported.');
    if (((facts.tos ?? 0) & 3) !== 0)
      throw new NetlinkError('Error: Invalid dsfield (tos): ECN bits must be 0.');
    const text = JSON.stringify(facts);
    if (this.#rules.some((rule) => JSON.stringify({ ...rule.facts, protocol: facts.protocol }) === text))
      throw new NetlinkError('RTNETLINK answers: File exists');
    const at = this.#rules.findIndex((rule) => rule.facts.priority > facts.priority);
    this.#change(this.#rules.toSpliced(at < 0 ? this.#rules.length : at, 0, compile(facts)));
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

  #change(rules: Rule[]): void {
    this.#rules = rules;
    this.unmerged = true;
    this.custom =
      rules.length !== DEFAULT_RULES.length ||
      rules.some(
        ({ facts }, i) => JSON.stringify(facts) !== JSON.stringify(canonicalRule(DEFAULT_RULES[i]!)),
      );
  }

  #emit(type: 'rule.added' | 'rule.removed', rule: RuleFacts): void {
    const { kernel, name } = this.#ns;
    kernel.rt.emit({ type, ns: name, rule });
    kernel.fibChanged(this.#ns);
  }
}

/** A rule with its keys in one order and without those that say nothing. */
function canonicalRule(rule: RuleFacts): RuleFacts {
  const prefix = (text: string | undefined) => {
    const parsed = text === undefined ? null : parseAddress(text);
    return parsed === null || parsed.len === 0 ? undefined : formatPrefix(parsed);
  };
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

function compile(facts: RuleFacts): Rule {
  const rule = canonicalRule(facts);
  const { not = false, iif, oif, mark = 0, mask = 0, tos = 0, ipproto = 0, sport, dport } = rule;
  const from = prefixOf(rule.from);
  const to = prefixOf(rule.to);
  const fromMask = prefixMask(from.len);
  const toMask = prefixMask(to.len);
  const fits = (dst: number, flow: FlowKey): boolean =>
    ((flow.src ^ from.addr) & fromMask) === 0 &&
    ((dst ^ to.addr) & toMask) === 0 &&
    ((flow.mark ^ mark) & mask) === 0 &&
    (iif === undefined || (flow.iif?.name ?? 'lo') === iif) &&
    (oif === undefined || flow.oif?.name === oif) &&
    (tos === 0 || (flow.tos & TOS_MASK) === tos) &&
    (ipproto === 0 || flow.proto === ipproto) &&
    (sport === undefined || (flow.sport >= sport[0] && flow.sport <= sport[1])) &&
    (dport === undefined || (flow.dport >= dport[0] && flow.dport <= dport[1]));
  return { facts: rule, matches: not ? (dst, flow) => !fits(dst, flow) : fits };
}

function prefixOf(text: string | undefined): Prefix {
  return (text === undefined ? null : parseAddress(text)) ?? { addr: 0, len: 0 };
}
