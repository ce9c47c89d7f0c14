import type { UpdateContext } from '../../../protocols/bgp/attribute-decode.ts';
import { encodeAttributes } from '../../../protocols/bgp/attribute-encode.ts';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import type { AttributeFields } from '../../../protocols/bgp/attributes.ts';
import type { Capability } from '../../../protocols/bgp/capability.ts';
import type {
  NeighborConfig,
  NeighborOptions,
  SpeakerConfig,
  SpeakerTimings,
} from '../../../protocols/bgp/config.ts';
import { encodeKeepalive } from '../../../protocols/bgp/header.ts';
import type { ConnectionId } from '../../../protocols/bgp/host.ts';
import { decodeMessage } from '../../../protocols/bgp/message.ts';
import { encodeIpv4Nlri, formatKey } from '../../../protocols/bgp/nlri.ts';
import { notificationText } from '../../../protocols/bgp/notification.ts';
import { encodeOpen } from '../../../protocols/bgp/open.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { encodeUpdate, UpdateDecoder } from '../../../protocols/bgp/update.ts';
import { parseIp4, parsePrefix, prefixKey } from '../../../protocols/ip4.ts';
import { FAST, Lab, type LabNode } from './lab.ts';

export interface SoloPeer {
  readonly name: string;
  readonly asn: number;
  readonly address: string;
  readonly client?: boolean;
  readonly nextHopSelf?: boolean;
  readonly options?: Partial<NeighborOptions>;
  /** Without the 4-octet AS capability. */
  readonly old?: boolean;
  /** What it announces beside the 4-octet AS and the route refresh capability. */
  readonly capabilities?: readonly Capability[];
}

/** What a peer has been told, as text: `+10.0.0.0/24 10.9.9.9 65000 65001`, `-10.0.0.0/24`, `end-of-rib`. */
export type Told = string;

export const OWN_ADDRESS = '10.0.0.254';

/** A neighbour of a speaker that is played byte by byte: it comes up when it is made. */
export class RawPeer {
  readonly id: ConnectionId;
  readonly #node: LabNode;

  constructor(node: LabNode, { asn, address, old, capabilities: more = [] }: SoloPeer, localAddress: string) {
    const { speaker } = node;
    const identifier = parseIp4(address)!;
    const id = speaker.admit(identifier)!;
    this.id = id;
    this.#node = node;
    node.pipes.set(id, { node, id, far: null, open: true, inFlight: 0, blocked: false });
    speaker.tcpAccepted(id, { addr: parseIp4(localAddress)!, port: 179 }, { addr: identifier, port: 40_000 });
    const wide: Capability[] = [{ type: 'route-refresh' }, { type: 'four-octet-as', asn }, ...more];
    const capabilities = old === true ? [] : wide;
    this.feed(encodeOpen({ version: 4, asn, holdTime: 0, identifier, capabilities }));
    this.feed(encodeKeepalive());
  }

  feed(bytes: Uint8Array, cause = 0): void {
    this.#node.cause = cause;
    this.#node.speaker.tcpData(this.id, bytes);
  }

  announce(fields: AttributeFields, ...prefixes: string[]): void {
    this.feed(encodeUpdate(new Uint8Array(0), encodeAttributes(fields, 4), nlri(prefixes)));
  }
}

/** One speaker under test among peers that the test plays byte by byte. */
export class Solo {
  readonly lab = new Lab();
  readonly node: LabNode;
  readonly #peers: ReadonlyMap<string, SoloPeer>;
  readonly #raw = new Map<string, RawPeer>();
  readonly #asn: number;
  #read = 0;

  constructor(
    config: Partial<SpeakerConfig> & { readonly asn: number },
    peers: readonly SoloPeer[],
    timings: Partial<SpeakerTimings> = {},
  ) {
    this.#peers = new Map(peers.map((peer) => [peer.name, peer]));
    this.#asn = config.asn;
    const neighbors = peers.map(
      ({ name, asn, address, client, nextHopSelf, options }): NeighborConfig => ({
        name,
        address,
        localAddress: OWN_ADDRESS,
        remoteAs: asn,
        routeReflectorClient: client ?? false,
        nextHopSelf: nextHopSelf ?? false,
        passive: true,
        ttl: 1,
        ...options,
      }),
    );
    const full = { routerId: OWN_ADDRESS, networks: [], maximumPaths: 1, ...config, neighbors };
    this.node = this.lab.add('solo', full, { ...FAST, ...timings });
    this.speaker.start();
    for (const { name } of peers) this.establish(name);
  }

