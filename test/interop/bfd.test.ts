import { randomInt } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import type { LabEvent } from '../../nodes/events/index.ts';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import { bird } from '../../orchestrator/external/bird.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { launch, run, until } from '../support/lab.ts';
import { BfdPeer } from './bfd-peer.ts';
import { freePort } from './free-port.ts';
import { interopTest, missingForBfd } from './harness.ts';
import { tool } from './observe.ts';
import { MessageType, message, open, RawPeer } from './raw-peer.ts';
import { startLab } from './start.ts';

const birdTest = interopTest('bird', missingForBfd());

/**
 * Three seconds without a packet, so that a machine that does other things too does not end a session. The hold timers are at
 * 90 s, so that nothing else tells of a neighbour that is gone for as long as a test waits.
 */
const TIMES = '{ minTx: 100ms, minRx: 100ms, multiplier: 30 }';
const UP = /^\S+ +--- +Up +\S+ +0\.100 +3\.000$/m;

const pair = (name: string, more = '') => `
name: ${name}
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, networks: [192.0.2.0/24], session: { bfd: ${TIMES} }${more} } }
    d: { kind: bird, bgp: { as: 65100, networks: [198.51.100.0/24], session: { bfd: ${TIMES} }${more} } }
  links:
    - { endpoints: ["r1:eth1", "d:eth1"] }
timers: { bgp: { connectRetry: 300ms, idleHold: 300ms, idleHoldMax: 1s } }
`;

function bfdAt(lab: BusLab, node: string): Promise<string> {
  return tool(lab, node, ['birdc', 'show', 'bfd', 'sessions']);
}

async function bothUp(lab: BusLab): Promise<void> {
  for (const node of ['r1', 'd'])
    await until(lab, `BFD is up at ${node}`, async () => UP.test(await bfdAt(lab, node)));
}

async function eventsOf(lab: BusLab, type: LabEvent['type'], since = 0) {
  const found: { readonly at: number; readonly event: LabEvent }[] = [];
  for await (const { at, event } of lab.records('r1')) {
    if (event.type === type && at >= since) found.push({ at, event: event as LabEvent });
  }
  return found;
}

/** Why r1's session with the daemon has left Established since then. */
async function losses(lab: BusLab, since: number): Promise<string[]> {
  const changes = await eventsOf(lab, 'bgp.session', since);
  return changes.flatMap(({ event }) =>
    event.type === 'bgp.session' && event.from === 'Established' ? [event.reason] : [],
  );
}

birdTest('bird: BFD finds out who has no power, at either end, long before the hold timers', async (t) => {
  const { lab } = await launch(t, pair('interop-bfd'));
  await bothUp(lab);
  t.deepEqual((await verifyNode(lab, 'r1')).differences, []);

  const before = lab.now();
  await lab.act({ type: 'kill', node: 'd', how: 'silent' });
  await until(lab, 'r1 misses it', async () => (await losses(lab, before)).length > 0);
  const last = (await eventsOf(lab, 'bfd.session', before)).at(-1)?.event;
  t.like(last, { from: 'Up', to: 'Down', diag: 'Control Detection Time Expired' });
  await lab.act({ type: 'start', node: 'd' });
  await bothUp(lab);

  await lab.act({ type: 'kill', node: 'r1', how: 'silent' });
  await until(lab, 'BIRD misses us', async () =>
    (await tool(lab, 'd', ['birdc', 'show', 'protocols', 'r1'])).includes('BFD session down'),
  );
  await lab.act({ type: 'start', node: 'r1' });
  await bothUp(lab);
  t.deepEqual((await verifyNode(lab, 'r1')).differences, []);
});

birdTest('bird: a pulled cable cuts BFD off, and a plugged one brings it back', async (t) => {
  const { lab } = await launch(t, pair('interop-bfd-cable'));
  await bothUp(lab);
  await lab.act({ type: 'link', node: 'r1', device: 'eth1', carrier: 'down' });
  await until(lab, 'BIRD misses us', async () => / Down /.test(await bfdAt(lab, 'd')));
  await lab.act({ type: 'link', node: 'r1', device: 'eth1', carrier: 'up' });
  await bothUp(lab);
});

