import { connect, createServer, type Server, type Socket } from 'node:net';
import type { BgpNeighbor, ExternalTransport } from '../../config.ts';
import type { BfdDatagram, NodeInput, SocketRequest } from '../../machine-io.ts';
import { BfdSockets } from './bfd-sockets.ts';
import { RealSocket } from './real-socket.ts';

type ExternalNeighbor = BgpNeighbor & { readonly external: ExternalTransport };

/**
 * The real end of sessions with daemons outside of the lab: opens, accepts and drives TCP connections, and sends BFD's
 * packets, as the node's machine asks, and brings it what comes as inputs.
 */
export class ExternalBridge {
  readonly #neighbors: readonly ExternalNeighbor[];
  readonly #take: (input: NodeInput) => void;
  readonly #sockets = new Map<number, RealSocket>();
  readonly #bfd: BfdSockets;
  readonly #servers: Server[] = [];
  #accepted = 0;

  constructor(neighbors: readonly BgpNeighbor[], take: (input: NodeInput) => void) {
    this.#neighbors = neighbors.filter((each): each is ExternalNeighbor => each.external !== undefined);
    this.#take = take;
    this.#bfd = new BfdSockets(neighbors, (peer, payload) => take({ type: 'bfd', peer, payload }));
  }

  /** @throws Error that names the neighbour if an address or port is not to be had. */
  async listen(): Promise<void> {
    const places = new Map<string, ExternalNeighbor[]>();
    for (const neighbor of this.#neighbors) {
      const { local, listen } = neighbor.external;
      if (listen === null) continue;
      const place = `${local} ${listen}`;
      places.set(place, [...(places.get(place) ?? []), neighbor]);
    }
    await Promise.all([...[...places.values()].map((sharing) => this.#listen(sharing)), this.#bfd.open()]);
  }

  handle(request: SocketRequest | BfdDatagram): void {
    switch (request.type) {
      case 'connect':
        this.#connect(request.socket, request.peer);
        return;
      case 'send':
        this.#sockets.get(request.socket)?.send(request.bytes);
        return;
      case 'taken':
        this.#sockets.get(request.socket)?.taken(request.bytes);
        return;
      case 'close':
        this.#sockets.get(request.socket)?.close(request.how);
        this.#sockets.delete(request.socket);
        return;
      case 'bfd':
        this.#bfd.send(request.peer, request.payload);
    }
  }

  /** Takes no more connections. Those that are there stay, for the other ends to notice nothing. */
  fallSilent(): void {
    for (const server of this.#servers) server.close();
  }

  #connect(id: number, peer: string): void {
    const external = this.#neighbors.find(({ name }) => name === peer)?.external;
    if (external === undefined || external.remote === null) {
      const event = { type: 'closed', reason: 'Destination address required' } as const;
      this.#take({ type: 'external', socket: id, event });
      return;
    }
    const { address: host, port } = external.remote;
    const from = external.local === '' ? {} : { localAddress: external.local };
    const socket = connect({ host, port, ...from });
    const real = this.#own(id, socket);
    socket.once('connect', () => {
      this.#take({ type: 'external', socket: id, event: { type: 'connected', ...real.ports } });
    });
  }

  async #listen(sharing: readonly ExternalNeighbor[]): Promise<void> {
    const [first] = sharing;
    if (first === undefined) return;
    const { local, listen } = first.external;
    const server = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket, sharing));
    // The node lives by its bus, not by what it listens for.
    server.unref();
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        const place = `${local === '' ? '*' : local}:${listen}`;
        reject(new Error(`cannot take connections of ${first.name} on ${place}: ${error.message}`));
      });
      server.listen({ port: listen ?? 0, ...(local === '' ? {} : { host: local }) }, resolve);
    });
  }

  /** Several neighbours on one address and port are told apart by where they come from, as in a real daemon. */
  #accept(socket: Socket, sharing: readonly ExternalNeighbor[]): void {
    const from = socket.remoteAddress?.replace(/^::ffff:/, '');
    const neighbor =
      sharing.find(({ external }) => external.remote?.address === from) ??
      sharing.find(({ external }) => external.remote === null);
    if (neighbor === undefined) {
      socket.resetAndDestroy();
      return;
    }
    const id = --this.#accepted;
    const real = this.#own(id, socket);
    const event = { type: 'accepted', peer: neighbor.name, ...real.ports } as const;
    this.#take({ type: 'external', socket: id, event });
    socket.resume();
  }

  #own(id: number, socket: Socket): RealSocket {
    const real = new RealSocket(socket, (event) => {
      if (event.type === 'closed') this.#sockets.delete(id);
      this.#take({ type: 'external', socket: id, event });
    });
    this.#sockets.set(id, real);
    return real;
  }
}
