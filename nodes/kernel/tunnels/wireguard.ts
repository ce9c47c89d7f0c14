import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_HOST } from '../../../protocols/icmp.ts';
import { ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS } from '../../../protocols/icmpv6.ts';
import type { IpAddress, IpPrefix } from '../../../protocols/ip.ts';
import { IPV4_HLEN, ipTotalLength } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN, ip6PayloadLength } from '../../../protocols/ipv6.ts';
import { formatKey, KEY_LENGTH } from '../../../protocols/wireguard/crypto.ts';
import { Interface } from '../../../protocols/wireguard/interface.ts';
import type { Peer } from '../../../protocols/wireguard/peer.ts';
import type { WireguardFacts, WireguardPeerFacts } from '../../events/wireguard.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { WireguardState } from '../../state/wireguard-fold.ts';
import { Device, type DeviceOptions } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { ReceivedDatagram } from '../udp.ts';
import { AllowedIps } from './allowed-ips.ts';
import { type Endpoint, endpointBytes, formatEndpoint, WireguardSocket } from './wireguard-socket.ts';

export interface WireguardSettings {
  /** Null takes it away. */
  readonly privateKey?: Uint8Array | null;
  readonly listenPort?: number;
  readonly fwmark?: number;
}

export interface WireguardPeerSettings {
  /** Null takes it away. */
  readonly presharedKey?: Uint8Array | null;
  readonly endpoint?: { readonly addr: IpAddress; readonly port: number };
  /** Seconds, 0 is off. */
  readonly persistentKeepalive?: number;
  /** In place of those that it has. */
  readonly allowedIps?: readonly IpPrefix[];
}

/** Outer IPv6 header, UDP header, and the header and tag of transport data: what is left of 1500 bytes is 1420 (`wg_setup`). */
export const WIREGUARD_MTU = 1420;
const NO_KEY = new Uint8Array(KEY_LENGTH);

/**
 * A WireGuard device (drivers/net/wireguard): packets are sealed for the peer in whose allowed IPs their destination is, and taken
 * from the one in whose their source is.
 */
export class WireguardDevice extends Device {
  override readonly kind = 'wireguard';
  readonly #interface: Interface<Endpoint>;
  readonly #allowed = new AllowedIps<Peer>();
  readonly #timers = new Map<Peer, TimerHandle>();
  /** What the log knows of each peer. */
  readonly #told = new Map<Peer, string>();
  readonly #socket: WireguardSocket;

