import type { IpFamily } from '../../../protocols/ip.ts';
import type { Netns } from '../netns.ts';
import type { NetfilterHooks } from './hooks.ts';
import type { Nat } from './nat.ts';
import type { Xtables } from './xtables/xtables.ts';

/** What netfilter has of its own for each address family; flows and sets are those of both. */
export interface FamilyNetfilter {
  readonly netfilter: NetfilterHooks;
  readonly nat: Nat;
  readonly xtables: Xtables;
}

export function netfilterOf(ns: Netns, family: IpFamily): FamilyNetfilter {
  return family === 'inet' ? ns : ns.ipv6;
}
