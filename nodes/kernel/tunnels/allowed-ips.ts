import { formatIpPrefix, type IpPrefix } from '../../../protocols/ip.ts';
import { readIp6 } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipSrc } from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN } from '../../../protocols/ipv6.ts';
import { LpmTrie } from '../../../protocols/trie.ts';
import { Lpm6Trie } from '../../../protocols/trie6.ts';

/** Cryptokey routing (whitepaper §2): whose a packet is by its inner addresses. A prefix is one peer's alone (allowedips.c). */
export class AllowedIps<P> {
  readonly #four = new LpmTrie<P>();
  readonly #six = new Lpm6Trie<P>();
  readonly #ofPeer = new Map<P, Map<string, IpPrefix>>();

  /** Gives a prefix to a peer; returns the one that had it. */
  set(prefix: IpPrefix, peer: P): P | undefined {
    const { addr, len } = prefix;
    const old = typeof addr === 'number' ? this.#four.get(addr, len) : this.#six.get(addr, len);
    const text = formatIpPrefix(prefix);
    if (old !== undefined) this.#ofPeer.get(old)?.delete(text);
    if (typeof addr === 'number') this.#four.set(addr, len, peer);
    else this.#six.set(addr, len, peer);
    const own = this.#ofPeer.get(peer) ?? new Map<string, IpPrefix>();
    this.#ofPeer.set(peer, own.set(text, prefix));
    return old;
  }

  clear(peer: P): void {
    for (const { addr, len } of this.#ofPeer.get(peer)?.values() ?? []) {
      if (typeof addr === 'number') this.#four.delete(addr, len);
      else this.#six.delete(addr, len);
    }
    this.#ofPeer.delete(peer);
  }

  /** A peer's prefixes, in the order in which they came. */
  of(peer: P): string[] {
    return [...(this.#ofPeer.get(peer)?.keys() ?? [])];
  }

  /** Whom an IP packet is for. */
  destination(packet: Uint8Array): P | undefined {
    return this.#lookup(packet, ipDst, IP6_DST);
  }

  /** Who may send an IP packet. */
  source(packet: Uint8Array): P | undefined {
    return this.#lookup(packet, ipSrc, IP6_SRC);
  }

  #lookup(packet: Uint8Array, read4: typeof ipDst, at6: number): P | undefined {
    const version = packet.length === 0 ? 0 : packet[0]! >> 4;
    if (version === 4 && packet.length >= IPV4_HLEN) return this.#four.lookup(read4(packet, 0));
    if (version === 6 && packet.length >= IPV6_HLEN) return this.#six.lookup(readIp6(packet, at6));
    return undefined;
  }
}
