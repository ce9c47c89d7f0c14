import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../../protocols/ip.ts';
import { IP6_DST, IP6_SRC } from '../../../../protocols/ipv6.ts';
import type { Skb } from '../skb.ts';
import type { AddressSpec, HeadSpec } from './head.ts';
import { wordsOf } from './values.ts';

/**
 * The addresses and the protocol of a chain's rules in one array of integers, so that a rule that does not fit costs a few
 * comparisons and nothing else.
 */
export interface HeadTable {
  /** Puts rules in the place of others, `from` and `count` of them. */
  splice(from: number, count: number, added: readonly HeadSpec[]): void;
  /** The first rule from a place on that fits as far as this knows; -1 if none does. */
  next(skb: Skb, from: number): number;
}

export function headTable(family: IpFamily): HeadTable {
  return family === 'inet' ? new HeadTable4() : new HeadTable6();
}

/** Source, its mask, destination, its mask, protocol (0: any). */
const STRIDE4 = 5;

class HeadTable4 implements HeadTable {
  #head = new Int32Array(0);

  splice(from: number, count: number, added: readonly HeadSpec[]): void {
    this.#head = splicedHeads(this.#head, STRIDE4, from, count, added, 1);
  }

  next({ frame }: Skb, from: number): number {
    const head = this.#head;
    const src = wordAt(frame, ETH_HLEN + 12);
    const dst = wordAt(frame, ETH_HLEN + 16);
    const proto = frame[ETH_HLEN + 9]!;
    for (let i = from, o = from * STRIDE4; o < head.length; i++, o += STRIDE4) {
      if (((src ^ head[o]!) & head[o + 1]!) !== 0 || ((dst ^ head[o + 2]!) & head[o + 3]!) !== 0) continue;
      const wanted = head[o + 4]!;
      if (wanted === 0 || wanted === proto) return i;
    }
    return -1;
  }
}

/** The same, of four words each address; those that differ soonest (the last ones, and of the destination) are looked at first. */
const STRIDE6 = 17;

class HeadTable6 implements HeadTable {
  #head = new Int32Array(0);

  splice(from: number, count: number, added: readonly HeadSpec[]): void {
    this.#head = splicedHeads(this.#head, STRIDE6, from, count, added, 4);
  }

  next(skb: Skb, from: number): number {
    const head = this.#head;
    const { frame } = skb;
    const s0 = wordAt(frame, ETH_HLEN + IP6_SRC);
    const s1 = wordAt(frame, ETH_HLEN + IP6_SRC + 4);
    const s2 = wordAt(frame, ETH_HLEN + IP6_SRC + 8);
    const s3 = wordAt(frame, ETH_HLEN + IP6_SRC + 12);
    const d0 = wordAt(frame, ETH_HLEN + IP6_DST);
    const d1 = wordAt(frame, ETH_HLEN + IP6_DST + 4);
    const d2 = wordAt(frame, ETH_HLEN + IP6_DST + 8);
    const d3 = wordAt(frame, ETH_HLEN + IP6_DST + 12);
    for (let i = from, o = from * STRIDE6; o < head.length; i++, o += STRIDE6) {
      if (
        ((d3 ^ head[o + 11]!) & head[o + 15]!) !== 0 ||
        ((s3 ^ head[o + 3]!) & head[o + 7]!) !== 0 ||
        ((d2 ^ head[o + 10]!) & head[o + 14]!) !== 0 ||
        ((s2 ^ head[o + 2]!) & head[o + 6]!) !== 0 ||
        ((d1 ^ head[o + 9]!) & head[o + 13]!) !== 0 ||
        ((s1 ^ head[o + 1]!) & head[o + 5]!) !== 0 ||
        ((d0 ^ head[o + 8]!) & head[o + 12]!) !== 0 ||
        ((s0 ^ head[o]!) & head[o + 4]!) !== 0
      )
        continue;
      const wanted = head[o + 16]!;
      // Without an end to the headers there is no protocol: what becomes of the packet is said where the rest is asked for.
      if (wanted === 0 || wanted === (skb.upper?.proto ?? wanted)) return i;
    }
    return -1;
  }
}

function splicedHeads(
  head: Int32Array,
  stride: number,
  from: number,
  count: number,
  added: readonly HeadSpec[],
  words: number,
): Int32Array<ArrayBuffer> {
  const integers = added.flatMap((spec) => integersOf(spec, words));
  const result = new Int32Array(head.length + (added.length - count) * stride);
  result.set(head.subarray(0, from * stride));
  result.set(integers, from * stride);
  result.set(head.subarray((from + count) * stride), (from + added.length) * stride);
  return result;
}

function integersOf({ src, dst, proto, protoNegated }: HeadSpec, words: number): number[] {
  const any = new Array<number>(2 * words).fill(0);
  const plain = (spec: AddressSpec | null) =>
    spec === null || spec.negated ? any : [...wordsOf(spec.addr), ...wordsOf(spec.mask)];
  return [...plain(src), ...plain(dst), protoNegated ? 0 : proto];
}

/** Signed: what a typed array of 32 bits gives. */
function wordAt(frame: Uint8Array, at: number): number {
  return (frame[at]! << 24) | (frame[at + 1]! << 16) | (frame[at + 2]! << 8) | frame[at + 3]!;
}
