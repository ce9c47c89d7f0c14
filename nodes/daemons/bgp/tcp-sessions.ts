import { BGP_PORT } from '../../../protocols/bgp/constants.ts';
import type { CloseMode, ConnectionId, ConnectRequest } from '../../../protocols/bgp/host.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { ANY_IP6, type Ip6 } from '../../../protocols/ip6.ts';
import type { EventId } from '../../events/record.ts';
import { scopeDevice } from '../../kernel/ipv6/icmp.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { TcpListener, TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime } from '../../runtime.ts';

/** What the socket layer's reasons are called by strerror(3), which is what BIRD prints. */
const CLOSE_REASONS = {
  closed: 'Connection closed',
  reset: 'Connection reset by peer',
  timeout: 'Connection timed out',
  refused: 'Connection refused',
  unreachable: 'No route to host',
  aborted: 'Software caused connection abort',
} as const;

type BgpSocket = TcpSocket | TcpSocket<Ip6>;

/** The speaker's connections over sockets of the emulated kernel. */
export class TcpSessions {
  readonly #rt: Runtime;
  readonly #speaker: BgpSpeaker;
  readonly #netns: Netns;
  readonly #sockets = new Map<ConnectionId, BgpSocket>();

  #listeners: readonly TcpListener[] = [];

  constructor(rt: Runtime, speaker: BgpSpeaker, netns: Netns) {
    this.#rt = rt;
    this.#speaker = speaker;
    this.#netns = netns;
  }

  /** Takes the connections of neighbours, over IPv4 and IPv6. */
  listen(): void {
    const { tcp, ipv6 } = this.#netns;
    this.#listeners = [
      tcp.listen(
        { addr: 0, port: BGP_PORT },
        (socket) => this.#accept(socket),
        (remote) => this.#speaker.socketOptions(remote) ?? {},
      ),
      ipv6.tcp.listen(
        { addr: ANY_IP6, port: BGP_PORT },
        (socket) => this.#accept(socket),
        (remote, device) => this.#speaker.socketOptions(remote, scopeDevice(device, remote)?.name) ?? {},
      ),
    ];
  }

  stopListening(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
  }

  /** Begins a connection between two addresses of one family. */
  connect(id: ConnectionId, { localAddress: src, address: dst, zone, ttl, minTtl }: ConnectRequest): void {
    const options = { port: BGP_PORT, ttl, minTtl };
    if (typeof src === 'number' && typeof dst === 'number')
      this.#connecting(id, this.#netns.tcp.connect({ ...options, src, dst }));
    else if (typeof src === 'string' && typeof dst === 'string') {
      const device = zone === '' ? undefined : this.#netns.device(zone);
      this.#connecting(id, this.#netns.ipv6.tcp.connect({ ...options, src, dst, device }));
    }
  }

  /** A connection that somebody has opened to us. */
  #accept(socket: BgpSocket): void {
    const id = this.#speaker.admit(socket.remote.addr, socket.local.addr, socket.scope?.name);
    if (id === null) {
      socket.abort();
      return;
    }
    this.#bind(id, socket);
    this.#speaker.tcpAccepted(id, socket.local, socket.remote);
  }

  /** A connection of ours, which is on its way. */
  #connecting(id: ConnectionId, socket: BgpSocket): void {
    this.#bind(id, socket);
    socket.onConnected = () => this.#speaker.tcpConnected(id, socket.local, socket.remote);
  }

  /** Bytes taken; null if the connection is none of these. */
  send(id: ConnectionId, bytes: Uint8Array, cause: EventId): number | null {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return null;
    const saved = this.#rt.cause;
    this.#rt.cause = cause;
    const taken = socket.send(bytes);
    this.#rt.cause = saved;
    return taken;
  }

  /** False if the connection is none of these. */
  close(id: ConnectionId, how: CloseMode): boolean {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return false;
    this.#release(id, socket);
    if (how === 'fin') socket.close();
    else socket.abort();
    return true;
  }

  /** The process dies: the kernel resets its connections. */
  die(): void {
    for (const id of [...this.#sockets.keys()]) this.close(id, 'rst');
  }

  #bind(id: ConnectionId, socket: BgpSocket): void {
    this.#sockets.set(id, socket);
    socket.onData = (bytes) => this.#speaker.tcpData(id, bytes);
    socket.onWritable = () => this.#speaker.tcpWritable(id);
    socket.onPeerClosed = () => {
      this.#release(id, socket);
      socket.close();
      this.#speaker.tcpClosed(id, CLOSE_REASONS.closed);
    };
    socket.onClosed = (reason) => {
      this.#release(id, socket);
      const noAddress = socket.error === 'EADDRNOTAVAIL';
      this.#speaker.tcpClosed(id, noAddress ? 'Cannot assign requested address' : CLOSE_REASONS[reason]);
    };
  }

  #release(id: ConnectionId, socket: BgpSocket): void {
    this.#sockets.delete(id);
    socket.onConnected = null;
    socket.onData = null;
    socket.onWritable = null;
    socket.onPeerClosed = null;
    socket.onClosed = null;
  }
}
