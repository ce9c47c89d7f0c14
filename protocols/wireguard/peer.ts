import { Cookie } from './cookie.ts';
import { KEY_LENGTH } from './crypto.ts';
import type { CookieReply, Data, Response } from './messages.ts';
import {
  initiate,
  respond,
  type SentInitiation,
  type SessionKeys,
  type StaticKeys,
  type TakenInitiation,
  tai64n,
  takeResponse,
} from './noise.ts';
import {
  KEEPALIVE_TIMEOUT,
  REJECT_AFTER_TIME,
  REKEY_ATTEMPT_TIME,
  REKEY_TIMEOUT,
  Session,
} from './session.ts';

/** What a peer asks of the interface that it belongs to. */
export interface PeerHost {
  /** Null while the interface has no private key. */
  readonly keys: StaticKeys | null;
  readonly mtu: number;
  /** Bytes from the node's generator. */
  random(length: number): Uint8Array;
  /** Uniform in [0, most), ms. */
  jitter(most: number): number;
  /** A number by which messages of the peer are known from now on. */
  takeIndex(peer: Peer): number;
  dropIndex(index: number): void;
  /** Sends to wherever the peer is; false where that is not known. */
  send(peer: Peer, message: Uint8Array, what: 'handshake' | 'data'): boolean;
  /** A packet from the peer, its padding still behind it. */
  deliver(peer: Peer, packet: Uint8Array): void;
  drop(reason: 'wireguard-replayed' | 'wireguard-forged' | 'wireguard-no-session' | 'wireguard-queue'): void;
  established(peer: Peer, role: Session['role']): void;
}

/** Whether a message proved to be the peer's. */
export type Verdict = 'authentic' | 'refused';

/** What opens a captured handshake and the session that came of it, where one end's is known. */
export interface HandshakeKeys {
  readonly staticPrivate: Uint8Array;
  readonly ephemeralPrivate: Uint8Array;
  readonly presharedKey: Uint8Array;
}

/** Handshakes whose keys are kept: two hours of them. */
const MAX_HANDSHAKES = 64;
const MAX_STAGED = 128;
const MAX_ATTEMPTS = REKEY_ATTEMPT_TIME / REKEY_TIMEOUT;
const JITTER = 334;
/** Between two initiations that are heeded, ms (`INITIATIONS_PER_SECOND`). */
const INITIATION_INTERVAL = 20;
const NOTHING = new Uint8Array(0);

type TimerName = 'retransmit' | 'keepalive' | 'handshake' | 'zeroKeys' | 'persistent';

/**
 * A peer: its handshakes, its sessions and its five timers (Linux: drivers/net/wireguard, send.c, receive.c, timers.c). Time comes
 * in with every call; `due` is when `tick` is to be called next.
 */
export class Peer {
  readonly publicKey: Uint8Array;
  presharedKey: Uint8Array = new Uint8Array(KEY_LENGTH);
  /** Seconds, 0 is off. */
  persistentKeepalive = 0;
  /** Bytes of messages, headers of IP and UDP not among them. */
  sent = 0;
  received = 0;
  /** ms; null: never. */
  lastHandshake: number | null = null;
  readonly #host: PeerHost;
  readonly #timers = new Map<TimerName, number>();
  readonly #cookie: Cookie;
  readonly #handshakes: HandshakeKeys[] = [];
  #staged: Uint8Array[] = [];
  #initiation: SentInitiation | null = null;
  #current: Session | null = null;
  #previous: Session | null = null;
  /** Of a responder, until the initiator has used it. */
  #next: Session | null = null;
  #attempts = 0;
  #lastSentHandshake = Number.NEGATIVE_INFINITY;
  #lastInitiation = Number.NEGATIVE_INFINITY;
  #latestTimestamp = new Uint8Array(12);
  #keepaliveAgain = false;
  #lastMinuteHandshake = false;

  constructor(publicKey: Uint8Array, host: PeerHost) {
    this.publicKey = publicKey;
    this.#cookie = new Cookie(publicKey);
    this.#host = host;
  }

  /** When `tick` is to be called, ms; Infinity: not at all. */
  get due(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const at of this.#timers.values()) due = Math.min(due, at);
    return due;
  }

  /** The session that packets are sealed with. */
  get session(): Session | null {
    return this.#current;
  }

  /** Keys of the latest handshakes, oldest first. */
  get handshakes(): readonly HandshakeKeys[] {
    return this.#handshakes;
  }

  #remember(ephemeralPrivate: Uint8Array): void {
    const { keys } = this.#host;
    if (keys === null) return;
    this.#handshakes.push({ staticPrivate: keys.private, ephemeralPrivate, presharedKey: this.presharedKey });
    if (this.#handshakes.length > MAX_HANDSHAKES) this.#handshakes.shift();
  }

  /** Sends a packet as soon as there is a session for it. */
  transmit(packet: Uint8Array, now: number): void {
    this.#staged.push(packet);
    if (this.#staged.length > MAX_STAGED) {
      this.#staged.shift();
      this.#host.drop('wireguard-queue');
    }
    this.#sendStaged(now);
  }

