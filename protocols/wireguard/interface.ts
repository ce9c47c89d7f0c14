import { CookieChecker } from './cookie.ts';
import { clampKey, formatKey, publicKeyOf } from './crypto.ts';
import { Load, RateLimiter } from './load.ts';
import { decodeMessage, TYPE_COOKIE, TYPE_DATA, type TYPE_INITIATION, TYPE_RESPONSE } from './messages.ts';
import { type StaticKeys, takeInitiation } from './noise.ts';
import { Peer, type PeerHost } from './peer.ts';
import type { Session } from './session.ts';

/** What is around an interface. `E` is where a peer can be reached. */
export interface InterfaceHost<E> {
  readonly mtu: number;
  /** Uniform integer in [from, to]. */
  int(from: number, to: number): number;
  send(endpoint: E, message: Uint8Array, what: 'handshake' | 'data'): void;
  deliver(peer: Peer, packet: Uint8Array): void;
  drop(reason: string): void;
  established(peer: Peer, role: Session['role']): void;
  /** An authentic message has come from somewhere; true where that is not where the peer was. */
  differs(known: E | undefined, endpoint: E): boolean;
  roamed(peer: Peer): void;
  /** An address, 4 or 16 bytes, and its port: what a cookie stands for. */
  bytes(endpoint: E): Uint8Array;
}

/**
 * A WireGuard interface: its key, its peers, and which message is whose (`wg_packet_receive`). Under load it does no handshake with
 * whoever has not shown by a cookie that it is where it says (whitepaper §5.3).
 */
export class Interface<E> {
  readonly #host: InterfaceHost<E>;
  readonly #peers = new Map<string, Peer>();
  readonly #endpoints = new Map<Peer, E>();
  readonly #indices = new Map<number, Peer>();
  readonly #peerHost: PeerHost;
  readonly #cookies: CookieChecker;
  readonly #load = new Load();
  readonly #limiter = new RateLimiter();
  #keys: StaticKeys | null = null;

