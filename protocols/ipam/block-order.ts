import { addToIp, bitsOf, type IpAddress, type IpPrefix } from '../ip.ts';

/** Blocks of an IPv6 pool that are thought of: there are more than anybody could look through. */
const MOST_BLOCKS = 2 ** 31;

/** Number of blocks of a length in a pool; 0 if a block is larger than the pool. */
export function blockCount(pool: IpPrefix, blockLen: number): number {
  if (blockLen < pool.len || blockLen > bitsOf(pool.addr)) return 0;
  return Math.min(2 ** (blockLen - pool.len), MOST_BLOCKS);
}

/**
 * All blocks of a pool in the order in which a host tries them: the first by a hash of the host's name, then on, wrapping
 * (Calico `randomBlockGenerator`). Calico seeds Go's generator with the FNV-1 hash; here the hash, mixed, is the index
 * itself, so the order is of the same kind and not the same.
 */
export function* candidateBlocks<A extends IpAddress>(
  pool: IpPrefix<A>,
  blockLen: number,
  host: string,
): Generator<IpPrefix<A>> {
  const count = blockCount(pool, blockLen);
  if (count === 0) return;
  const first = mix(fnv1(host)) % count;
  const size = 2 ** (bitsOf(pool.addr) - blockLen);
  for (let i = 0; i < count; i++) {
    yield { addr: addToIp(pool.addr, ((first + i) % count) * size), len: blockLen };
  }
}

/** FNV-1, 32 bits, of the text's UTF-16 units (host names are ASCII). */
function fnv1(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash, 0x01000193) ^ text.charCodeAt(i);
  return hash >>> 0;
}

/** MurmurHash3's 32-bit finalizer: names that differ in the last letter alone would otherwise be neighbours. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
