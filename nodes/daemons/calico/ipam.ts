import {
  addToIp,
  familyOf,
  formatIpPrefix,
  type IpAddress,
  type IpFamily,
  type IpPrefix,
  ipPrefixContains,
  parseIpPrefix,
} from '../../../protocols/ip.ts';
import { candidateBlocks } from '../../../protocols/ipam/block-order.ts';
import {
  autoAssign,
  type BlockAllocation,
  confirmBlock,
  type IpamBlock,
  newBlock,
  ordinalsWhere,
  releaseOrdinals,
  storedBlock,
} from '../../../protocols/ipam/calico-block.ts';
import type { BlockFacts } from '../../events/cluster.ts';
import type { EventId } from '../../events/record.ts';
import type { Runtime } from '../../runtime.ts';
import { inPrefixOrder } from '../../state/cluster-view.ts';
import { type StoreChange, type StoreValue, storeKeys } from '../../store.ts';
import type { IpamLedger } from '../ipam-ledger.ts';
import type { StoreClient } from '../store-client.ts';
import { WatchSync } from '../watch-sync.ts';
import { BlockView } from './block-view.ts';

export interface CalicoIpamOptions {
  readonly node: string;
  readonly pool: IpPrefix;
  /** Prefix length of a block. */
  readonly blockSize: number;
  /** Whether an address may come from another node's block when the pool has no free one. */
  readonly borrowing: 'allowed' | 'strict-affinity';
  /** Blocks that this node may have an affinity for at most; Calico's default is 20. */
  readonly maxBlocks: number;
}

export interface CalicoIpamListener {
  /** All that stood in the store at the start is known. */
  synced(): void;
  /** A block is this node's, and its affinity confirmed. May be said more than once. */
  blockConfirmed(cidr: string): void;
  blockLost(cidr: string): void;
}

export type AssignOutcome =
  | { readonly type: 'assigned'; readonly addr: IpAddress }
  | { readonly type: 'failed'; readonly message: string };

type Work =
  | { readonly type: 'assign'; readonly handle: string; readonly done: (outcome: AssignOutcome) => void }
  | { readonly type: 'release'; readonly accepts: (handle: string) => boolean; readonly done: () => void };

interface Job {
  readonly work: Work;
  cause: EventId;
}

/**
 * Calico's IPAM on one node for one pool, of either family: addresses from blocks that stand in the store and are changed by compare and swap alone.
 * As under Calico's host-wide lock, one assignment or release runs at a time. Each step looks at the blocks as they
 * are now and makes one change to one of them; after a conflict it looks again, when the watch has told what is there.
 */
export class CalicoIpam {
  readonly #rt: Runtime;
  readonly #store: StoreClient;
  readonly #ledger: IpamLedger;
  readonly #options: CalicoIpamOptions;
  readonly #listener: CalicoIpamListener;
  readonly #family: IpFamily;
  readonly #view: BlockView;
  readonly #sync: WatchSync;
  /** Handles in use: those of the disk until they are released, and those that have asked for an address since. */
  readonly #live: Set<string>;
  readonly #jobs: Job[] = [];
  #current: Job | null = null;
  /** The row that the current job lost a race for, and the revision it had. */
  #awaited: { readonly key: string; readonly revision: number } | null = null;

  constructor(
    rt: Runtime,
    store: StoreClient,
    ledger: IpamLedger,
    options: CalicoIpamOptions,
    listener: CalicoIpamListener,
  ) {
    this.#rt = rt;
    this.#store = store;
    this.#ledger = ledger;
    this.#options = options;
    this.#listener = listener;
    this.#family = familyOf(options.pool.addr);
    const keys = this.#family === 'inet' ? 'ipam' : 'ipam6';
    this.#view = new BlockView(options.node, keys);
    this.#live = new Set(ledger.handles());
    this.#sync = new WatchSync(store, keys, options.node, () => this.#synced());
  }

  start(): void {
    this.#sync.start();
  }

  get synced(): boolean {
    return this.#sync.synced;
  }

  storeChanged(change: StoreChange): void {
    if (this.#view.apply(change) && this.synced) {
      if (this.#view.isMine(change.key)) {
        this.#ownershipChanged(change.key);
        this.#collectLeaks(change.key);
      }
      this.#resume();
    }
    this.#sync.storeChanged(change);
  }

  /** Assignments and releases that are not done yet. */
  get pending(): number {
    return this.#jobs.length + (this.#current === null ? 0 : 1);
  }

