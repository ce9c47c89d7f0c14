import type { IpFamily } from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import type { Chain } from '../../kernel/netfilter/xtables/chain.ts';
import type { AddressSpec, InterfaceSpec } from '../../kernel/netfilter/xtables/head.ts';
import { protoName, type Rule, type RuleAction } from '../../kernel/netfilter/xtables/rule.ts';
import type { Table } from '../../kernel/netfilter/xtables/table.ts';
import { isEverything, listNetwork } from '../../kernel/netfilter/xtables/values.ts';
import type { CountedRule } from './draft.ts';

export interface ListOptions {
  readonly numeric: boolean;
  readonly verbose: boolean;
  readonly exact: boolean;
  readonly lineNumbers: boolean;
}

/** A chain, or all, as `iptables -L` prints them. */
export function listChains(table: Table, chains: readonly Chain[], options: ListOptions): string {
  return chains
    .map((chain) => {
      const rules = chain.rules.map((rule, i) => listRule(counted(chain, rule, i), i + 1, options));
      return `${chainLine(table, chain, options)}${columns(options)}${rules.join('')}`;
    })
    .join('\n');
}

function counted(chain: Chain, rule: Rule, index: number): CountedRule {
  return { rule, packets: chain.packets[index] ?? 0, bytes: chain.bytes[index] ?? 0 };
}

function chainLine(table: Table, chain: Chain, { verbose, exact }: ListOptions): string {
  if (chain.policy === null) return `Chain ${chain.name} (${table.references(chain.name)} references)\n`;
  if (!verbose) return `Chain ${chain.name} (policy ${chain.policy})\n`;
  const show = (count: number) => number(count, exact ? 'exact' : 'short').trim();
  return `Chain ${chain.name} (policy ${chain.policy} ${show(chain.policyPackets)} packets, ${show(chain.policyBytes)} bytes)\n`;
}

function columns({ verbose, exact, lineNumbers }: ListOptions): string {
  const counters = exact ? `${'pkts'.padStart(8)} ${'bytes'.padStart(10)} ` : ` pkts bytes `;
  const via = verbose ? ` ${'in'.padEnd(6)} ${'out'.padEnd(6)} ` : '';
  return `${lineNumbers ? 'num  ' : ''}${verbose ? counters : ''}${'target'.padEnd(9)}  prot opt${via} ${'source'.padEnd(19)}  ${'destination'.padEnd(19)} \n`;
}

/** A count in five places, with K, M, G or T once it is too long for them (`xtables_print_num`). */
function number(count: number, how: 'short' | 'exact'): string {
  if (how === 'exact') return `${String(count).padStart(8)} `;
  if (count <= 99_999) return `${String(count).padStart(5)} `;
  let scaled = Math.floor((count + 500) / 1000);
  for (const unit of ['K', 'M', 'G']) {
    if (scaled <= 9_999) return `${String(scaled).padStart(4)}${unit} `;
    scaled = Math.floor((scaled + 500) / 1000);
  }
  return `${String(scaled).padStart(4)}T `;
}

export function listRule({ rule, packets, bytes }: CountedRule, place: number, options: ListOptions): string {
  const { numeric, verbose, exact, lineNumbers } = options;
  const { head, action } = rule;
  const { family, src, dst, protoNegated } = head;
  const how = exact ? 'exact' : 'short';
  const proto = numeric ? String(head.proto) : head.proto === 0 ? 'all' : protoName(head.proto);
  const opt = `${head.fragment === 'not-later' ? '!' : '-'}${head.fragment === 'any' ? '-' : 'f'}`;
  return [
    lineNumbers ? `${String(place).padEnd(4)} ` : '',
    verbose ? `${number(packets, how)}${number(bytes, how)}` : '',
    `${targetName(action).padEnd(9)} `,
    `${protoNegated ? '!' : ' '}${proto.padEnd(4)} `,
    `${opt} `,
    verbose ? ` ${interfaceText(head.in).padEnd(6)} ${interfaceText(head.out).padEnd(6)} ` : '',
    addressText(src, family, numeric),
    addressText(dst, family, numeric),
    details(rule, numeric),
    '\n',
  ].join('');
}

/** What -v prints of a rule that is added or deleted. */
export function noteRule({ head, action, ...rest }: Rule): string {
  const proto = head.proto === 0 ? 'all' : protoName(head.proto);
  const opt = `${head.fragment === 'not-later' ? '!' : '-'}${head.fragment === 'any' ? '-' : 'f'}`;
  const address = (spec: AddressSpec | null) =>
    `${spec?.negated ? '!' : ''}${textOf(spec, head.family, true)}`;
  const via = `in ${interfaceText(head.in)} out ${interfaceText(head.out)}`;
  const extra = details({ head, action, ...rest }, true);
  return `${targetName(action)} ${head.protoNegated ? '!' : ' '}${proto} opt ${opt} ${via}  ${address(head.src)}  -> ${address(head.dst)}  ${extra}\n`;
}

function targetName(action: RuleAction): string {
  switch (action.type) {
    case 'none':
      return '';
    case 'verdict':
      return action.verdict;
    case 'jump':
    case 'goto':
      return action.chain;
    case 'target':
      return action.shownAs;
  }
}

function interfaceText(spec: InterfaceSpec | null): string {
  return spec === null ? '*' : `${spec.negated ? '!' : ''}${spec.name}`;
}

const EVERYTHING: Readonly<Record<IpFamily, string>> = { inet: '0.0.0.0/0', inet6: '::/0' };

function textOf(spec: AddressSpec | null, family: IpFamily, numeric: boolean): string {
  if (spec === null || isEverything(spec)) return numeric ? EVERYTHING[family] : 'anywhere';
  // ip6tables does not look at the mask (`ipv6_addr_to_string`).
  if (!numeric && spec.addr === ANY_IP6) return 'anywhere';
  return listNetwork(spec);
}

function addressText(spec: AddressSpec | null, family: IpFamily, numeric: boolean): string {
  return `${spec?.negated === true ? '!' : ' '}${textOf(spec, family, numeric).padEnd(19)} `;
}

/** What the extensions say, each behind a blank. */
function details({ matches, action }: Rule, numeric: boolean): string {
  const texts = matches.map(({ match }) => match.list(numeric));
  if (action.type === 'target') texts.push(action.target.list(numeric));
  const said = texts.filter((text) => text !== '').map((text) => ` ${text}`);
  return `${action.type === 'goto' ? '[goto] ' : ''}${said.join('')}`;
}
