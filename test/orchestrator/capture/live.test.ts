import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { BlockPool } from '../../../bus/blocks.ts';
import { wirePrefix } from '../../../bus/subjects.ts';
import { WirePort } from '../../../bus/wire.ts';
import { busWires, settleWires } from '../../../orchestrator/capture/observe.ts';
import { CaptureSession } from '../../../orchestrator/capture/session.ts';
import { parseTargets } from '../../../orchestrator/capture/target.ts';
import type { WireFrame } from '../../../orchestrator/capture/wires.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { writeEthernet } from '../../../protocols/ethernet.ts';
import { BROADCAST_MAC } from '../../../protocols/mac.ts';
import { cli, startCli } from '../../support/cli.ts';
import { eventually } from '../../support/eventually.ts';
import { launch, QUICK_TIMERS } from '../../support/lab.ts';
import { connectTo, startServer, temporaryFolder } from '../../support/nats.ts';
import { readCapture } from '../../support/pcapng.ts';
import { MemorySink, SECTION } from './simulated.ts';

const LAB = `
name: capture-live
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
segments:
  lan: { subnet: 172.18.18.0/24, rangeStart: 172.18.18.101, nodes: all }
cluster: { cni: calico, calico: { mesh: full }, pods: 1 }
`;

const TWICE = ['web-n1-1:eth0 in', 'web-n1-1:eth0 out'];

function frame(dst: number, tag: number): Uint8Array {
  const bytes = new Uint8Array(60);
  writeEthernet(bytes, dst, 1, 0x88b5);
  bytes[14] = tag;
  return bytes;
}

test('whoever observes a wire sees each frame once, as its sender stamped it, and nothing else', async (t) => {
  const server = await startServer(t);
  const [nc, observer] = [await connectTo(t, server, 'off'), await connectTo(t, server)];
  const ports = [1, 2, 3].map((node) => {
    const options = { lab: 'capture-live', segment: 'lan', mac: node, node, port: 7 };
    return new WirePort(nc, new BlockPool(nc), options, () => {});
  });
  await nc.flush();
  const seen: WireFrame[] = [];
  const stop = busWires(observer, compileLab(LAB, 'lab.yaml'), () => 99)('lan', (one) => seen.push(one));
  await observer.flush();
  ports[0]?.send(frame(2, 1), 42, 1000.25);
  ports[1]?.send(frame(BROADCAST_MAC, 2), 0, Number.NaN);
  for (const port of ports) port.flush();
  const prefix = wirePrefix('capture-live', 'lan');
  nc.publish(`${prefix}bcast`, Uint8Array.of(1, 2, 3));
  nc.publish(`${prefix}bcast`, new Uint8Array(40));
  ports[2]?.send(frame(0xbeef, 3), 0, 1001);
  ports[2]?.flush();
  await nc.flush();
  await observer.flush();
  t.deepEqual(
    seen.map(({ frame: { 14: tag, length }, ...rest }) => ({ tag, length, ...rest })),
    [
      { tag: 1, length: 60, node: 1, port: 7, cause: 42, sentAt: 1000.25, arrivesAt: 1000.25 },
      { tag: 2, length: 60, node: 2, port: 7, cause: 0, sentAt: 99, arrivesAt: 99 },
      { tag: 3, length: 60, node: 3, port: 7, cause: 0, sentAt: 1001, arrivesAt: 1001 },
    ],
  );
  stop();
  ports[0]?.send(frame(2, 4), 0, 1002);
  ports[0]?.flush();
  await nc.flush();
  await observer.flush();
  t.is(seen.length, 3);
});

test('a capture takes what was sent before its end, also what it has not read by then', async (t) => {
  const server = await startServer(t);
  const nc = await connectTo(t, server);
  const compiled = compileLab(LAB, 'lab.yaml');
  const sink = new MemorySink();
  const session = new CaptureSession({
    lab: new SimLab(compiled),
    compiled,
    observe: busWires(nc, compiled, () => 99),
    settle: () => settleWires(nc),
    sink,
    section: SECTION,
    targets: parseTargets(compiled, ['lan']),
    filter: '',
    snapLength: 262_144,
    limit: Number.POSITIVE_INFINITY,
    comment: () => '',
    warn: () => {},
  });
  const port = new WirePort(
    nc,
    new BlockPool(nc),
    { lab: compiled.name, segment: 'lan', mac: 2, node: 1, port: 0 },
    () => {},
  );
  for (let tag = 1; tag <= 3; tag++) port.send(frame(BROADCAST_MAC, tag), 0, tag);
  port.flush();
  const counts = await session.finish();
  t.is(counts.delivered, 3);
  t.is(readCapture(sink.bytes).packets.length, 3);
});

