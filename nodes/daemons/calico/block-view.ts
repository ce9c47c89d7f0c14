import { type IpamBlock, parseBlock } from '../../../protocols/ipam/calico-block.ts';
import { type StoreChange, storeKeys } from '../../store.ts';

interface Row {
  /** null for a row that was deleted, or that holds no block. */
  readonly block: IpamBlock | null;
  readonly present: boolean;
  readonly revision: number;
}

const FAMILY = 'ipam.blocks.';

/** The pool's blocks as last seen in the store, with the revision to compare and swap against. */
export class BlockView {
  readonly #rows = new Map<string, Row>();

  /** Takes in a change of the watch; false if it is not about a block, or was known. */
  apply(change: StoreChange): boolean {
    if (!change.key.startsWith(FAMILY)) return false;
    const parsed = change.value === null ? null : parseBlock(change.value);
    const block = parsed !== null && storeKeys.ipamBlock(parsed.cidr) === change.key ? parsed : null;
    return this.#set(change.key, block, change.value !== null, change.revision);
  }

  /** Takes in what this node wrote itself. */
  wrote(block: IpamBlock, revision: number): boolean {
    return this.#set(storeKeys.ipamBlock(block.cidr), block, true, revision);
  }

  get(cidr: string): IpamBlock | null {
    return this.byKey(storeKeys.ipamBlock(cidr));
  }

  byKey(key: string): IpamBlock | null {
    return this.#rows.get(key)?.block ?? null;
  }

  /** Whether there is a row under the block's key, be it one that cannot be read. */
  has(cidr: string): boolean {
    return this.#rows.get(storeKeys.ipamBlock(cidr))?.present ?? false;
  }

  /** Revision of the last change of the row, its deletion included; 0 if there never was one. */
  revision(cidr: string): number {
    return this.#rows.get(storeKeys.ipamBlock(cidr))?.revision ?? 0;
  }

  *blocks(): Generator<IpamBlock> {
    for (const { block } of this.#rows.values()) if (block !== null) yield block;
  }

  #set(key: string, block: IpamBlock | null, present: boolean, revision: number): boolean {
    if (revision <= (this.#rows.get(key)?.revision ?? 0)) return false;
    this.#rows.set(key, { block, present, revision });
    return true;
  }
}
