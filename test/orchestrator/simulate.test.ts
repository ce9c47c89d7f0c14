import test, { type ExecutionContext } from 'ava';
import { encode } from '../../bus/codec.ts';
import { seededRandom } from '../../nodes/random.ts';
import { churn } from '../../orchestrator/chaos/churn.ts';
import { ORCHESTRATOR } from '../../orchestrator/events.ts';
import { loadLab } from '../../orchestrator/lab/load.ts';
import { NodeDownError, type RunningLab, UnknownNodeError } from '../../orchestrator/running-lab.ts';
import { parseSelector } from '../../orchestrator/selector.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { SimStore } from '../../orchestrator/simulate/store.ts';
import { pings, run, verifies } from '../support/lab.ts';
import { calico, flannel, recordsOf, settle, simulate, snapshotOf } from '../support/sim.ts';

/** A life with a bit of everything in it. */
async function live(yaml: string): Promise<SimLab> {
  const lab = await simulate(yaml);
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await lab.sleep(1_000);
  await lab.act({ type: 'start', node: 'n2' });
  await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'down' });
  await lab.sleep(500);
  await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'up' });
  await settle(lab);
  await lab.act({ type: 'kill', node: 'n3', how: 'reset' });
  await lab.act({ type: 'start', node: 'n3' });
  await settle(lab);
  const pods = parseSelector('app=web');
  await churn(lab, { pods, rate: 10, duration: 1_000, probes: 3, interval: 50, random: seededRandom(7) });
  await settle(lab);
  return lab;
}

/** What the bus would hold of every log. */
async function logOf(lab: SimLab): Promise<Map<string, Uint8Array>> {
  const logs = new Map<string, Uint8Array>();
  for (const node of [ORCHESTRATOR, ...lab.nodeNames]) logs.set(node, encode(await recordsOf(lab, node)));
  return logs;
}

const lives: readonly (readonly [title: string, lab: (seed: number) => string])[] = [
  ['calico', (seed) => calico({ seed, reflectors: 2 })],
  ['flannel vxlan', (seed) => flannel('vxlan', { seed })],
];

for (const [title, lab] of lives) {
  test(`${title}: the same seed gives every log byte for byte, and a log gives the state`, async (t) => {
    // Two runs side by side in one process, to find what they would share.
    const [one, two] = await Promise.all([live(lab(1)), live(lab(1))]);
    const [first, again, other] = [await logOf(one), await logOf(two), await logOf(await live(lab(2)))];
    for (const [node, bytes] of first) {
      t.true(bytes.length > 500, node);
      t.true(Buffer.from(bytes).equals(again.get(node)!), node);
      t.false(Buffer.from(bytes).equals(other.get(node)!), node);
    }
    await verifies(t, one);
  });
}

/** Pings from the first pod or host of every node to that of every other. */
async function pingAcross(t: ExecutionContext, lab: RunningLab, nodes: readonly string[]): Promise<void> {
  for (const from of nodes)
    for (const to of nodes) if (from !== to) await pings(t, lab, `web-${from}-1`, `web-${to}-1`);
}

const clusters: readonly (readonly [title: string, yaml: string])[] = [
  ['calico with two reflectors', calico({ reflectors: 2 })],
  ['calico with a full mesh', calico({ reflectors: 0 })],
  ['flannel udp', flannel('udp')],
  ['flannel vxlan', flannel('vxlan')],
  ['flannel host-gw', flannel('host-gw')],
  ['flannel ipip', flannel('ipip')],
  ['flannel wireguard', flannel('wireguard')],
  ['flannel ipsec', flannel('ipsec')],
];

for (const [title, yaml] of clusters) {
  test(`${title}: pods reach each other across nodes, after a node and a cable have been gone too`, async (t) => {
    const nodes = ['n1', 'n2', 'n3'];
    const lab = await simulate(yaml);
    await pingAcross(t, lab, nodes);
    await verifies(t, lab);
    await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
    await verifies(t, lab);
    await lab.sleep(2_000);
    await lab.act({ type: 'start', node: 'n2' });
    await settle(lab);
    await verifies(t, lab);
    await pingAcross(t, lab, nodes);
    await lab.act({ type: 'link', node: 'n3', device: 'eth0', carrier: 'down' });
    await lab.sleep(200);
    t.not((await run(lab, 'web-n1-1', 'ping -n -c 1 -W 1 172.18.18.103')).code, 0, 'the cable is out');
    await verifies(t, lab);
    await lab.act({ type: 'link', node: 'n3', device: 'eth0', carrier: 'up' });
    await settle(lab);
    await pingAcross(t, lab, nodes);
    await verifies(t, lab);
  });
}

