import { bitsOf, formatIpPrefix, type IpPrefix, parseIpPrefix } from '../ip.ts';

/** What an allocated address is held by: Calico's AllocationAttribute. */
export interface BlockAllocation {
  readonly handle: string;
  /** Node that the address is in use on; not the block's for a borrowed address. */
  readonly node: string;
}

/** A Calico IPAM block as it stands in the store. Changes make a new value, to be written by compare and swap. */
export interface IpamBlock {
  readonly cidr: string;
  /** Node that the block is affine to, '' if none. */
  readonly affinity: string;
  /** A pending affinity is claimed and not yet to be used or announced. */
  readonly state: 'pending' | 'confirmed';
  /** By ordinal: the address' offset in the block. */
  readonly allocations: Readonly<Record<string, BlockAllocation>>;
  /** Free ordinals in the order in which they are given out. */
  readonly unallocated: readonly number[];
}

/** A new block, all of it free, the affinity pending. Calico gives out every address of a block, the first and last too. */
export function newBlock(prefix: IpPrefix, affinity: string): IpamBlock {
  const unallocated = Array.from({ length: sizeOf(prefix) }, (_, ordinal) => ordinal);
  return { cidr: formatIpPrefix(prefix), affinity, state: 'pending', allocations: {}, unallocated };
}

function sizeOf({ addr, len }: IpPrefix): number {
  return 2 ** (bitsOf(addr) - len);
}

export function confirmBlock(block: IpamBlock): IpamBlock {
  return { ...block, state: 'confirmed' };
}

/** Allocates the ordinal at the head of the free list; null if the block is full. */
export function autoAssign(
  block: IpamBlock,
  allocation: BlockAllocation,
): { readonly block: IpamBlock; readonly ordinal: number } | null {
  const [ordinal, ...unallocated] = block.unallocated;
  if (ordinal === undefined) return null;
  const allocations = { ...block.allocations, [ordinal]: allocation };
  return { block: { ...block, allocations, unallocated }, ordinal };
}

/** Ordinals whose allocation the predicate accepts, ascending. */
export function ordinalsWhere(block: IpamBlock, accepts: (allocation: BlockAllocation) => boolean): number[] {
  return Object.entries(block.allocations)
    .filter(([, allocation]) => accepts(allocation))
    .map(([ordinal]) => Number(ordinal));
}

/** Frees ordinals; they go to the end of the free list, so that an address rests as long as it can. */
export function releaseOrdinals(block: IpamBlock, ordinals: readonly number[]): IpamBlock {
  const released = ordinals.filter((ordinal) => Object.hasOwn(block.allocations, ordinal));
  const gone = new Set(released.map(String));
  const allocations = Object.fromEntries(
    Object.entries(block.allocations).filter(([ordinal]) => !gone.has(ordinal)),
  );
  return { ...block, allocations, unallocated: [...block.unallocated, ...released] };
}

/**
 * The block as it is written to the store. The free list goes as runs, `2-63,0`: every node of a lab hears of every write,
 * and a string costs it nothing to pass over.
 */
export function storedBlock(block: IpamBlock): Readonly<Record<string, unknown>> {
  return { ...block, unallocated: formatRuns(block.unallocated) };
}

function formatRuns(ordinals: readonly number[]): string {
  const runs: string[] = [];
  for (let i = 0; i < ordinals.length; ) {
    const first = ordinals[i]!;
    let length = 1;
    while (ordinals[i + length] === first + length) length++;
    runs.push(length === 1 ? String(first) : `${first}-${first + length - 1}`);
    i += length;
  }
  return runs.join(',');
}

/** Ordinals of runs; null if they are none, or more than `size`. */
function parseRuns(text: string, size: number): number[] | null {
  const ordinals: number[] = [];
  if (text === '') return ordinals;
  for (const run of text.split(',')) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(run);
    if (match === null) return null;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || ordinals.length + last - first >= size) return null;
    for (let ordinal = first; ordinal <= last; ordinal++) ordinals.push(ordinal);
  }
  return ordinals;
}

/**
 * Reads a block from the store. Null unless it is one: prefix, affinity, and every ordinal either allocated or in the
 * free list, exactly once.
 */
export function parseBlock(value: Readonly<Record<string, unknown>>): IpamBlock | null {
  const { cidr, affinity, state, allocations, unallocated } = value;
  const prefix = typeof cidr === 'string' ? parseIpPrefix(cidr) : null;
  if (prefix === null || prefix.len < bitsOf(prefix.addr) - 12 || typeof affinity !== 'string') return null;
  if (state !== 'pending' && state !== 'confirmed') return null;
  if (typeof allocations !== 'object' || allocations === null || typeof unallocated !== 'string') return null;
  const size = sizeOf(prefix);
  const seen = new Set<number>();
  const parsed: Record<string, BlockAllocation> = {};
  for (const [key, allocation] of Object.entries(allocations)) {
    const ordinal = Number(key);
    if (!isOrdinal(ordinal, size) || !isAllocation(allocation)) return null;
    seen.add(ordinal);
    parsed[key] = { handle: allocation.handle, node: allocation.node };
  }
  const free = parseRuns(unallocated, size);
  if (free === null) return null;
  for (const ordinal of free) {
    if (!isOrdinal(ordinal, size) || seen.has(ordinal)) return null;
    seen.add(ordinal);
  }
  if (seen.size !== size) return null;
  return { cidr: formatIpPrefix(prefix), affinity, state, allocations: parsed, unallocated: free };
}

function isOrdinal(value: unknown, size: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < size;
}

function isAllocation(value: unknown): value is BlockAllocation {
  if (typeof value !== 'object' || value === null) return false;
  return (
    'handle' in value && 'node' in value && typeof value.handle === 'string' && typeof value.node === 'string'
  );
}