  get speaker(): BgpSpeaker {
    return this.node.speaker;
  }

  establish(name: string): void {
    this.#raw.set(name, new RawPeer(this.node, this.#peers.get(name)!, OWN_ADDRESS));
  }

  feed(name: string, bytes: Uint8Array, cause = 0): void {
    this.#raw.get(name)!.feed(bytes, cause);
  }

  announce(name: string, fields: AttributeFields, ...prefixes: string[]): void {
    this.feed(name, this.announcement(name, fields, ...prefixes));
  }

  announcement(name: string, fields: AttributeFields, ...prefixes: string[]): Uint8Array {
    const size = this.#peers.get(name)?.old === true ? 2 : 4;
    return encodeUpdate(new Uint8Array(0), encodeAttributes(fields, size), nlri(prefixes));
  }

  withdraw(name: string, ...prefixes: string[]): void {
    this.feed(name, encodeUpdate(nlri(prefixes), new Uint8Array(0), new Uint8Array(0)));
  }

  lose(name: string): void {
    this.speaker.tcpClosed(this.#raw.get(name)!.id, 'Connection reset by peer');
  }

  context(name: string): UpdateContext {
    const { asn, old } = this.#peers.get(name)!;
    return {
      asSize: old === true ? 2 : 4,
      peer: asn === this.#asn ? 'internal' : 'external',
      pathIds: { ipv4: 'none', ipv6: 'none' },
    };
  }

  /** UPDATEs and NOTIFICATIONs sent to a peer since the last `forget`. */
  told(name: string): Told[] {
    const rows: Told[] = [];
    for (const { event } of this.node.log.slice(this.#read)) {
      if (event.type === 'bgp.sent' && event.peer === name) rows.push(...this.#text(name, event.message));
    }
    return rows;
  }

  /** Attributes of what was announced to a peer, by prefix, the last of each. */
  attributes(name: string): Map<string, AttributeFields> {
    const found = new Map<string, AttributeFields>();
    for (const { event } of this.node.log.slice(this.#read)) {
      if (event.type !== 'bgp.sent' || event.peer !== name) continue;
      const decoded = decodeMessage(event.message);
      if (decoded.type !== 'update') continue;
      const result = new UpdateDecoder(new AttributeTable()).decode(decoded.body, this.context(name));
      if (result.action !== 'ok' || result.update.attributes === null) continue;
      for (const key of result.update.reach.keys) found.set(formatKey(key), result.update.attributes);
    }
    return found;
  }

  forget(): void {
    this.#read = this.node.log.length;
  }

  #text(name: string, message: Uint8Array): Told[] {
    const decoded = decodeMessage(message);
    if (decoded.type === 'notification') return [notificationText(decoded.notification)];
    if (decoded.type !== 'update') return [];
    const result = new UpdateDecoder(new AttributeTable()).decode(decoded.body, this.context(name));
    if (result.action !== 'ok') return [result.action];
    const { withdrawn, reach, attributes, endOfRib } = result.update;
    if (endOfRib !== null) return ['end-of-rib'];
    const path = attributes?.asPath.flatMap(({ asns }) => asns).join(' ') ?? '';
    return [
      ...withdrawn.keys.map((key) => `-${formatKey(key)}`),
      ...reach.keys.map((key) => `+${formatKey(key)} ${path}`.trim()),
    ];
  }
}

export function nlri(prefixes: readonly string[]): Uint8Array {
  const keys = prefixes.map((text) => {
    const { addr, len } = parsePrefix(text)!;
    return prefixKey(addr, len);
  });
  return encodeIpv4Nlri({ keys, pathIds: null });
}
