import { formatIp4, parseIp4, parsePrefix, prefixContains } from '../ip4.ts';
import { Advertiser } from './advertiser.ts';
import type { UpdateFault } from './attribute-decode.ts';
import { AttributeTable } from './attribute-table.ts';
import { NO_ATTRIBUTES, type PathAttributes } from './attributes.ts';
import {
  BgpConfigError,
  type FamilyName,
  type NeighborConfig,
  type SpeakerConfig,
  type SpeakerTimings,
} from './config.ts';
import type { Connection } from './connection.ts';
import { Damping } from './damping.ts';
import type { Destination } from './destination.ts';
import { type ExportContext, Exporter, ExportVariants } from './export.ts';
import { messageBody } from './header.ts';
import type { ConnectionId, Endpoint, SpeakerHost, TimerHandle } from './host.ts';
import { type ImportContext, Importer } from './import.ts';
import { type DecisionBatch, LocRib } from './loc-rib.ts';
import { nlriKeys } from './mp-nlri.ts';
import type { LocalSide, Negotiated } from './negotiate.ts';
import { NextHopTable } from './nexthops.ts';
import { formatKey, isIpv6Key, type PrefixKey, parseKey } from './nlri.ts';
import type { Path, Peer } from './path.ts';
import { Receiver } from './receiver.ts';
import { policyOf, type RoutePolicy } from './route-policy.ts';
import { type Exchange, Session, type SessionOwner } from './session.ts';
import { UpdatePacker } from './update.ts';

/** Next hop of IPv6 routes of our own until they are told to somebody. */
const UNSPECIFIED = '\0'.repeat(16);
/** Peers from ranges that are listened to, as FRR's `bgp listen limit`. */
const DYNAMIC_LIMIT = 100;

/** What one end of a session counts, for the sums that show that nothing is under way. */
interface SessionReport {
  readonly peer: string;
  /** Same text on both ends of one TCP connection, '' while not established. */
  readonly key: string;
  readonly established: boolean;
  /** See `Settling`. */
  readonly settled: boolean;
  readonly openedAt: number;
  readonly triedAt: number;
  /** Messages other than KEEPALIVE since the session was established. */
  readonly sent: number;
  readonly received: number;
}

export interface SpeakerReport {
  readonly sessions: readonly SessionReport[];
  /** Prefixes to be decided, changes to be sent, bytes that wait for the TCP send buffer. 0 when there is nothing to do. */
  readonly pendingWork: number;
}

export interface SpeakerStats {
  readonly updatesSent: number;
  readonly updatesReceived: number;
  /** Changes that the decision process has made to best paths or next hops. */
  readonly decisions: number;
  /** Prefixes in the Loc-RIB, and paths in all Adj-RIBs-In. */
  readonly routes: number;
  readonly paths: number;
}

/**
 * A BGP speaker without sockets, clock or threads: inputs are method calls, effects go to the host. Each input runs to
 * its end, then the decision process runs once over all prefixes that it touched, then what the peers are to know
 * is sent. Inputs that arrive meanwhile wait their turn.
 */
export class BgpSpeaker implements SessionOwner {
  readonly config: SpeakerConfig;
  readonly timings: SpeakerTimings;
  readonly host: SpeakerHost;
  readonly locRib: LocRib;
  readonly #sessions = new Map<string, Session>();
  readonly #connections = new Map<ConnectionId, Connection>();
  readonly #attributes = new AttributeTable();
  readonly #packer = new UpdatePacker();
  readonly #nextHops: NextHopTable;
  readonly #receiver: Receiver;
  readonly #identifier: number;
  readonly #exportContext: ExportContext;
  readonly #originated = new Map<Destination, Path>();
  readonly #localAttributes: PathAttributes;
  readonly #localAttributes6: PathAttributes;
  readonly #importers = new Map<Session, Importer>();
  readonly #pathIds = new Map<string, number>();
  readonly #damping: Damping | null;
  #reuseTimer: TimerHandle | null = null;
  #restarting: LocalSide['restarting'] = 'no';
  #restarted: () => void = () => {};
  readonly #policies: NonNullable<SpeakerConfig['policies']>;
  /** Policies that were set at run time, by direction and peer. */
  readonly #chosen = new Map<string, readonly string[]>();
  readonly #importContext: ImportContext;
  readonly #waiting: { readonly cause: number; readonly run: () => void }[] = [];
  #busy = false;
  #held = false;
  #connectionCount = 0;
  #decisions = 0;

