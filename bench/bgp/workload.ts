import { seededRandom } from '../../nodes/random.ts';
import type { Random } from '../../nodes/runtime.ts';
import { type Attributes, prefixKey, updateMessage } from './wire.ts';

export interface WorkloadOptions {
  readonly injectors: number;
  /** Prefixes of each injector; the same ones for all. */
  readonly prefixes: number;
  readonly seed: number;
}

/** What one injector sends, encoded beforehand. */
export interface Feed {
  readonly bytes: Uint8Array;
  readonly updates: number;
}

export interface Workload {
  readonly feeds: readonly Feed[];
  /** For each prefix the AS path length, AS numbers, of its best path as the injectors send it. */
  readonly best: ReadonlyMap<number, number>;
  readonly updates: number;
}

/** AS numbers and addresses of the stage: all on loopback, ports free, nothing needs a privilege. */
export const TARGET = { address: '127.0.50.1', asn: 65_000, routerId: '10.50.255.1' } as const;
export const RECEIVER = { address: '127.0.52.1', asn: 65_200, identifier: 0x0a34_0001 } as const;
/** Next hops of the injectors are of this prefix, outside 127.0.0.0/8 where some daemons take none from. */
export const NEXT_HOPS = '10.50.0.0/16';

export function injectorAt(index: number) {
  return {
    address: `127.0.51.${index + 1}`,
    asn: 65_101 + index,
    identifier: 0x0a33_0001 + index,
    nextHop: 0x0a32_0001 + index,
  };
}

/** Share of each prefix length among the IPv4 routes of the Internet, in per mille (CIDR Report, potaroo.net); the rest is /24. */
const LENGTHS: readonly (readonly [number, number])[] = [
  [8, 1],
  [10, 1],
  [11, 1],
  [12, 1],
  [13, 1],
  [14, 2],
  [15, 2],
  [16, 14],
  [17, 8],
  [18, 14],
  [19, 26],
  [20, 46],
  [21, 54],
  [22, 115],
  [23, 105],
];

/** Prefixes that share one attribute set. */
const GROUP = { from: 5, to: 20 } as const;

/** 11.0.0.0/8 is left out: the single prefixes of the latency measurement are there. */
const SPARED: readonly number[] = [10, 11, 127];

interface Group {
  readonly prefixes: readonly number[];
  /** AS path behind what each injector puts before it. */
  readonly asPath: readonly number[];
  readonly origin: number;
  readonly med: number | null;
  readonly communities: readonly number[];
}

/**
 * A table such as an Internet router sends: prefix lengths as they are there, 5 to 20 prefixes to an attribute set, AS paths
 * of 3 to 5, mostly some communities. Each injector has an order and AS path lengths of its own.
 */
export function makeWorkload({ injectors, prefixes, seed }: WorkloadOptions): Workload {
  const random = seededRandom(seed);
  const groups = makeGroups(random, prefixes);
  const best = new Map<number, number>();
  const feeds: Feed[] = [];
  for (let i = 0; i < injectors; i++) {
    const { asn, nextHop } = injectorAt(i);
    const messages = shuffled(random, groups).map((group) => {
      const upstream = Array.from({ length: random.int(0, 2) }, () => publicAsn(random));
      const asPath = [asn, ...upstream, ...group.asPath];
      for (const key of group.prefixes) best.set(key, Math.min(asPath.length, best.get(key) ?? 255));
      return updateMessage({ ...group, asPath, nextHop }, group.prefixes);
    });
    feeds.push({ bytes: Buffer.concat(messages), updates: messages.length });
  }
  return { feeds, best, updates: feeds.reduce((sum, feed) => sum + feed.updates, 0) };
}

/** The n-th prefix that the latency is measured with, and its UPDATE; none of them is in a workload. */
export function probe(index: number): { readonly key: number; readonly bytes: Uint8Array } {
  const { asn, nextHop } = injectorAt(0);
  const key = prefixKey(0x0b00_0000 + index * 256, 24);
  const attributes: Attributes = {
    origin: 0,
    asPath: [asn, 3356, 15_169],
    nextHop,
    med: null,
    communities: [],
  };
  return { key, bytes: updateMessage(attributes, [key]) };
}

function makeGroups(random: Random, count: number): Group[] {
  const seen = new Set<number>();
  const groups: Group[] = [];
  for (let left = count; left > 0; ) {
    const size = Math.min(left, random.int(GROUP.from, GROUP.to));
    left -= size;
    const transit = publicAsn(random);
    const origin = random.unit() < 0.5 ? publicAsn(random) : random.int(131_072, 400_000);
    groups.push({
      prefixes: makePrefixes(random, seen, size),
      asPath: [transit, origin],
      origin: random.unit() < 0.9 ? 0 : 2,
      med: random.unit() < 0.3 ? random.int(0, 200) : null,
      communities:
        random.unit() < 0.4
          ? []
          : Array.from({ length: random.int(1, 6) }, () => transit * 65_536 + random.int(0, 65_535)),
    });
  }
  return groups;
}

/** An AS number of two octets, below AS_TRANS and all that is reserved. */
function publicAsn(random: Random): number {
  return random.int(1, 23_455);
}

function makePrefixes(random: Random, seen: Set<number>, count: number): number[] {
  // What one AS announces lies together in part, as allocations do.
  let near = random.int(0x0100_0000, 0xdfff_ffff);
  const keys: number[] = [];
  while (keys.length < count) {
    if (random.unit() < 0.3) near = random.int(0x0100_0000, 0xdfff_ffff);
    const len = prefixLength(random);
    const size = 2 ** (32 - len);
    const addr = Math.floor(near / size) * size;
    near = Math.min(addr + size, 0xdfff_ffff);
    const key = prefixKey(addr, len);
    if (addr < 0x0100_0000 || SPARED.includes(Math.floor(addr / 2 ** 24)) || seen.has(key)) {
      near = random.int(0x0100_0000, 0xdfff_ffff);
      continue;
    }
    seen.add(key);
    keys.push(key);
  }
  return keys;
}

function prefixLength(random: Random): number {
  let dice = random.int(0, 999);
  for (const [len, share] of LENGTHS) {
    dice -= share;
    if (dice < 0) return len;
  }
  return 24;
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.int(0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
