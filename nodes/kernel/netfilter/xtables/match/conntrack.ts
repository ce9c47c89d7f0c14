import { protocolNumber } from '../../../../../protocols/protocol-names.ts';
import type { Conntrack, CtTuple } from '../../conntrack-entry.ts';
import type { Skb } from '../../skb.ts';
import { missing, usage } from '../error.ts';
import type { Given, MatchExtension, MatchFunction } from '../extension.ts';
import {
  formatNetwork,
  type Network,
  once,
  type PortRange,
  parseNetwork,
  parsePortRange,
  savePorts,
} from '../values.ts';

/** In the order in which they are printed. */
const STATES = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'] as const;
const PLAIN_STATES = STATES.slice(0, 5);
const STATUS = ['EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'] as const;

interface Condition {
  readonly option: string;
  readonly text: string;
  readonly negated: boolean;
  readonly holds: MatchFunction;
}

function words<T extends string>(what: string, { values }: Given, known: readonly T[]): T[] {
  const asked = (values[0] ?? '').split(',').map((word) => word.toUpperCase());
  for (const word of asked)
    if (!known.some((name) => name === word)) throw usage(`Bad ${what} "${values[0] ?? ''}"`);
  return known.filter((name) => asked.includes(name));
}

function hasState({ ct, ctState }: Skb, states: readonly string[]): boolean {
  if (ctState === 'none') return false;
  if (states.includes(ctState.toUpperCase())) return true;
  return ct !== null && ((ct.srcNat && states.includes('SNAT')) || (ct.dstNat && states.includes('DNAT')));
}

/** The same, quickly where there is neither SNAT nor DNAT among the states. */
function stateMatch(states: readonly string[]): MatchFunction {
  if (states.includes('SNAT') || states.includes('DNAT')) return (skb) => hasState(skb, states);
  const wanted = new Set(states.map((state) => state.toLowerCase()));
  return ({ ctState }) => wanted.has(ctState);
}

/** `masked` address of a tuple, as ipmask prints it: /32 is left out. */
function addressText(network: Network): string {
  return formatNetwork(network).replace(/\/32$/, '');
}

function addressCondition(found: Given | undefined, pick: (ct: Conntrack) => number): Condition[] {
  if (found === undefined) return [];
  const network = parseNetwork(found.values[0] ?? '');
  const holds = ({ ct }: Skb) => ct !== null && ((pick(ct) ^ network.addr) & network.mask) === 0;
  return [{ option: found.option, text: addressText(network), negated: found.negated, holds }];
}

function portCondition(found: Given | undefined, pick: (ct: Conntrack) => number): Condition[] {
  if (found === undefined) return [];
  const range: PortRange = parsePortRange(found.values[0] ?? '', 0);
  const holds = ({ ct }: Skb) => ct !== null && pick(ct) >= range.from && pick(ct) <= range.to;
  return [{ option: found.option, text: savePorts(range), negated: found.negated, holds }];
}

function statusOf({ assured, seenReply }: Conntrack): readonly string[] {
  return [...(seenReply ? ['SEEN_REPLY'] : []), ...(assured ? ['ASSURED'] : []), 'CONFIRMED'];
}

export const conntrack: MatchExtension = {
  name: 'conntrack',
  options: {
    '--ctstate': 1,
    '--ctproto': 1,
    '--ctorigsrc': 1,
    '--ctorigdst': 1,
    '--ctreplsrc': 1,
    '--ctrepldst': 1,
    '--ctorigsrcport': 1,
    '--ctorigdstport': 1,
    '--ctreplsrcport': 1,
    '--ctrepldstport': 1,
    '--ctstatus': 1,
    '--ctexpire': 1,
    '--ctdir': 1,
  },
  bind(given) {
    const one = (option: string) => once('conntrack', given, option);
    if (one('--ctexpire') !== undefined) throw usage('conntrack: --ctexpire is not emulated');
    const conditions: Condition[] = [];
    const state = one('--ctstate');
    if (state !== undefined) {
      const states = words('ctstate', state, STATES);
      conditions.push({
        option: '--ctstate',
        text: states.join(','),
        negated: state.negated,
        holds: stateMatch(states),
      });
    }
    const proto = one('--ctproto');
    if (proto !== undefined) {
      const number = protocolNumber(proto.values[0] ?? '');
      if (number === null) throw usage(`unknown protocol "${proto.values[0] ?? ''}" specified`);
      const holds = ({ ct }: Skb) => ct !== null && ct.original.proto === number;
      conditions.push({ option: '--ctproto', text: String(number), negated: proto.negated, holds });
    }
    const tuples: readonly (readonly [name: string, pick: (ct: Conntrack) => CtTuple])[] = [
      ['orig', (ct) => ct.original],
      ['repl', (ct) => ct.reply],
    ];
    for (const [name, pick] of tuples) {
      conditions.push(...addressCondition(one(`--ct${name}src`), (ct) => pick(ct).src));
      conditions.push(...addressCondition(one(`--ct${name}dst`), (ct) => pick(ct).dst));
    }
    for (const [name, pick] of tuples) {
      conditions.push(...portCondition(one(`--ct${name}srcport`), (ct) => pick(ct).srcPort));
      conditions.push(...portCondition(one(`--ct${name}dstport`), (ct) => pick(ct).dstPort));
    }
    const status = one('--ctstatus');
    if (status !== undefined) {
      const none = status.values[0]?.toUpperCase() === 'NONE';
      const asked = none ? [] : words('ctstatus', status, STATUS);
      const holds = ({ ct }: Skb) =>
        ct !== null && (none ? false : statusOf(ct).some((name) => asked.some((one) => one === name)));
      conditions.push({
        option: '--ctstatus',
        text: none ? 'NONE' : asked.join(','),
        negated: status.negated,
        holds,
      });
    }
    const direction = one('--ctdir');
    if (direction !== undefined) {
      const word = direction.values[0]?.toUpperCase() ?? '';
      if (word !== 'ORIGINAL' && word !== 'REPLY')
        throw usage(`conntrack: Bad value for "--ctdir" option: "${direction.values[0] ?? ''}"`);
      const wanted = word === 'ORIGINAL' ? 0 : 1;
      const holds = ({ ct, ctDirection }: Skb) => ct !== null && ctDirection === wanted;
      conditions.push({ option: '--ctdir', text: word, negated: direction.negated, holds });
    }
    if (conditions.length === 0) throw usage('conntrack: At least one option is required');
    return bound(conditions);
  },
};

export const state: MatchExtension = {
  name: 'state',
  options: { '--state': 1 },
  bind(given) {
    const found = once('state', given, '--state');
    if (found === undefined) throw missing('state', '--state');
    const states = words('state', found, PLAIN_STATES);
    return bound([
      { option: '--state', text: states.join(','), negated: found.negated, holds: stateMatch(states) },
    ]);
  },
};

function bound(conditions: readonly Condition[]) {
  const save = conditions
    .map(({ option, text, negated }) => `${negated ? '! ' : ''}${option} ${text}`)
    .join(' ');
  return {
    save,
    list: () => save.replaceAll('--', ''),
    compile: ({ ns }: { readonly ns: { readonly conntrack: { require(): void } } }): MatchFunction => {
      ns.conntrack.require();
      const [first] = conditions;
      if (conditions.length === 1 && first !== undefined && !first.negated) return first.holds;
      return (skb) => conditions.every(({ holds, negated }) => holds(skb) !== negated);
    },
  };
}
