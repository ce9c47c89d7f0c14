import { BgpConfigError } from '../../protocols/bgp/config.ts';
import { bestPathChange } from '../../protocols/bgp/facts.ts';
import type {
  CloseMode,
  ConnectionId,
  ConnectRequest,
  ForwardingChange,
  SpeakerHost,
} from '../../protocols/bgp/host.ts';
import { formatKey, type PrefixKey } from '../../protocols/bgp/nlri.ts';
import { compilePolicies } from '../../protocols/bgp/policy/policy.ts';
import type { Session } from '../../protocols/bgp/session.ts';
import { BgpSpeaker } from '../../protocols/bgp/speaker.ts';
import type { SpeakerStats } from '../../protocols/bgp/speaker-report.ts';
import type { BgpRequest } from '../commands.ts';
import type { BgpConfig, Timings } from '../config.ts';
import type { BgpSessionState } from '../events/bgp.ts';
import type { EventId } from '../events/record.ts';
import type { Device } from '../kernel/device.ts';
import type { Netns } from '../kernel/netns.ts';
import type { SessionCount, SocketEvent } from '../machine-io.ts';
import type { Runtime } from '../runtime.ts';
import type { BgpView } from '../state/bgp-view.ts';
import type { Bfdd } from './bfdd.ts';
import { BfdWatch } from './bgp/bfd-watch.ts';
import { ExternalSessions, type RealSockets } from './bgp/external-sessions.ts';
import { BgpFib } from './bgp/fib.ts';
import { ProtocolNames } from './bgp/format.ts';
import { nodeStatus } from './bgp/node-status.ts';
import { restartTimeOf } from './bgp/restart-time.ts';
import { birdc, type ShellOutput } from './bgp/show.ts';
import { snapshotSpeaker } from './bgp/snapshot.ts';
import { TcpSessions } from './bgp/tcp-sessions.ts';

/**
 * 'boot' is a node's first; 'reboot' one that it comes back by, with an empty table. After a crash of the daemon alone the kernel
 * still forwards as it was told before, or not.
 */
export type BgpdStart = 'boot' | 'reboot' | 'forwarding-kept' | 'forwarding-lost';

export interface BgpdOptions {
  readonly netns: Netns;
  readonly config: BgpConfig;
  readonly timings: Timings['bgp'];
  readonly sockets: RealSockets;
  readonly start: BgpdStart;
  readonly bfdd?: Bfdd;
}

/**
 * The BGP daemon: a speaker bound to the sockets and the main route table of a namespace, and to the node's time, dice
 * and log.
 */
export class Bgpd {
  readonly #rt: Runtime;
  readonly #netns: Netns;
  readonly #config: BgpConfig;
  readonly #speaker: BgpSpeaker;
  readonly #fib: BgpFib;
  readonly #names: ProtocolNames;
  readonly #tcp: TcpSessions;
  readonly #external: ExternalSessions;
  #refresh: 'none' | 'routes' | 'links' = 'none';
  #startedAt = 0;
  #alive = true;
  readonly #bfd: BfdWatch;
  /** Forwarding changes that wait for the end of a restart (RFC 4724 §4.1), null if there is none. */
  #held: Map<PrefixKey, ForwardingChange> | null = null;

  /**
   * @throws BgpConfigError, PolicyError if the configuration holds an address that is none, a neighbour twice, or no policy of a name.
   */
  constructor(rt: Runtime, options: BgpdOptions) {
    const { netns, config, timings, sockets, start, bfdd = null } = options;
    this.#rt = rt;
    this.#netns = netns;
    this.#config = config;
    this.#fib = new BgpFib(netns, start === 'forwarding-kept' ? 'adopt' : 'fresh');
    this.#names = new ProtocolNames(config);
    const policies = config.policy === undefined ? {} : { policies: compilePolicies(config.policy) };
    const speaker = new BgpSpeaker({ ...config, ...policies }, timings, this.#host());
    this.#speaker = speaker;
    this.#tcp = new TcpSessions(rt, speaker, netns);
    this.#bfd = new BfdWatch(
      bfdd,
      speaker,
      config.neighbors,
      (address) => this.#fib.resolve(address)?.metric === 0,
    );
    const restartTime = restartTimeOf(config) ?? 0;
    if (start === 'reboot') speaker.restart('node', restartTime, () => {});
    else if (start !== 'boot') {
      this.#held = new Map();
      speaker.restart(`daemon-${start}`, restartTime, () => this.#restarted());
    }
    this.#external = new ExternalSessions(
      {
        rt,
        speaker,
        sockets,
        reaches: (address, zone) => this.#fib.reaches(address, zone),
      },
      config.neighbors,
    );
  }

  /** Listens, originates the configured networks and starts the sessions. Addresses are to be there by then. */
  start(): void {
    this.#startedAt = this.#rt.now;
    this.#tcp.listen();
    this.#speaker.start();
  }

  /** The process dies: the kernel resets its connections, and nothing more comes of it. Its routes stay in the table. */
  die(): void {
    this.#alive = false;
    this.#aside(() => this.#bfd.end());
    this.#tcp.stopListening();
    this.#external.die();
    this.#tcp.die();
  }