birdTest('bird: it keeps our routes while we restart, though BFD goes with us', async (t) => {
  const { lab } = await launch(t, pair('interop-bfd-restart', ', gracefulRestart: { restartTime: 60s }'));
  await bothUp(lab);
  const before = lab.now();
  await lab.act({ type: 'bgp', node: 'r1', request: { op: 'restart' } });
  const lost: string[] = [];
  await until(lab, 'the session is back', async () => {
    const { output } = await run(lab, 'd', 'birdc show route 192.0.2.0/24').catch(() => ({ output: '' }));
    if (!output.includes('192.0.2.0/24')) lost.push(output);
    const changes = await eventsOf(lab, 'bgp.session', before);
    return changes.some(({ event }) => event.type === 'bgp.session' && event.to === 'Established');
  });
  t.deepEqual(lost, []);
  await bothUp(lab);
});

test('says how BIRD comes to the right that its BFD needs', (t) => {
  const log =
    '2026-11-28 19:06:35.315 <INFO> Started\n2026-11-28 19:06:35.316 <ERR> bfd1: Socket error: SO_PRIORITY: Operation not permitted\n';
  t.regex(bird.complaint?.(log) ?? '', /^its BFD may not set SO_PRIORITY; run reroute as root, .*setcap/);
  t.is(bird.complaint?.('2026-11-28 19:06:35.315 <INFO> Started\n'), null);
});

/** r1 and a neighbour of plain bytes, with a BFD session that is up. */
async function withRawPeer(t: ExecutionContext, mode: 'single-hop' | 'multihop') {
  const range = `127.201.${randomInt(1, 255)}`;
  const [ours, theirs] = [`${range}.1`, `${range}.2`];
  const port = await freePort(ours);
  const { lab, close } = await startLab(`
name: interop-bfd-${mode}
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, session: { passive: true, bfd: ${TIMES} } } }
    e1: { kind: external, bgp: { as: 65100 }, external: { address: ${theirs}, local: ${ours}, listen: ${port}, bfd: ${mode} } }
  links:
    - { endpoints: ["r1:eth1", "e1:eth1"] }
`);
  t.teardown(close);
  const bfd = await BfdPeer.open({
    local: theirs,
    remote: ours,
    port: mode === 'multihop' ? 4784 : 3784,
  });
  t.teardown(() => bfd.close());
  const bgp = await RawPeer.meet({ address: ours, port, from: theirs });
  t.teardown(() => bgp.close());
  bgp.send(open(65100, { holdTime: 0 }), message(MessageType.keepalive));
  await bfd.hears('Up');
  return { lab, bfd };
}

for (const mode of ['single-hop', 'multihop'] as const) {
  test.serial(
    `${mode}: a neighbour that turns its BFD off loses nothing, one whose BFD fails does`,
    async (t) => {
      const { lab, bfd } = await withRawPeer(t, mode);
      t.is(bfd.ports.size, 1, 'a source port for the session');
      const [port = 0] = bfd.ports;
      t.true(port >= 49_152 && port <= 65_535, `${port}`);

      const before = lab.now();
      bfd.state = 'AdminDown';
      await bfd.hears('Down');
      t.is(bfd.heard.at(-1)?.diag, 3, 'Neighbor Signaled Session Down');
      await bfd.hearsMore(2);
      t.deepEqual(await losses(lab, before), [], 'RFC 5882 §3.2');

      bfd.state = 'Down';
      await bfd.hears('Up');
      bfd.state = 'Down';
      await until(lab, 'the session ends', async () => (await losses(lab, before)).length > 0);
      t.deepEqual((await verifyNode(lab, 'r1')).differences, []);
    },
  );
}
