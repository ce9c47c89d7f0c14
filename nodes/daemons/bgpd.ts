import { BGP_PORT } from '../../protocols/bgp/constants.ts';
import type {
  CloseMode,
  ConnectionId,
  ConnectRequest,
  ForwardingChange,
  SpeakerHost,
} from '../../protocols/bgp/host.ts';
import { BgpSpeaker, type SpeakerReport, type SpeakerStats } from '../../protocols/bgp/speaker.ts';
import type { BgpConfig, Timings } from '../config.ts';
import type { BestPathChange, BgpSessionState } from '../events/bgp.ts';
import type { EventId } from '../events/record.ts';
import type { Device } from '../kernel/device.ts';
import type { Netns } from '../kernel/netns.ts';
import type { TcpListener, TcpSocket } from '../kernel/tcp.ts';
import type { Runtime } from '../runtime.ts';
import type { BgpView } from '../state/bgp-view.ts';
import { BgpFib } from './bgp/fib.ts';
import { ProtocolNames } from './bgp/format.ts';
import { nodeStatus } from './bgp/node-status.ts';
import { birdc, type ShellOutput } from './bgp/show.ts';
import { snapshotSpeaker } from './bgp/snapshot.ts';

/** What the socket layer's reasons are called by strerror(3), which is what BIRD prints. */
const CLOSE_REASONS = {
  closed: 'Connection closed',
  reset: 'Connection reset by peer',
  timeout: 'Connection timed out',
  refused: 'Connection refused',
  unreachable: 'No route to host',
  aborted: 'Software caused connection abort',
} as const;

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
  readonly #sockets = new Map<ConnectionId, TcpSocket>();
  #listener: TcpListener | null = null;
  #refresh: 'none' | 'routes' | 'links' = 'none';
  #startedAt = 0;

  /** @throws BgpConfigError if the configuration holds an address that is none, or a neighbour twice. */
  constructor(rt: Runtime, netns: Netns, config: BgpConfig, timings: Timings['bgp']) {
    this.#rt = rt;
    this.#netns = netns;
    this.#config = config;
    this.#fib = new BgpFib(netns);
    this.#names = new ProtocolNames(config);
    this.#speaker = new BgpSpeaker(config, timings, this.#host());
  }

  /** Listens, originates the configured networks and starts the sessions. Addresses are to be there by then. */
  start(): void {
    this.#startedAt = this.#rt.now;
    this.#listener = this.#netns.listenTcp({ addr: 0, port: BGP_PORT }, (socket) => this.#accept(socket));
    this.#speaker.start();
  }

  /** CEASE to every peer; routes learned from them leave the table. */
  shutdown(): void {
    this.#listener?.close();
    this.#listener = null;
    this.#speaker.shutdown();
  }

  /** Does nothing for a prefix that is originated already. @throws BgpConfigError */
  originate(prefix: string): void {
    this.#speaker.originate(prefix);
  }

  withdraw(prefix: string): void {
    this.#speaker.withdraw(prefix);
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
      for (const { name, kind, localAddress, neighbor } of this.#speaker.sessions()) {
        const direct = kind === 'external' && neighbor.ttl <= 1;
        if (!direct || !device.addresses.some(({ addr }) => addr === localAddress)) continue;
        this.#speaker.neighborLost(name, 'Network is down');
      }
    }
    this.#speaker.topologyChanged();
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

  /** Terms of the quiescence sum. A refresh that is due counts as work. */
  report(): SpeakerReport {
    const report = this.#speaker.report();
    return this.#refresh === 'none' ? report : { ...report, pendingWork: report.pendingWork + 1 };
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
      const links = this.#refresh === 'links';
      this.#refresh = 'none';
      const changed = this.#fib.refresh() === 'changed';
      if (changed) this.#speaker.fibChanged();
      this.#fib.reinstall(changed || links ? 'all' : 'absent');
    });
  }

  #accept(socket: TcpSocket): void {
    const id = this.#speaker.admit(socket.remote.addr, socket.local.addr);
    if (id === null) {
      socket.abort();
      return;
    }
    this.#bind(id, socket);
    this.#speaker.tcpAccepted(id, socket.local, socket.remote);
  }

  #bind(id: ConnectionId, socket: TcpSocket): void {
    this.#sockets.set(id, socket);
    socket.onData = (bytes) => this.#speaker.tcpData(id, bytes);
    socket.onDrained = () => this.#speaker.tcpWritable(id);
    socket.onPeerClosed = () => {
      this.#release(id, socket);
      socket.close();
      this.#speaker.tcpClosed(id, CLOSE_REASONS.closed);
    };
    socket.onClosed = (reason) => {
      this.#release(id, socket);
      this.#speaker.tcpClosed(id, CLOSE_REASONS[reason]);
    };
  }

  #release(id: ConnectionId, socket: TcpSocket): void {
    this.#sockets.delete(id);
    socket.onConnected = null;
    socket.onData = null;
    socket.onDrained = null;
    socket.onPeerClosed = null;
    socket.onClosed = null;
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
      timers: rt.timers,
      get cause() {
        return rt.cause;
      },
      set cause(id: EventId) {
        rt.cause = id;
      },
      connect: (id, request) => this.#connect(id, request),
      send: (id, bytes, cause) => this.#send(id, bytes, cause),
      close: (id, how) => this.#close(id, how),
      resolveNexthop: (addr) => this.#fib.resolve(addr),
      installRoutes: (changes: readonly ForwardingChange[]) => this.#aside(() => this.#fib.install(changes)),
      sessionChanged: (peer: string, from: BgpSessionState, to: BgpSessionState, reason: string) => {
        rt.emit({ type: 'bgp.session', peer, from, to, reason });
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
      bestChanged: (changes: readonly BestPathChange[]) => {
        rt.emit({ type: 'bgp.best', changes });
      },
      originated: (prefix: string) => {
        rt.emit({ type: 'bgp.originated', prefix });
      },
      unoriginated: (prefix: string) => {
        rt.emit({ type: 'bgp.unoriginated', prefix });
      },
    };
  }

  #connect(id: ConnectionId, { localAddress, address, ttl }: ConnectRequest): void {
    const socket = this.#netns.connectTcp({ src: localAddress, dst: address, port: BGP_PORT, ttl });
    this.#bind(id, socket);
    socket.onConnected = () => this.#speaker.tcpConnected(id, socket.local, socket.remote);
  }

  #send(id: ConnectionId, bytes: Uint8Array, cause: EventId): number {
    const socket = this.#sockets.get(id);
    // A connection that is gone takes everything: its end is about to be told.
    if (socket === undefined) return bytes.length;
    const saved = this.#rt.cause;
    this.#rt.cause = cause;
    const taken = socket.send(bytes);
    this.#rt.cause = saved;
    return taken;
  }

  #close(id: ConnectionId, how: CloseMode): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    this.#release(id, socket);
    if (how === 'fin') socket.close();
    else socket.abort();
  }
}
