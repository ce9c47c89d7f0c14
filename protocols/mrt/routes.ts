import type { AsSize } from '../bgp/as-path.ts';
import type { AttributeFields } from '../bgp/attributes.ts';
import type { PrefixKey } from '../bgp/nlri.ts';
import { formatIp, type IpAddress, parseIp } from '../ip.ts';
import { formatPeer, type MrtPeer } from './peer.ts';
import type { MrtRecord } from './reader.ts';
import { decodeRibAttributes } from './rib-attributes.ts';
import type { Rib } from './table-dump-v2.ts';

/** Whose routes are wanted of a routing table dump; 'first' is the peer of the first route in it. */
export type PeerSelector =
  | { readonly type: 'first' }
  | { readonly type: 'all' }
  | { readonly type: 'address'; readonly address: IpAddress }
  | { readonly type: 'as'; readonly asn: number };

/** `first`, `all`, an address, `AS65001` or `65001`; null if it is none of them. */
export function parsePeerSelector(text: string): PeerSelector | null {
  if (text === 'first' || text === 'all') return { type: text };
  const match = /^(?:AS)?(\d{1,10})$/i.exec(text);
  const asn = Number(match?.[1]);
  if (match !== null) return asn <= 0xffffffff ? { type: 'as', asn } : null;
  const address = parseIp(text);
  return address === null ? null : { type: 'address', address };
}

/** As `parsePeerSelector` takes it. */
export function formatPeerSelector(selector: PeerSelector): string {
  switch (selector.type) {
    case 'address':
      return formatIp(selector.address);
    case 'as':
      return `AS${selector.asn}`;
    default:
      return selector.type;
  }
}

/** A route of a routing table dump. */
export interface MrtRoute {
  readonly kind: 'route';
  readonly prefix: PrefixKey;
  readonly attributes: AttributeFields;
  readonly peer: MrtPeer;
  /** RFC 7911; 0 without ADD-PATH. */
  readonly pathId: number;
  /** When the collector heard it, ms since the Unix epoch. */
  readonly originatedAt: number;
}

/** Something that cannot be read, at the offset of its record. */
export interface RouteFault {
  readonly kind: 'fault';
  readonly offset: number;
  readonly reason: string;
}

/**
 * Picks the unicast routes of the wanted peers out of a stream's records, TABLE_DUMP and TABLE_DUMP_V2. A route without
 * any attributes is passed over: BIRD dumps those so that are not from BGP.
 */
export class RouteReader {
  readonly #selector: PeerSelector;
  /** Of the last PEER_INDEX_TABLE. */
  #table: readonly MrtPeer[] | null = null;
  /** Whether the routes of each peer of it are wanted. */
  #wanted: readonly boolean[] = [];
  /** Peers that the stream has told of, by their text. */
  readonly #peers = new Map<string, MrtPeer>();
  /** Of the selector 'first', once there was a route. */
  #first: MrtPeer | null = null;
  #ribs = 0;

  constructor(selector: PeerSelector) {
    this.#selector = selector;
  }

  /** Peers that the stream has told of so far. */
  get peers(): readonly MrtPeer[] {
    return [...this.#peers.values()];
  }

  /** Whether the stream has held any routing table so far. */
  get hasTable(): boolean {
    return this.#ribs > 0 || this.#table !== null;
  }

  /** Whether none of the peers that the stream has told of so far is wanted. */
  get isInVain(): boolean {
    return !this.peers.some((peer) => this.#wants(peer));
  }

  *read(record: MrtRecord): Generator<MrtRoute | RouteFault> {
    switch (record.kind) {
      case 'malformed':
        yield { ...record, kind: 'fault' };
        return;
      case 'peer-index-table':
        this.#table = record.peers;
        for (const peer of record.peers) this.#peers.set(formatPeer(peer), peer);
        this.#select();
        return;
      case 'rib':
        if (record.cast === 'unicast') yield* this.#rib(record, record.offset);
        return;
      case 'table-dump': {
        this.#ribs++;
        const peer = { identifier: 0, address: record.peerAddress, asn: record.peerAs };
        this.#peers.set(formatPeer(peer), peer);
        if (!this.#wants(peer)) return;
        const route = this.#route(record.attributes, 2, { ...record, peer, pathId: 0 });
        if (route !== null) yield route;
        return;
      }
      default:
        return;
    }
  }

  *#rib(rib: Rib, offset: number): Generator<MrtRoute | RouteFault> {
    this.#ribs++;
    if (this.#table === null) {
      yield { kind: 'fault', offset, reason: 'a RIB record, but no PEER_INDEX_TABLE before it' };
      return;
    }
    for (const { peerIndex, originatedAt, pathId, attributes } of rib.entries) {
      const peer = this.#table[peerIndex];
      if (peer === undefined) {
        const reason = `peer ${peerIndex} of a PEER_INDEX_TABLE with ${this.#table.length}`;
        yield { kind: 'fault', offset, reason };
      } else if (this.#wanted[peerIndex] === true) {
        const { prefix } = rib;
        const route = this.#route(attributes, 4, { prefix, peer, pathId, originatedAt, offset });
        if (route !== null) yield route;
      }
    }
  }

  #route(
    bytes: Uint8Array,
    asSize: AsSize,
    of: Omit<MrtRoute, 'kind' | 'attributes'> & { readonly offset: number },
  ): MrtRoute | RouteFault | null {
    if (bytes.length === 0) return null;
    const { prefix, peer, pathId, originatedAt, offset } = of;
    const attributes = decodeRibAttributes(bytes, asSize);
    if (typeof attributes === 'string') {
      return { kind: 'fault', offset, reason: `${formatPeer(peer)}: ${attributes}` };
    }
    if (this.#first === null) {
      this.#first = peer;
      if (this.#selector.type === 'first') this.#select();
    }
    return { kind: 'route', prefix, attributes, peer, pathId, originatedAt };
  }

  #select(): void {
    this.#wanted = (this.#table ?? []).map((peer) => this.#wants(peer));
  }

  #wants(peer: MrtPeer): boolean {
    const selector = this.#selector;
    switch (selector.type) {
      case 'all':
        return true;
      case 'first':
        return this.#first === null || (peer.address === this.#first.address && peer.asn === this.#first.asn);
      case 'address':
        return peer.address === selector.address;
      case 'as':
        return peer.asn === selector.asn;
    }
  }
}
