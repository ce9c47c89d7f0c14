import { connect, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { BgpNeighbor } from '../../nodes/config.ts';
import type { NodeInput, SocketEvent } from '../../nodes/machine-io.ts';
import { ExternalBridge } from '../../nodes/shell/external/bridge.ts';

const HERE = '127.200.1.1';
/** Bytes that the bridge takes in ahead of the machine. */
const READ_WINDOW = 262_144;

function neighbor(name: string, external: NonNullable<BgpNeighbor['external']>): BgpNeighbor {
  const addresses = { address: '10.0.0.2', localAddress: '10.0.0.1', remoteAs: 65002, type: 'external' } as const;
  const flags = { routeReflectorClient: false, nextHopSelf: false, passive: false, ttl: 1 };
  return { name, ...addresses, ...flags, external };
}

/** A machine's side of a bridge: what it is told, to be waited for. */
class Machine {
  readonly seen: { readonly socket: number; readonly event: SocketEvent }[] = [];
  readonly bridge: ExternalBridge;
  #wake: () => void = () => {};

  constructor(neighbors: readonly BgpNeighbor[]) {
    this.bridge = new ExternalBridge(neighbors, (input: NodeInput) => {
      if (input.type === 'external') this.seen.push(input);
      this.#wake();
    });
  }

  /** The first event of a type on a socket. */
  async event<T extends SocketEvent['type']>(socket: number, type: T): Promise<Extract<SocketEvent, { type: T }>> {
    for (;;) {
      const found = this.seen.find((each) => each.socket === socket && each.event.type === type);
      if (found !== undefined) return found.event as Extract<SocketEvent, { type: T }>;
      await this.moved();
    }
  }

  moved(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  received(socket: number): number {
    return this.seen.reduce(
      (sum, each) => sum + (each.socket === socket && each.event.type === 'data' ? each.event.bytes.length : 0),
      0,
    );
  }
}

/** A daemon that listens: its port and its connections as they come. */
async function listener(t: ExecutionContext) {
  const waiting: ((socket: Socket) => void)[] = [];
  const server = createServer((socket) => {
    t.teardown(() => void socket.destroy());
    socket.on('error', () => {});
    waiting.shift()?.(socket);
  });
  t.teardown(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, HERE, resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { port, accepted: () => new Promise<Socket>((resolve) => waiting.push(resolve)) };
}

function far(port: number) {
  return neighbor('far', { remote: { address: HERE, port }, local: '127.200.1.2', listen: null, quiet: 0 });
}

test('connects from its own address, and passes bytes both ways', async (t) => {
  const { port, accepted } = await listener(t);
  const machine = new Machine([far(port)]);
  const connection = accepted();
  machine.bridge.handle({ type: 'connect', socket: 1, peer: 'far' });
  const socket = await connection;
  t.is(socket.remoteAddress, '127.200.1.2');
  t.deepEqual(await machine.event(1, 'connected'), {
    type: 'connected',
    localPort: socket.remotePort ?? 0,
    remotePort: port,
  });
  socket.write('ping');
  t.is(Buffer.from((await machine.event(1, 'data')).bytes).toString(), 'ping');
  const answer = new Promise((resolve) => socket.once('data', resolve));
  machine.bridge.handle({ type: 'send', socket: 1, bytes: Buffer.from('pong') });
  t.is(String(await answer), 'pong');

  const ended = new Promise((resolve) => socket.once('end', resolve));
  machine.bridge.handle({ type: 'send', socket: 1, bytes: Buffer.from('bye') });
  const last = new Promise((resolve) => socket.once('data', resolve));
  machine.bridge.handle({ type: 'close', socket: 1, how: 'fin' });
  t.is(String(await last), 'bye', 'what was sent goes out before the end');
  await ended;
});

test('does not read on from a daemon while the machine is behind', async (t) => {
  const { port, accepted } = await listener(t);
  const machine = new Machine([far(port)]);
  const connection = accepted();
  machine.bridge.handle({ type: 'connect', socket: 1, peer: 'far' });
  const socket = await connection;
  const total = 64 * 1024 * 1024;
  socket.end(Buffer.alloc(total));
  while (machine.received(1) < READ_WINDOW) await machine.moved();
  // Whatever else would come in without being asked for is here after some turns of the event loop.
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  const held = machine.received(1);
  t.true(held < READ_WINDOW + 65_536 * 2, `${held} bytes taken in`);
  let taken = 0;
  while (taken < total) {
    const more = machine.received(1) - taken;
    if (more === 0) await machine.moved();
    taken += more;
    machine.bridge.handle({ type: 'taken', socket: 1, bytes: more });
    machine.seen.splice(0, machine.seen.length, { socket: 1, event: { type: 'data', bytes: Buffer.alloc(0) } });
    if (more > 0) machine.seen.push({ socket: 1, event: { type: 'data', bytes: new Uint8Array(taken) } });
  }
  t.is((await machine.event(1, 'closed')).reason, 'Connection closed');
});
