import test, { type ExecutionContext } from 'ava';
import type { ImpairmentChange } from '../../../nodes/commands.ts';
import type { LabEvent } from '../../../nodes/events/index.ts';
import { seededRandom } from '../../../nodes/random.ts';
import { ActionError } from '../../../orchestrator/actions.ts';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import { listPods } from '../../../orchestrator/pods.ts';
import { type RunningLab, UnknownNodeError } from '../../../orchestrator/running-lab.ts';
import { formatIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { parseBlock } from '../../../protocols/ipam/calico-block.ts';
import { pings, run, verifies } from '../../support/lab.ts';
import { calico, flannel, recordsOf, settle, simulate, snapshotOf } from '../../support/sim.ts';

/** Calico's BIRD. */
const HOLD_TIME = 240_000;

interface Loss {
  readonly at: number;
  readonly reason: string;
  /** When the last message from the peer came. */
  readonly heard: number;
}

/** How a node lost its session with a peer after a moment; null if it did not. */
async function lossOf(lab: RunningLab, node: string, peer: string, after: number): Promise<Loss | null> {
  let heard = 0;
  for (const { at, event } of await recordsOf(lab, node)) {
    const known = event as LabEvent;
    if (known.type === 'bgp.received' && known.peer === peer) heard = at;
    if (known.type !== 'bgp.session' || known.peer !== peer || at < after) continue;
    if (known.from === 'Established') return { at, reason: known.reason, heard };
  }
  return null;
}

/** Routes of a node to blocks on another. */
async function routesVia(lab: RunningLab, node: string, via: string): Promise<string[]> {
  const { routes } = (await snapshotOf(lab, node)).view.kernel;
  return (routes[''] ?? []).flatMap(({ dst, nexthops }) =>
    nexthops.some((hop) => hop.via === via) ? [dst] : [],
  );
}

for (const reflectors of [0, 2]) {
  const title = reflectors === 0 ? 'full mesh' : 'reflectors';
  test(`${title}: a node that dies with a reset is missed at once`, async (t) => {
    const lab = await simulate(calico({ reflectors }));
    t.is((await routesVia(lab, 'n1', '172.18.18.102')).length, 1);
    const killed = lab.now();
    await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
    await lab.sleep(10);
    for (const peer of reflectors === 0 ? ['n1', 'n3'] : ['rr1', 'rr2']) {
      const loss = await lossOf(lab, peer, 'n2', killed);
      t.is(loss?.reason, 'TcpConnectionFails', peer);
      t.true(loss !== null && loss.at - killed < 1, 'a segment under way takes a tenth of a millisecond');
    }
    t.deepEqual(await routesVia(lab, 'n1', '172.18.18.102'), []);
  });

  test(`${title}: a node that dies in silence is missed when the hold time is over, not before`, async (t) => {
    const lab = await simulate(calico({ reflectors }));
    await lab.sleep(100_000);
    const killed = lab.now();
    await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
    const peers = reflectors === 0 ? ['n1', 'n3'] : ['rr1', 'rr2'];
    // The last KEEPALIVE is no older than its interval, and that is a third of the hold time.
    await lab.sleep((HOLD_TIME * 2) / 3 - 1_000);
    for (const peer of peers) t.is(await lossOf(lab, peer, 'n2', killed), null);
    t.is((await routesVia(lab, 'n1', '172.18.18.102')).length, 1, 'traffic goes astray until then');
    const result = await settle(lab);
    for (const peer of peers) {
      const loss = await lossOf(lab, peer, 'n2', killed);
      t.regex(loss?.reason ?? '', /^HoldTimer_Expires/);
      t.is(Math.round(loss!.at - loss!.heard), HOLD_TIME);
    }
    t.true(result.waited > 1_000);
    t.deepEqual(await routesVia(lab, 'n1', '172.18.18.102'), []);
  });
}

/** Every address that IPAM holds as given out, and every address that a sandbox has: `address node container`. */
async function addressesOf(lab: RunningLab): Promise<{ allocated: string[]; live: string[] }> {
  const allocated: string[] = [];
  const live: string[] = [];
  for (const { value } of await lab.list('ipam.blocks.>')) {
    const block = parseBlock(value);
    const base = parsePrefix(block?.cidr ?? '')?.addr ?? 0;
    for (const [ordinal, { handle, node }] of Object.entries(block?.allocations ?? {}))
      allocated.push(`${formatIp4(base + Number(ordinal))} ${node} ${handle}`);
  }
  const isCalico = allocated.length > 0;
  for (const { name } of (await lab.nodes()).filter(({ state }) => state === 'running')) {
    const { sandboxes, ipam } = (await snapshotOf(lab, name)).view.cluster;
    live.push(...sandboxes.map(({ ip, containerId }) => `${ip} ${name} ${containerId}`));
    const held = ipam.assigned.map(({ ip, handle }) => `${ip} ${name} ${handle}`);
    if (!isCalico) allocated.push(...held);
  }
  return { allocated: allocated.sort(), live: live.sort() };
}

/** That every allocated address is a live pod's, and every pod wanted has one. */
async function noLeak(t: ExecutionContext, lab: RunningLab): Promise<void> {
  const { allocated, live } = await addressesOf(lab);
  t.deepEqual(allocated, live);
  const pods = await listPods(lab);
  t.deepEqual(
    pods.map(({ status }) => status?.podIP ?? '').sort(),
    live.map((line) => line.split(' ')[0]!).sort(),
  );
  t.true(pods.every(({ status }) => status?.phase === 'Running'));
}

async function podsOf(lab: RunningLab, node: string) {
  const pods = (await listPods(lab)).filter(({ spec }) => spec.node === node);
  return {
    uids: pods.map(({ spec }) => spec.uid),
    addresses: pods.map(({ status }) => status?.podIP ?? ''),
  };
}

const last = (address: string) => Number(address.split('.').at(-1));

test('calico: a node comes back with its block, and its pods with the addresses that have rested longest', async (t) => {
  const lab = await simulate(calico());
  const before = await podsOf(lab, 'n2');
  const { blocks } = (await snapshotOf(lab, 'n2')).view.cluster.ipam;
  t.is(blocks.length, 1);
  for (const how of ['reset', 'silent'] as const) {
    await lab.act({ type: 'kill', node: 'n2', how });
    await lab.sleep(3_000);
    await lab.act({ type: 'start', node: 'n2' });
    await settle(lab);
    await noLeak(t, lab);
  }
  const after = await podsOf(lab, 'n2');
  t.deepEqual((await snapshotOf(lab, 'n2')).view.cluster.ipam.blocks, blocks);
  t.deepEqual(after.uids, before.uids);
  // A sandbox does not outlive its node's kernel, and what is released goes to the end of the free list: two pods, two
  // reboots, so the fifth and sixth address of the block.
  const first = parsePrefix(blocks[0]!.cidr)!.addr;
  t.deepEqual(after.addresses.toSorted(), [formatIp4(first + 4), formatIp4(first + 5)].sort());
  await pings(t, lab, 'web-n1-1', 'web-n2-1');
  await verifies(t, lab);
});

test('flannel: a node comes back with its lease and its VTEP, and its pods with the next addresses', async (t) => {
  const lab = await simulate(flannel('vxlan'));
  const { own } = (await snapshotOf(lab, 'n2')).view.cluster.flannel;
  t.truthy(own);
  const before = await podsOf(lab, 'n2');
  t.deepEqual(before.addresses.map(last).toSorted(), [2, 3], '.1 is the bridge');
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await lab.sleep(3_000);
  await lab.act({ type: 'start', node: 'n2' });
  await settle(lab);
  const again = (await snapshotOf(lab, 'n2')).view.cluster.flannel.own;
  t.is(again?.lease.subnet, own!.lease.subnet);
  t.deepEqual(again?.lease.backendData, own!.lease.backendData, 'VNI and the MAC of the VTEP');
  const after = await podsOf(lab, 'n2');
  t.deepEqual(after.uids, before.uids);
  t.deepEqual(after.addresses.map(last).toSorted(), [4, 5], 'host-local goes on after the last');
  await noLeak(t, lab);
  await pings(t, lab, 'web-n1-1', 'web-n2-1');
});

for (const [cni, yaml] of [
  ['calico', calico({ pods: 3 })],
  ['flannel', flannel('vxlan', { pods: 3 })],
] as const) {
  test(`${cni}: a node that dies in the middle of bringing up its pods leaks no address`, async (t) => {
    const lab = await simulate(yaml);
    const random = seededRandom(11);
    for (let i = 0; i < 12; i++) {
      await lab.act({ type: 'kill', node: 'n2', how: i % 2 === 0 ? 'silent' : 'reset' });
      // Meanwhile one pod is given up and another wanted.
      const labels = { app: 'web' };
      if (i > 0)
        await lab.act({ type: 'pod.delete', namespace: 'default', name: `more-${i - 1}`, node: 'n2' });
      await lab.act({ type: 'pod.create', namespace: 'default', name: `more-${i}`, node: 'n2', labels });
      await lab.act({ type: 'start', node: 'n2' });
      // Boot, watches, requests to the store and the pods all come within the first milliseconds.
      await lab.sleep(random.unit() * 6);
    }
    await settle(lab);
    t.is((await podsOf(lab, 'n2')).uids.length, 4);
    await noLeak(t, lab);
    await pings(t, lab, 'web-n1-1', 'more-11');
    await verifies(t, lab);
  });
}

test('a pod that was deleted while its node was down is not there again, nor is its address held', async (t) => {
  const lab = await simulate(calico());
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await lab.act({ type: 'pod.delete', namespace: 'default', name: 'web-n2-1', node: 'n2' });
  await lab.act({ type: 'start', node: 'n2' });
  await settle(lab);
  t.is((await podsOf(lab, 'n2')).uids.length, 1);
  t.deepEqual(await lab.list('podstatus.n2.default.web-n2-1'), []);
  await noLeak(t, lab);
});

test('a node boots with its cable pulled if it was pulled while the node was down', async (t) => {
  const lab = await simulate(flannel('host-gw'));
  await lab.act({ type: 'kill', node: 'n3', how: 'silent' });
  await lab.act({ type: 'link', node: 'n3', device: 'eth0', carrier: 'down' });
  await lab.act({ type: 'start', node: 'n3' });
  await lab.sleep(500);
  t.regex((await run(lab, 'n3', 'ip link show eth0')).output, /NO-CARRIER/);
  t.is((await run(lab, 'n1', 'ping -n -c 1 -W 1 172.18.18.103')).code, 1);
  await lab.act({ type: 'link', node: 'n3', device: 'eth0', carrier: 'up' });
  await settle(lab);
  await pings(t, lab, 'web-n1-1', 'web-n3-1');
  await verifies(t, lab);
});

test('what is wrong with a port is so again after a boot, changed in part, and taken away', async (t) => {
  const lab = await simulate(flannel('host-gw'));
  const rtt = async () =>
    Number(
      /time=([\d.]+)/.exec((await run(lab, 'n1', 'ping -n -c 1 -W 1 172.18.18.103')).output)?.[1] ?? NaN,
    );
  const impair = (change: ImpairmentChange) =>
    lab.act({ type: 'impair', node: 'n3', device: 'eth0', change });
  await rtt();
  await impair({ op: 'netem', changes: { delay: 40 } });
  await impair({ op: 'netem', changes: { jitter: 1 } });
  const slow = await rtt();
  t.true(slow > 38 && slow < 43, String(slow));
  await impair({ op: 'cut', cut: 'out' });
  await lab.act({ type: 'kill', node: 'n3', how: 'silent' });
  await impair({ op: 'netem', changes: { delay: 20 } });
  await lab.act({ type: 'start', node: 'n3' });
  await lab.sleep(500);
  const { qdiscs, cuts } = (await snapshotOf(lab, 'n3')).view.kernel;
  t.like(qdiscs[''], [{ dev: 'eth0', netem: { delay: 20, jitter: 1 } }]);
  t.deepEqual(cuts[''], [{ dev: 'eth0', cut: 'out' }]);
  t.is(await rtt(), NaN);
  await impair({ op: 'cut', cut: 'none' });
  await impair({ op: 'reset' });
  await settle(lab);
  t.true((await rtt()) < 2);
  await verifies(t, lab);
  const wrong = impair({ op: 'netem', changes: { reorder: 0.5 } });
  await t.throwsAsync(wrong, {
    instanceOf: ActionError,
    message: /not possible without specifying some delay/,
  });
});

test('a cable has two ends, and both feel it when one is pulled', async (t) => {
  const lab = await simulate(await loadLab('examples/two-racks.yaml'));
  const carriers = async () => {
    const found: string[] = [];
    for (const node of lab.nodeNames) {
      const { links } = (await snapshotOf(lab, node)).view.kernel;
      for (const { name, carrier } of links[''] ?? []) if (!carrier) found.push(`${node}:${name}`);
    }
    return found.sort();
  };
  t.deepEqual(await carriers(), []);
  const pulled = lab.now();
  await lab.act({ type: 'link', node: 'leaf1', device: 'eth2', carrier: 'down' });
  t.deepEqual(await carriers(), ['leaf1:eth2', 'spine2:eth1']);
  // eBGP on a link ends with the link: neither end waits for its hold timer of 9 s.
  for (const [node, peer] of [
    ['leaf1', 'spine2'],
    ['spine2', 'leaf1'],
  ] as const) {
    const loss = await lossOf(lab, node, peer, pulled);
    t.true(loss !== null && loss.at - pulled < 100, `${node}: ${JSON.stringify(loss)}`);
  }
  await lab.act({ type: 'link', node: 'spine2', device: 'eth1', carrier: 'up' });
  t.deepEqual(await carriers(), []);
  await settle(lab);
  await verifies(t, lab);
});

test('what cannot be done to a lab is refused, with what can be', async (t) => {
  const lab = await simulate(calico());
  const refuses = (action: Parameters<typeof lab.act>[0], message: RegExp) =>
    t.throwsAsync(lab.act(action), { instanceOf: ActionError, message });
  await refuses({ type: 'start', node: 'n1' }, /node n1 is already running/);
  await refuses(
    { type: 'link', node: 'n1', device: 'eth7', carrier: 'down' },
    /no interface eth7; it has: eth0$/,
  );
  const labels = {};
  const again = { type: 'pod.create', namespace: 'default', name: 'web-n1-1', node: 'n1', labels } as const;
  await refuses(again, /pod default\/web-n1-1 already exists on node n1/);
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await refuses({ type: 'kill', node: 'n2', how: 'reset' }, /node n2 is already down/);
  await refuses(
    { type: 'bgp', node: 'n2', request: { op: 'announce', prefix: '10.0.0.0/8' } },
    /n2 is not running/,
  );
  const unknown = lab.act({ type: 'kill', node: 'n9', how: 'reset' });
  await t.throwsAsync(unknown, {
    instanceOf: UnknownNodeError,
    message: /no node n9 .* nodes: n1, n2, n3, rr1$/,
  });
});
