import { createServer, type Socket } from 'node:net';
import { connectBus } from '../../bus/connection.ts';
import { ensureLog, LogPublisher } from '../../bus/log.ts';
import type { LabEvent, LogRecord } from '../../nodes/events/index.ts';
import { EVENT_SCHEMA } from '../../nodes/events/record.ts';
import { seededRandom } from '../../nodes/random.ts';
import { TimerQueue } from '../../nodes/timers.ts';
import type { SpeakerConfig, SpeakerTimings } from '../../protocols/bgp/config.ts';
import { bestPathChange } from '../../protocols/bgp/facts.ts';
import type { ConnectionId, SpeakerHost } from '../../protocols/bgp/host.ts';
import { BgpSpeaker } from '../../protocols/bgp/speaker.ts';
import { parseIp4 } from '../../protocols/ip4.ts';
import { peersOf } from './daemons/daemon.ts';
import { TARGET } from './workload.ts';

/** What the process is told by its environment. */
export interface TargetBoot {
  readonly port: number;
  readonly injectors: number;
  /** The bus that its events go to, as a node's do; null to record nothing. */
  readonly log: { readonly url: string; readonly token: string } | null;
}

export type TargetMessage =
  | { readonly type: 'listening' }
  | { readonly type: 'paths'; readonly paths: number };

/** Bytes that may wait in a socket before the speaker has to. */
const SEND_BUFFER = 2 ** 20;
/** As nodes/shell/node-shell.ts has it: beyond it the node takes no more input. */
const MAX_LAG = 65_536 / 2;

const TIMINGS: SpeakerTimings = {
  holdTime: 240_000,
  keepalive: 80_000,
  connectRetry: 5_000,
  connectDelay: 0,
  mraiIbgp: 0,
  mraiEbgp: 0,
  idleHold: 100,
  idleHoldMax: 100,
};

interface Outgoing {
  readonly parts: Uint8Array[];
  length: number;
}

/** The speaker of protocols/bgp on the sockets of the operating system. */
class Target {
  readonly #speaker: BgpSpeaker;
  readonly #sockets = new Map<ConnectionId, Socket>();
  /** What a step sends, written at its end in one piece. */
  readonly #outgoing = new Map<Socket, Outgoing>();
  readonly #timers = new TimerQueue(() => this.#cause);
  readonly #record: ((record: LogRecord) => void) | null;
  readonly #keepsUp: () => boolean;
  #alarm: NodeJS.Timeout | null = null;
  #alarmAt = Number.POSITIVE_INFINITY;
  #now = clock();
  #cause = 0;
  #events = 0;
  #held = false;

  constructor(boot: TargetBoot, record: ((record: LogRecord) => void) | null, keepsUp: () => boolean) {
    this.#record = record;
    this.#keepsUp = keepsUp;
    this.#speaker = new BgpSpeaker(configuration(boot), TIMINGS, this.#host());
    this.#step(() => this.#speaker.start());
    createServer({ highWaterMark: SEND_BUFFER, noDelay: true }, (socket) => this.#accept(socket)).listen(
      boot.port,
      TARGET.address,
      () => tell({ type: 'listening' }),
    );
  }

  get paths(): number {
    return this.#speaker.stats.paths;
  }

