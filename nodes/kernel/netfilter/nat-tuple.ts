import { PROTO_ICMP } from '../../../protocols/ipv4.ts';
import type { Random } from '../../runtime.ts';
import type { CtTuple, NatRange } from './conntrack-entry.ts';
import type { Manip } from './nat-mangle.ts';
import { hasPorts } from './packet-tuple.ts';

/** A tuple in the making. */
export interface MutableTuple extends CtTuple {
  src: number;
  dst: number;
  srcPort: number;
  dstPort: number;
}

export interface NatSearch {
  /** Whether another flow's answers would look the same. */
  readonly isUsed: (tuple: CtTuple) => boolean;
  /** What flows of the same source and protocol have been mapped to, the newest first: inverses of their reply tuples. */
  readonly mappedSources: (tuple: CtTuple) => Iterable<CtTuple>;
  readonly random: Random;
}

/** How many ports are tried in a row before another place is (`max_attempts` of nf_nat_l4proto_unique_tuple). */
const ATTEMPTS = 128;
const LEAST_ATTEMPTS = 16;

/**
 * Moves a flow into a range so that its answers can be told from all others' (`get_unique_tuple`). Where none is free, the
 * last one tried: the flow will not be confirmed.
 */
export function uniqueTuple(original: CtTuple, range: NatRange, manip: Manip, search: NatSearch): CtTuple {
  const random = range.ports === 'random';
  if (manip === 'src' && !random) {
    if (isInRange(original, range)) {
      if (!search.isUsed(original)) return original;
    } else {
      for (const mapped of search.mappedSources(original)) {
        const tuple = { ...original, src: mapped.src, srcPort: mapped.srcPort };
        if (!isInRange(tuple, range)) continue;
        if (!search.isUsed(tuple)) return tuple;
        break;
      }
    }
  }
  const tuple: MutableTuple = { ...original };
  chooseAddress(tuple, range, manip);
  if (!random) {
    if (range.minPort !== 0) {
      const inside = isPortInRange(tuple, range, manip);
      if (inside && (range.minPort === range.maxPort || !search.isUsed(tuple))) return tuple;
    } else if (!search.isUsed(tuple)) return tuple;
  }
  choosePort(tuple, range, manip, search);
  return tuple;
}

function mapsAddress({ minAddr, maxAddr }: NatRange): boolean {
  return minAddr !== 0 || maxAddr !== 0;
}

/** Whether a source stays where it is (`in_range`). */
function isInRange(tuple: CtTuple, range: NatRange): boolean {
  if (mapsAddress(range) && (tuple.src < range.minAddr || tuple.src > range.maxAddr)) return false;
  return range.minPort === 0 || isPortInRange(tuple, range, 'src');
}

/** `l4proto_in_range` */
function isPortInRange(tuple: CtTuple, { minPort, maxPort }: NatRange, manip: Manip): boolean {
  if (tuple.proto !== PROTO_ICMP && !hasPorts(tuple.proto)) return true;
  const port = tuple.proto === PROTO_ICMP || manip === 'src' ? tuple.srcPort : tuple.dstPort;
  return port >= minPort && port <= maxPort;
}

/**
 * An address by a hash of source and destination: a client keeps its address for a server (`find_best_ips_proto`); with
 * `--persistent`, for all servers.
 */
function chooseAddress(tuple: MutableTuple, range: NatRange, manip: Manip): void {
  if (!mapsAddress(range)) return;
  const { minAddr, maxAddr, persistent } = range;
  let hash = Math.imul(tuple.src ^ (persistent ? 0 : Math.imul(tuple.dst, 0x85ebca6b)), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  const scaled = Math.floor((((hash ^ (hash >>> 13)) >>> 0) * (maxAddr - minAddr + 1)) / 2 ** 32);
  if (manip === 'src') tuple.src = minAddr + scaled;
  else tuple.dst = minAddr + scaled;
}

/** `nf_nat_l4proto_unique_tuple` */
function choosePort(tuple: MutableTuple, range: NatRange, manip: Manip, { isUsed, random }: NatSearch): void {
  const icmp = tuple.proto === PROTO_ICMP;
  if (!icmp && !hasPorts(tuple.proto)) return;
  const key = icmp || manip === 'src' ? 'srcPort' : 'dstPort';
  const ports = portsFor(tuple[key], range, icmp, manip);
  if (ports === null) return;
  const [least, size] = ports;
  let attempts = Math.min(size, ATTEMPTS);
  for (;;) {
    const offset = random.int(0, 0xffff);
    for (let i = 0; i < attempts; i++) {
      tuple[key] = least + ((offset + i) % size);
      if (!isUsed(tuple)) return;
    }
    if (attempts >= size || attempts < LEAST_ATTEMPTS) return;
    attempts >>= 1;
  }
}

/** The lowest port and how many there are: where nothing is said, a port stays with those of its kind. Null: it must stay. */
function portsFor(port: number, range: NatRange, icmp: boolean, manip: Manip): [number, number] | null {
  if (range.minPort !== 0) {
    const least = Math.min(range.minPort, range.maxPort);
    return [least, Math.max(range.minPort, range.maxPort) - least + 1];
  }
  if (icmp) return [0, 65_536];
  if (manip === 'dst') return null;
  if (port < 512) return [1, 511];
  if (port < 1024) return [600, 424];
  return [1024, 64_512];
}