  constructor(ns: Netns, options: DeviceOptions) {
    super(ns, options);
    this.#socket = new WireguardSocket(ns, {
      receive: (datagram) => this.#receive(datagram),
      portChosen: () => this.#tellFacts(),
    });
    const mtu = () => this.mtu;
    this.#interface = new Interface<Endpoint>({
      get mtu() {
        return mtu();
      },
      int: (from, to) => ns.kernel.rt.random.int(from, to),
      send: (endpoint, message, what) => this.#socket.send(endpoint, message, what),
      deliver: (peer, packet) => this.#deliver(peer, packet),
      drop: (reason) => ns.kernel.drop(reason),
      established: (peer, role) =>
        this.#emit({
          type: 'wireguard.session',
          ns: this.ns.name,
          dev: this.name,
          publicKey: formatKey(peer.publicKey),
          role,
          at: ns.kernel.rt.now,
        }),
      differs: (known, from) =>
        known === undefined || known.addr !== from.addr || known.port !== from.port || known.src !== from.src,
      roamed: (peer) => this.#tell(peer),
      bytes: endpointBytes,
    });
    this.#tellAll();
  }

  override get hasLinkLayer(): boolean {
    return false;
  }

  /** In the order in which they were added. */
  get peers(): readonly Peer[] {
    return this.#interface.peers;
  }

  get privateKey(): Uint8Array | null {
    return this.#interface.keys?.private ?? null;
  }

  allowedIps(peer: Peer): readonly string[] {
    return this.#allowed.of(peer);
  }

  findPeer(publicKey: Uint8Array): Peer | undefined {
    return this.#interface.peer(publicKey);
  }

  override opened(): void {
    this.#socket.open();
    for (const peer of this.peers) this.#within(peer, () => peer.start(this.#now));
  }

  override stopped(): void {
    this.#socket.close();
    for (const peer of this.peers) this.#within(peer, () => peer.stop());
  }

  override removed(): void {
    for (const peer of [...this.peers]) this.#forget(peer);
  }

  override moved(ns: Netns, name: string): void {
    super.moved(ns, name);
    this.#told.clear();
    this.#tellAll();
  }

  /** @throws NetlinkError where the port is taken; nothing has changed then. */
  configure({ privateKey, listenPort, fwmark }: WireguardSettings): void {
    if (listenPort !== undefined) this.#socket.setPort(listenPort);
    if (fwmark !== undefined) this.#socket.mark = fwmark;
    if (privateKey !== undefined) {
      const self = this.#interface.setPrivateKey(privateKey);
      if (self !== null) this.#removed(self);
    }
    this.#tellFacts();
  }

  /** Adds a peer or changes what is given of it. A peer that would be the device itself is left out, as Linux does. */
  setPeer(publicKey: Uint8Array, settings: WireguardPeerSettings): void {
    const peer = this.findPeer(publicKey) ?? this.#interface.addPeer(publicKey);
    if (peer === null) return;
    const { presharedKey, endpoint, persistentKeepalive, allowedIps } = settings;
    if (presharedKey !== undefined) peer.presharedKey = presharedKey ?? NO_KEY;
    if (endpoint !== undefined) this.#interface.setEndpoint(peer, { ...endpoint, src: null });
    const robbed = new Set<Peer>();
    if (allowedIps !== undefined) {
      this.#allowed.clear(peer);
      for (const prefix of allowedIps) {
        const other = this.#allowed.set(prefix, peer);
        if (other !== undefined && other !== peer) robbed.add(other);
      }
    }
    for (const other of robbed) this.#tell(other);
    this.#tell(peer);
    if (persistentKeepalive === undefined) return;
    if (this.up) this.#within(peer, () => peer.setPersistentKeepalive(persistentKeepalive, this.#now));
    else peer.persistentKeepalive = persistentKeepalive;
    this.#tell(peer);
  }

  removePeer(publicKey: Uint8Array): void {
    const peer = this.findPeer(publicKey);
    if (peer === undefined) return;
    this.#interface.removePeer(peer);
    this.#removed(peer);
  }

  wireguardFacts(): WireguardFacts {
    const { keys } = this.#interface;
    return {
      dev: this.name,
      publicKey: keys === null ? '' : formatKey(keys.public),
      listenPort: this.#socket.port,
      fwmark: this.#socket.mark,
    };
  }

  peerFacts(peer: Peer): WireguardPeerFacts {
    const endpoint = this.#interface.endpoint(peer);
    return {
      publicKey: formatKey(peer.publicKey),
      presharedKey: peer.presharedKey.some((byte) => byte !== 0),
      endpoint: endpoint === undefined ? '' : formatEndpoint(endpoint),
      allowedIps: this.#allowed.of(peer),
      persistentKeepalive: peer.persistentKeepalive,
    };
  }

  state(): WireguardState {
    const peers = this.peers.map((peer) => ({
      ...this.peerFacts(peer),
      latestHandshake: peer.lastHandshake,
    }));
    return { ...this.wireguardFacts(), peers };
  }

  get #now(): number {
    return this.ns.kernel.rt.now;
  }

  protected override xmit(frame: Uint8Array): void {
    const { kernel } = this.ns;
    if (!this.up) {
      kernel.drop('device-down');
      return;
    }
    if (this.#socket.sending) {
      // The route to the peer leads back into the tunnel.
      kernel.drop('tunnel-loop');
      return;
    }
    const packet = frame.subarray(ETH_HLEN);
    const peer = this.#allowed.destination(packet);
    const endpoint = peer === undefined ? undefined : this.#interface.endpoint(peer);
    if (peer === undefined || endpoint === undefined) {
      kernel.drop(peer === undefined ? 'wireguard-no-peer' : 'wireguard-no-endpoint');
      this.#unreachable(frame);
      return;
    }
    const { rt, tracer } = kernel;
    if (rt.cause < 0) {
      const how = `WireGuard to ${formatEndpoint(endpoint)}`;
      tracer.step(this.ns, { at: 'encapsulate', dev: this.name, how }, frame);
    }
    this.#within(peer, () => peer.transmit(packet, rt.now));
  }

  #unreachable(frame: Uint8Array): void {
    if (frame[ETH_HLEN]! >> 4 === 4) this.ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_HOST, 0, frame);
    else this.ns.ipv6.icmp.sendError(ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS, 0, frame, this);
  }

  #receive({ src, srcPort, dst, payload }: ReceivedDatagram<IpAddress>): void {
    const from = { addr: src, port: srcPort, src: dst };
    const peer = this.#interface.receive(payload, from, this.#now);
    if (peer !== null) this.#arm(peer);
  }

  /** `wg_packet_consume_data_done` */
  #deliver(peer: Peer, packet: Uint8Array): void {
    const { kernel } = this.ns;
    const version = packet[0]! >> 4;
    const length =
      version === 4 && packet.length >= IPV4_HLEN
        ? ipTotalLength(packet, 0)
        : version === 6 && packet.length >= IPV6_HLEN
          ? IPV6_HLEN + ip6PayloadLength(packet, 0)
          : Number.POSITIVE_INFINITY;
    if (length > packet.length) {
      kernel.drop('wireguard-malformed');
      return;
    }
    if (this.#allowed.source(packet) !== peer) {
      kernel.drop('wireguard-allowed-ips');
      return;
    }
    const frame = frameBuffer(ETH_HLEN + length);
    frame.set(packet.subarray(0, length), ETH_HLEN);
    writeEthernet(frame, 0, 0, version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    const { rt, tracer } = kernel;
    if (rt.cause < 0) {
      const endpoint = this.#interface.endpoint(peer);
      const how = `WireGuard from ${endpoint === undefined ? 'nowhere' : formatEndpoint(endpoint)}`;
      tracer.step(this.ns, { at: 'decapsulate', dev: this.name, how }, null);
    }
    // What comes of it has its own cause.
    const { cause } = rt;
    this.receive(frame);
    rt.cause = cause;
  }

  #forget(peer: Peer): void {
    peer.stop();
    this.#cancel(peer);
  }

  #removed(peer: Peer): void {
    this.#forget(peer);
    this.#allowed.clear(peer);
    this.#told.delete(peer);
    const publicKey = formatKey(peer.publicKey);
    this.#emit({ type: 'wireguard.peer.removed', ns: this.ns.name, dev: this.name, publicKey });
  }

  #within(peer: Peer, act: () => void): void {
    act();
    this.#arm(peer);
  }

  #cancel(peer: Peer): void {
    const timer = this.#timers.get(peer);
    if (timer !== undefined) this.ns.kernel.rt.timers.cancel(timer);
    this.#timers.delete(peer);
  }

  /** A timer that comes too early finds nothing to do and is set anew: most packets move only what comes later. */
  #arm(peer: Peer): void {
    const { due } = peer;
    const timer = this.#timers.get(peer);
    if (timer !== undefined && timer.at <= due) return;
    this.#cancel(peer);
    if (due === Number.POSITIVE_INFINITY) return;
    const { rt } = this.ns.kernel;
    const { cause } = rt;
    // What a timer does is not the packet's that happened to set it.
    rt.cause = Math.abs(cause);
    this.#timers.set(
      peer,
      rt.timers.set(due, () => {
        this.#timers.delete(peer);
        this.#within(peer, () => peer.tick(this.#now));
      }),
    );
    rt.cause = cause;
  }

  #tellAll(): void {
    this.#tellFacts();
    for (const peer of this.peers) {
      this.#tell(peer);
      const { lastHandshake: at } = peer;
      const publicKey = formatKey(peer.publicKey);
      if (at !== null)
        this.#emit({
          type: 'wireguard.session',
          ns: this.ns.name,
          dev: this.name,
          publicKey,
          role: peer.session?.role ?? 'responder',
          at,
        });
    }
  }

  #tellFacts(): void {
    this.#emit({ type: 'wireguard.set', ns: this.ns.name, ...this.wireguardFacts() });
  }

  #tell(peer: Peer): void {
    const facts = this.peerFacts(peer);
    const text = JSON.stringify(facts);
    if (this.#told.get(peer) === text) return;
    this.#told.set(peer, text);
    this.#emit({ type: 'wireguard.peer.set', ns: this.ns.name, dev: this.name, peer: facts });
  }

  #emit(event: Parameters<Netns['kernel']['rt']['emit']>[0]): void {
    this.ns.kernel.rt.emit(event);
  }
}
