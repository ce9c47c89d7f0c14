import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { BgpNeighbor, ExternalTransport } from '../../config.ts';
import { BFD_PORTS, BFD_TTL } from '../../daemons/bfd/transport.ts';

/** RFC 5881 §4: where the source ports of sessions lie, a port for each. */
const SOURCE_PORT_MIN = 49_152;
const SOURCE_PORT_MAX = 65_535;
/** A port that somebody has is no reason to give up, that nearly all are taken is. */
const ATTEMPTS = 100;

type BfdTransport = ExternalTransport & {
  readonly bfd: NonNullable<ExternalTransport['bfd']>;
  readonly remote: NonNullable<ExternalTransport['remote']>;
};

interface Neighbor {
  readonly name: string;
  readonly transport: BfdTransport;
}

/**
 * Real UDP sockets for BFD with daemons outside of the lab: one to receive on for each own address, and one to send from for
 * each neighbour. Packets leave with a TTL of 255; with which they come, Node does not tell.
 */
export class BfdSockets {
  readonly #neighbors: readonly Neighbor[];
  readonly #take: (peer: string, payload: Uint8Array) => void;
  readonly #senders = new Map<string, { readonly socket: Socket; readonly transport: BfdTransport }>();

  constructor(neighbors: readonly BgpNeighbor[], take: (peer: string, payload: Uint8Array) => void) {
    this.#neighbors = neighbors.flatMap(({ name, external, bfd }) =>
      bfd !== undefined && external !== undefined && speaksBfd(external)
        ? [{ name, transport: external }]
        : [],
    );
    this.#take = take;
  }

  /** @throws Error that names the neighbour if an address or port is not to be had. */
  async open(): Promise<void> {
    const places = new Map<string, Neighbor[]>();
    for (const neighbor of this.#neighbors) {
      const { local, bfd } = neighbor.transport;
      const place = `${local} ${bfd}`;
      places.set(place, [...(places.get(place) ?? []), neighbor]);
    }
    await Promise.all([...places.values()].map((sharing) => this.#receive(sharing)));
    for (const { name, transport } of this.#neighbors) {
      this.#senders.set(name, { transport, socket: await sender(name, transport) });
    }
  }

  send(peer: string, payload: Uint8Array): void {
    const sender = this.#senders.get(peer);
    if (sender === undefined) return;
    const { remote, bfd } = sender.transport;
    sender.socket.send(payload, BFD_PORTS[bfd], remote.address);
  }

  async #receive(sharing: readonly Neighbor[]): Promise<void> {
    const [first] = sharing;
    if (first === undefined) return;
    const { transport, name } = first;
    const socket = await bound(name, transport, BFD_PORTS[transport.bfd]);
    // Several neighbours on one address are told apart by where they send from.
    const byAddress = new Map(sharing.map((each) => [each.transport.remote.address, each.name]));
    socket.on('message', (payload, { address }) => {
      const peer = byAddress.get(address);
      if (peer !== undefined) this.#take(peer, payload);
    });
  }
}

function speaksBfd(transport: ExternalTransport): transport is BfdTransport {
  return transport.bfd !== undefined && transport.remote !== null;
}

async function sender(name: string, transport: BfdTransport): Promise<Socket> {
  for (let attempt = 1; ; attempt++) {
    try {
      const socket = await bound(name, transport, randomInt(SOURCE_PORT_MIN, SOURCE_PORT_MAX + 1));
      socket.setTTL(BFD_TTL);
      return socket;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error;
    }
  }
}

function bound(name: string, { local }: BfdTransport, port: number): Promise<Socket> {
  const socket = createSocket({ type: isIPv6(local) ? 'udp6' : 'udp4' });
  // The node lives by its bus, not by what it listens for.
  socket.unref();
  return new Promise((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      const message = `cannot have BFD with ${name} at ${local}:${port}: ${error.message}`;
      reject(Object.assign(new Error(message), { code: error.code }));
    });
    socket.bind({ address: local, port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      // What cannot be sent, or was sent in vain, is lost, as any packet may be: the detection time tells.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}
