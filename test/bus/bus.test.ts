import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectSocket, createServer } from 'node:net';
import test from 'ava';
import { filter, firstValueFrom, take, toArray } from 'rxjs';
import { BlockPool } from '../../bus/blocks.ts';
import { CommandClient, NoResponderError, serveCommands } from '../../bus/commands.ts';
import { BusError, connectBus } from '../../bus/connection.ts';
import { ensureLog, LogPublisher, LogReader } from '../../bus/log.ts';
import { BusServer } from '../../bus/server.ts';
import { Store } from '../../bus/store.ts';
import { token } from '../../bus/subjects.ts';
import { WirePort } from '../../bus/wire.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';
import { connectTo, startServer, temporaryFolder } from '../support/nats.ts';

interface Rec {
  readonly id: number;
  readonly text: string;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function frame(dst: number[], text: string): Uint8Array {
  return Uint8Array.from([...dst, 2, 0, 0, 0, 0, 9, 8, 0, ...Buffer.from(text)]);
}

test('a unicast frame reaches the owner of the MAC, a broadcast all but its sender, and never another lab', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  const seen: string[] = [];
  const port = (lab: string, node: number) =>
    new WirePort(
      nc,
      new BlockPool(nc),
      { lab, segment: 'lan', mac: 0x020000000000 + node, node, port: 0 },
      (bytes, cause) => {
        seen.push(`${lab}/${node} ${Buffer.from(bytes.subarray(14)).toString()} ${cause}`);
      },
    );
  const one = port('a', 1);
  port('a', 2);
  port('a', 3);
  port('b', 2);
  one.send(frame([2, 0, 0, 0, 0, 2], 'uni'), 2 ** 40 + 7, 1.5);
  one.send(frame([255, 255, 255, 255, 255, 255], 'all'), 8, 2.5);
  one.send(frame([2, 0, 0, 0, 0, 99], 'nobody'), 9, 3.5);
  one.flush();
  await nc.flush();
  t.deepEqual(seen.sort(), [`a/2 all 8`, `a/2 uni ${2 ** 40 + 7}`, `a/3 all 8`]);
});

test('a port that wants other addresses hears them too, one that wants all hears each frame once', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  const seen: string[] = [];
  const port = (node: number) =>
    new WirePort(
      nc,
      new BlockPool(nc),
      { lab: 'a', segment: 'lan', mac: 0x020000000000 + node, node, port: 0 },
      (bytes) => {
        seen.push(`${node} ${Buffer.from(bytes.subarray(14)).toString()}`);
      },
    );
  const [one, two, three] = [port(1), port(2), port(3)];
  const heard = async (): Promise<string[]> => {
    one.send(frame([2, 0, 0, 0, 0, 2], 'own'), 0, 0);
    one.send(frame([2, 0, 0, 0, 0, 99], 'child'), 0, 0);
    one.send(frame([255, 255, 255, 255, 255, 255], 'all'), 0, 0);
    one.flush();
    await nc.flush();
    return seen.splice(0).sort();
  };
  two.filter({ promiscuous: false, macs: [0x020000000002, 0x020000000063] });
  t.deepEqual(await heard(), ['2 all', '2 child', '2 own', '3 all']);
  three.filter({ promiscuous: true, macs: [0x020000000003] });
  t.deepEqual(await heard(), ['2 all', '2 child', '2 own', '3 all', '3 child', '3 own']);
  two.filter({ promiscuous: false, macs: [0x020000000002] });
  three.filter({ promiscuous: false, macs: [0x020000000003] });
  t.deepEqual(await heard(), ['2 all', '2 own', '3 all']);
});

test('frames come in the order they were sent in, whoever they are for, however many', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server, 'off');
  const other = await connectTo(t, server);
  const seen: number[] = [];
  let messages = 0;
  new WirePort(
    other,
    new BlockPool(other),
    { lab: 'a', segment: 's', mac: 0x020000000002, node: 2, port: 0 },
    (bytes) => seen.push(Number(Buffer.from(bytes.subarray(14, 22)).toString())),
  );
  other.subscribe('reroute.a.wire.s.>', { callback: () => messages++ });
  await other.flush();
  const sender = new WirePort(
    nc,
    new BlockPool(nc),
    { lab: 'a', segment: 's', mac: 1, node: 1, port: 0 },
    () => {},
  );
  const COUNT = 3_000;
  for (let i = 0; i < COUNT; i++) {
    const text = String(i)
      .padStart(8, '0')
      .padEnd(1 + (i % 7) * 250);
    sender.send(frame(i % 500 === 7 ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, 2], text), i, 0);
  }
  sender.flush();
  sender.flush();
  await nc.flush();
  await other.flush();
  t.deepEqual(
    seen,
    Array.from({ length: COUNT }, (_, i) => i),
  );
  t.true(messages < COUNT / 20, `${messages} messages`);
});

