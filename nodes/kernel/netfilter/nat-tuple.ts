import { setU32 } from '../../../protocols/bytes.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6, readIp6, writeIp6 } from '../../../protocols/ip6.ts';
import type { Random } from '../../runtime.ts';
import type { CtTuple, NatRange } from './conntrack-entry.ts';
import { isIcmp } from './flow.ts';
import { jhash4 } from './jhash.ts';
import type { Manip } from './nat-mangle.ts';
import { hasPorts } from './packet-tuple.ts';

/** A tuple in the making. */
export interface MutableTuple extends CtTuple {
  src: IpAddress;
  dst: IpAddress;
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
  return !isUnspecified(minAddr) || !isUnspecified(maxAddr);
}

function isUnspecified(addr: IpAddress): boolean {
  return addr === 0 || addr === ANY_IP6;
}

/** Whether a source stays where it is (`in_range`). */
function isInRange(tuple: CtTuple, range: NatRange): boolean {
  if (mapsAddress(range) && (tuple.src < range.minAddr || tuple.src > range.maxAddr)) return false;
  return range.minPort === 0 || isPortInRange(tuple, range, 'src');
}

/** `l4proto_in_range` */
function isPortInRange(tuple: CtTuple, { minPort, maxPort }: NatRange, manip: Manip): boolean {
  if (!isIcmp(tuple.proto) && !hasPorts(tuple.proto)) return true;
  const port = isIcmp(tuple.proto) || manip === 'src' ? tuple.srcPort : tuple.dstPort;
  return port >= minPort && port <= maxPort;
}

/**
 * An address by a hash of source and destination: a client keeps its address for a server (`find_best_ips_proto`); with
 * `--persistent`, for all servers. The hash is the kernel's, of the words as its little-endian hosts see them.
 */
function chooseAddress(tuple: MutableTuple, range: NatRange, manip: Manip): void {
  if (!mapsAddress(range)) return;
  const { minAddr, maxAddr, persistent } = range;
  const key = manip === 'src' ? 'src' : 'dst';
  if (minAddr === maxAddr) {
    tuple[key] = minAddr;
    return;
  }
  const src = hostWords(tuple.src);
  const dst = hostWords(tuple.dst);
  const [least, most] = [wordsOf(minAddr), wordsOf(maxAddr)];
  let hash = jhash4(src[0]!, src[1]!, src[2]!, src[3]!, persistent ? 0 : dst[least.length - 1]!);
  const chosen: number[] = [];
  // Below a part that is not the last of its range, all that follows is in it.
  let full = false;
  for (const [i, min] of least.entries()) {
    const from = full ? 0 : min;
    const size = full ? 0xffffffff : (most[i]! - min + 1) >>> 0;
    chosen.push((from + scaled(hash, size)) >>> 0);
    if (chosen[i] !== most[i]) full = true;
    if (!persistent) hash = (hash ^ dst[i]!) >>> 0;
  }
  tuple[key] = addressOf(chosen);
}

/** `reciprocal_scale` */
function scaled(value: number, size: number): number {
  return Number((BigInt(value) * BigInt(size)) >> 32n);
}

const scratch = new Uint8Array(16);
const view = new DataView(scratch.buffer);

/** The words of an address, one or four. */
function wordsOf(addr: IpAddress): number[] {
  if (typeof addr === 'number') return [addr];
  writeIp6(scratch, 0, addr);
  return [0, 4, 8, 12].map((at) => view.getUint32(at));
}

/** `union nf_inet_addr` as four words of a little-endian host. */
function hostWords(addr: IpAddress): number[] {
  scratch.fill(0);
  if (typeof addr === 'number') setU32(scratch, 0, addr);
  else writeIp6(scratch, 0, addr);
  return [0, 4, 8, 12].map((at) => view.getUint32(at, true));
}

function addressOf(words: readonly number[]): IpAddress {
  const [only] = words;
  if (words.length === 1) return only!;
  for (const [i, word] of words.entries()) view.setUint32(4 * i, word);
  return readIp6(scratch, 0);
}

/** `nf_nat_l4proto_unique_tuple` */
function choosePort(tuple: MutableTuple, range: NatRange, manip: Manip, { isUsed, random }: NatSearch): void {
  const icmp = isIcmp(tuple.proto);
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
