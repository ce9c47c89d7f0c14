import { ANY_IP6, formatPrefix6, type Ip6, parseAddress6, prefixContains6 } from '../../../protocols/ip6.ts';
import { type FlowKey, LOCAL_RULE, MAIN_RULE, type RuleFamily } from '../rules.ts';

/** A packet of the host's own of which nothing else is known. */
export const ANY_FLOW6: FlowKey<Ip6> = {
  src: ANY_IP6,
  tos: 0,
  mark: 0,
  proto: 0,
  sport: 0,
  dport: 0,
  iif: null,
  oif: null,
};

export const INET6_RULES: RuleFamily<Ip6> = {
  name: 'inet6',
  // There is no table default.
  defaults: [LOCAL_RULE, MAIN_RULE],
  // The DSCP (`fib6_rule_match`).
  tosMask: 0xfc,
  tosMost: 0xff,
  prefix(text) {
    const prefix = parseAddress6(text);
    if (prefix === null || prefix.len === 0) return null;
    // A source that is not chosen yet is in no prefix (`RT6_LOOKUP_F_HAS_SADDR`).
    const contains = (addr: Ip6) => addr !== ANY_IP6 && prefixContains6(prefix, addr);
    return { text: formatPrefix6(prefix), contains };
  },
};
