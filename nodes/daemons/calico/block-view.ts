import {
  type IpamBlock,
  ordinalsWhere,
  parseBlock,
  storedBlock,
} from '../../../protocols/ipam/calico-block.ts';
import { type StoreChange, storeKeys } from '../../store.ts';
import { StoreView } from '../store-view.ts';

/**
 * The pool's blocks as last seen in the store. Every node hears of every change of every block and has to do with few of
 * them: those are kept track of, and of the others none is read before it is asked for.
 */
export class BlockView {
  readonly #node: string;
  readonly #view: StoreView<IpamBlock>;
  /** Keys of the blocks that this node has an affinity for, has written to, or had addresses in. */
  readonly #mine = new Set<string>();

  constructor(node: string, family: 'ipam' | 'ipam6') {
    this.#node = node;
    this.#view = new StoreView<IpamBlock>(`${family}.blocks.`, (key, value) => {
      const block = parseBlock(value);
      return block !== null && storeKeys.ipamBlock(block.cidr) === key ? block : null;
    });
  }

  /** Takes in a change of the watch; false if it is not about a block, or was known. */
  apply(change: StoreChange): boolean {
    if (!this.#view.apply(change)) return false;
    if (change.value?.affinity === this.#node) this.#mine.add(change.key);
    return true;
  }

  /** Takes in what this node wrote itself; false if something newer is known. */
  wrote(block: IpamBlock, revision: number): boolean {
    const key = storeKeys.ipamBlock(block.cidr);
    this.#mine.add(key);
    return this.#view.wrote(key, storedBlock(block), revision);
  }

  /** Looks through all blocks for addresses of this node. */
  findMine(): void {
    for (const key of this.#view.keys()) {
      const block = this.#view.get(key);
      if (block !== null && ordinalsWhere(block, (held) => held.node === this.#node).length > 0)
        this.#mine.add(key);
    }
  }

  /** Blocks that this node has to do with. */
  *mine(): Generator<IpamBlock> {
    for (const key of this.#mine) {
      const block = this.#view.get(key);
      if (block !== null) yield block;
    }
  }

  isMine(key: string): boolean {
    return this.#mine.has(key);
  }

  get(key: string): IpamBlock | null {
    return this.#view.get(key);
  }

  has(key: string): boolean {
    return this.#view.has(key);
  }

  revision(key: string): number {
    return this.#view.revision(key);
  }
}