test('what is no envelope comes as a frame of no bytes', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  const lengths: number[] = [];
  new WirePort(nc, new BlockPool(nc), { lab: 'a', segment: 's', mac: 1, node: 1, port: 0 }, (frame) =>
    lengths.push(frame.length),
  );
  nc.publish('reroute.a.wire.s.bcast', new Uint8Array(5));
  nc.publish('reroute.a.wire.s.000000000001', new Uint8Array(60));
  // A frame of 4 bytes, then one that says it is longer than what is left of the message.
  const cutOff = new Uint8Array(16 + 12 + 4 + 12 + 3);
  cutOff[0] = 2;
  cutOff[16 + 11] = 4;
  cutOff[16 + 12 + 4 + 11] = 4;
  nc.publish('reroute.a.wire.s.000000000001', cutOff);
  await nc.flush();
  t.deepEqual(lengths, [0, 0, 4, 0]);
});

test('a command is answered in parts, and nobody home is told at once', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  serveCommands(nc, 'a', 'n1', (command, reply) => {
    reply({ part: 1, command });
    reply({ part: 2 });
    reply({ final: true });
  });
  const client = new CommandClient(nc, 'a');
  const parts: unknown[] = [];
  const isFinal = (part: unknown) => typeof part === 'object' && part !== null && 'final' in part;
  const last = await client.request('n1', { do: 'x' }, { isFinal, onPart: (part) => parts.push(part) });
  t.deepEqual(last, { final: true });
  t.deepEqual(parts, [{ part: 1, command: { do: 'x' } }, { part: 2 }, { final: true }]);
  await t.throwsAsync(client.request('n9', {}, { isFinal }), { instanceOf: NoResponderError });
});

test('the log loses and doubles nothing when the server is killed in the middle', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  await ensureLog(nc, 'a');
  const publisher = new LogPublisher<Rec>(nc, 'a', 'n1');
  const count = 20_000;
  for (let id = 1; id <= count / 2; id++) publisher.append({ id, text: `event ${id}` });
  const reader = new LogReader<Rec>(nc, 'a');
  const follower = await connectTo(t, server);
  const some = firstValueFrom(new LogReader<Rec>(follower, 'a').follow('n1', 'beginning').pipe(take(1)));
  await some;
  await server.kill();
  for (let id = count / 2 + 1; id <= count; id++) publisher.append({ id, text: `event ${id}` });
  t.true(publisher.lag >= count / 2);
  await server.start();
  await publisher.flush();
  t.is(publisher.lag, 0);
  const records = await collect(reader.read('n1'));
  t.is(records.length, count);
  t.true(records.every((record, i) => record.id === i + 1 && record.text === `event ${i + 1}`));
  t.deepEqual(await collect(reader.read('n2')), []);
});

test('the store compares and swaps, lists, and watches across a restart', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  const store = await Store.open(nc, 'a');
  const created = await store.write({ op: 'create', key: 'x.1', value: { n: 1 } }, 5);
  t.true(created.ok);
  t.deepEqual(await store.write({ op: 'create', key: 'x.1', value: { n: 2 } }, 5), {
    ok: false,
    conflict: true,
  });
  const revision = created.ok ? created.revision : 0;
  t.true((await store.write({ op: 'update', key: 'x.1', value: { n: 3 }, revision }, 6)).ok);
  t.deepEqual(await store.write({ op: 'update', key: 'x.1', value: { n: 4 }, revision }, 6), {
    ok: false,
    conflict: true,
  });
  await store.write({ op: 'put', key: 'y.1', value: { n: 9 } }, 7);
  t.deepEqual(
    (await store.list('x.>')).map(({ key, value, cause }) => ({ key, value, cause })),
    [{ key: 'x.1', value: { n: 3 }, cause: 6 }],
  );
  t.deepEqual(await store.list('none.>'), []);

  const seen = firstValueFrom(
    store.watch('>').pipe(
      filter((row) => row.key !== 'y.1'),
      take(3),
      toArray(),
    ),
  );
  await firstValueFrom(store.watch('>'));
  await server.kill();
  await server.start();
  await store.write({ op: 'put', key: 'z.1', value: { n: 1 } }, 8);
  await store.write({ op: 'delete', key: 'z.1' }, 9);
  t.deepEqual(
    (await seen).map(({ key, value }) => ({ key, value })),
    [
      { key: 'x.1', value: { n: 3 } },
      { key: 'z.1', value: { n: 1 } },
      { key: 'z.1', value: null },
    ],
  );
  t.is(await store.get('z.1'), null);
  t.deepEqual(await store.list('z.>'), [], 'also where the last row is a deleted one');
});