  constructor(host: InterfaceHost<E>) {
    this.#host = host;
    const keys = () => this.#keys;
    const random = (length: number) => Uint8Array.from({ length }, () => host.int(0, 255));
    this.#cookies = new CookieChecker(random);
    this.#peerHost = {
      get keys() {
        return keys();
      },
      get mtu() {
        return host.mtu;
      },
      random,
      jitter: (most) => host.int(0, most - 1),
      takeIndex: (peer) => this.#takeIndex(peer),
      dropIndex: (index) => this.#indices.delete(index),
      send: (peer, message, what) => {
        const endpoint = this.#endpoints.get(peer);
        if (endpoint === undefined) {
          host.drop('wireguard-no-endpoint');
          return false;
        }
        host.send(endpoint, message, what);
        return true;
      },
      deliver: (peer, packet) => host.deliver(peer, packet),
      drop: (reason) => host.drop(reason),
      established: (peer, role) => host.established(peer, role),
    };
  }

  get keys(): StaticKeys | null {
    return this.#keys;
  }

  /** In the order in which they were added. */
  get peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  /** Null takes the key away. A peer that has the interface's own key goes. Returns that peer, if there was one. */
  setPrivateKey(key: Uint8Array | null): Peer | null {
    const clamped = key === null ? null : clampKey(key);
    const own = this.#keys?.private ?? null;
    // The same again is no change: no session ends of it.
    if (own !== null && clamped !== null && own.every((byte, i) => byte === clamped[i])) return null;
    this.#keys = clamped === null ? null : { private: clamped, public: publicKeyOf(clamped) };
    for (const peer of this.#peers.values()) peer.forgetSessions();
    const self = this.#keys === null ? undefined : this.peer(this.#keys.public);
    if (self !== undefined) this.removePeer(self);
    return self ?? null;
  }

  peer(publicKey: Uint8Array): Peer | undefined {
    return this.#peers.get(formatKey(publicKey));
  }

  /** Null where the key is the interface's own. */
  addPeer(publicKey: Uint8Array): Peer | null {
    const name = formatKey(publicKey);
    if (this.#keys !== null && formatKey(this.#keys.public) === name) return null;
    const peer = new Peer(Uint8Array.from(publicKey), this.#peerHost);
    this.#peers.set(name, peer);
    return peer;
  }

  removePeer(peer: Peer): void {
    peer.stop();
    this.#peers.delete(formatKey(peer.publicKey));
    this.#endpoints.delete(peer);
  }

  endpoint(peer: Peer): E | undefined {
    return this.#endpoints.get(peer);
  }

  setEndpoint(peer: Peer, endpoint: E): void {
    this.#endpoints.set(peer, endpoint);
  }

  /** Takes a datagram. Returns the peer that it was from, null where it was dropped. */
  receive(datagram: Uint8Array, from: E, now: number): Peer | null {
    const message = decodeMessage(datagram);
    if (message === null) return this.#drop('wireguard-malformed');
    const keys = this.#keys;
    if (keys === null) return this.#drop('wireguard-no-key');
    if (message.type === TYPE_DATA) {
      const peer = this.#indices.get(message.receiver);
      if (peer === undefined) return this.#drop('wireguard-no-session');
      peer.takeData(message, now, () => {
        peer.received += datagram.length;
        this.#heard(peer, from);
      });
      return peer;
    }
    const load = this.#load.add(now);
    if (load === 'full') return this.#drop('wireguard-load');
    if (message.type === TYPE_COOKIE) {
      const peer = this.#indices.get(message.receiver);
      return peer?.takeCookie(message, now) === 'authentic' ? peer : this.#drop('wireguard-cookie');
    }
    if (!this.#cookies.hasMac1(datagram, keys.public)) return this.#drop('wireguard-mac');
    if (load === 'loaded') {
      const source = this.#host.bytes(from);
      if (!this.#cookies.hasMac2(datagram, source, now)) {
        this.#host.send(
          from,
          this.#cookies.reply(datagram, message.sender, keys.public, source, now),
          'handshake',
        );
        return this.#drop('wireguard-load');
      }
      if (!this.#limiter.allows(subnetOf(source), now)) return this.#drop('wireguard-load');
    }
    if (message.type === TYPE_RESPONSE) {
      const peer = this.#indices.get(message.receiver);
      if (peer === undefined) return this.#drop('wireguard-no-session');
      if (peer.takeResponse(message, now) !== 'authentic') return null;
      peer.received += datagram.length;
      this.#heard(peer, from);
      peer.authenticReceived(now);
      peer.confirm(now);
      return peer;
    }
    message.type satisfies typeof TYPE_INITIATION;
    const taken = takeInitiation(keys, message);
    if (taken === null) return this.#drop('wireguard-forged');
    const peer = this.peer(taken.remoteStatic);
    if (peer === undefined) return this.#drop('wireguard-unknown-peer');
    if (peer.takeInitiation(taken, now) !== 'authentic') return null;
    peer.received += datagram.length;
    this.#heard(peer, from);
    peer.sendResponse(now);
    peer.authenticReceived(now);
    return peer;
  }

  #heard(peer: Peer, from: E): void {
    if (!this.#host.differs(this.#endpoints.get(peer), from)) return;
    this.#endpoints.set(peer, from);
    this.#host.roamed(peer);
  }

  #drop(reason: string): null {
    this.#host.drop(reason);
    return null;
  }

  #takeIndex(peer: Peer): number {
    for (;;) {
      const index = this.#host.int(0, 0xffff) * 0x10000 + this.#host.int(0, 0xffff);
      if (this.#indices.has(index)) continue;
      this.#indices.set(index, peer);
      return index;
    }
  }
}

/** Whom the rate of handshakes is limited for: an IPv4 address, or the /64 of an IPv6 address. */
function subnetOf(source: Uint8Array): string {
  return source.length === 6 ? source.subarray(0, 4).join('.') : source.subarray(0, 8).join(':');
}
