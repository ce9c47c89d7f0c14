import { familyOf, type IpAddress } from '../ip.ts';
import { AdjRibIn } from './adj-rib-in.ts';
import type { Advertiser } from './advertiser.ts';
import type { FamilyName, NeighborConfig, SpeakerTimings } from './config.ts';
import { Connection, type ConnectionChange, type ConnectionOwner, isCounted } from './connection.ts';
import { ConnectionPair, fellBack } from './connection-pair.ts';
import { FAMILIES, type Family, familyName, MessageType } from './constants.ts';
import type { SessionState } from './fsm.ts';
import { messageType } from './header.ts';
import type { ConnectionId, SpeakerHost, TimerHandle } from './host.ts';
import { IdleHold } from './idle-hold.ts';
import { type LocalSide, localOpen, type Negotiated, negotiate, survivor } from './negotiate.ts';
import { CeaseError, ErrorCode, type Notification, notificationText } from './notification.ts';
import type { Open } from './open.ts';
import type { Peer, PeerKind } from './path.ts';
import { encodeRouteRefresh, RefreshSubtype, type RouteRefresh } from './route-refresh.ts';
import { connectionKey, endsOf } from './session-ends.ts';
import type { Exchange, SessionCounters, SessionOptions, SessionOwner } from './session-owner.ts';
import { noStats, type SessionStats } from './session-stats.ts';
import { Settling } from './settling.ts';
import { Staleness } from './staleness.ts';

/** The session with one neighbour: its connections, how it goes on from one to the next, and its RIBs. */
export class Session implements ConnectionOwner {
  readonly name: string;
  readonly neighbor: NeighborConfig;
  readonly address: IpAddress;
  readonly localAddress: IpAddress;
  /** Interface of link-local addresses, '' of others. */
  readonly zone: string;
  readonly kind: PeerKind;
  readonly origin: 'configured' | 'dynamic';
  readonly ribIn: AdjRibIn;
  readonly stats: SessionStats = noStats();
  readonly #owner: SessionOwner;
  readonly #options: SessionOptions;
  readonly #staleness: Staleness;
  readonly #connections: ConnectionPair;
  #state: SessionState = 'Idle';
  #since: number;
  #stopped = true;
  #started = false;
  readonly #idleHold: IdleHold;
  #lastError = '';
  #lastAgreed: Negotiated | null = null;
  readonly #settling = new Settling();
  #sent = 0;
  #received = 0;
  #exchange: Exchange | null = null;
  #peer: Peer | null = null;
  #awaitedEndOfRib = new Set<FamilyName>();
  #warned = false;

  /** @throws BgpConfigError if an address does not parse. */
  constructor(owner: SessionOwner, options: SessionOptions) {
    const { neighbor, asn } = options;
    this.#owner = owner;
    this.#options = options;
    this.ribIn = new AdjRibIn(() => owner.locRib.destinations());
    this.neighbor = neighbor;
    this.name = neighbor.name;
    const { remote, local } = endsOf(neighbor);
    this.address = remote.addr;
    this.localAddress = local.addr;
    this.zone = remote.zone;
    this.kind = neighbor.remoteAs === asn ? 'internal' : 'external';
    this.origin = options.origin;
    this.#connections = new ConnectionPair(() => new Connection(this, neighbor));
    this.#since = owner.host.now;
    this.#idleHold = new IdleHold(owner.host, owner.timings);
    this.#staleness = new Staleness(this, owner, options.gracefulRestart);
  }