  /** Prefixes originated here. */
  get originated(): readonly string[] {
    return this.#speaker.originatedPrefixes().map(formatKey);
  }

  /** Takes the routes of a daemon that is gone for good out of the table. */
  static removeRoutes(netns: Netns): void {
    new BgpFib(netns, 'adopt').dropLeftOver();
  }

  /** All peers have told what they have, or time is up: what was decided goes into the table in one go. */
  #restarted(): void {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    this.#aside(() => {
      this.#fib.install([...held.values()]);
      this.#fib.dropLeftOver();
    });
  }

  #install(changes: readonly ForwardingChange[]): void {
    if (this.#held === null) this.#aside(() => this.#fib.install(changes));
    else for (const change of changes) this.#held.set(change.key, change);
  }

  /** CEASE to every peer; routes learned from them leave the table. */
  shutdown(): void {
    this.#tcp.stopListening();
    this.#speaker.shutdown();
  }

  /** Does nothing for a prefix that is originated already. @throws BgpConfigError */
  originate(prefix: string): void {
    this.#speaker.originate(prefix);
  }

  withdraw(prefix: string): void {
    this.#speaker.withdraw(prefix);
  }

  /** Does what an operator asks for; what is wrong with it, or null. */
  control(request: BgpRequest): string | null {
    const speaker = this.#speaker;
    if ('peer' in request && speaker.session(request.peer) === undefined) {
      const known = [...speaker.sessions()].map(({ name }) => name).join(', ');
      return `there is no BGP session with ${request.peer}; there are: ${known === '' ? 'none' : known}`;
    }
    try {
      switch (request.op) {
        case 'announce':
          speaker.originate(request.prefix);
          return null;
        case 'withdraw':
          if (!speaker.originates(request.prefix)) return `${request.prefix} is not announced here`;
          speaker.withdraw(request.prefix);
          return null;
        case 'load':
          for (const message of request.messages) {
            if (!speaker.originateUpdate(message)) return 'what was to be originated is no UPDATE of routes';
          }
          return null;
        case 'restart':
          return 'a restart is for whoever runs the daemon';
        case 'refresh':
          return speaker.requestRefresh(request.peer, request.family)
            ? null
            : `${request.peer} is not there, or knows no route refresh of ${request.family}`;
        case 'reset':
          speaker.resetPeer(request.peer);
          return null;
        case 'disable':
          speaker.stopPeer(request.peer, request.communication);
          return null;
        case 'enable':
          speaker.startPeer(request.peer);
          return null;
        case 'policy':
          speaker.setPolicy(request.peer, request.direction, request.names);
          return null;
      }
    } catch (error) {
      if (error instanceof BgpConfigError) return error.message;
      throw error;
    }
  }

  startPeer(name: string): void {
    this.#speaker.startPeer(name);
  }

  stopPeer(name: string): void {
    this.#speaker.stopPeer(name);
  }

  /** The main table has changed, by whomever: next hops are resolved again at the end of the step. */
  fibChanged(): void {
    this.#scheduleRefresh('routes');
  }

  /**
   * A device of the node has lost or regained its carrier, or its addresses have changed. External peers on a link that is
   * down are lost at once, as with `fast-external-failover`; internal ones have their hold timer.
   */
  onLinkChange(device: Device): void {
    if (!device.usable) {
      for (const session of this.#speaker.sessions()) {
        const { name, kind, zone, neighbor } = session;
        const direct = kind === 'external' && (neighbor.ttl <= 1 || zone !== '');
        if (!(direct || this.#external.has(name)) || !isFrom(device, session)) continue;
        this.#speaker.neighborLost(name, 'Network is down');
      }
    }
    this.#speaker.topologyChanged();
    this.#scheduleRefresh('links');
  }

  /** An IPv6 address of the device may be used from now on: sessions from it wait no longer. */
  onAddressReady({ inet6, name }: Device): void {
    for (const { addr, dad } of inet6.addresses) if (dad === null) this.#speaker.addressReady(addr, name);
    this.#scheduleRefresh('links');
  }

  /** Several inputs of the node follow as one batch: routes are decided at its end. */
  holdDecisions(): void {
    this.#speaker.holdDecisions();
  }

  releaseDecisions(): void {
    this.#speaker.releaseDecisions();
  }

  snapshot(): BgpView {
    return snapshotSpeaker(this.#speaker);
  }

  /** Something has become of a real TCP connection of the shell's. */
  external(socket: number, event: SocketEvent): void {
    this.#external.handle(socket, event);
  }

  /** Terms of the quiescence sum. A refresh that is due counts as work, and so does a real daemon that may say more. */
  report(): { readonly sessions: readonly SessionCount[]; readonly pendingWork: number } {
    const { sessions, pendingWork } = this.#speaker.report();
    return {
      sessions: sessions.map((session) =>
        this.#external.has(session.peer) ? { ...session, farEnd: 'external' } : session,
      ),
      pendingWork:
        pendingWork + (this.#refresh === 'none' ? 0 : 1) + this.#external.unsettled + this.#awaitingAddress,
    };
  }

  /** Sessions that are about to come up from an address which is still being claimed. */
  get #awaitingAddress(): number {
    let count = 0;
    for (const { localAddress, zone, state, stopped } of this.#speaker.sessions()) {
      if (typeof localAddress !== 'string' || state === 'Established' || stopped) continue;
      const devices = zone === '' ? this.#netns.devices() : [this.#netns.device(zone)];
      const claimed = devices.some(
        (device) => device?.usable === true && device.inet6.find(localAddress)?.dad === 'tentative',
      );
      if (claimed) count++;
    }
    return count;
  }

  get stats(): SpeakerStats {
    return this.#speaker.stats;
  }

  /** Answers a `birdc` command: `show protocols all`, `show route for 10.0.0.1`. */
  show(args: readonly string[]): ShellOutput {
    return birdc(args, {
      speaker: this.#speaker,
      names: this.#names,
      fib: this.#fib,
      netns: this.#netns,
      now: this.#rt.now,
      startedAt: this.#startedAt,
    });
  }

  /** What `calicoctl node status` prints. */
  nodeStatus(): string {
    return nodeStatus(this.#config, this.#speaker, this.#rt.now);
  }

  #scheduleRefresh(which: 'routes' | 'links'): void {
    const idle = this.#refresh === 'none';
    if (idle || which === 'links') this.#refresh = which;
    if (!idle) return;
    // A batch of routes is many calls: one refresh at the end of the step does for all of them.
    this.#rt.timers.set(this.#rt.now, () => {
      if (!this.#alive) return;
      const links = this.#refresh === 'links';
      this.#refresh = 'none';
      const changed = this.#fib.refresh() === 'changed';
      if (changed) this.#speaker.fibChanged();
      this.#fib.reinstall(changed || links ? 'all' : 'absent');
    });
  }

  /** Runs something that emits events without letting them become the cause of what follows. */
  #aside(run: () => void): void {
    const { cause } = this.#rt;
    run();
    this.#rt.cause = cause;
  }

  #host(): SpeakerHost {
    const rt = this.#rt;
    return {
      get now() {
        return rt.now;
      },
      random: rt.random,
      timers: {
        set: (at, fire) =>
          rt.timers.set(at, () => {
            if (this.#alive) fire();
          }),
        cancel: (timer) => rt.timers.cancel(timer),
      },
      get cause() {
        return rt.cause;
      },
      set cause(id: EventId) {
        rt.cause = id;
      },
      connect: (id, request) => this.#connect(id, request),
      send: (id, bytes, cause) => this.#send(id, bytes, cause),
      close: (id, how) => this.#close(id, how),
      // A real daemon is on no link of the lab.
      linkTo: (peer, address, zone) => (this.#external.has(peer) ? null : this.#fib.linkTo(address, zone)),
      resolveNexthop: (addr) => this.#fib.resolve(addr),
      installRoutes: (changes) => this.#install(changes),
      sessionChanged: (peer: string, from: BgpSessionState, to: BgpSessionState, reason: string) => {
        rt.emit({ type: 'bgp.session', peer, from, to, reason });
        if (to === 'Established') this.#aside(() => this.#bfd.watch(peer));
        else if (from === 'Established') this.#aside(() => this.#bfd.unwatch(peer));
      },
      stale: (peer, family, what) => {
        rt.emit({ type: 'bgp.stale', peer, family, what });
      },
      vanished: (peer) => {
        rt.emit({ type: 'bgp.vanished', peer });
      },
      notice: (peer, text) => {
        rt.emit({ type: 'bgp.notice', peer, text });
      },
      received: (peer: string, message: Uint8Array) => {
        rt.emit({ type: 'bgp.received', peer, message });
      },
      sent: (peer: string, message: Uint8Array) => {
        rt.emit({ type: 'bgp.sent', peer, message });
      },
      bestChanged: (destinations) => {
        rt.emit({ type: 'bgp.best', changes: destinations.map(bestPathChange) });
      },
      originated: (prefix: string) => {
        rt.emit({ type: 'bgp.originated', prefix });
      },
      unoriginated: (prefix: string) => {
        rt.emit({ type: 'bgp.unoriginated', prefix });
      },
    };
  }

  #connect(id: ConnectionId, request: ConnectRequest): void {
    if (this.#external.has(request.peer)) this.#external.connect(id, request.peer);
    else this.#tcp.connect(id, request);
  }

  /** A connection that is gone takes everything: its end is about to be told. */
  #send(id: ConnectionId, bytes: Uint8Array, cause: EventId): number {
    return this.#tcp.send(id, bytes, cause) ?? this.#external.send(id, bytes) ?? bytes.length;
  }

  #close(id: ConnectionId, how: CloseMode): void {
    if (!this.#tcp.close(id, how)) this.#external.close(id, how);
  }
}

/** Whether a session's own address is one of the device. */
function isFrom(device: Device, { localAddress, zone }: Session): boolean {
  if (typeof localAddress === 'number') return device.addresses.some(({ addr }) => addr === localAddress);
  return (zone === '' || zone === device.name) && device.inet6.find(localAddress) !== undefined;
}
