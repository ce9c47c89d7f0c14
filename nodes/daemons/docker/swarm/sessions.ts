import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { Netns } from '../../../kernel/netns.ts';
import type { TcpListener, TcpSocket } from '../../../kernel/tcp.ts';
import { PortInUseError } from '../../../kernel/udp.ts';
import type { Runtime, TimerHandle } from '../../../runtime.ts';

/** Port of a manager's API. */
export const MANAGER_PORT = 2377;

/** ms: of an agent's heartbeat, and what is taken off it at random (swarmkit's dispatcher). */
export const HEARTBEAT = 5000;
const HEARTBEAT_EPSILON = 500;
/** ms: of a manager to another, as Raft's tick. */
const MANAGER_HEARTBEAT = 1000;
/** ms: before a session that has failed is tried again, twice as long each time. */
const FIRST_BACKOFF = 100;
const MAX_BACKOFF = 8000;
/** ms: how long an answer may take. */
const ANSWER = 5000;
/** More than a line may have. */
const LINE_LIMIT = 256;

export interface Manager {
  readonly hostname: string;
  readonly address: string;
}

export interface SessionsOptions {
  readonly node: string;
  readonly root: Netns;
  readonly role: () => 'manager' | 'worker';
  /** A member has been heard of. */
  readonly onHeard: (hostname: string) => void;
}

/** A session of this node's with a manager. */
interface Session {
  readonly manager: Manager;
  socket: TcpSocket | null;
  timer: TimerHandle | null;
  backoff: number;
}

/**
 * Sessions of the members of a swarm with its managers, over TCP port 2377 of the emulated network: heartbeats and what they say of
 * who lives. swarmkit speaks gRPC over TLS there; here it is a line of text each way, `heartbeat NODE` and `alive NODE`.
 */
export class Sessions {
  readonly #rt: Runtime;
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #heard = new Map<string, number>();
  readonly #accepted = new Set<TcpSocket>();
  #listener: TcpListener | null = null;

  constructor(rt: Runtime, options: SessionsOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  /** When a member was last heard of, ms; null for never. */
  heard(hostname: string): number | null {
    return this.#heard.get(hostname) ?? null;
  }

  /** Tries whether somebody listens there; '' if so, else what is wrong, in the words of Go's net package. */
  dial(host: number, port: number, done: (problem: string) => void): void {
    const socket = this.#options.root.connectTcp({ src: 0, dst: host, port });
    let problem = 'i/o timeout';
    const timer = this.#rt.timers.set(this.#rt.now + ANSWER, () => socket.abort());
    socket.onConnected = () => {
      problem = '';
      socket.close();
    };
    socket.onClosed = (reason) => {
      this.#rt.timers.cancel(timer);
      if (problem !== '' && reason === 'refused') problem = 'connect: connection refused';
      if (problem !== '' && reason === 'unreachable') problem = 'connect: no route to host';
      done(problem);
    };
  }

  /** Brings the sessions to what there is to be: one with each manager; none, and nobody served, for an empty list. */
  set(managers: readonly Manager[]): void {
    const { node, role } = this.#options;
    const serves = managers.length > 0 && role() === 'manager';
    if (serves) this.#listen();
    else this.#stopListening();
    for (const [hostname, session] of [...this.#sessions]) {
      const now = managers.find((manager) => manager.hostname === hostname);
      if (now?.address === session.manager.address) continue;
      this.#end(session);
      this.#sessions.delete(hostname);
    }
    for (const manager of managers) {
      if (manager.hostname === node || this.#sessions.has(manager.hostname)) continue;
      const session: Session = { manager, socket: null, timer: null, backoff: FIRST_BACKOFF };
      this.#sessions.set(manager.hostname, session);
      this.#connect(session);
    }
  }

  #listen(): void {
    if (this.#listener !== null) return;
    try {
      this.#listener = this.#options.root.listenTcp({ addr: 0, port: MANAGER_PORT }, (socket) =>
        this.#accept(socket),
      );
    } catch (error) {
      // Somebody has the port: the others will not hear of this manager.
      if (!(error instanceof PortInUseError)) throw error;
    }
  }

  #stopListening(): void {
    this.#listener?.close();
    this.#listener = null;
    for (const socket of [...this.#accepted]) socket.abort();
    this.#accepted.clear();
  }

  #accept(socket: TcpSocket): void {
    this.#accepted.add(socket);
    socket.onClosed = () => this.#accepted.delete(socket);
    socket.onPeerClosed = () => socket.close();
    onLines(socket, (line) => {
      const [, hostname] = /^heartbeat ([\w.-]+)$/.exec(line) ?? [];
      if (hostname === undefined) {
        socket.abort();
        return;
      }
      socket.send(new TextEncoder().encode(`alive ${this.#options.node}\n`));
      this.#hear(hostname);
    });
  }

  #connect(session: Session): void {
    const { root } = this.#options;
    const socket = root.connectTcp({
      src: 0,
      dst: parseIp4(session.manager.address) ?? 0,
      port: MANAGER_PORT,
    });
    session.socket = socket;
    this.#wait(session, ANSWER, () => socket.abort());
    socket.onConnected = () => this.#beat(session, socket);
    socket.onPeerClosed = () => socket.close();
    socket.onClosed = () => {
      if (session.socket !== socket) return;
      session.socket = null;
      this.#wait(session, session.backoff, () => this.#connect(session));
      session.backoff = Math.min(MAX_BACKOFF, session.backoff * 2);
    };
    onLines(socket, (line) => {
      if (line !== `alive ${session.manager.hostname}`) {
        socket.abort();
        return;
      }
      session.backoff = FIRST_BACKOFF;
      const period =
        this.#options.role() === 'manager'
          ? MANAGER_HEARTBEAT
          : HEARTBEAT - this.#rt.random.int(0, HEARTBEAT_EPSILON);
      this.#wait(session, period, () => this.#beat(session, socket));
      this.#hear(session.manager.hostname);
    });
  }

  #beat(session: Session, socket: TcpSocket): void {
    socket.send(new TextEncoder().encode(`heartbeat ${this.#options.node}\n`));
    this.#wait(session, ANSWER, () => socket.abort());
  }

  #hear(hostname: string): void {
    this.#heard.set(hostname, this.#rt.now);
    this.#options.onHeard(hostname);
  }

  #wait(session: Session, ms: number, act: () => void): void {
    const { timers, now } = this.#rt;
    if (session.timer !== null) timers.cancel(session.timer);
    session.timer = timers.set(now + ms, act);
  }

  #end(session: Session): void {
    if (session.timer !== null) this.#rt.timers.cancel(session.timer);
    const { socket } = session;
    session.socket = null;
    session.timer = null;
    socket?.close();
  }
}

/** Hands over what a socket receives line by line; one that has no end in sight ends it. */
function onLines(socket: TcpSocket, take: (line: string) => void): void {
  const decoder = new TextDecoder();
  let unread = '';
  socket.onData = (bytes) => {
    unread += decoder.decode(bytes, { stream: true });
    const lines = unread.split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) take(line);
    if (unread.length > LINE_LIMIT) socket.abort();
  };
}
