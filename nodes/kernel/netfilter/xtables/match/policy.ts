import { PROTO_ESP } from '../../../../../protocols/esp.ts';
import { formatIp, type IpAddress, type IpFamily } from '../../../../../protocols/ip.ts';
import { protocolNumber } from '../../../../../protocols/protocol-names.ts';
import type { XfrmState } from '../../../xfrm/state.ts';
import { NF_FORWARD, NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING, NF_PRE_ROUTING } from '../../hooks.ts';
import { usage } from '../error.ts';
import type { CompileContext, Given, MatchExtension, MatchFunction } from '../extension.ts';
import { has, numberOf, onceAsIs } from '../options.ts';
import { protoName } from '../rule.ts';
import { formatMaskOf, hex, networkMatch, parseNetwork } from '../values.ts';

/** Associations that a packet goes through one after the other, at most (XT_POLICY_MAX_ELEM). */
const MOST = 4;
/** In the order in which they are printed. */
const CONDITIONS = ['reqid', 'spi', 'proto', 'mode', 'tunnel-dst', 'tunnel-src'] as const;
type Condition = (typeof CONDITIONS)[number];

interface Asked {
  readonly name: Condition;
  readonly negated: boolean;
  /** As -S prints it, and as -L does. */
  readonly saved: string;
  readonly listed: (numeric: boolean) => string;
  readonly holds: (state: XfrmState) => boolean;
}

/** What is asked of one association. */
type Element = readonly Asked[];

function isCondition(name: string): name is Condition {
  return CONDITIONS.some((condition) => condition === name);
}

/** An end of a tunnel, with the address as it is written, and a mask beside it. */
function endOf(name: 'tunnel-src' | 'tunnel-dst', found: Given, family: IpFamily) {
  const [text = ''] = found.values;
  const [host = ''] = text.split('/');
  const network = parseNetwork(text, family);
  const shown = `${formatIp(parseNetwork(host, family).addr)}${formatMaskOf(network)}`;
  const contains = networkMatch(network);
  const end = (state: XfrmState): IpAddress =>
    name === 'tunnel-src' ? state.options.src : state.options.dst;
  return { saved: shown, listed: () => shown, holds: (state: XfrmState) => contains(end(state)) };
}

/** ESP alone has associations; AH and IPComp can be asked for. @throws XtablesError */
function protoOf(text: string): number {
  const number = protocolNumber(text);
  if (number === null) throw usage(`unknown protocol "${text.toLowerCase()}" specified`);
  if (number !== PROTO_ESP && number !== 51 && number !== 108)
    throw usage('policy match: protocol must be ah/esp/ipcomp');
  return number;
}

function askedOf(name: Condition, found: Given, family: IpFamily): Omit<Asked, 'name' | 'negated'> {
  const [text = ''] = found.values;
  const plain = (saved: string, holds: Asked['holds']) => ({ saved, listed: () => saved, holds });
  switch (name) {
    case 'reqid': {
      const reqid = numberOf('policy', found);
      return plain(String(reqid), ({ options }) => options.reqid === reqid);
    }
    case 'spi': {
      const spi = numberOf('policy', found);
      // xt_policy compares what is sent with a number of the machine's own, which is little-endian.
      const sent = turned(spi);
      return plain(hex(spi), ({ options }) => options.spi === sent);
    }
    case 'proto': {
      const proto = protoOf(text);
      const saved = protoName(proto);
      const listed = (numeric: boolean) => (numeric ? String(proto) : saved);
      return { saved, listed, holds: () => proto === PROTO_ESP };
    }
    case 'mode':
      if (text !== 'tunnel' && text !== 'transport') throw usage(`policy match: invalid mode "${text}"`);
      return plain(text, ({ options }) => options.mode === text);
    default:
      return endOf(name, found, family);
  }
}