  #accept(socket: Socket): void {
    const { remoteAddress = '', remotePort = 0, localPort = 0 } = socket;
    const remote = parseIp4(remoteAddress) ?? 0;
    const local = parseIp4(TARGET.address) ?? 0;
    const id = this.#speaker.admit(remote, local);
    socket.on('error', () => {});
    if (id === null) {
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.set(id, socket);
    socket.on('data', (chunk) => this.#data(id, socket, chunk));
    socket.on('drain', () => this.#step(() => this.#speaker.tcpWritable(id)));
    socket.on('close', () => {
      if (!this.#sockets.delete(id)) return;
      this.#step(() => this.#speaker.tcpClosed(id, 'Connection closed'));
    });
    this.#step(() =>
      this.#speaker.tcpAccepted(id, { addr: local, port: localPort }, { addr: remote, port: remotePort }),
    );
  }

  #data(id: ConnectionId, socket: Socket, chunk: Uint8Array): void {
    this.#hold();
    this.#step(() => this.#speaker.tcpData(id, chunk));
    if (!this.#keepsUp()) this.#pause(socket);
  }

  /** What one round of the event loop brings is decided at its end, as a node does with what one read of its bus brings. */
  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#speaker.holdDecisions();
    setImmediate(() => {
      this.#held = false;
      this.#step(() => this.#speaker.releaseDecisions());
    });
  }

  #pause(socket: Socket): void {
    socket.pause();
    setTimeout(() => {
      if (this.#keepsUp()) socket.resume();
      else this.#pause(socket);
    }, 1);
  }

  #step(run: () => void): void {
    this.#now = clock();
    this.#cause = 0;
    run();
    for (const socket of this.#outgoing.keys()) this.#flush(socket);
    this.#arm();
  }

  #arm(): void {
    const at = this.#timers.next();
    if (at === this.#alarmAt) return;
    if (this.#alarm !== null) clearTimeout(this.#alarm);
    this.#alarm = null;
    this.#alarmAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const wait = Math.ceil(Math.max(at - clock(), 0));
    this.#alarm = setTimeout(() => {
      this.#alarmAt = Number.POSITIVE_INFINITY;
      this.#step(() => {
        this.#timers.run(this.#now, (fire, cause) => {
          this.#cause = cause;
          fire();
        });
      });
    }, wait);
  }

  #send(id: ConnectionId, bytes: Uint8Array): number {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return bytes.length;
    let outgoing = this.#outgoing.get(socket);
    if (socket.writableLength + (outgoing?.length ?? 0) >= SEND_BUFFER) return 0;
    if (outgoing === undefined) {
      outgoing = { parts: [], length: 0 };
      this.#outgoing.set(socket, outgoing);
    }
    outgoing.parts.push(bytes);
    outgoing.length += bytes.length;
    return bytes.length;
  }

  #flush(socket: Socket): void {
    const outgoing = this.#outgoing.get(socket);
    if (outgoing !== undefined) socket.write(Buffer.concat(outgoing.parts, outgoing.length));
    this.#outgoing.delete(socket);
  }

  #close(id: ConnectionId, how: 'fin' | 'rst'): void {
    const socket = this.#sockets.get(id);
    this.#sockets.delete(id);
    if (socket === undefined) return;
    this.#flush(socket);
    if (how === 'fin') socket.end();
    else socket.resetAndDestroy();
  }

  #emit(event: LabEvent): void {
    if (this.#record === null) return;
    const id = ++this.#events;
    this.#record({ v: EVENT_SCHEMA, id, cause: this.#cause, at: this.#now, event });
    this.#cause = id;
  }

  #host(): SpeakerHost {
    const now = () => this.#now;
    const cause = () => this.#cause;
    const setCause = (id: number) => {
      this.#cause = id;
    };
    return {
      get now() {
        return now();
      },
      get cause() {
        return cause();
      },
      set cause(id: number) {
        setCause(id);
      },
      random: seededRandom(1),
      timers: this.#timers,
      connect: () => {
        throw new Error('the target only accepts');
      },
      send: (id, bytes) => this.#send(id, bytes),
      close: (id, how) => this.#close(id, how),
      linkTo: () => null,
      resolveNexthop: () => ({ metric: 0 }),
      installRoutes: () => {},
      sessionChanged: (peer, from, to, reason) => {
        process.stderr.write(`${peer}: ${from} to ${to}: ${reason}\n`);
        this.#emit({ type: 'bgp.session', peer, from, to, reason });
      },
      stale: (peer, family, what) => this.#emit({ type: 'bgp.stale', peer, family, what }),
      vanished: (peer) => this.#emit({ type: 'bgp.vanished', peer }),
      notice: (peer, text) => this.#emit({ type: 'bgp.notice', peer, text }),
      received: (peer, message) => this.#emit({ type: 'bgp.received', peer, message }),
      sent: (peer, message) => this.#emit({ type: 'bgp.sent', peer, message }),
      bestChanged: (destinations) => {
        if (this.#record === null) return;
        this.#emit({ type: 'bgp.best', changes: destinations.map(bestPathChange) });
      },
      originated: (prefix) => this.#emit({ type: 'bgp.originated', prefix }),
      unoriginated: (prefix) => this.#emit({ type: 'bgp.unoriginated', prefix }),
    };
  }
}

function configuration({ injectors }: TargetBoot): SpeakerConfig {
  return {
    asn: TARGET.asn,
    routerId: TARGET.routerId,
    networks: [],
    maximumPaths: 1,
    neighbors: peersOf(injectors).map(({ address, asn }) => ({
      name: `as${asn}`,
      address,
      localAddress: TARGET.address,
      remoteAs: asn,
      passive: true,
      ttl: 64,
      routeReflectorClient: false,
      nextHopSelf: false,
    })),
  };
}

function clock(): number {
  return performance.timeOrigin + performance.now();
}

function tell(message: TargetMessage): void {
  process.send?.(message);
}

async function run(boot: TargetBoot): Promise<void> {
  let target: Target;
  if (boot.log === null) {
    target = new Target(boot, null, () => true);
  } else {
    const nc = await connectBus({ ...boot.log, name: 'target', echo: 'off' });
    await ensureLog(nc, 'bench');
    const publisher = new LogPublisher<LogRecord>(nc, 'bench', 'target', (error) => {
      process.stderr.write(`the log did not take a batch: ${error}\n`);
    });
    const record = (entry: LogRecord) => publisher.append(entry);
    target = new Target(boot, record, () => publisher.lag < MAX_LAG);
  }
  process.on('message', () => tell({ type: 'paths', paths: target.paths }));
  process.once('disconnect', () => process.exit(0));
}

void run(JSON.parse(process.env.REROUTE_BENCH_TARGET ?? '{}'));
