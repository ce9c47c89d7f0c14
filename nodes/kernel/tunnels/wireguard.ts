import { setU16, setU32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_HOST } from '../../../protocols/icmp.ts';
import { ICMPV6_DEST_UNREACHABLE, UNREACH6_ADDRESS } from '../../../protocols/icmpv6.ts';
import { formatIp, type IpAddress, type IpPrefix } from '../../../protocols/ip.ts';
import { ANY_IP6, writeIp6 } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipTotalLength } from '../../../protocols/ipv4.ts';
import { IPV6_HLEN, ip6PayloadLength } from '../../../protocols/ipv6.ts';
import { formatKey, KEY_LENGTH } from '../../../protocols/wireguard/crypto.ts';
import { Interface } from '../../../protocols/wireguard/interface.ts';
import type { Peer } from '../../../protocols/wireguard/peer.ts';
import type { WireguardFacts, WireguardPeerFacts } from '../../events/wireguard.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { WireguardState } from '../../state/wireguard-fold.ts';
import { Device, type DeviceOptions } from '../device.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import { PortInUseError, type ReceivedDatagram, type UdpSocket } from '../udp.ts';
import { AllowedIps } from './allowed-ips.ts';

/** Where a peer is, and the address of this end that it talks to. */
interface Endpoint {
  readonly addr: IpAddress;
  readonly port: number;
  readonly src: IpAddress | null;
}

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
/** `HANDSHAKE_DSCP`, as a TOS byte. */
const HANDSHAKE_TOS = 0x88;
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
  /** The namespace that it was made in, whose sockets carry it wherever it goes. */
  readonly #underlay: Netns;
  #socket: UdpSocket | null = null;
  #socket6: UdpSocket<string> | null = null;
  #listenPort = 0;
  #fwmark = 0;
  #sending = false;

  constructor(ns: Netns, options: DeviceOptions) {
    super(ns, options);
    this.#underlay = ns;
    const mtu = () => this.mtu;
    this.#interface = new Interface<Endpoint>({
      get mtu() {
        return mtu();
      },
      int: (from, to) => ns.kernel.rt.random.int(from, to),
      send: (endpoint, message, what) => this.#send(endpoint, message, what),
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
    this.#bind();
    for (const peer of this.peers) this.#within(peer, () => peer.start(this.#now));
  }

  override stopped(): void {
    this.#unbind();
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
    if (listenPort !== undefined && listenPort !== this.#listenPort) {
      const old = this.#listenPort;
      this.#listenPort = listenPort;
      if (this.up) {
        this.#unbind();
        try {
          this.#bind();
        } catch (error) {
          this.#listenPort = old;
          this.#bind();
          throw error;
        }
      }
    }
    if (fwmark !== undefined) this.#fwmark = fwmark;
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
      listenPort: this.#listenPort,
      fwmark: this.#fwmark,
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
    if (this.#sending) {
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

  /** `wg_socket_send_skb_to_peer`. It may be fragmented: the outer packet does not say otherwise. */
  #send({ addr, port, src }: Endpoint, message: Uint8Array, what: 'handshake' | 'data'): void {
    const ns = this.#underlay;
    const header = ETH_HLEN + (typeof addr === 'number' ? IPV4_HLEN : IPV6_HLEN) + 8;
    const packet = frameBuffer(header + message.length);
    packet.set(message, header);
    const common = {
      srcPort: this.#listenPort,
      dstPort: port,
      checksum: 'compute',
      tos: what === 'handshake' ? HANDSHAKE_TOS : 0,
      mark: this.#fwmark,
    } as const;
    const nested = this.#sending;
    this.#sending = true;
    const error =
      typeof addr === 'number'
        ? ns.udp.sendPacket(packet, {
            ...common,
            src: typeof src === 'number' && ns.isLocal(src) ? src : 0,
            dst: addr,
          })
        : ns.ipv6.udp.sendPacket(packet, { ...common, src: ANY_IP6, dst: addr });
    this.#sending = nested;
    if (error !== null) ns.kernel.drop('tunnel-xmit');
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

  /** @throws NetlinkError */
  #bind(): void {
    const ns = this.#underlay;
    try {
      this.#socket = ns.udp.bind({ addr: 0, port: this.#listenPort }, (datagram) => this.#receive(datagram));
      if (ns.kernel.ipv6 === 'on')
        this.#socket6 = ns.ipv6.udp.bind({ addr: ANY_IP6, port: this.#socket.port }, (datagram) =>
          this.#receive(datagram),
        );
    } catch (error) {
      this.#unbind();
      if (error instanceof PortInUseError)
        throw new NetlinkError('RTNETLINK answers: Address already in use');
      throw error;
    }
    if (this.#listenPort === this.#socket.port) return;
    this.#listenPort = this.#socket.port;
    this.#tellFacts();
  }

  #unbind(): void {
    this.#socket?.close();
    this.#socket6?.close();
    this.#socket = null;
    this.#socket6 = null;
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

/** As a cookie has it (`make_cookie`). */
function endpointBytes({ addr, port }: Endpoint): Uint8Array {
  const length = typeof addr === 'number' ? 4 : 16;
  const bytes = new Uint8Array(length + 2);
  if (typeof addr === 'number') setU32(bytes, 0, addr);
  else writeIp6(bytes, 0, addr);
  setU16(bytes, length, port);
  return bytes;
}

function formatEndpoint({ addr, port }: { readonly addr: IpAddress; readonly port: number }): string {
  return typeof addr === 'number' ? `${formatIp(addr)}:${port}` : `[${formatIp(addr)}]:${port}`;
}
