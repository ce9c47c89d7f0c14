import { formatIp, type IpAddress } from '../../../../protocols/ip.ts';
import type { Netns } from '../../netns.ts';

interface Entry {
  readonly addr: IpAddress;
  /** ms, oldest first, at most `STAMPS`. */
  stamps: number[];
  ttl: number;
}

/** `ip_pkt_list_tot` and `ip_list_tot` of xt_recent. */
const STAMPS = 20;
const ENTRIES = 100;

/**
 * The lists of `-m recent` (/proc/net/xt_recent). Which addresses are on them is in the log; when they were last seen is not,
 * that moves with every packet.
 */
export class RecentLists {
  readonly #ns: Netns;
  readonly #lists = new Map<string, Map<IpAddress, Entry>>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  find(list: string, addr: IpAddress): Entry | undefined {
    return this.#lists.get(list)?.get(addr);
  }

  /** Adds an address, or stamps it again. */
  touch(list: string, addr: IpAddress, ttl: number): void {
    const { rt } = this.#ns.kernel;
    const entries = this.#lists.get(list) ?? new Map<IpAddress, Entry>();
    this.#lists.set(list, entries);
    const known = entries.get(addr);
    // The list is in order of use: its first is the one that makes room.
    entries.delete(addr);
    if (known !== undefined) {
      known.stamps = [...known.stamps, rt.now].slice(-STAMPS);
      known.ttl = ttl;
      entries.set(addr, known);
      return;
    }
    const [oldest] = entries.keys();
    if (entries.size >= ENTRIES && oldest !== undefined) this.remove(list, oldest);
    entries.set(addr, { addr, stamps: [rt.now], ttl });
    rt.emit({ type: 'recent.added', ns: this.#ns.name, list, address: formatIp(addr) });
  }

  remove(list: string, addr: IpAddress): boolean {
    if (this.#lists.get(list)?.delete(addr) !== true) return false;
    this.#ns.kernel.rt.emit({ type: 'recent.removed', ns: this.#ns.name, list, address: formatIp(addr) });
    return true;
  }

  /** Drops an address that was last seen before a time (`--reap`). */
  reap(list: string, before: number): void {
    const [oldest] = this.#lists.get(list)?.values() ?? [];
    if (oldest !== undefined && oldest.stamps.at(-1)! < before) this.remove(list, oldest.addr);
  }

  list(): { readonly list: string; readonly address: string }[] {
    return [...this.#lists].flatMap(([list, entries]) =>
      [...entries.keys()].map((addr) => ({ list, address: formatIp(addr) })),
    );
  }
}