test('two racks: hosts reach the other rack over two equal paths, over one when a cable is out', async (t) => {
  const lab = await simulate(await loadLab('examples/two-racks.yaml'));
  const nexthops = async () => {
    const { routes } = (await snapshotOf(lab, 'leaf1')).view.kernel;
    return routes['']?.find((route) => route.dst === '10.1.2.0/24')?.nexthops.map(({ dev }) => dev);
  };
  const reaches = async () => {
    for (const [from, to] of [
      ['h1', '10.1.2.2'],
      ['h2', '10.1.2.3'],
      ['h3', '10.1.1.2'],
      ['h1', '10.1.1.3'],
    ]) {
      const { code, output } = await run(lab, from!, `ping -n -c 1 -W 5 ${to}`);
      t.is(code, 0, output);
    }
  };
  t.deepEqual(await nexthops(), ['eth1', 'eth2']);
  await reaches();
  await lab.act({ type: 'link', node: 'leaf1', device: 'eth1', carrier: 'down' });
  await settle(lab);
  t.deepEqual(await nexthops(), ['eth2']);
  await reaches();
  await verifies(t, lab);
});

test('a graph of the Topology Zoo: every router has a route to every loopback, and the packets follow it', async (t) => {
  const compiled = await loadLab('examples/zoo-sample.graphml');
  const lab = await simulate(compiled);
  const loopbacks = new Map(compiled.nodes.map((node) => [node.name, node.loopbacks[0]!.split('/')[0]!]));
  t.true(loopbacks.size >= 8);
  for (const [name, own] of loopbacks) {
    const routes = new Set((await snapshotOf(lab, name)).view.kernel.routes['']?.map((route) => route.dst));
    for (const [other, address] of loopbacks)
      t.true(other === name || routes.has(`${address}/32`), `${name} -> ${other}`);
    const [far] = [...loopbacks.values()].reverse().filter((address) => address !== own);
    const { code, output } = await run(lab, name, `ping -n -c 1 -W 5 -I ${own} ${far}`);
    t.is(code, 0, output);
  }
  await verifies(t, lab);
});

test('a node that is started in the moment of its death stays alive', async (t) => {
  const lab = await simulate(calico());
  for (const how of ['reset', 'silent'] as const) {
    await lab.act({ type: 'kill', node: 'n2', how });
    await lab.act({ type: 'start', node: 'n2' });
    await lab.sleep(1_000);
    t.is((await lab.nodes()).find((node) => node.name === 'n2')?.state, 'running', how);
    await settle(lab);
    await pings(t, lab, 'web-n1-1', 'web-n2-1');
  }
});

test('a command to a node that is down, and one whose node dies under it, fail as they do on the bus', async (t) => {
  const lab = await simulate(calico());
  const ping = lab.command('n2', { type: 'exec', pod: '', argv: ['ping', '-n', '172.18.18.101'] });
  const failed = t.throwsAsync(ping, { instanceOf: NodeDownError });
  await lab.sleep(2_500);
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await failed;
  await t.throwsAsync(lab.command('n2', { type: 'sync' }), { instanceOf: NodeDownError });
  await t.throwsAsync(lab.command('n9', { type: 'sync' }), {
    instanceOf: UnknownNodeError,
    message: /no node n9/,
  });
});

