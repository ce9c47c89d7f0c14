import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { BgpNeighbor } from '../../nodes/config.ts';
import type { NodeInput, SocketEvent } from '../../nodes/machine-io.ts';
import { ExternalBridge } from '../../nodes/shell/external/bridge.ts';
import { freePort } from './free-port.ts';
import { missingForIpv6, testUnless } from './harness.ts';

const HERE = '127.200.1.1';
/** Bytes that the bridge takes in ahead of the machine. */
const READ_WINDOW = 262_144;
/** What one read of a socket brings at most. */
const CHUNK = 65_536;

function neighbor(name: string, external: NonNullable<BgpNeighbor['external']>): BgpNeighbor {
  const addresses = {
    address: '10.0.0.2',
    localAddress: '10.0.0.1',
    remoteAs: 65002,
    type: 'external',
  } as const;
  const flags = { routeReflectorClient: false, nextHopSelf: false, passive: false, ttl: 1 };
  return { name, ...addresses, ...flags, external };
}

/** A machine's side of a bridge: what it is told, to be waited for. */
class Machine {
  readonly seen: { readonly socket: number; readonly event: SocketEvent }[] = [];
  readonly bfd: { readonly peer: string; readonly text: string }[] = [];
  /** Bytes that have come in, in all. */
  received = 0;
  readonly bridge: ExternalBridge;
  #wake: () => void = () => {};

  constructor(neighbors: readonly BgpNeighbor[]) {
    this.bridge = new ExternalBridge(neighbors, (input: NodeInput) => {
      if (input.type === 'bfd') {
        this.bfd.push({ peer: input.peer, text: String(input.payload) });
        this.#wake();
      }
      if (input.type !== 'external') return;
      if (input.event.type === 'data') this.received += input.event.bytes.length;
      this.seen.push(input);
      this.#wake();
    });
  }

  /** The first event of a type on a socket. */
  async event<T extends SocketEvent['type']>(
    socket: number,
    type: T,
  ): Promise<Extract<SocketEvent, { type: T }>> {
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
  return neighbor('far', {
    remote: { address: HERE, port },
    local: '127.200.1.2',
    listen: null,
    patience: { opening: 0, message: 0 },
  });
}

testUnless(missingForIpv6())('over IPv6 it connects, and is connected to', async (t) => {
  const server = createServer();
  t.teardown(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const listen = await freePort('::1');
  const patience = { opening: 0, message: 0 };
  const remote = { address: '::1', port };
  const machine = new Machine([neighbor('six', { remote, local: '::1', listen, patience })]);
  await machine.bridge.listen();
  t.teardown(() => machine.bridge.fallSilent());

  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  machine.bridge.handle({ type: 'connect', socket: 1, peer: 'six' });
  const socket = await accepted;
  t.teardown(() => void socket.destroy());
  t.is(socket.remoteAddress, '::1');
  t.is((await machine.event(1, 'connected')).remotePort, port);

  const incoming = connect({ host: '::1', port: listen });
  t.teardown(() => void incoming.destroy());
  incoming.on('error', () => {});
  t.is((await machine.event(-1, 'accepted')).peer, 'six');
  incoming.write('hello');
  t.is(String((await machine.event(-1, 'data')).bytes), 'hello');
});

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
  while (machine.received < READ_WINDOW) await machine.moved();
  // Whatever else would come in without being asked for is here after some turns of the event loop.
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  t.true(machine.received < READ_WINDOW + 2 * CHUNK, `${machine.received} bytes taken in`);
  let taken = 0;
  while (taken < total) {
    if (machine.received === taken) await machine.moved();
    machine.bridge.handle({ type: 'taken', socket: 1, bytes: machine.received - taken });
    taken = machine.received;
  }
  t.is((await machine.event(1, 'closed')).reason, 'Connection closed');
});

test('tells what has left for a daemon that reads, and not what waits for one that does not', async (t) => {
  const { port, accepted } = await listener(t);
  const machine = new Machine([far(port)]);
  const connection = accepted();
  machine.bridge.handle({ type: 'connect', socket: 1, peer: 'far' });
  const socket = await connection;
  socket.pause();
  const total = 64 * 1024 * 1024;
  for (let sent = 0; sent < total; sent += CHUNK) {
    machine.bridge.handle({ type: 'send', socket: 1, bytes: Buffer.alloc(CHUNK) });
  }
  const written = () =>
    machine.seen.reduce((sum, { event }) => sum + (event.type === 'written' ? event.bytes : 0), 0);
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  t.true(written() < total, 'the kernel holds some, not all');
  socket.resume();
  while (written() < total) await machine.moved();
  t.is(written(), total);
});

