import { parseIp4, parsePrefix, prefixKey } from '../ip4.ts';
import { Advertiser } from './advertiser.ts';
import type { UpdateFault } from './attribute-decode.ts';
import { AttributeTable, NO_ATTRIBUTES, type PathAttributes } from './attributes.ts';
import { BgpConfigError, type SpeakerConfig, type SpeakerTimings } from './config.ts';
import type { Connection } from './connection.ts';
import { ExportCache, type ExportContext, Exporter } from './export.ts';
import { bestPathChange } from './facts.ts';
import type { ConnectionId, Endpoint, ForwardingChange, SpeakerHost, TimerHandle } from './host.ts';
import { type Destination, type DestinationChange, LocRib } from './loc-rib.ts';
import { NextHopTable } from './nexthops.ts';
import { formatKey, type PrefixKey } from './nlri.ts';
import type { Notification } from './notification.ts';
import type { Path, Peer } from './path.ts';
import { Receiver } from './receiver.ts';
import { Session, type SessionOwner } from './session.ts';
import { UpdatePacker } from './update.ts';

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
  readonly #sessions = new Map<string, Session>();
  readonly #connections = new Map<ConnectionId, Connection>();
  readonly #attributes = new AttributeTable();
  readonly #packer = new UpdatePacker();
  readonly #nextHops: NextHopTable;
  readonly #locRib: LocRib;
  readonly #receiver: Receiver;
  readonly #identifier: number;
  readonly #exportContext: ExportContext;
  readonly #originated = new Map<Destination, Path>();
  readonly #localAttributes: PathAttributes;
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
      attributes: this.#attributes,
      cache: new ExportCache(),
    };
    this.#nextHops = new NextHopTable((addr) => host.resolveNexthop(addr));
    this.#locRib = new LocRib({
      asn: config.asn,
      maximumPaths: config.maximumPaths,
      compareMed: config.compareMed ?? 'same-as',
    });
    this.#receiver = new Receiver({
      asn: config.asn,
      identifier,
      clusterId,
      locRib: this.#locRib,
      nextHops: this.#nextHops,
      attributes: this.#attributes,
    });
    this.#localAttributes = this.#attributes.intern(NO_ATTRIBUTES);
    for (const neighbor of config.neighbors) {
      const session = new Session(this, { asn: config.asn, identifier, neighbor });
      if (this.#sessions.has(neighbor.name) || this.#sessionOf(session.address) !== undefined) {
        throw new BgpConfigError(`BGP neighbor ${neighbor.name} (${neighbor.address}) is configured twice`);
      }
      this.#sessions.set(neighbor.name, session);
    }
  }

  get locRib(): LocRib {
    return this.#locRib;
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
    return { updatesSent, updatesReceived, decisions: this.#decisions, routes: this.#locRib.routes, paths };
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

  stopPeer(name: string): void {
    this.#input(() => this.#sessions.get(name)?.stop());
  }

  /** @throws BgpConfigError if the prefix does not parse. */
  originate(prefix: string): void {
    const key = keyOf(prefix);
    this.#input(() => this.#originate(formatKey(key)));
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
      if (changed.size > 0) this.#locRib.touchUsersOf(changed, this.host.cause);
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
  admit(remote: number): ConnectionId | null {
    const connection = this.#sessionOf(remote)?.acceptor() ?? null;
    return connection === null ? null : this.#register(connection);
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
    let pendingWork = this.#locRib.dirty + this.#waiting.length;
    for (const session of this.#sessions.values()) {
      const { name, key, state, settling, counters, advertiser, blocked } = session;
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
      pendingWork += (advertiser?.pending ?? 0) + (blocked ? 1 : 0);
    }
    return { sessions, pendingWork };
  }

  later(delay: number, run: () => void): TimerHandle {
    return this.host.timers.set(this.host.now + delay, () => this.#input(run));
  }

  connect(session: Session, connection: Connection): ConnectionId {
    const id = this.#register(connection);
    const { address, localAddress, name, neighbor } = session;
    this.host.connect(id, { peer: name, address, localAddress, ttl: neighbor.ttl });
    return id;
  }

  release(id: ConnectionId): void {
    this.#connections.delete(id);
  }

  established(session: Session, peer: Peer): Advertiser {
    const mrai = peer.kind === 'internal' ? this.timings.mraiIbgp : this.timings.mraiEbgp;
    const advertiser = new Advertiser(session, new Exporter(peer, this.#exportContext), this.#locRib, {
      mrai,
      mraiAppliesTo: this.config.mraiAppliesTo ?? 'advertisements',
      asSize: peer.asSize,
      packer: this.#packer,
    });
    advertiser.announceAll(this.host.cause);
    return advertiser;
  }

  lost(session: Session): void {
    this.#receiver.lost(session, this.host.cause);
  }

  update(session: Session, body: Uint8Array): Notification | null {
    const { peer, connection } = session;
    if (peer === null || connection.negotiated === null) return null;
    return this.#receiver.update(session, peer, body, connection.negotiated.context, this.host);
  }

  #originate(prefix: string): void {
    const destination = this.#locRib.destination(keyOf(prefix));
    if (this.#originated.has(destination)) return;
    this.host.originated(formatKey(destination.key));
    const attributes = this.#localAttributes;
    const fixed = { peer: null, pathId: 0, nextHop: null, rejection: null };
    const path: Path = { destination, attributes, at: this.host.now, ...fixed };
    this.#originated.set(destination, path);
    this.#locRib.replace(destination, null, path, this.host.cause);
  }

  #withdraw(key: PrefixKey): void {
    const destination = this.#locRib.get(key);
    const path = destination && this.#originated.get(destination);
    if (path === undefined) return;
    this.host.unoriginated(formatKey(key));
    this.#originated.delete(path.destination);
    this.#locRib.replace(path.destination, path, null, this.host.cause);
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
    for (const { cause, changes } of this.#locRib.decideDirty()) {
      this.host.cause = cause;
      this.#publish(changes);
    }
    for (const { advertiser } of this.#sessions.values()) advertiser?.flush();
  }

  #publish(changes: readonly DestinationChange[]): void {
    this.#decisions += changes.length;
    this.host.bestChanged(changes.map(({ destination }) => bestPathChange(destination)));
    const { cause } = this.host;
    const forwarding: ForwardingChange[] = [];
    for (const { destination, nextHopsChanged } of changes) {
      if (nextHopsChanged) forwarding.push({ prefix: destination.key, nextHops: destination.nextHops });
    }
    if (forwarding.length > 0) this.host.installRoutes(forwarding);
    for (const { advertiser } of this.#sessions.values()) {
      if (advertiser === null) continue;
      for (const { destination, bestChanged } of changes) {
        if (bestChanged) advertiser.update(destination, cause);
      }
    }
    for (const { destination } of changes) this.#locRib.sweep(destination);
  }
}

function keyOf(prefix: string): PrefixKey {
  const parsed = parsePrefix(prefix);
  if (parsed === null) throw new BgpConfigError(`${prefix} is not an IPv4 prefix`);
  return prefixKey(parsed.addr, parsed.len);
}

function identifierOf(text: string, what: string): number {
  const identifier = parseIp4(text);
  if (identifier === null || identifier === 0) throw new BgpConfigError(`${text} is not a valid BGP ${what}`);
  return identifier;
}