  /** Assigns an address to a handle. An address that the handle has already is given again. */
  assign(handle: string, done: (outcome: AssignOutcome) => void): void {
    this.#live.add(handle);
    this.#enqueue({ type: 'assign', handle, done });
  }

  /** Releases whatever this node has assigned to the handles accepted. */
  release(accepts: (handle: string) => boolean, done: () => void): void {
    this.#enqueue({ type: 'release', accepts, done });
  }

  /** Whether the address lies in a block that this node has confirmed. */
  isInOwnBlock(addr: IpAddress): boolean {
    for (const { cidr, state } of this.#ledger.blocks()) {
      const prefix = parseIpPrefix(cidr);
      if (state === 'confirmed' && prefix !== null && ipPrefixContains(prefix, addr)) return true;
    }
    return false;
  }

  /** The ledger is one for both families. */
  #heldBlocks(): BlockFacts[] {
    return [...this.#ledger.blocks()].filter(
      ({ cidr }) => familyOf(parseIpPrefix(cidr)?.addr ?? 0) === this.#family,
    );
  }

  #synced(): void {
    const { cause } = this.#rt;
    this.#view.findMine();
    const keys = new Set<string>();
    for (const block of this.#view.mine()) keys.add(storeKeys.ipamBlock(block.cidr));
    for (const block of this.#heldBlocks()) keys.add(storeKeys.ipamBlock(block.cidr));
    for (const key of keys) {
      this.#ownershipChanged(key);
      this.#collectLeaks(key);
    }
    // What was confirmed before a reboot is not announced any more.
    for (const block of this.#heldBlocks()) {
      this.#rt.cause = cause;
      if (block.state === 'confirmed') this.#listener.blockConfirmed(block.cidr);
    }
    this.#rt.cause = cause;
    this.#listener.synced();
    this.#rt.cause = cause;
    this.#next();
  }

  #enqueue(work: Work): void {
    this.#jobs.push({ work, cause: this.#rt.cause });
    this.#next();
  }

  #next(): void {
    if (this.#current !== null || !this.synced) return;
    const job = this.#jobs.shift();
    if (job === undefined) return;
    this.#current = job;
    this.#step(job);
  }

  #resume(): void {
    const awaited = this.#awaited;
    if (this.#current === null || awaited === null) return;
    if (this.#view.revision(awaited.key) <= awaited.revision) return;
    this.#awaited = null;
    this.#step(this.#current);
  }

  #step(job: Job): void {
    const { cause } = this.#rt;
    this.#rt.cause = job.cause;
    const { work } = job;
    if (work.type === 'assign')
      this.#assignStep(work.handle, (outcome) => this.#finish(() => work.done(outcome)));
    else this.#releaseStep(work.accepts, () => this.#finish(work.done));
    this.#rt.cause = cause;
  }

  #finish(done: () => void): void {
    this.#current = null;
    done();
    this.#next();
  }

  #assignStep(handle: string, done: (outcome: AssignOutcome) => void): void {
    const { node, pool, blockSize, borrowing, maxBlocks } = this.#options;
    const allocation: BlockAllocation = { handle, node };
    for (const block of this.#view.mine()) {
      const [ordinal] = ordinalsWhere(block, (held) => held.handle === handle && held.node === node);
      if (ordinal === undefined) continue;
      const addr = addressOf(block, ordinal);
      this.#ledger.assign(addr, handle);
      done({ type: 'assigned', addr });
      return;
    }
    const own = this.#ownBlocks();
    for (const block of own) {
      // Confirmed and used in one write: nobody else may touch a pending block in between.
      const assigned = autoAssign(block.state === 'pending' ? confirmBlock(block) : block, allocation);
      if (assigned !== null) {
        this.#write(this.#assignWaiting(assigned.block));
        return;
      }
    }
    if (own.length >= maxBlocks) {
      const limit = `limit of ${maxBlocks} blocks reached for this node`;
      done(this.#failure(`Need to allocate an IPAM block but could not - ${limit}`));
      return;
    }
    for (const prefix of candidateBlocks(pool, blockSize, node)) {
      if (this.#view.has(storeKeys.ipamBlock(formatIpPrefix(prefix)))) continue;
      this.#write(newBlock(prefix, node));
      return;
    }
    if (borrowing === 'strict-affinity') {
      done(this.#failure('No more free affine blocks and strict affinity enabled'));
      return;
    }
    for (const prefix of candidateBlocks(pool, blockSize, node)) {
      const block = this.#view.get(storeKeys.ipamBlock(formatIpPrefix(prefix)));
      const assigned = block === null ? null : autoAssign(block, allocation);
      if (assigned === null) continue;
      this.#write(assigned.block);
      return;
    }
    done(this.#failure(`No IPs available in pools: [${formatIpPrefix(pool)}]`));
  }

  #failure(message: string): AssignOutcome {
    const version = this.#family === 'inet' ? 'IPv4' : 'IPv6';
    const assigned = `Assigned 0 out of 1 requested ${version} addresses`;
    return { type: 'failed', message: `failed to request ${version} addresses: ${assigned}; ${message}` };
  }

  /**
   * Assigns from the same block to those next in line, which then find what they hold: a node that starts with many pods
   * writes once, and every other node hears of it once.
   */
  #assignWaiting(block: IpamBlock): IpamBlock {
    let filled = block;
    for (const { work } of this.#jobs) {
      const more =
        work.type === 'assign' ? autoAssign(filled, { handle: work.handle, node: this.#options.node }) : null;
      if (more === null) break;
      filled = more.block;
    }
    return filled;
  }

  #releaseStep(accepts: (handle: string) => boolean, done: () => void): void {
    const { node } = this.#options;
    for (const block of this.#view.mine()) {
      const ordinals = ordinalsWhere(block, (held) => held.node === node && accepts(held.handle));
      if (ordinals.length === 0) continue;
      this.#write(releaseOrdinals(block, ordinals));
      return;
    }
    for (const addr of this.#ledger.addressesWhere(accepts))
      if (familyOf(addr) === this.#family) this.#ledger.release(addr);
    for (const handle of this.#live) if (accepts(handle)) this.#live.delete(handle);
    done();
  }

  /** Blocks of this node in order of address. */
  #ownBlocks(): IpamBlock[] {
    const own = [...this.#view.mine()].filter((block) => block.affinity === this.#options.node);
    return inPrefixOrder(own, (block) => block.cidr);
  }

  /** Writes a block if it still is what the step looked at, and then takes the job's next step. */
  #write(block: IpamBlock): void {
    const key = storeKeys.ipamBlock(block.cidr);
    const revision = this.#view.revision(key);
    const value: StoreValue = storedBlock(block);
    const job = this.#current;
    this.#store.request(
      this.#view.has(key) ? { op: 'update', key, value, revision } : { op: 'create', key, value },
      (answer) => {
        if (answer.type === 'conflict') {
          this.#awaited = { key, revision };
          this.#resume();
          return;
        }
        if (this.#view.wrote(block, answer.revision)) this.#ownershipChanged(key);
        if (job !== null) this.#step(job);
      },
    );
  }

  /** Brings the ledger's blocks, and who listens, in line with the store. */
  #ownershipChanged(key: string): void {
    const { cause } = this.#rt;
    const known = [...this.#ledger.blocks()].find((block) => storeKeys.ipamBlock(block.cidr) === key);
    const block = this.#view.get(key);
    if (block === null || block.affinity !== this.#options.node) {
      if (known === undefined) return;
      this.#ledger.releaseBlock(known.cidr);
      if (known.state === 'confirmed') this.#listener.blockLost(known.cidr);
    } else if (known?.state !== block.state) {
      this.#ledger.setBlock({ cidr: block.cidr, state: block.state });
      if (block.state === 'confirmed') this.#listener.blockConfirmed(block.cidr);
    }
    this.#rt.cause = cause;
  }

  /**
   * Releases what a write of an earlier boot, still on its way when the node died, has allocated to nobody.
   * Calico finds such leaks as well, 15 minutes later.
   */
  #collectLeaks(key: string): void {
    const block = this.#view.get(key);
    if (block === null) return;
    const { node } = this.#options;
    const leaks = ordinalsWhere(block, (held) => held.node === node && !this.#live.has(held.handle));
    const handles = new Set(leaks.map((ordinal) => block.allocations[ordinal]!.handle));
    if (handles.size > 0)
      this.release(
        (handle) => handles.has(handle),
        () => {},
      );
  }
}

function addressOf(block: IpamBlock, ordinal: number): IpAddress {
  return addToIp(parseIpPrefix(block.cidr)?.addr ?? 0, ordinal);
}
