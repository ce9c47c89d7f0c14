import { compareIp, formatIp, type IpAddress, parseIp } from '../../protocols/ip.ts';
import type { BlockFacts } from '../events/cluster.ts';
import type { Runtime } from '../runtime.ts';
import { type IpamView, inPrefixOrder } from '../state/cluster-view.ts';

/** What this node's IPAM keeps on disk: its blocks, the addresses it has given out, and the last of them. */
export class IpamLedger {
  readonly #rt: Runtime;
  readonly #blocks = new Map<string, BlockFacts>();
  readonly #handles = new Map<IpAddress, string>();
  #last: IpAddress | null;

  /** `disk` is what a reboot finds, null on a new node. */
  constructor(rt: Runtime, disk: IpamView | null) {
    this.#rt = rt;
    this.#last = parseIp(disk?.last ?? '');
    for (const block of disk?.blocks ?? []) this.#blocks.set(block.cidr, block);
    for (const { ip, handle } of disk?.assigned ?? []) {
      const addr = parseIp(ip);
      if (addr !== null) this.#handles.set(addr, handle);
    }
  }

  /** Address assigned last, null if none ever was. */
  get last(): IpAddress | null {
    return this.#last;
  }

  isAssigned(addr: IpAddress): boolean {
    return this.#handles.has(addr);
  }

  /** Handles that hold an address. */
  handles(): Iterable<string> {
    return this.#handles.values();
  }

  addressesOf(handle: string): IpAddress[] {
    return this.addressesWhere((held) => held === handle);
  }

  addressesWhere(accepts: (handle: string) => boolean): IpAddress[] {
    return Array.from(this.#handles)
      .filter(([, handle]) => accepts(handle))
      .map(([addr]) => addr);
  }

  assign(addr: IpAddress, handle: string): void {
    this.#handles.set(addr, handle);
    this.#last = addr;
    this.#rt.emit({ type: 'ipam.assigned', ip: formatIp(addr), handle });
  }

  release(addr: IpAddress): void {
    const handle = this.#handles.get(addr);
    if (handle === undefined) return;
    this.#handles.delete(addr);
    this.#rt.emit({ type: 'ipam.released', ip: formatIp(addr), handle });
  }

  blocks(): Iterable<BlockFacts> {
    return this.#blocks.values();
  }

  block(cidr: string): BlockFacts | undefined {
    return this.#blocks.get(cidr);
  }

  setBlock(block: BlockFacts): void {
    this.#blocks.set(block.cidr, block);
    this.#rt.emit({ type: 'ipam.block', block });
  }

  releaseBlock(cidr: string): void {
    if (this.#blocks.delete(cidr)) this.#rt.emit({ type: 'ipam.block.released', cidr });
  }

  view(): IpamView {
    const assigned = [...this.#handles].sort(([a], [b]) => compareIp(a, b));
    return {
      blocks: inPrefixOrder(this.#blocks.values(), (block) => block.cidr),
      assigned: assigned.map(([addr, handle]) => ({ ip: formatIp(addr), handle })),
      last: this.#last === null ? '' : formatIp(this.#last),
    };
  }
}
