import type { CloseMode, ConnectionId } from '../../../protocols/bgp/host.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { parseScoped } from '../../../protocols/scoped-address.ts';
import type { BgpNeighbor, ExternalTransport } from '../../config.ts';
import type { SocketEvent, SocketRequest } from '../../machine-io.ts';
import type { Runtime } from '../../runtime.ts';

/** Bytes that the shell may hold of one connection before the speaker has to wait. */
const SEND_WINDOW = 262_144;

interface Neighbor {
  readonly name: string;
  /** Emulated addresses of the session. */
  readonly address: IpAddress;
  readonly localAddress: IpAddress;
  readonly zone: string;
  readonly transport: ExternalTransport;
  /** Messages counted on the session when it was last looked at, and when they last changed, ms. */
  counted: string;
  movedAt: number;
}

interface Connection {
  readonly id: ConnectionId;
  readonly socket: number;
  readonly neighbor: Neighbor;
  credit: number;
}

/**
 * A node's real TCP connections. They are counted on from one life of its daemon to the next: what the shell has still to
 * say of an old one is of none of the new.
 */
export class RealSockets {
  readonly ask: (request: SocketRequest) => void;
  #last = 0;

  /** `ask` brings a request to the shell. */
  constructor(ask: (request: SocketRequest) => void) {
    this.ask = ask;
  }

  /** Number for a connection that the machine opens. */
  next(): number {
    return ++this.#last;
  }
}

/** What the sessions need of the daemon. */
export interface ExternalHost {
  readonly rt: Runtime;
  readonly speaker: BgpSpeaker;
  /** Where there are no neighbours outside of the lab, nobody asks. */
  readonly sockets: RealSockets;
  /** Whether there is a way to an emulated address: a pulled cable cuts the real connection too. */
  readonly reaches: (address: IpAddress, zone: string) => boolean;
}

/**
 * Sessions whose transport is a real TCP connection of the shell's. The speaker sees the emulated addresses; where the bytes
 * really go is known to the shell alone. Connections that the machine opens are numbered from 1 up, those that
 * the shell accepts from -1 down.
 */
export class ExternalSessions {
  readonly #host: ExternalHost;
  readonly #neighbors = new Map<string, Neighbor>();
  readonly #bySocket = new Map<number, Connection>();
  readonly #byId = new Map<ConnectionId, Connection>();

  constructor(host: ExternalHost, neighbors: readonly BgpNeighbor[]) {
    this.#host = host;
    for (const { name, address, localAddress, external } of neighbors) {
      if (external === undefined) continue;
      const remote = parseScoped(address);
      this.#neighbors.set(name, {
        name,
        address: remote?.addr ?? 0,
        localAddress: parseScoped(localAddress)?.addr ?? 0,
        zone: remote?.zone ?? '',
        transport: external,
        counted: '',
        movedAt: 0,
      });
    }
  }

  has(peer: string): boolean {
    return this.#neighbors.has(peer);
  }

  connect(id: ConnectionId, peer: string): void {
    const neighbor = this.#neighbors.get(peer);
    if (neighbor === undefined) return;
    if (!this.#host.reaches(neighbor.address, neighbor.zone)) {
      const { rt, speaker } = this.#host;
      rt.timers.set(rt.now, () => speaker.tcpClosed(id, 'Network is down'));
      return;
    }
    const { sockets } = this.#host;
    const socket = sockets.next();
    this.#open(id, socket, neighbor);
    sockets.ask({ type: 'connect', socket, peer });
  }

  /** Bytes taken; null if the connection is none of these. */
  send(id: ConnectionId, bytes: Uint8Array): number | null {
    const connection = this.#byId.get(id);
    if (connection === undefined) return null;
    const taken = Math.min(bytes.length, connection.credit);
    if (taken === 0) return 0;
    connection.credit -= taken;
    this.#host.sockets.ask({ type: 'send', socket: connection.socket, bytes: bytes.subarray(0, taken) });
    return taken;
  }

  /** False if the connection is none of these. */
  close(id: ConnectionId, how: CloseMode): boolean {
    const connection = this.#byId.get(id);
    if (connection === undefined) return false;
    this.#forget(connection);
    this.#host.sockets.ask({ type: 'close', socket: connection.socket, how });
    return true;
  }

  /** The daemon dies: its connections are reset, as the kernel does it. */
  die(): void {
    for (const id of [...this.#byId.keys()]) this.close(id, 'rst');
  }

  handle(socket: number, event: SocketEvent): void {
    if (event.type === 'accepted') {
      this.#accept(socket, event);
      return;
    }
    const connection = this.#bySocket.get(socket);
    // What was closed here may still have been on its way.
    if (connection === undefined) return;
    const { id, neighbor } = connection;
    const { speaker } = this.#host;
    switch (event.type) {
      case 'connected':
        speaker.tcpConnected(
          id,
          { addr: neighbor.localAddress, port: event.localPort },
          { addr: neighbor.address, port: event.remotePort },
        );
        return;
      case 'data':
        speaker.tcpData(id, event.bytes);
        if (this.#bySocket.has(socket)) {
          this.#host.sockets.ask({ type: 'taken', socket, bytes: event.bytes.length });
        }
        return;
      case 'written': {
        const waited = connection.credit === 0;
        connection.credit += event.bytes;
        if (waited) speaker.tcpWritable(id);
        return;
      }
      case 'closed':
        this.#forget(connection);
        speaker.tcpClosed(id, event.reason);
    }
  }

  /** Sessions on which the daemon may be about to say more, though nobody here has anything left to do. */
  get unsettled(): number {
    let count = 0;
    for (const neighbor of this.#neighbors.values()) if (!this.#isQuiet(neighbor)) count++;
    return count;
  }

  /** Nobody hears a foreign daemon's counters: it counts as done when it has been silent for a while. */
  #isQuiet(neighbor: Neighbor): boolean {
    const { rt, speaker } = this.#host;
    const { now } = rt;
    const session = speaker.session(neighbor.name);
    if (session === undefined || session.state !== 'Established') return true;
    const { sent, received } = session.counters;
    const counted = `${session.since} ${sent} ${received}`;
    if (counted !== neighbor.counted) {
      neighbor.counted = counted;
      neighbor.movedAt = now;
    }
    const { opening, message } = neighbor.transport.patience;
    const isOpening = !session.endOfRibReceived && now - session.since < opening;
    return !isOpening && now - neighbor.movedAt >= message;
  }

  #accept(socket: number, event: Extract<SocketEvent, { type: 'accepted' }>): void {
    const neighbor = this.#neighbors.get(event.peer);
    const { sockets, reaches, speaker } = this.#host;
    const wanted = neighbor !== undefined && reaches(neighbor.address, neighbor.zone);
    const id = wanted ? speaker.admit(neighbor.address, neighbor.localAddress, neighbor.zone) : null;
    if (neighbor === undefined || id === null) {
      sockets.ask({ type: 'close', socket, how: 'rst' });
      return;
    }
    this.#open(id, socket, neighbor);
    const local = { addr: neighbor.localAddress, port: event.localPort };
    speaker.tcpAccepted(id, local, { addr: neighbor.address, port: event.remotePort });
  }

  #open(id: ConnectionId, socket: number, neighbor: Neighbor): void {
    const connection = { id, socket, neighbor, credit: SEND_WINDOW };
    this.#bySocket.set(socket, connection);
    this.#byId.set(id, connection);
  }

  #forget({ id, socket }: Connection): void {
    this.#bySocket.delete(socket);
    this.#byId.delete(id);
  }
}
