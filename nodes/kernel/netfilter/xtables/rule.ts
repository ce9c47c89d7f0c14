import { protocolName } from '../../../../protocols/protocol-names.ts';
import type { BoundMatch, BoundTarget } from './extension.ts';
import type { HeadSpec, InterfaceSpec } from './head.ts';
import { formatNetwork } from './values.ts';

/** What a rule does with a packet that fits. */
export type RuleAction =
  /** Counts it and goes on. */
  | { readonly type: 'none' }
  | { readonly type: 'verdict'; readonly verdict: 'ACCEPT' | 'DROP' | 'RETURN' }
  | { readonly type: 'jump' | 'goto'; readonly chain: string }
  | {
      readonly type: 'target';
      readonly name: string;
      readonly shownAs: string;
      readonly target: BoundTarget;
    };

export interface RuleMatch {
  readonly name: string;
  readonly match: BoundMatch;
}

/** A rule, read and understood. It is never changed. */
export interface Rule {
  readonly head: HeadSpec;
  readonly matches: readonly RuleMatch[];
  readonly action: RuleAction;
  /** Its canonical text, as `iptables -S` prints it after `-A CHAIN`: what names it for -D and -C, and what the log holds. */
  readonly text: string;
}

/** Protocols that iptables knows by itself come before those of /etc/protocols (`xtables_chain_protos`). */
const OWN_NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  50: 'esp',
  51: 'ah',
  58: 'ipv6-icmp',
  132: 'sctp',
  135: 'mobility-header',
  136: 'udplite',
};

export function protoName(proto: number): string {
  return OWN_NAMES[proto] ?? protocolName(proto) ?? String(proto);
}

/** `-i +` is every interface, and is not told, not even where it is negated and none. */
function isAny({ name }: InterfaceSpec): boolean {
  return name === '+';
}

export function ruleText(head: HeadSpec, matches: readonly RuleMatch[], action: RuleAction): string {
  const words: string[] = [];
  const add = (negated: boolean, text: string) => words.push(`${negated ? '! ' : ''}${text}`);
  const { src, dst, in: input, out, proto, protoNegated, fragment } = head;
  if (src !== null) add(src.negated, `-s ${formatNetwork(src)}`);
  if (dst !== null) add(dst.negated, `-d ${formatNetwork(dst)}`);
  if (input !== null && !isAny(input)) add(input.negated, `-i ${input.name}`);
  if (out !== null && !isAny(out)) add(out.negated, `-o ${out.name}`);
  if (proto !== 0 || protoNegated) add(protoNegated, `-p ${protoName(proto)}`);
  if (fragment !== 'any') add(fragment === 'not-later', '-f');
  for (const { name, match } of matches) words.push(`-m ${name}`, match.save);
  switch (action.type) {
    case 'none':
      break;
    case 'verdict':
      words.push(`-j ${action.verdict}`);
      break;
    case 'jump':
      words.push(`-j ${action.chain}`);
      break;
    case 'goto':
      words.push(`-g ${action.chain}`);
      break;
    case 'target':
      words.push(`-j ${action.name}`, action.target.save);
  }
  return words.filter((word) => word !== '').join(' ');
}