  /** @throws BgpConfigError if an address does not parse or a neighbour's name or address is there twice. */
  constructor(config: SpeakerConfig, timings: SpeakerTimings, host: SpeakerHost) {
    this.config = config;
    this.timings = timings;
    this.host = host;
    const identifier = identifierOf(config.routerId, 'router id');
    const reflects =
      config.clusterId !== undefined || config.neighbors.some((each) => each.routeReflectorClient);
    const clusterId = reflects ? identifierOf(config.clusterId ?? config.routerId, 'cluster id') : null;
    this.#identifier = identifier;
    this.#exportContext = {
      asn: config.asn,
      clusterId,
      loopAvoidance: config.loopAvoidance ?? 'split-horizon',
      ebgpRequiresPolicy: config.ebgpRequiresPolicy ?? 'off',
      attributes: this.#attributes,
      variants: new ExportVariants(),
    };
    this.#nextHops = new NextHopTable((addr) => host.resolveNexthop(addr));
    this.locRib = new LocRib({
      asn: config.asn,
      maximumPaths: config.maximumPaths,
      compareMed: config.compareMed ?? 'same-as',
      multipathAsPath: config.multipathAsPath ?? 'relaxed',
    });
    this.#damping = config.damping === undefined ? null : new Damping(config.damping);
    this.#importContext = {
      asn: config.asn,
      identifier,
      clusterId,
      ebgpRequiresPolicy: config.ebgpRequiresPolicy ?? 'off',
      attributes: this.#attributes,
    };
    this.#receiver = new Receiver({
      locRib: this.locRib,
      nextHops: this.#nextHops,
      attributes: this.#attributes,
      damping: this.#damping,
    });
    this.#policies = config.policies ?? {};
    this.#localAttributes = this.#attributes.intern(NO_ATTRIBUTES);
    this.#localAttributes6 = this.#attributes.intern({ ...NO_ATTRIBUTES, nextHop6: UNSPECIFIED });
    for (const neighbor of config.neighbors) {
      const session = this.#createSession(neighbor, [neighbor.remoteAs], 'configured');
      if (this.#sessions.has(neighbor.name) || this.#sessionOf(session.address) !== undefined) {
        throw new BgpConfigError(`BGP neighbor ${neighbor.name} (${neighbor.address}) is configured twice`);
      }
      this.#sessions.set(neighbor.name, session);
    }
  }

  get stats(): SpeakerStats {
    let updatesSent = 0;
    let updatesReceived = 0;
    let paths = 0;
    for (const { stats, ribIn } of this.#sessions.values()) {
      updatesSent += stats.updatesSent;
      updatesReceived += stats.updatesReceived;
      paths += ribIn.size;
    }
    return { updatesSent, updatesReceived, decisions: this.#decisions, routes: this.locRib.routes, paths };
  }

  get identifier(): number {
    return this.#identifier;
  }

  sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  session(name: string): Session | undefined {
    return this.#sessions.get(name);
  }

  /** Keys of the prefixes originated here, in the order in which they were. */
  originatedPrefixes(): PrefixKey[] {
    return [...this.#originated.keys()].map(({ key }) => key);
  }

  /** What was wrong with the UPDATE last found faulty. */
  get lastFaults(): readonly UpdateFault[] {
    return this.#receiver.lastFaults;
  }

  /** Originates the configured networks and starts all sessions. */
  start(): void {
    this.#input(() => {
      for (const network of this.config.networks) this.#independently(() => this.#originate(network));
      for (const session of this.#sessions.values()) this.#independently(() => session.start());
    });
  }

  /** CEASE to all peers; nothing starts by itself any more. */
  shutdown(): void {
    this.#input(() => {
      for (const session of this.#sessions.values()) this.#independently(() => session.stop());
    });
  }

  startPeer(name: string): void {
    this.#input(() => this.#sessions.get(name)?.start());
  }

  /** `communication` is for the peer's operator (RFC 9003). */
  stopPeer(name: string, communication = ''): void {
    this.#input(() => this.#sessions.get(name)?.stop(communication));
  }

  /** @throws BgpConfigError if the prefix does not parse. */
  originate(prefix: string): void {
    const key = keyOf(prefix);
    this.#input(() => this.#originate(formatKey(key)));
  }

  /**
   * Originates the routes of an UPDATE with 4-octet AS numbers: the path that they have comes behind our own AS. False, and
   * nothing done, if it is no UPDATE that announces something.
   */
  originateUpdate(message: Uint8Array): boolean {
    const result = this.#receiver.decode(messageBody(message));
    if (result.action === 'session-reset') return false;
    const { attributes, reach, mpReach } = result.update;
    if (attributes === null && mpReach === null) return false;
    this.#input(() => {
      if (attributes !== null) for (const key of reach.keys) this.#originateAs(key, attributes);
      if (mpReach !== null) {
        for (const key of nlriKeys(mpReach.reach.nlri).keys) this.#originateAs(key, mpReach.attributes);
      }
    });
    return true;
  }

  #originateAs(key: PrefixKey, attributes: PathAttributes): void {
    const { cause } = this.host;
    const own = isIpv6Key(key) ? { nextHop: null, nextHop6: UNSPECIFIED } : { nextHop: null, nextHop6: null };
    const inner = { localPref: null, originatorId: null, clusterList: [] };
    this.#originateWith(key, this.#attributes.intern({ ...attributes, ...own, ...inner }));
    this.host.cause = cause;
  }

  /** @throws BgpConfigError if the prefix does not parse. */
  withdraw(prefix: string): void {
    const key = keyOf(prefix);
    this.#input(() => this.#withdraw(key));
  }

  /** The forwarding table has changed: next hops are resolved anew. */
  fibChanged(): void {
    this.#input(() => {
      const changed = this.#nextHops.refresh();
      if (changed.size > 0) this.locRib.touchUsersOf(changed, this.host.cause);
    });
  }

  /** A link or address of this node has changed: sessions that could not be set up count as untried. */
  topologyChanged(): void {
    this.#input(() => {
      for (const session of this.#sessions.values()) session.topologyChanged();
    });
  }

  /** The link to a neighbour is down: the session is lost at once, if there is one, without a word to the peer. */
  neighborLost(name: string, reason: string): void {
    this.#input(() => this.#sessions.get(name)?.neighborLost(reason));
  }

  /** The connection begun by `host.connect` is there. */
  tcpConnected(id: ConnectionId, local: Endpoint, remote: Endpoint): void {
    this.#input(() => this.#connections.get(id)?.tcpConnected(local, remote));
  }

  /**
   * A connection to port 179 has come from this address: the number that it is to have, to be followed by `tcpAccepted`;
   * null if the address is no configured neighbour's, or none of its connections is wanted now: the host resets it.
   */
  admit(remote: number, local = 0): ConnectionId | null {
    const session = this.#sessionOf(remote) ?? this.#dynamicSession(remote, local);
    const connection = session?.acceptor() ?? null;
    return connection === null ? null : this.#register(connection);
  }

  /** What a socket with this peer has to be like; null if nobody is configured there. */
  socketOptions(remote: number): { readonly ttl: number; readonly minTtl: number } | null {
    const session = this.#sessionOf(remote);
    return session === undefined ? null : socketOptions(session.neighbor);
  }

  tcpAccepted(id: ConnectionId, local: Endpoint, remote: Endpoint): void {
    this.#input(() => this.#connections.get(id)?.accept(id, local, remote));
  }

  tcpData(id: ConnectionId, bytes: Uint8Array): void {
    this.#input(() => this.#connections.get(id)?.tcpData(bytes));
  }

  tcpWritable(id: ConnectionId): void {
    this.#input(() => this.#connections.get(id)?.tcpWritable());
  }

  /** The peer has closed, or the connection has failed or never come up: `reason` for display, `Connection refused`. */
  tcpClosed(id: ConnectionId, reason: string): void {
    this.#input(() => this.#connections.get(id)?.tcpClosed(reason));
  }

  report(): SpeakerReport {
    const sessions: SessionReport[] = [];
    let pendingWork = this.locRib.dirty + this.#waiting.length + (this.#restarting === 'no' ? 0 : 1);
    for (const session of this.#sessions.values()) {
      const { name, key, state, settling, counters, advertiser, blocked, awaited } = session;
      const { settled, openedAt, triedAt } = settling;
      sessions.push({
        peer: name,
        key,
        established: state === 'Established',
        settled,
        openedAt,
        triedAt,
        ...counters,
      });
      pendingWork += (advertiser?.pending ?? 0) + (blocked ? 1 : 0) + awaited;
    }
    return { sessions, pendingWork };
  }

  later(delay: number, run: () => void): TimerHandle {
    return this.host.timers.set(this.host.now + delay, () => this.#input(run));
  }

  /** RFC 4271 §10: between 0.75 and 1 times the value, or just the value. */
  jittered(time: number): number {
    return this.config.jitter === 'off' ? time : time * (0.75 + 0.25 * this.host.random.unit());
  }

  connect(session: Session, connection: Connection): ConnectionId {
    const id = this.#register(connection);
    const { address, localAddress, name, neighbor } = session;
    this.host.connect(id, { peer: name, address, localAddress, ...socketOptions(neighbor) });
    return id;
  }

  release(id: ConnectionId): void {
    this.#connections.delete(id);
  }

  established(session: Session, peer: Peer, negotiated: Negotiated): Exchange {
    const { neighbor } = session;
    const byKind = peer.kind === 'internal' ? this.timings.mraiIbgp : this.timings.mraiEbgp;
    const exporter = this.#exporter(neighbor, peer);
    this.#importer(session, peer);
    const advertiser = new Advertiser(
      session,
      exporter,
      this.locRib,
      {
        mrai: neighbor.mrai ?? byKind,
        mraiAppliesTo: this.config.mraiAppliesTo ?? 'advertisements',
        asSize: peer.asSize,
        pathIds: negotiated.sendsPathIds,
        maxMessage: negotiated.maxMessage,
        families: negotiated.families,
        addPathLimit: neighbor.addPathLimit ?? Number.POSITIVE_INFINITY,
        pathIdOf: (path) => this.#pathIdOf(path),
        packer: this.#packer,
      },
      this.#restarting === 'no' ? 'at-once' : 'deferred',
    );
    advertiser.announceAll(this.host.cause);
    return {
      advertiser,
      update: (body) => {
        const importer = this.#importers.get(session) ?? this.#importer(session, peer);
        return this.#receiver.update(session, importer, peer, body, negotiated.context, this.host);
      },
    };
  }

  lost(session: Session): void {
    this.#importers.delete(session);
    this.#receiver.lost(session, this.host.cause);
    this.#restartProgress();
  }

  sweep(session: Session, family: FamilyName): void {
    this.#receiver.sweep(session, family, this.host.cause);
  }

  keepLongLived(session: Session, family: FamilyName): void {
    this.#receiver.keepLongLived(session, family, this.host.cause);
  }

  endOfRib(): void {
    this.#restartProgress();
  }

  vanished(session: Session): void {
    if (this.#sessions.delete(session.name)) this.host.vanished(session.name);
  }

  /**
   * This speaker comes back after a restart (RFC 4724 §4.1): it says so in its OPENs, and tells its peers nothing before it
   * has heard all from those that know of graceful restart, or `deferral` (ms) is over. `done` is called then.
   */
  restart(forwarding: 'kept' | 'lost', deferral: number, done: () => void): void {
    this.#restarting = forwarding === 'kept' ? 'forwarding-kept' : 'forwarding-lost';
    this.#restarted = done;
    this.later(deferral, () => this.#endRestart());
  }

  /** Ends the deferral when every peer has told all that it had, or is restarting itself, or cannot tell. */
  #restartProgress(): void {
    if (this.#restarting === 'no') return;
    for (const session of this.#sessions.values()) {
      if (session.stopped) continue;
      const restart = session.connection.negotiated?.restart ?? null;
      if (session.state !== 'Established') return;
      if (restart !== null && restart.restarting === 'no' && !session.endOfRibReceived) return;
    }
    this.#endRestart();
  }

  #endRestart(): void {
    if (this.#restarting === 'no') return;
    this.#restarting = 'no';
    for (const { advertiser } of this.#sessions.values()) advertiser?.release();
    this.#restarted();
  }

  /**
   * The policies of a session are these from now on, none for no names: what has come is judged anew, or what goes out.
   * @throws BgpConfigError for a name that there is no policy of.
   */
  setPolicy(name: string, direction: 'import' | 'export', names: readonly string[]): void {
    policyOf(this.#policies, names, `BGP neighbor ${name}`);
    this.#input(() => {
      const session = this.#sessions.get(name);
      if (session === undefined) return;
      this.#chosen.set(`${direction} ${name}`, names);
      const { peer, advertiser } = session;
      if (peer === null) return;
      if (direction === 'import')
        this.#receiver.reimport(session, this.#importer(session, peer), this.host.cause);
      else advertiser?.setExporter(this.#exporter(session.neighbor, peer), this.host.cause);
    });
  }

  #exporter(neighbor: NeighborConfig, peer: Peer): Exporter {
    return new Exporter(peer, this.#exportContext, this.#policyOf(neighbor, 'export'));
  }

  /** Asks a peer for its routes again; false if it is not there, or does not know how. */
  requestRefresh(name: string, family: FamilyName): boolean {
    let asked = false;
    this.#input(() => {
      asked = this.#sessions.get(name)?.requestRefresh(family) ?? false;
    });
    return asked;
  }

  resetPeer(name: string): void {
    this.#input(() => this.#sessions.get(name)?.reset());
  }

  #importer(session: Session, peer: Peer): Importer {
    const importer = new Importer(peer, this.#importContext, this.#policyOf(session.neighbor, 'import'));
    this.#importers.set(session, importer);
    return importer;
  }

  #policyOf(neighbor: NeighborConfig, direction: 'import' | 'export'): RoutePolicy | null {
    const names = this.#chosen.get(`${direction} ${neighbor.name}`) ?? neighbor[direction];
    return policyOf(this.#policies, names, `BGP neighbor ${neighbor.name}`);
  }

  /** A number for each path that goes to a peer with ADD-PATH: one for each peer and path identifier that it came by. */
  #pathIdOf({ peer, pathId }: Path): number {
    const name = `${peer?.name ?? ''}|${pathId}`;
    let id = this.#pathIds.get(name);
    if (id === undefined) {
      id = this.#pathIds.size + 1;
      this.#pathIds.set(name, id);
    }
    return id;
  }

  #createSession(neighbor: NeighborConfig, remoteAs: readonly number[], origin: Session['origin']): Session {
    const { asn, gracefulRestart } = this.config;
    const own = neighbor.gracefulRestart ?? gracefulRestart ?? null;
    // A name that no policy has is an error now, not when the session comes up.
    this.#policyOf(neighbor, 'import');
    this.#policyOf(neighbor, 'export');
    return new Session(this, {
      asn,
      identifier: this.#identifier,
      neighbor,
      remoteAs,
      origin,
      gracefulRestart: own === 'off' ? null : own,
      restarting: () => this.#restarting,
    });
  }

  /** A session for a peer that nobody has named, if its address is in one of the ranges that are listened to. */
  #dynamicSession(remote: number, local: number): Session | undefined {
    for (const { prefix: text, remoteAs, limit = DYNAMIC_LIMIT, ...options } of this.config
      .dynamicNeighbors ?? []) {
      const prefix = parsePrefix(text);
      if (prefix === null || !prefixContains(prefix, remote)) continue;
      const present = [...this.#sessions.values()].filter(({ origin }) => origin === 'dynamic').length;
      if (present >= limit) return undefined;
      const [address, localAddress] = [formatIp4(remote), formatIp4(local)];
      const neighbor: NeighborConfig = {
        ...options,
        name: address,
        address,
        localAddress,
        remoteAs: remoteAs[0] ?? this.config.asn,
        passive: true,
      };
      const session = this.#createSession(neighbor, remoteAs, 'dynamic');
      this.#sessions.set(session.name, session);
      session.start();
      return session;
    }
    return undefined;
  }

  /** Routes that were damped are looked at again when the first of them may be used. */
  #scheduleReuse(): void {
    if (this.#damping === null || this.#reuseTimer !== null) return;
    const at = this.#damping.nextReuse(this.host.now);
    if (at === Number.POSITIVE_INFINITY) return;
    this.#reuseTimer = this.later(at - this.host.now, () => {
      this.#reuseTimer = null;
      for (const [session, importer] of this.#importers)
        this.#receiver.reuse(session, importer, this.host.cause);
    });
  }

  #originate(prefix: string): void {
    const key = keyOf(prefix);
    this.#originateWith(key, isIpv6Key(key) ? this.#localAttributes6 : this.#localAttributes);
  }

  #originateWith(key: PrefixKey, attributes: PathAttributes): void {
    const destination = this.locRib.destination(key);
    if (this.#originated.has(destination)) return;
    this.host.originated(formatKey(key));
    const path: Path = {
      peer: null,
      pathId: 0,
      received: attributes,
      attributes,
      nextHop: null,
      rejection: null,
      stale: 'no',
      at: this.host.now,
      telling: 0,
    };
    this.#originated.set(destination, path);
    this.locRib.replace(destination, null, path, this.host.cause);
  }

  #withdraw(key: PrefixKey): void {
    const destination = this.locRib.get(key);
    const path = destination && this.#originated.get(destination);
    if (destination === undefined || path === undefined) return;
    this.host.unoriginated(formatKey(key));
    this.#originated.delete(destination);
    this.locRib.replace(destination, path, null, this.host.cause);
  }

  #sessionOf(address: number): Session | undefined {
    for (const session of this.#sessions.values()) if (session.address === address) return session;
    return undefined;
  }

  #register(connection: Connection): ConnectionId {
    const id = ++this.#connectionCount;
    this.#connections.set(id, connection);
    return id;
  }

  #independently(run: () => void): void {
    const { cause } = this.host;
    run();
    this.host.cause = cause;
  }

  /** Runs an input, then those that came while it ran, then decides and sends until nothing is left to do. */
  #input(run: () => void): void {
    if (this.#busy) {
      this.#waiting.push({ cause: this.host.cause, run });
      return;
    }
    const { cause } = this.host;
    this.#busy = true;
    try {
      run();
      this.#finish();
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        this.host.cause = next.cause;
        next.run();
        this.#finish();
      }
    } finally {
      this.#busy = false;
      this.host.cause = cause;
    }
  }

  /**
   * Until `releaseDecisions`, inputs leave their prefixes undecided: a burst of messages that arrived together is then decided, and
   * told to the peers, once.
   */
  holdDecisions(): void {
    this.#held = true;
  }

  releaseDecisions(): void {
    this.#held = false;
    this.#input(() => {});
  }

  #finish(): void {
    if (this.#held) return;
    for (const batch of this.locRib.decideDirty()) {
      this.host.cause = batch.cause;
      this.#publish(batch);
    }
    for (const { advertiser } of this.#sessions.values()) advertiser?.flush();
    this.#scheduleReuse();
  }

  #publish({ decided, best, forwarding, touched }: DecisionBatch): void {
    this.#decisions += decided.length;
    if (decided.length > 0) this.host.bestChanged(decided);
    const { cause } = this.host;
    if (forwarding.length > 0) this.host.installRoutes(forwarding);
    for (const { advertiser } of this.#sessions.values()) {
      if (advertiser === null) continue;
      const concerned = advertiser.sendsPaths ? touched : best;
      for (const destination of concerned) advertiser.update(destination, cause);
    }
    for (const destination of touched) this.locRib.sweep(destination);
  }
}

function keyOf(prefix: string): PrefixKey {
  const key = parseKey(prefix);
  if (key === null) throw new BgpConfigError(`${prefix} is neither an IPv4 nor an IPv6 prefix`);
  return key;
}

/** RFC 5082 §3: with a limit of hops segments go out with TTL 255, and come in with at least what so many hops leave of it. */
function socketOptions({ ttl, ttlSecurity }: NeighborConfig): {
  readonly ttl: number;
  readonly minTtl: number;
} {
  return ttlSecurity === undefined ? { ttl, minTtl: 0 } : { ttl: 255, minTtl: 256 - ttlSecurity };
}

function identifierOf(text: string, what: string): number {
  const identifier = parseIp4(text);
  if (identifier === null || identifier === 0) throw new BgpConfigError(`${text} is not a valid BGP ${what}`);
  return identifier;
}