test('a server that takes its time is waited for, by who opens, writes and reads', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  const store = await Store.open(nc, 'a');
  await store.write({ op: 'put', key: 'x.1', value: { n: 1 } }, 0);
  nc.subscribe('silence');
  t.teardown(() => void process.kill(-server.pid, 'SIGCONT'));
  process.kill(-server.pid, 'SIGSTOP');
  const answers = Promise.all([
    Store.open(nc, 'b'),
    store.get('x.1'),
    store.write({ op: 'put', key: 'x.2', value: { n: 2 } }, 0),
  ]);
  // It gives up after them, had they waited for one answer only.
  await t.throwsAsync(nc.request('silence', undefined, { timeout: 1_500 }), { message: 'TIMEOUT' });
  process.kill(-server.pid, 'SIGCONT');
  const [, row, written] = await answers;
  t.deepEqual(row?.value, { n: 1 });
  t.true(written.ok);
});

test('the server dies with whoever started it, even by kill -9', async (t) => {
  const folder = temporaryFolder(t);
  const script = `
    import { BusServer } from './bus/server.ts';
    const server = await BusServer.start({ program: ${JSON.stringify(ensureNatsServer(process.cwd()))}, folder: ${JSON.stringify(folder)} });
    process.stdout.write(String(server.port));
    setInterval(() => {}, 1000);
  `;
  const parent = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => void parent.kill('SIGKILL'));
  const [port] = (await once(parent.stdout, 'data')) as [Buffer];
  const socket = connectSocket(Number(port), '127.0.0.1');
  // Its INFO tells that the server holds the connection. Until then the kernel does, in the
  // listener's backlog, and the end of the listener resets what waits there.
  const [info] = (await once(socket, 'data')) as [Buffer];
  t.regex(info.toString(), /^INFO /);
  const closed = once(socket.resume(), 'close');
  parent.kill('SIGKILL');
  // The connection ends when the server does: nothing to poll for.
  await t.notThrowsAsync(closed);
});

test('a server has a port of its own choice, and keeps it, but not for the next one of its folder', async (t) => {
  const options = { program: ensureNatsServer(process.cwd()), folder: temporaryFolder(t) };
  const first = await BusServer.start(options);
  t.teardown(() => first.kill());
  const { port } = first;
  await first.kill();
  await first.start();
  t.is(first.port, port);
  await first.kill();
  const other = createServer().listen(port, '127.0.0.1');
  t.teardown(() => void other.close());
  await once(other, 'listening');
  const second = await BusServer.start(options);
  t.teardown(() => second.stop());
  t.not(second.port, port);
  await (await connectTo(t, second)).flush();
});

test('an unreachable bus and an impossible name are named', async (t) => {
  const error = await t.throwsAsync(
    connectBus({ url: 'nats://127.0.0.1:1', token: '', name: 'test', echo: 'on' }),
    { instanceOf: BusError },
  );
  t.regex(error?.message ?? '', /cannot reach the bus at nats:\/\/127\.0\.0\.1:1/);
  t.throws(() => token('a.b'), { message: /'a\.b' cannot name/ });
});

test('a list ends, and is whole, while rows are written and deleted under it', async (t) => {
  const server = await startServer(t);
  const store = await Store.open(await connectTo(t, server), 'a');
  const writer = await Store.bind(await connectTo(t, server), 'a');
  const stay = Array.from({ length: 12 }, (_, i) => `pods.n1.default.web-${i}`);
  for (const key of stay) await store.write({ op: 'put', key, value: { turn: 0 } }, 0);
  let writing = true;
  const churn = [0, 1, 2, 3].map(async (me) => {
    for (let turn = me; writing; turn += 4) {
      const fresh = `pods.n${me}.default.fresh-${turn}`;
      await writer.write({ op: 'put', key: fresh, value: { phase: 'Pending' } }, 0);
      await writer.write({ op: 'put', key: fresh, value: { phase: 'Running' } }, 0);
      await writer.write({ op: 'put', key: stay[turn % 12]!, value: { turn } }, 0);
      await writer.write({ op: 'delete', key: fresh }, 0);
    }
  });
  for (let i = 0; i < 60; i++) {
    const listed = new Set((await store.list('pods.>')).map((row) => row.key));
    t.true(stay.every((key) => listed.has(key)));
  }
  writing = false;
  await Promise.all(churn);
});