  get #side(): LocalSide {
    const { asn, identifier, neighbor, gracefulRestart, restarting } = this.#options;
    const { remoteAs = [neighbor.remoteAs] } = this.#options;
    const { timings } = this.#owner;
    return {
      asn,
      identifier,
      remoteAs,
      timings,
      options: neighbor,
      transport: familyOf(this.address),
      gracefulRestart,
      restarting: restarting(),
    };
  }

  get host(): SpeakerHost {
    return this.#owner.host;
  }

  get timings(): SpeakerTimings {
    return this.#owner.timings;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Time of the last change of state, ms. */
  get since(): number {
    return this.#since;
  }

  /** Whether it was ever started: until then no event has spoken of it. */
  get started(): boolean {
    return this.#started;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** The error that ended the last session or attempt, as BIRD words it; '' if there was none since. */
  get lastError(): string {
    return this.#lastError;
  }

  get settling(): Pick<Settling, 'settled' | 'openedAt' | 'triedAt' | 'turnedAway'> {
    return this.#settling;
  }

  get counters(): SessionCounters {
    return { sent: this.#sent, received: this.#received };
  }

  /** The connection that carries the session, or is furthest on the way to it. */
  get connection(): Connection {
    return this.#connections.furthest;
  }

  get advertiser(): Advertiser | null {
    return this.#exchange?.advertiser ?? null;
  }

  get peer(): Peer | null {
    return this.#peer;
  }

  /** Whether the peer has told all that it had when the session began. */
  get endOfRibReceived(): boolean {
    return this.#state === 'Established' && this.#awaitedEndOfRib.size === 0;
  }

  /** Whether routes of an earlier session are still kept, RFC 4724. */
  get isStale(): boolean {
    return this.ribIn.staleCount > 0;
  }

  /** Families whose stale routes are waited for: they change by themselves when time is up. */
  get awaited(): number {
    return this.#staleness.pending;
  }

  get blocked(): boolean {
    return this.connection.blocked;
  }

  /** Both ends give the same text for one TCP connection; '' while not established. */
  get key(): string {
    const { local, remote, state } = this.connection;
    if (state !== 'Established' || local === null || remote === null) return '';
    const identifiers = [this.#options.identifier, this.#peer?.identifier ?? 0] as const;
    return connectionKey([local, remote], this.zone, identifiers);
  }

  /** Time to the end of the IdleHoldTimer, ms; null while it does not run. */
  get idleHoldLeft(): number | null {
    return this.#idleHold.left;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#started = true;
    this.#idleHold.reset();
    this.topologyChanged();
    this.#connections.primary.start('ManualStart', this.#startDelay());
  }

  /** CEASE to the peer, with a word to its operator (RFC 9003), and no further attempt. */
  stop(communication = ''): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#idleHold.reset();
    this.#settling.settle();
    this.#connections.stop(communication);
    this.#staleness.end();
  }

  /** CEASE to the peer; the session comes up again. */
  reset(): void {
    this.connection.cease(CeaseError.administrativeReset);
  }

  /** Asks the peer to tell all of a family again; false if it does not know how. */
  requestRefresh(family: FamilyName): boolean {
    const agreed = this.connection.negotiated;
    if (agreed === null || agreed.routeRefresh === 'no' || !agreed.families.includes(family)) return false;
    this.send(encodeRouteRefresh({ family: FAMILIES[family], subtype: RefreshSubtype.request }));
    return true;
  }

  /** Said once a session: the peer is on its way to the limit of its prefixes. */
  warnOfPrefixes(size: number, limit: number): void {
    if (this.#warned) return;
    this.#warned = true;
    this.host.notice(this.name, `${size} prefixes received, the limit is ${limit}`);
  }

  /** The node's links are others now: what could not be reached may be reachable, so that it has to be tried again. */
  topologyChanged(): void {
    if (this.#state !== 'Established') this.#unsettle();
  }

  /** Our address on the session may be used from now on: no sense in waiting for the next attempt. */
  addressReady(): void {
    if (this.#state === 'Established' || this.#stopped) return;
    this.topologyChanged();
    const { primary } = this.#connections;
    const { id, state } = primary;
    if (id === null && (state === 'Active' || state === 'Connect'))
      primary.handle('ConnectRetryTimer_Expires');
  }

  /** The way to the neighbour is gone: as if its TCP connections had failed. */
  neighborLost(reason: string): void {
    this.#connections.abandon(reason);
  }

  /**
   * The state machine that is to take a connection from the neighbour's address, by `accept`; null if none is wanted
   * (RFC 4271 §8.2.2: Idle refuses all).
   */
  acceptor(): Connection | null {
    return this.#state === 'Idle' ? null : this.#connections.acceptor();
  }

  send(message: Uint8Array): void {
    this.connection.send(message);
  }

  later(delay: number, run: () => void): TimerHandle {
    return this.#owner.later(delay, run);
  }

  jittered(time: number): number {
    return this.#owner.jittered(time);
  }

  connect(connection: Connection): ConnectionId {
    this.#settling.attempted(this.host.now);
    return this.#owner.connect(this, connection);
  }

  release(id: ConnectionId): void {
    this.#owner.release(id);
  }

  localOpen(): Open {
    return localOpen(this.#side);
  }

  judge(connection: Connection, open: Open): Negotiated | Notification | 'collision' {
    const verdict = negotiate(this.#side, open);
    if ('code' in verdict) return verdict;
    const collides = this.#connections.collides(connection, () => survivor(this.#side, open));
    return collides ? 'collision' : verdict;
  }

  received(connection: Connection, message: Uint8Array): void {
    if (connection.state === 'Established' && isCounted(message)) this.#received++;
    this.host.received(this.name, message);
  }

  sent(connection: Connection, message: Uint8Array): void {
    if (connection.state === 'Established' && isCounted(message)) this.#sent++;
    if (messageType(message) === MessageType.update) this.stats.updatesSent++;
    this.host.sent(this.name, message);
  }

  update(body: Uint8Array): Notification | null {
    return this.#exchange?.update(body) ?? null;
  }

  /** The peer has sent all it had when the session began (RFC 4724 §2). */
  endOfRib(family: Family): void {
    const name = familyName(family);
    if (name === null || !this.#awaitedEndOfRib.delete(name)) return;
    this.#staleness.told(name);
    this.#owner.endOfRib(this, name);
  }

  routeRefresh({ family, subtype }: RouteRefresh): void {
    const name = familyName(family);
    const agreed = this.connection.negotiated;
    // RFC 2918 §4: of a family that was not agreed on it is ignored.
    if (name === null || agreed === null || !agreed.families.includes(name)) return;
    if (subtype === RefreshSubtype.request) {
      this.advertiser?.refresh(name, agreed.routeRefresh === 'enhanced' ? 'marked' : 'plain');
      this.advertiser?.flush();
    } else if (subtype === RefreshSubtype.begin) {
      // RFC 7313 §4: with graceful restart the initial table has to be here first.
      if (agreed.restart === null || !this.#awaitedEndOfRib.has(name)) this.#staleness.begin(name);
    } else if (subtype === RefreshSubtype.end) this.#staleness.refreshed(name);
  }

  writable(): void {
    this.advertiser?.flush();
  }

  changed(connection: Connection, change: ConnectionChange): void {
    if (connection === this.#connections.primary) this.#noteFailure(connection, change);
    this.#connections.changed(connection, this.#stopped ? 'stopped' : 'running');
    this.#reconcile(change);
    if (connection === this.#connections.primary && connection.state === 'Idle') this.#restart(change);
  }

  /** Tells of the session's state, which is that of the connection furthest on. */
  #reconcile(change: ConnectionChange): void {
    const { event, notification } = change;
    const from = this.#state;
    const { connection } = this;
    const to = connection.state;
    if (from === to) return;
    const wasUp = from === 'Established';
    if (wasUp) this.#staleness.lost(this.#lastAgreed, change);
    this.#state = to;
    this.#since = this.host.now;
    if (wasUp) this.#unsettle();
    const reason = notification === null ? event : `${event}: ${notificationText(notification)}`;
    this.host.sessionChanged(this.name, from, to, reason);
    if (wasUp) {
      this.#exchange?.advertiser.close();
      this.#exchange = null;
      if (!this.isStale) this.#owner.lost(this);
      this.#peer = null;
    }
    const { negotiated } = connection;
    if (to === 'Established' && negotiated !== null) this.#established(connection, negotiated);
  }

  #established(connection: Connection, negotiated: Negotiated): void {
    const { neighbor, kind } = this;
    this.#settling.settle();
    this.#lastError = '';
    this.#lastAgreed = negotiated;
    this.#sent = 0;
    this.#received = 0;
    this.#warned = false;
    this.#awaitedEndOfRib = new Set(negotiated.families);
    this.#peer = {
      name: this.name,
      kind,
      asn: negotiated.asn,
      identifier: negotiated.identifier,
      address: this.address,
      localAddress: connection.local?.addr ?? this.localAddress,
      link: this.#isSingleHop ? this.host.linkTo(this.name, this.address, this.zone) : null,
      extendedNextHop: negotiated.extendedNextHop,
      client: neighbor.routeReflectorClient && kind === 'internal',
      nextHopSelf: neighbor.nextHopSelf,
      asSize: negotiated.asSize,
      ipv4: negotiated.families.includes('ipv4') ? 'yes' : 'no',
      ipv6: negotiated.families.includes('ipv6') ? 'yes' : 'no',
      longLived: (negotiated.restart?.longLived.size ?? 0) > 0 ? 'yes' : 'no',
      sendsPathIds: negotiated.sendsPathIds,
      maxMessage: negotiated.maxMessage,
      options: neighbor,
    };
    this.#exchange = this.#owner.established(this, this.#peer, negotiated);
    this.#staleness.established(negotiated);
  }

  /** BIRD's `direct`: the two ends are on one link, and say so. */
  get #isSingleHop(): boolean {
    const { ttl, ttlSecurity } = this.neighbor;
    return this.zone !== '' || ttlSecurity === 1 || (ttlSecurity === undefined && ttl === 1);
  }

  #unsettle(): void {
    if (this.#stopped) return;
    this.#settling.reopen(this.host.now);
    // A passive neighbour cannot be tried: to wait for as long as the peer takes to try twice is all there is.
    const { connectRetry, connectDelay } = this.timings;
    if (this.neighbor.passive) this.later(2 * connectRetry + connectDelay, this.#settling.deadline());
  }

  #noteFailure(connection: Connection, { from, to, event, notification }: ConnectionChange): void {
    const failed =
      (from === 'Connect' && (event === 'TcpConnectionFails' || event === 'ConnectRetryTimer_Expires')) ||
      (fellBack(from, to) && event !== 'OpenCollisionDump');
    // Where the other connection goes on, nothing has failed yet.
    if (failed && !this.#connections.goesOnWithout(connection))
      this.#settling.attemptFailed(
        { from, event, origin: connection.origin, reason: connection.closeReason },
        this.host.now,
        this.timings,
      );
    if (to !== 'Idle' && !failed) return;
    if (event === 'ManualStop') this.#lastError = '';
    else if (event === 'TcpConnectionFails') this.#lastError = `Socket: ${connection.closeReason}`;
    else if (notification !== null) {
      const received = event === 'NotifMsg' || event === 'NotifMsgVerErr';
      this.#lastError = `${received ? 'Received' : 'Error'}: ${notificationText(notification)}`;
    }
  }

  /** Out of Idle again: at once when the connection just broke, after the IdleHoldTime when there was an error. */
  #restart({ from, event, notification }: ConnectionChange): void {
    if (this.#stopped) return;
    if (this.origin === 'dynamic') {
      if (!this.isStale) this.#owner.vanished(this);
      return;
    }
    if (event === 'UpdateMsgErr' && notification?.code === ErrorCode.cease) {
      this.#overLimit();
      return;
    }
    if (from === 'Established' && event === 'TcpConnectionFails') {
      this.#connections.primary.start('AutomaticStart', this.#startDelay());
      return;
    }
    this.#idleHold.start(
      (delay, run) => this.later(delay, run),
      () => this.#connections.primary.start('AutomaticStart', this.#startDelay()),
    );
  }

  /** RFC 4486 §4: a peer with too many prefixes stays away until the operator, or the time set for it, says otherwise. */
  #overLimit(): void {
    const { restartAfter } = this.neighbor.maximumPrefixes ?? {};
    this.#stopped = true;
    this.#settling.settle();
    if (restartAfter !== undefined) this.later(restartAfter, () => this.start());
  }

  #startDelay(): number | null {
    return this.timings.connectDelay > 0 ? this.timings.connectDelay : null;
  }
}