test('a lab of processes is captured on its wire and inside its nodes, and the file left alone in vain', async (t) => {
  const { supervisor } = await launch(t, `${LAB}record: { frames: [lan, "web-n1-1:eth0"] }\n${QUICK_TIMERS}`);
  const home = process.env.REROUTE_HOME ?? '';
  const folder = temporaryFolder(t);
  const file = join(folder, 'live.pcapng');
  const targets = ['lan', 'n1:eth0', 'web-n1-1:eth0', 'n2:lo'];
  const ping = ['--exec', 'web-n1-1 ping -c 2 -i 0.1 @web-n2-1'];
  const run = await cli(t, home, 'capture', ...targets, '-f', 'host @web-n2-1 and icmp', '-w', file, ...ping);
  t.is(run.code, 0, run.stderr);
  t.regex(run.stderr, /2 received, 0% packet loss[\s\S]* 12 frames captured, .*0 dropped/);
  const { packets, interfaces, statistics } = readCapture(readFileSync(file));
  t.deepEqual(
    interfaces.map(({ name }) => name),
    targets,
  );
  // Which comes first is not for a busy machine to say; how often each comes is.
  const seen = packets.map((packet) => `${packet.interface} ${packet.direction}`);
  const twice = [
    'lan none',
    'lan none',
    'n1:eth0 in',
    'n1:eth0 out',
    'web-n1-1:eth0 in',
    'web-n1-1:eth0 out',
  ];
  t.deepEqual(seen.toSorted(), [...twice, ...twice].toSorted());
  const ages = packets.map(({ at }) => Date.now() - Number(at / 1_000_000n));
  t.true(ages.every((age) => age >= 0 && age < 60_000));
  t.is(statistics.size, targets.length);

  const kept = join(folder, 'kept');
  writeFileSync(kept, 'older');
  for (const [argv, says] of [
    [['n1:nope'], /n1:nope: there is no device nope; there are lo, eth0, cali/],
    [['lan', '-f', 'host @nope'], /no running pod.* nope/],
  ] as const) {
    const failed = await cli(t, home, 'capture', ...argv, '-w', kept);
    t.is(failed.code, 1);
    t.regex(failed.stderr, says);
    t.is(readFileSync(kept, 'utf8'), 'older');
  }
  const nowhere = join(folder, 'none', 'x');
  t.regex((await cli(t, home, 'capture', '-w', nowhere)).stderr, /cannot write .*none\/x: ENOENT/);

  // BGP keeps the wire busy: a reader that has enough ends the capture, and so does Ctrl-C.
  const piped = startCli(t, home, 'capture', 'lan', '-w', '-');
  await once(piped.stdout!, 'data');
  piped.stdout!.destroy();
  t.deepEqual(await once(piped, 'exit'), [0, null]);
  const stopped = startCli(t, home, 'capture', 'lan', '-w', join(folder, 'stopped'), '--causes');
  await eventually(
    'something is captured',
    () => existsSync(join(folder, 'stopped')) && readFileSync(join(folder, 'stopped')).length >= 500,
  );
  stopped.kill('SIGINT');
  t.deepEqual(await once(stopped, 'exit'), [0, null]);
  const { packets: some, statistics: counted } = readCapture(readFileSync(join(folder, 'stopped')));
  t.is(counted.get('lan')?.[3], BigInt(some.length));
  const few = await cli(t, home, 'capture', '-c', '2', '-w', file);
  t.is(few.code, 0);
  t.is(readCapture(readFileSync(file)).packets.length, 2);

  // The lab goes down, and what it recorded stays.
  await supervisor.down();
  const recorded = async (...argv: string[]) => {
    const read = await cli(t, home, 'capture', '--recorded', '-w', file, ...argv);
    t.is(read.code, 0, read.stderr);
    return readCapture(readFileSync(file));
  };
  const both = await recorded('-f', 'icmp');
  t.deepEqual(
    both.packets.map((packet) => `${packet.interface} ${packet.direction}`).toSorted(),
    [...['lan none', 'lan none'], ...['lan none', 'lan none'], ...TWICE, ...TWICE].toSorted(),
  );
  t.is((await recorded('n1:eth0', '-f', 'icmp')).packets.length, 4);
  t.true((await recorded('lan', '--from', '+0s', '--to', '+1h')).packets.length > some.length);
  t.is((await recorded('lan', '--to', '1970-01-01T00:00:00Z')).packets.length, 0);
  const down = await cli(t, home, 'capture', '--lab', 'capture-live', '-w', file);
  t.regex(down.stderr, /lab capture-live is down; what it recorded is had with: reroute capture --recorded/);
  const refused = await cli(t, home, 'capture', '--recorded', 'n2:lo', '-w', file);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /n2:lo was not recorded; there are lan, web-n1-1:eth0/);
});