  /** Changes the interval; a peer that is up is told at once that this end is there. */
  setPersistentKeepalive(seconds: number, now: number): void {
    const begins = this.persistentKeepalive === 0 && seconds !== 0;
    this.persistentKeepalive = seconds;
    if (seconds === 0) this.#timers.delete('persistent');
    else if (begins) this.sendKeepalive(now);
  }

  /** The interface comes up. */
  start(now: number): void {
    if (this.persistentKeepalive !== 0) this.sendKeepalive(now);
  }

  /** The interface goes down, or the peer: all keys are forgotten (`wg_peer_remove`, `wg_stop`). */
  stop(): void {
    this.#staged = [];
    this.#timers.clear();
    this.#forgetKeys();
    this.#lastSentHandshake = Number.NEGATIVE_INFINITY;
    this.#lastMinuteHandshake = false;
    this.#attempts = 0;
  }

  /** The private key is another one: what was agreed upon with the old one holds no more. */
  forgetSessions(): void {
    this.#forgetKeys();
  }

  /** What is waiting goes out, or else an empty message. */
  sendKeepalive(now: number): void {
    if (this.#staged.length === 0) this.#staged.push(NOTHING);
    this.#sendStaged(now);
  }

  tick(now: number): void {
    for (const [name, at] of [...this.#timers]) {
      if (at > now || this.#timers.get(name) !== at) continue;
      this.#timers.delete(name);
      this.#fired(name, now);
    }
  }

  #fired(name: TimerName, now: number): void {
    switch (name) {
      case 'retransmit':
        if (this.#attempts > MAX_ATTEMPTS) {
          this.#timers.delete('keepalive');
          for (const _packet of this.#staged) this.#host.drop('wireguard-no-session');
          this.#staged = [];
          if (!this.#timers.has('zeroKeys')) this.#timers.set('zeroKeys', now + 3 * REJECT_AFTER_TIME);
          return;
        }
        this.#attempts++;
        this.#sendInitiation(now);
        return;
      case 'keepalive':
        this.sendKeepalive(now);
        if (this.#keepaliveAgain) {
          this.#keepaliveAgain = false;
          this.#timers.set('keepalive', now + KEEPALIVE_TIMEOUT);
        }
        return;
      case 'handshake':
        this.#beginHandshake(now);
        return;
      case 'zeroKeys':
        this.#forgetKeys();
        return;
      case 'persistent':
        if (this.persistentKeepalive !== 0) this.sendKeepalive(now);
    }
  }

  /** An initiation that the interface has found to be this peer's. */
  takeInitiation(taken: TakenInitiation, now: number): Verdict {
    if (compareBytes(taken.timestamp, this.#latestTimestamp) <= 0) {
      this.#host.drop('wireguard-replayed');
      return 'refused';
    }
    if (now - this.#lastInitiation < INITIATION_INTERVAL) return 'refused';
    this.#latestTimestamp = Uint8Array.from(taken.timestamp);
    this.#lastInitiation = now;
    const index = this.#host.takeIndex(this);
    const ephemeral = this.#host.random(KEY_LENGTH);
    const answer = respond(taken, this.presharedKey, { index, ephemeral });
    if (answer === null) {
      this.#host.dropIndex(index);
      return 'refused';
    }
    this.#remember(ephemeral);
    // What this end began itself has been overtaken.
    this.#dropInitiation();
    this.#drop(this.#next);
    this.#drop(this.#previous);
    this.#previous = null;
    this.#next = this.#derive(answer.keys, 'responder', now);
    this.#answer = answer.message;
    return 'authentic';
  }

  #answer: Uint8Array | null = null;

  /** Sends what the last initiation asked for, once the interface knows where to. */
  sendResponse(now: number): void {
    const message = this.#answer;
    this.#answer = null;
    if (message === null) return;
    this.#lastSentHandshake = now;
    this.#authenticSent(now);
    this.#cookie.stamp(message, now);
    this.#send(message, 'handshake');
  }

  takeResponse(message: Response, now: number): Verdict {
    const { keys } = this.#host;
    const sent = this.#initiation;
    if (keys === null || sent === null || sent.index !== message.receiver) return 'refused';
    const derived = takeResponse(keys, sent, this.presharedKey, message);
    if (derived === null) {
      this.#host.drop('wireguard-forged');
      return 'refused';
    }
    // Its number is that of the session now.
    this.#initiation = null;
    const session = this.#derive(derived, 'initiator', now);
    this.#drop(this.#previous);
    if (this.#next !== null) {
      this.#drop(this.#current);
      this.#previous = this.#next;
      this.#next = null;
    } else this.#previous = this.#current;
    this.#current = session;
    this.#lastMinuteHandshake = false;
    this.#completed('initiator', now);
    return 'authentic';
  }

  /** What follows of a handshake that is done, once the interface knows where the peer is. */
  confirm(now: number): void {
    this.sendKeepalive(now);
  }

  /** The peer is under load: the next handshake message shows that this end has its address. */
  takeCookie(reply: CookieReply, now: number): Verdict {
    return this.#cookie.take(reply, now) ? 'authentic' : 'refused';
  }

  takeData(message: Data, now: number, moved: () => void): void {
    const session = [this.#current, this.#previous, this.#next].find(
      (candidate) => candidate?.keys.localIndex === message.receiver,
    );
    if (session === undefined || session === null || !session.isGood(now)) {
      this.#host.drop('wireguard-no-session');
      return;
    }
    const packet = session.open(message);
    if (typeof packet === 'string') {
      this.#host.drop(`wireguard-${packet}`);
      return;
    }
    moved();
    if (session === this.#next) {
      this.#drop(this.#previous);
      this.#previous = this.#current;
      this.#current = session;
      this.#next = null;
      this.#completed('responder', now);
      this.#sendStaged(now);
    }
    this.#freshenReceiver(now);
    this.authenticReceived(now);
    if (packet.length === 0) return;
    if (this.#timers.has('keepalive')) this.#keepaliveAgain = true;
    else this.#timers.set('keepalive', now + KEEPALIVE_TIMEOUT);
    this.#host.deliver(this, packet);
  }

  /** Something of the peer's has come: it is there (`wg_timers_any_authenticated_packet_received`). */
  authenticReceived(now: number): void {
    this.#timers.delete('handshake');
    this.#traversed(now);
  }

  #sendStaged(now: number): void {
    if (this.#staged.length === 0) return;
    const session = this.#current;
    if (session === null || !session.isGood(now)) {
      this.#beginHandshake(now);
      return;
    }
    const packets = this.#staged;
    this.#staged = [];
    const { mtu } = this.#host;
    let data = false;
    for (const packet of packets) {
      this.#send(session.seal(packet, mtu), 'data');
      data ||= packet.length > 0;
    }
    this.#authenticSent(now);
    if (data && !this.#timers.has('handshake'))
      this.#timers.set('handshake', now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + this.#host.jitter(JITTER));
    if (session.isStale(now)) this.#beginHandshake(now);
  }

  /** Whoever began the session asks for a new one in time, where nothing is sent that would (`keep_key_fresh`). */
  #freshenReceiver(now: number): void {
    const session = this.#current;
    if (session === null || this.#lastMinuteHandshake || session.role !== 'initiator') return;
    if (now - session.born < REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT) return;
    this.#lastMinuteHandshake = true;
    this.#beginHandshake(now);
  }

  #beginHandshake(now: number): void {
    this.#attempts = 0;
    this.#sendInitiation(now);
  }

  #sendInitiation(now: number): void {
    const { keys } = this.#host;
    if (keys === null || now < this.#lastSentHandshake + REKEY_TIMEOUT) return;
    const index = this.#host.takeIndex(this);
    const ephemeral = this.#host.random(KEY_LENGTH);
    const begun = initiate(keys, this.publicKey, { index, ephemeral, timestamp: tai64n(now) });
    if (begun === null) {
      this.#host.dropIndex(index);
      return;
    }
    this.#remember(ephemeral);
    this.#dropInitiation();
    this.#initiation = begun.state;
    this.#lastSentHandshake = now;
    this.#authenticSent(now);
    this.#cookie.stamp(begun.message, now);
    this.#send(begun.message, 'handshake');
    this.#timers.set('retransmit', now + REKEY_TIMEOUT + this.#host.jitter(JITTER));
  }

  #send(message: Uint8Array, what: 'handshake' | 'data'): void {
    if (this.#host.send(this, message, what)) this.sent += message.length;
  }

  #authenticSent(now: number): void {
    this.#timers.delete('keepalive');
    this.#traversed(now);
  }

  #traversed(now: number): void {
    if (this.persistentKeepalive !== 0) this.#timers.set('persistent', now + this.persistentKeepalive * 1000);
  }

  #derive(keys: SessionKeys, role: Session['role'], now: number): Session {
    this.#timers.set('zeroKeys', now + 3 * REJECT_AFTER_TIME);
    return new Session(keys, role, now);
  }

  #completed(role: Session['role'], now: number): void {
    this.#timers.delete('retransmit');
    this.#attempts = 0;
    this.#lastMinuteHandshake = false;
    this.lastHandshake = now;
    this.#host.established(this, role);
  }

  #drop(session: Session | null): void {
    if (session !== null) this.#host.dropIndex(session.keys.localIndex);
  }

  #dropInitiation(): void {
    if (this.#initiation !== null) this.#host.dropIndex(this.#initiation.index);
    this.#initiation = null;
  }

  #forgetKeys(): void {
    this.#dropInitiation();
    for (const session of [this.#current, this.#previous, this.#next]) this.#drop(session);
    this.#current = null;
    this.#previous = null;
    this.#next = null;
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