test('takes the connections of its neighbours, and nobody else’s', async (t) => {
  const listen = await freePort(HERE);
  const shared = { local: HERE, listen, patience: { opening: 0, message: 0 } };
  const machine = new Machine([
    neighbor('a', { ...shared, remote: { address: '127.200.1.3', port: 1 } }),
    neighbor('b', { ...shared, remote: { address: '127.200.1.4', port: 1 } }),
  ]);
  await machine.bridge.listen();
  for (const [localAddress, peer, number] of [
    ['127.200.1.4', 'b', -1],
    ['127.200.1.3', 'a', -2],
  ] as const) {
    const socket = connect({ host: HERE, port: listen, localAddress });
    t.teardown(() => void socket.destroy());
    t.is((await machine.event(number, 'accepted')).peer, peer);
    socket.write('hello');
    await machine.event(number, 'data');
    socket.resetAndDestroy();
    t.is((await machine.event(number, 'closed')).reason, 'Connection reset by peer');
  }
  const stranger = connect({ host: HERE, port: listen, localAddress: '127.200.1.5' });
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => stranger.once('error', resolve));
  t.is(error.code, 'ECONNRESET');

  const second = new Machine([neighbor('c', { ...shared, remote: null })]);
  const refusal = await t.throwsAsync(second.bridge.listen());
  t.regex(refusal?.message ?? '', /^cannot take connections of c on 127\.200\.1\.1:\d+: .*EADDRINUSE/);
});

test('says in strerror’s words why there is no connection', async (t) => {
  const machine = new Machine([
    neighbor('shut', {
      remote: { address: HERE, port: 1 },
      local: '',
      listen: null,
      patience: { opening: 0, message: 0 },
    }),
    neighbor('nowhere', {
      remote: { address: HERE, port: 1 },
      local: '192.0.2.1',
      listen: null,
      patience: { opening: 0, message: 0 },
    }),
    neighbor('shy', { remote: null, local: '', listen: null, patience: { opening: 0, message: 0 } }),
  ]);
  machine.bridge.handle({ type: 'connect', socket: 1, peer: 'shut' });
  machine.bridge.handle({ type: 'connect', socket: 2, peer: 'nowhere' });
  machine.bridge.handle({ type: 'connect', socket: 3, peer: 'shy' });
  t.is((await machine.event(1, 'closed')).reason, 'Connection refused');
  t.is((await machine.event(2, 'closed')).reason, 'Cannot assign requested address');
  t.is((await machine.event(3, 'closed')).reason, 'Destination address required');
});

test('carries BFD over UDP of its own, from one port, with a TTL of 255', async (t) => {
  const [ours, theirs] = bfdAddresses();
  const machine = new Machine([bfdNeighbor('far', ours, theirs), bfdNeighbor('other', ours, '127.200.1.9')]);
  await machine.bridge.listen();
  const daemon = await udp(t, theirs, 4784);
  const heard: { readonly text: string; readonly port: number; readonly address: string }[] = [];
  const arrivals = new Promise<void>((resolve) => {
    daemon.on('message', (bytes, { address, port }) => {
      heard.push({ text: String(bytes), port, address });
      if (heard.length === 2) resolve();
    });
  });
  for (const text of ['one', 'two'])
    machine.bridge.handle({ type: 'bfd', peer: 'far', payload: Buffer.from(text) });
  await arrivals;
  t.deepEqual(
    heard.map(({ text }) => text),
    ['one', 'two'],
  );
  t.deepEqual([...new Set(heard.map(({ address }) => address))], [ours]);
  const ports = [...new Set(heard.map(({ port }) => port))];
  t.is(ports.length, 1);
  t.true(ports[0]! >= 49_152, 'RFC 5881 §4');

  const stranger = await udp(t, '127.200.1.8', 0);
  stranger.send('not of a neighbour', 4784, ours);
  daemon.send('answer', 4784, ours);
  while (machine.bfd.length === 0) await machine.moved();
  t.deepEqual(machine.bfd, [{ peer: 'far', text: 'answer' }]);

  const second = new Machine([bfdNeighbor('late', ours, theirs)]);
  const refusal = await t.throwsAsync(second.bridge.listen());
  t.regex(refusal?.message ?? '', /^cannot have BFD with late at [\d.]+:4784: .*EADDRINUSE/);
});

function bfdNeighbor(name: string, local: string, address: string): BgpNeighbor {
  const external = { remote: { address, port: 1 }, local, listen: null, bfd: 'multihop' } as const;
  const bfd = { minTx: 100, minRx: 100, multiplier: 3 };
  return { ...neighbor(name, { ...external, patience: { opening: 0, message: 0 } }), bfd };
}

/** BFD's port is always the same: other runs of this test have other addresses. */
function bfdAddresses(): [string, string] {
  const range = `127.202.${randomInt(1, 255)}`;
  return [`${range}.1`, `${range}.2`];
}

async function udp(t: ExecutionContext, address: string, port: number) {
  const socket = createSocket('udp4');
  t.teardown(() => void socket.close());
  await new Promise<void>((resolve) => socket.bind({ address, port, exclusive: true }, resolve));
  return socket;
}
