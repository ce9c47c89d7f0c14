import {
  ERROR,
  GROUP_MOD_FAILED,
  OpenFlowError,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import { type Bucket, GROUP, type GroupMod, type GroupSpec } from '../../../protocols/openflow/group.ts';
import { wordsHash } from './key-hash.ts';

/** Liveness is followed through so many groups that watch each other (`MAX_LIVENESS_RECURSION` of Open vSwitch). */
const MAX_LIVENESS_DEPTH = 128;
/** Shares of a select group's buckets (`group_setup_dp_hash_table` of Open vSwitch): at least, and at most. */
const MIN_SHARES = 16;
const MAX_SHARES = 64;

/** A group, and what it has counted. */
export class Group {
  readonly spec: GroupSpec;
  readonly created: number;
  packets = 0;
  bytes = 0;
  readonly bucketPackets: number[];
  readonly bucketBytes: number[];
  /** Of a select group: a bucket's index for each of a power of two of shares. */
  readonly shares: Uint16Array;

  constructor(spec: GroupSpec, created: number) {
    this.spec = spec;
    this.created = created;
    this.bucketPackets = spec.buckets.map(() => 0);
    this.bucketBytes = spec.buckets.map(() => 0);
    this.shares = spec.groupType === 'select' ? sharesOf(spec.buckets) : new Uint16Array(0);
  }

  /** `bucket` is null for each of them. */
  count(bucket: number | null, bytes: number): void {
    this.packets++;
    this.bytes += bytes;
    for (let i = 0; i < this.bucketPackets.length; i++) {
      if (bucket !== null && bucket !== i) continue;
      this.bucketPackets[i]!++;
      this.bucketBytes[i]! += bytes;
    }
  }
}

/** The groups of a switch (§5.6). @throws OpenFlowError where a change is refused. */
export class GroupTable {
  readonly #groups = new Map<number, Group>();
  readonly #isPortLive: (port: number) => boolean;

  constructor(isPortLive: (port: number) => boolean) {
    this.#isPortLive = isPortLive;
  }

  get(group: number): Group | undefined {
    return this.#groups.get(group);
  }

  /** By number. */
  list(): Group[] {
    return [...this.#groups.values()].sort((a, b) => a.spec.group - b.spec.group);
  }

  add({ group, groupType, buckets }: GroupMod, now: number): Group {
    checkSpec({ group, groupType, buckets });
    if (this.#groups.has(group))
      throw refused(`group ${group} is there already`, GROUP_MOD_FAILED.GROUP_EXISTS);
    return this.#set({ group, groupType, buckets }, now);
  }

  /** Counts anew, but is as old as it was. */
  modify({ group, groupType, buckets }: GroupMod): Group {
    checkSpec({ group, groupType, buckets });
    const old = this.#groups.get(group);
    if (old === undefined) throw refused(`there is no group ${group}`, GROUP_MOD_FAILED.UNKNOWN_GROUP);
    return this.#set({ group, groupType, buckets }, old.created);
  }

  /** Takes one out, or all; it is no error if it is not there. */
  delete(group: number): Group[] {
    const gone =
      group === GROUP.ALL ? this.list() : [this.#groups.get(group)].filter((one) => one !== undefined);
    for (const { spec } of gone) this.#groups.delete(spec.group);
    return gone;
  }

  /** The bucket that a packet goes through; -1 where none is live. `hash` is of what tells packets' flows apart. */
  choose({ spec: { groupType, buckets }, shares }: Group, hash: number): number {
    switch (groupType) {
      case 'indirect':
        return buckets.length === 0 ? -1 : 0;
      case 'ff':
        return buckets.findIndex((bucket) => this.#isLive(bucket, 0));
      default: {
        const wanted = shares.length === 0 ? -1 : shares[hash & (shares.length - 1)]!;
        if (wanted >= 0 && this.#isLive(buckets[wanted]!, 0)) return wanted;
        return this.#bestLive(buckets, hash);
      }
    }
  }

  #set(spec: GroupSpec, created: number): Group {
    const group = new Group(spec, created);
    this.#groups.set(spec.group, group);
    return group;
  }

  /** In the place of one that is not live: whoever has the highest score of hash by weight (`group_best_live_bucket`). */
  #bestLive(buckets: readonly Bucket[], hash: number): number {
    let best = -1;
    let highest = 0;
    for (const [i, bucket] of buckets.entries()) {
      if (!this.#isLive(bucket, 0)) continue;
      const score = (wordsHash(Uint32Array.of(i, hash)) & 0xffff) * bucket.weight;
      if (score < highest || (score === highest && best >= 0)) continue;
      best = i;
      highest = score;
    }
    return highest === 0 ? -1 : best;
  }

  /** Whether its port or its group is live; without either it is. */
  #isLive({ watchPort, watchGroup }: Bucket, depth: number): boolean {
    if (depth >= MAX_LIVENESS_DEPTH) return false;
    const byPort = watchPort !== RESERVED_PORTS.ANY;
    const byGroup = watchGroup !== GROUP.ANY;
    if (!byPort && !byGroup) return true;
    if (byPort && this.#isPortLive(watchPort)) return true;
    const group = byGroup ? this.#groups.get(watchGroup) : undefined;
    return group?.spec.buckets.some((bucket) => this.#isLive(bucket, depth + 1)) ?? false;
  }
}

function refused(message: string, code: number): OpenFlowError {
  return new OpenFlowError(message, ERROR.GROUP_MOD_FAILED, code);
}

function checkSpec({ group, groupType, buckets }: GroupSpec): void {
  if (group > GROUP.MAX) throw refused(`${group} is no number of a group`, GROUP_MOD_FAILED.INVALID_GROUP);
  if (groupType === 'indirect' && buckets.length !== 1)
    throw refused('an indirect group has one bucket', GROUP_MOD_FAILED.INVALID_GROUP);
  for (const { weight, watchPort, watchGroup } of buckets) {
    if (groupType !== 'select' && weight > 1)
      throw refused('weights are those of select groups', GROUP_MOD_FAILED.INVALID_GROUP);
    if (groupType === 'ff' && watchPort === RESERVED_PORTS.ANY && watchGroup === GROUP.ANY)
      throw refused(
        'a bucket of a fast failover group watches a port or a group',
        GROUP_MOD_FAILED.INVALID_GROUP,
      );
  }
}

/** Shares by weight in Webster's way: the next one to the highest of weight by divisor, which grows by 2. */
function sharesOf(buckets: readonly Bucket[]): Uint16Array {
  const weights = buckets.map(({ weight }) => weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const least = Math.min(...weights.filter((weight) => weight > 0));
  if (total === 0) return new Uint16Array(0);
  let count = MIN_SHARES;
  while (count < Math.ceil(total / least)) count *= 2;
  if (count > MAX_SHARES) return new Uint16Array(0);
  const divisors = weights.map(() => 1);
  return Uint16Array.from({ length: count }, () => {
    let winner = 0;
    for (const [i, weight] of weights.entries())
      if (weight * divisors[winner]! > weights[winner]! * divisors[i]!) winner = i;
    divisors[winner]! += 2;
    return winner;
  });
}
