import type { IpAddress } from '../ip.ts';
import { parseIp4 } from '../ip4.ts';
import { Advertiser } from './advertiser.ts';
import type { UpdateFault } from './attribute-decode.ts';
import { AttributeTable } from './attribute-table.ts';
import { BgpConfigError, type FamilyName, type SpeakerConfig, type SpeakerTimings } from './config.ts';
import type { Connection } from './connection.ts';
import { Damping } from './damping.ts';
import { type ExportContext, ExportVariants } from './export.ts';
import { messageBody } from './header.ts';
import type { ConnectionId, Endpoint, SpeakerHost, TimerHandle } from './host.ts';
import type { ImportContext } from './import.ts';
import { InputQueue } from './input-queue.ts';
import { LocRib } from './loc-rib.ts';
import { nlriKeys } from './mp-nlri.ts';
import type { Negotiated } from './negotiate.ts';
import { NeighborPolicies } from './neighbor-policies.ts';
import { NextHopTable } from './nexthops.ts';
import { type PrefixKey, parseKey } from './nlri.ts';
import { OwnRestart, type RestartKind } from './own-restart.ts';
import { OwnRoutes } from './own-routes.ts';
import type { Peer } from './path.ts';
import { PathIds } from './path-ids.ts';
import { Publisher } from './publisher.ts';
import { Receiver } from './receiver.ts';
import type { Session } from './session.ts';
import type { Exchange, SessionOwner } from './session-owner.ts';
import { SessionTable } from './session-table.ts';
import { type SocketOptions, socketOptions } from './socket-options.ts';
import { reportOf, type SpeakerReport, type SpeakerStats, statsOf } from './speaker-report.ts';
import { UpdatePacker } from './update.ts';

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
  readonly #sessions: SessionTable;
  readonly #connections = new Map<ConnectionId, Connection>();
  readonly #attributes = new AttributeTable();
  readonly #packer = new UpdatePacker();
  readonly #nextHops: NextHopTable;
  readonly #receiver: Receiver;
  readonly #identifier: number;
  readonly #policies: NeighborPolicies;
  readonly #ownRoutes: OwnRoutes;
  readonly #ownRestart = new OwnRestart(() => this.#sessions.all());
  readonly #inputs: InputQueue;
  readonly #publisher: Publisher;
  readonly #pathIds = new PathIds();
  readonly #damping: Damping | null;
  #reuseTimer: TimerHandle | null = null;
  #held = false;
  #connectionCount = 0;

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
    const exportContext: ExportContext = {
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
    const importContext: ImportContext = {
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
    this.#policies = new NeighborPolicies(config.policies ?? {}, importContext, exportContext);
    this.#ownRoutes = new OwnRoutes(this.locRib, this.#attributes, host);
    this.#publisher = new Publisher(host, this.locRib, () => this.#sessions.all());
    this.#inputs = new InputQueue(host, () => this.#finish());
    this.#sessions = new SessionTable(this, {
      config,
      identifier,
      restarting: () => this.#ownRestart.state,
      check: (neighbor) => this.#policies.check(neighbor),
    });
  }

  get stats(): SpeakerStats {
    return statsOf(this.#sessions.all(), this.locRib, this.#publisher.decisions);
  }

  get identifier(): number {
    return this.#identifier;
  }

  sessions(): Iterable<Session> {
    return this.#sessions.all();
  }

  session(name: string): Session | undefined {
    return this.#sessions.get(name);
  }

  /** Keys of the prefixes originated here, in the order in which they were. */
  originatedPrefixes(): PrefixKey[] {
    return this.#ownRoutes.prefixes();
  }

  /** What was wrong with the UPDATE last found faulty. */
  get lastFaults(): readonly UpdateFault[] {
    return this.#receiver.lastFaults;
  }

  /** Originates the configured networks and starts all sessions. */
  start(): void {
    this.#input(() => {
      for (const network of this.config.networks)
        this.#independently(() => this.#ownRoutes.originate(keyOf(network)));
      for (const session of this.#sessions.all()) this.#independently(() => session.start());
    });
  }

  /** CEASE to all peers; nothing starts by itself any more. */
  shutdown(): void {
    this.#input(() => {
      for (const session of this.#sessions.all()) this.#independently(() => session.stop());
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
    this.#input(() => this.#ownRoutes.originate(key));
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
      if (attributes !== null) for (const key of reach.keys) this.#ownRoutes.originateAs(key, attributes);
      if (mpReach !== null) {
        for (const key of nlriKeys(mpReach.reach.nlri).keys)
          this.#ownRoutes.originateAs(key, mpReach.attributes);
      }
    });
    return true;
  }

  /** Whether the prefix is announced here of itself. @throws BgpConfigError if it does not parse. */
  originates(prefix: string): boolean {
    return this.#ownRoutes.has(keyOf(prefix));
  }

  /** @throws BgpConfigError if the prefix does not parse. */
  withdraw(prefix: string): void {
    const key = keyOf(prefix);
    this.#input(() => this.#ownRoutes.withdraw(key));
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
      for (const session of this.#sessions.all()) session.topologyChanged();
    });
  }

  /** The link to a neighbour is down: the session is lost at once, if there is one, without a word to the peer. */
  neighborLost(name: string, reason: string): void {
    this.#input(() => this.#sessions.get(name)?.neighborLost(reason));
  }

  /** An address of this node may be used from now on: sessions from it that wait for their next attempt wait no more. */
  addressReady(local: IpAddress, zone: string): void {
    this.#input(() => {
      for (const session of this.#sessions.all())
        if (session.localAddress === local && (session.zone === '' || session.zone === zone))
          session.addressReady();
    });
  }

  /** The connection begun by `host.connect` is there. */
  tcpConnected(id: ConnectionId, local: Endpoint, remote: Endpoint): void {
    this.#input(() => this.#connections.get(id)?.tcpConnected(local, remote));
  }

  /**
   * A connection to port 179 has come from this address: the number that it is to have, to be followed by `tcpAccepted`;
   * null if the address is no configured neighbour's, or none of its connections is wanted now: the host resets it.
   */
  admit(remote: IpAddress, local: IpAddress = 0, zone = ''): ConnectionId | null {
    const session = this.#sessions.at(remote, zone) ?? this.#sessions.addDynamic({ remote, local, zone });
    const connection = session?.acceptor() ?? null;
    return connection === null ? null : this.#register(connection);
  }

  /** What a socket with this peer has to be like; null if nobody is configured there. */
  socketOptions(remote: IpAddress, zone = ''): SocketOptions | null {
    const session = this.#sessions.at(remote, zone);
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
    const pending =
      this.locRib.dirty + this.#inputs.length + (this.#ownRestart.advertises === 'deferred' ? 1 : 0);
    return reportOf(this.#sessions.all(), pending);
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
    const { address, localAddress, name, neighbor, zone } = session;
    this.host.connect(id, { peer: name, address, localAddress, zone, ...socketOptions(neighbor) });
    return id;
  }

  release(id: ConnectionId): void {
    this.#connections.delete(id);
  }

  established(session: Session, peer: Peer, negotiated: Negotiated): Exchange {
    const { neighbor } = session;
    const byKind = peer.kind === 'internal' ? this.timings.mraiIbgp : this.timings.mraiEbgp;
    const exporter = this.#policies.exporter(neighbor, peer);
    this.#policies.importer(session, peer);
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
        pathIdOf: (path) => this.#pathIds.of(path),
        packer: this.#packer,
      },
      this.#ownRestart.advertises,
    );
    advertiser.announceAll(this.host.cause);
    return {
      advertiser,
      update: (body) => {
        const importer = this.#policies.importerOf(session) ?? this.#policies.importer(session, peer);
        return this.#receiver.update(session, importer, peer, body, negotiated.context, this.host);
      },
    };
  }

  lost(session: Session): void {
    this.#policies.forget(session);
    this.#receiver.lost(session, this.host.cause);
    this.#ownRestart.progress();
  }

  sweep(session: Session, family: FamilyName): void {
    this.#receiver.sweep(session, family, this.host.cause);
  }

  keepLongLived(session: Session, family: FamilyName): void {
    this.#receiver.keepLongLived(session, family, this.host.cause);
  }

  endOfRib(): void {
    this.#ownRestart.progress();
  }

  vanished(session: Session): void {
    if (this.#sessions.delete(session)) this.host.vanished(session.name);
  }

  /**
   * This speaker comes back after a restart (RFC 4724 §4.1): it says so in its OPENs, and, but for a 'node', tells its peers
   * nothing, before it has heard all from those that know of graceful restart, or `deferral` (ms) is over. `done` is called then.
   */
  restart(what: RestartKind, deferral: number, done: () => void): void {
    this.#ownRestart.begin(what, done);
    this.later(deferral, () => this.#ownRestart.end());
  }

  /**
   * The policies of a session are these from now on, none for no names: what has come is judged anew, or what goes out.
   * @throws BgpConfigError for a name that there is no policy of.
   */
  setPolicy(name: string, direction: 'import' | 'export', names: readonly string[]): void {
    this.#policies.checkNames(name, names);
    this.#input(() => {
      const session = this.#sessions.get(name);
      if (session === undefined) return;
      this.#policies.choose(name, direction, names);
      const { peer, advertiser } = session;
      if (peer === null) return;
      if (direction === 'import')
        this.#receiver.reimport(session, this.#policies.importer(session, peer), this.host.cause);
      else advertiser?.setExporter(this.#policies.exporter(session.neighbor, peer), this.host.cause);
    });
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

  /** Routes that were damped are looked at again when the first of them may be used. */
  #scheduleReuse(): void {
    if (this.#damping === null || this.#reuseTimer !== null) return;
    const at = this.#damping.nextReuse(this.host.now);
    if (at === Number.POSITIVE_INFINITY) return;
    this.#reuseTimer = this.later(at - this.host.now, () => {
      this.#reuseTimer = null;
      for (const [session, importer] of this.#policies.importers())
        this.#receiver.reuse(session, importer, this.host.cause);
    });
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

  #input(run: () => void): void {
    this.#inputs.run(run);
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
    this.#publisher.run();
    this.#scheduleReuse();
  }
}

function keyOf(prefix: string): PrefixKey {
  const key = parseKey(prefix);
  if (key === null) throw new BgpConfigError(`${prefix} is neither an IPv4 nor an IPv6 prefix`);
  return key;
}

function identifierOf(text: string, what: string): number {
  const identifier = parseIp4(text);
  if (identifier === null || identifier === 0) throw new BgpConfigError(`${text} is not a valid BGP ${what}`);
  return identifier;
}