/** Its four bytes in the other order. */
function turned(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** What is given of each association; `--next` stands between them. */
function elementsOf(given: readonly Given[], family: IpFamily): Element[] {
  const elements: Asked[][] = [[]];
  for (const found of given) {
    const name = found.option.slice(2);
    const last = elements[elements.length - 1]!;
    if (found.option === '--next') {
      if (elements.length >= MOST) throw usage('policy match: maximum policy depth reached');
      if (found.negated) throw usage('policy: option "--next" cannot be inverted.\n');
      elements.push([]);
    } else if (isCondition(name)) {
      if (last.some((asked) => asked.name === name)) throw usage(`policy match: double --${name} option`);
      last.push({ name, negated: found.negated, ...askedOf(name, found, family) });
    }
  }
  return elements.map((asked) => CONDITIONS.flatMap((name) => asked.find((one) => one.name === name) ?? []));
}

/** `policy_check` of libxt_policy. */
function checkElement(element: Element, index: number, kind: { readonly strict: boolean }): void {
  const mode = element.find(({ name }) => name === 'mode');
  const ends = element.some(({ name }) => name === 'tunnel-src' || name === 'tunnel-dst');
  if (kind.strict && element.length === 0)
    throw usage(
      `policy match: empty policy element ${index}. --strict is in effect, but at least one of reqid, spi, tunnel-src, tunnel-dst, proto or mode is required.`,
    );
  if (ends && (mode === undefined || (mode.saved === 'tunnel') === mode.negated))
    throw usage('policy match: --tunnel-src/--tunnel-dst is only valid in tunnel mode');
}

function fits(element: Element, state: XfrmState): boolean {
  return element.every(({ holds, negated }) => holds(state) !== negated);
}

/**
 * Packets that IPsec has to do with: that came through an association, or will go through one (xt_policy.c). Of those that a packet
 * came through, one in another, the last is known.
 */
export const policy: MatchExtension = {
  name: 'policy',
  options: {
    '--dir': 1,
    '--pol': 1,
    '--strict': 0,
    ...Object.fromEntries(CONDITIONS.map((name) => [`--${name}`, 1] as const)),
    '--next': 0,
  },
  bind(given, { family }) {
    const dir = onceAsIs('policy', given, '--dir')?.values[0];
    const pol = onceAsIs('policy', given, '--pol')?.values[0] ?? 'ipsec';
    const strict = has('policy', given, '--strict');
    if (dir !== undefined && dir !== 'in' && dir !== 'out') throw usage(`policy_match: invalid dir "${dir}"`);
    if (pol !== 'none' && pol !== 'ipsec') throw usage(`policy match: invalid policy "${pol}"`);
    const elements = elementsOf(given, family);
    if (!strict && elements.length > 1) throw usage('policy: option "--next" also requires "--strict".\n');
    if (dir === undefined) throw usage('policy match: neither --dir in nor --dir out specified');
    const none = pol === 'none';
    if (none && strict) throw usage('policy match: policy none but --strict given');
    if (!none) for (const [i, element] of elements.entries()) checkElement(element, i, { strict });
    const words = (dashes: string, text: (asked: Asked) => string) => (element: Element) =>
      element.map((asked) => `${asked.negated ? '! ' : ''}${dashes}${asked.name} ${text(asked)}`).join(' ');
    const save = words('--', ({ saved }) => saved);
    const joined = (parts: readonly string[]) => parts.filter((part) => part !== '').join(' ');
    return {
      hooks:
        dir === 'in'
          ? [NF_PRE_ROUTING, NF_LOCAL_IN, NF_FORWARD]
          : [NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING],
      save: joined([
        `--dir ${dir} --pol ${pol}${strict ? ' --strict' : ''}`,
        none ? '' : elements.map(save).join(' --next '),
      ]),
      list: (numeric) => {
        const list = words('', ({ listed }) => listed(numeric));
        const parts = elements.map((element, i) =>
          joined([strict && elements.length > 1 ? `[${i}]` : '', list(element)]),
        );
        return joined([
          `policy match dir ${dir} pol ${pol}${strict ? ' strict' : ''}`,
          ...(none ? [] : parts),
        ]);
      },
      compile: (context) => {
        const stateOf = dir === 'in' ? behind : ahead(context);
        return (skb) => {
          const state = stateOf(skb);
          if (state === null || none) return state === null && none;
          // Associations one in another are not kept, so that there is one.
          return elements.length === 1 && fits(elements[0]!, state);
        };
      },
    };
  },
};

type StateOf = (skb: Parameters<MatchFunction>[0]) => XfrmState | null;

const behind: StateOf = ({ cameBy }) => cameBy;

function ahead({ ns }: CompileContext): StateOf {
  return ({ frame, out, sealed }) => (out === null || sealed ? null : ns.xfrm.ahead(frame, out));
}