test('a command that is interrupted ends, and says what it has', async (t) => {
  const lab = await simulate(calico());
  const interrupt = new AbortController();
  let output = '';
  const ping = lab.command(
    'n1',
    { type: 'exec', pod: '', argv: ['ping', '-n', '172.18.18.102'] },
    {
      signal: interrupt.signal,
      onReply: (part) => {
        if (part.type === 'stdout') output += part.text;
      },
    },
  );
  await lab.sleep(2_500);
  interrupt.abort();
  t.deepEqual(await ping, { type: 'exit', code: 0 });
  t.regex(output, /3 packets transmitted, 3 received, 0% packet loss/);

  const early = new AbortController();
  const command = { type: 'exec', pod: '', argv: ['ping', '-n', '172.18.18.102'] } as const;
  const last = lab.command('n1', command, { signal: early.signal });
  early.abort();
  t.is((await last).type, 'exit', 'also one that has not even reached the node');
});

test("the clock does not move while nobody waits, and its time is the events'", async (t) => {
  const lab = await simulate(flannel('host-gw'));
  const before = lab.now();
  await new Promise((resolve) => setImmediate(resolve));
  t.is(lab.now(), before);
  await lab.sleep(12_345);
  t.is(lab.now(), before + 12_345);
  for (const node of lab.nodeNames) {
    const times = (await recordsOf(lab, node)).map(({ at }) => at);
    t.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    t.true(times.at(-1)! <= lab.now());
  }
});

test('a wire has a little jitter, and does not reorder', async (t) => {
  const compiled = await loadLab('examples/two-racks.yaml');
  const lab = new SimLab(compiled);
  const last = new Map<string, number>();
  let frames = 0;
  lab.onFrame = ({ node, port, sentAt, arrivesAt }) => {
    frames++;
    const wire = `${node}:${port}`;
    const before = last.get(wire) ?? 0;
    if (arrivesAt < before || arrivesAt < sentAt)
      t.fail(`${wire}: ${sentAt} -> ${arrivesAt} after ${before}`);
    if (arrivesAt > Math.max(before, sentAt + 0.1)) t.fail(`${wire}: ${sentAt} -> ${arrivesAt}`);
    last.set(wire, arrivesAt);
  };
  await lab.start();
  await lab.sleep(30_000);
  t.true(frames > 100);
});

test('the store keeps to a JetStream bucket: create, compare and swap, delete, and a watch that tells it all', (t) => {
  const store = new SimStore();
  const told: string[] = [];
  const watch = (pattern: string) =>
    store.watch(pattern, ({ key, value, revision }) =>
      told.push(`${pattern} ${key}@${revision} ${value?.v ?? 'gone'}`),
    );
  const conflict = { ok: false, conflict: true } as const;
  const done = (revision: number) => ({ ok: true, revision }) as const;

  t.deepEqual(store.apply({ op: 'create', key: 'a.x', value: { v: 1 } }, 0), done(1));
  t.deepEqual(store.apply({ op: 'create', key: 'a.x', value: { v: 2 } }, 0), conflict);
  const stop = watch('a.*');
  t.deepEqual(told.splice(0), ['a.* a.x@1 1'], 'first what is there');
  watch('>');
  told.splice(0);
  t.deepEqual(store.apply({ op: 'put', key: 'b', value: { v: 3 } }, 0), done(2));
  t.deepEqual(told.splice(0), ['> b@2 3']);
  t.deepEqual(store.apply({ op: 'update', key: 'a.x', value: { v: 4 }, revision: 2 }, 0), conflict);
  t.deepEqual(store.apply({ op: 'update', key: 'a.y', value: { v: 4 }, revision: 1 }, 0), conflict);
  t.deepEqual(store.apply({ op: 'update', key: 'a.x', value: { v: 5 }, revision: 1 }, 0), done(3));
  t.deepEqual(told.splice(0), ['a.* a.x@3 5', '> a.x@3 5']);
  t.deepEqual(store.apply({ op: 'delete', key: 'a.x', revision: 1 }, 0), conflict);
  t.deepEqual(store.list('a.>'), [{ key: 'a.x', value: { v: 5 }, revision: 3 }]);
  stop();
  t.deepEqual(store.apply({ op: 'delete', key: 'a.x', revision: 3 }, 0), done(4));
  t.deepEqual(told.splice(0), ['> a.x@4 gone']);
  t.deepEqual(store.list('a.>'), []);
  t.deepEqual(
    store.apply({ op: 'create', key: 'a.x', value: { v: 6 } }, 0),
    done(5),
    'what is deleted can be made anew',
  );
});
