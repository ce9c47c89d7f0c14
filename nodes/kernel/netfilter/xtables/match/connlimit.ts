import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { type IpAddress, maskIp } from '../../../../../protocols/ip.ts';
import type { CtTuple } from '../../conntrack-entry.ts';
import { PacketTuple } from '../../packet-tuple.ts';
import type { Skb } from '../../skb.ts';
import { usage } from '../error.ts';
import type { CompileContext, MatchExtension } from '../extension.ts';
import { exclude, has, numberOf, onceAsIs } from '../options.ts';
import { destinationOf, sourceOf } from '../packet.ts';
import { once, parseMask, parseNumber } from '../values.ts';

function sameTuple(a: CtTuple, b: CtTuple): boolean {
  return (
    a.srcPort === b.srcPort &&
    a.dstPort === b.dstPort &&
    a.src === b.src &&
    a.dst === b.dst &&
    a.proto === b.proto
  );
}

function tupleCopy({ src, dst, proto, srcPort, dstPort }: CtTuple): CtTuple {
  return { src, dst, proto, srcPort, dstPort };
}

/** Networks that are kept before it is looked which have no flow any more. */
const MOST_AT_FIRST = 1_024;

/** Flows that a rule has seen, by the network that they are counted for (nf_conncount.c). */
class FlowCounts {
  readonly #context: CompileContext;
  readonly #lists = new Map<IpAddress, CtTuple[]>();
  readonly #tuple = new PacketTuple();
  #most = MOST_AT_FIRST;

  constructor(context: CompileContext) {
    this.#context = context;
  }

  /**
   * How many flows of a network go on, that of a packet among them; 0 where it can be of none, and, as in Linux 6.18, where it is the
   * packet that ends the only one.
   */
  count(skb: Skb, key: IpAddress): number {
    const tuple = this.#tupleOf(skb);
    if (tuple === null) return 0;
    const known = this.#lists.get(key);
    // A flow that has got through has been counted, if ever; one of the host with itself may get through before it is asked about.
    const counted = known !== undefined && skb.in?.kind !== 'loopback' && this.#isThere(tuple);
    const list = (known ?? []).filter(
      (other) => this.#goesOn(other) || (!counted && sameTuple(other, tuple) && this.#isThere(other)),
    );
    if (!counted && !list.some((other) => sameTuple(other, tuple))) list.push(tupleCopy(tuple));
    if (known === undefined && this.#lists.size >= this.#most) this.#sweep();
    this.#lists.set(key, list);
    return list.length;
  }

  /** Networks without a flow are forgotten. */
  #sweep(): void {
    for (const [key, list] of this.#lists)
      if (!list.some((tuple) => this.#goesOn(tuple))) this.#lists.delete(key);
    this.#most = Math.max(MOST_AT_FIRST, this.#lists.size * 2);
  }

  #tupleOf({ ct, frame }: Skb): CtTuple | null {
    if (ct !== null) return ct.original;
    return this.#tuple.read(frame, ETH_HLEN, frame.length) ? this.#tuple : null;
  }

  #isThere(tuple: CtTuple): boolean {
    const { conntrack, kernel } = this.#context.ns;
    const flow = conntrack.find(tuple);
    return flow !== null && flow.expires > kernel.rt.now;
  }

  /** A connection that has ended does not count, for all that conntrack keeps it (`already_closed`). */
  #goesOn(tuple: CtTuple): boolean {
    if (!this.#isThere(tuple)) return false;
    const state = this.#context.ns.conntrack.find(tuple)?.state;
    return state !== 'TIME_WAIT' && state !== 'CLOSE';
  }
}

/** `-m connlimit`: how many flows an address, or a network, has at the same time (xt_connlimit.c). */
export const connlimit: MatchExtension = {
  name: 'connlimit',
  options: {
    '--connlimit-upto': 1,
    '--connlimit-above': 1,
    '--connlimit-mask': 1,
    '--connlimit-saddr': 0,
    '--connlimit-daddr': 0,
  },
  bind(given, { family }) {
    exclude('connlimit', given, '--connlimit-upto', '--connlimit-above');
    exclude('connlimit', given, '--connlimit-saddr', '--connlimit-daddr');
    has('connlimit', given, '--connlimit-saddr');
    const byDestination = has('connlimit', given, '--connlimit-daddr');
    const found = once('connlimit', given, '--connlimit-upto', '--connlimit-above');
    const limit = found === undefined ? 0 : numberOf('connlimit', found);
    const whole = family === 'inet' ? 32 : 128;
    const maskGiven = onceAsIs('connlimit', given, '--connlimit-mask')?.values[0];
    const length = maskGiven === undefined ? whole : parseNumber(maskGiven, 0, whole);
    if (length === null)
      throw usage(
        `connlimit: bad value for option "--connlimit-mask", neither a valid network mask nor valid CIDR (0-${whole}).\n`,
      );
    if (found === undefined) throw usage('You must specify "--connlimit-above" or "--connlimit-upto".');
    const above = (found.option === '--connlimit-above') !== found.negated;
    const side = byDestination ? 'dst' : 'src';
    return {
      save: `--connlimit-${above ? 'above' : 'upto'} ${limit} --connlimit-mask ${length} --connlimit-${side === 'dst' ? 'd' : 's'}addr`,
      list: () => `#conn ${side}/${length} ${above ? '>' : '<='} ${limit}`,
      countsAlone: true,
      compile: (context) => {
        context.ns.conntrack.require(context.family);
        const counts = new FlowCounts(context);
        const mask = parseMask(String(length), family)!;
        const addressOf = byDestination ? destinationOf : sourceOf;
        return (skb) => {
          const count = counts.count(skb, maskIp(addressOf(skb), mask));
          if (count > 0) return count > limit === above;
          skb.hotdrop = true;
          return false;
        };
      },
    };
  },
};
