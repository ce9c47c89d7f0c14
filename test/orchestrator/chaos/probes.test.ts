import test from 'ava';
import { Holders } from '../../../orchestrator/chaos/holders.ts';
import { Probe, ProbeError, type ProbeResult, reachable } from '../../../orchestrator/chaos/probes.ts';
import { findPod, listPods, type Pod } from '../../../orchestrator/pods.ts';
import { NodeDownError, type RunningLab } from '../../../orchestrator/running-lab.ts';
import { addressOf, run } from '../../support/lab.ts';
import { calico, flannel, settle, simulate } from '../../support/sim.ts';

async function pod(lab: RunningLab, name: string): Promise<Pod> {
  const found = findPod(await listPods(lab), name);
  if (found === undefined) throw new Error(`no pod ${name}`);
  return found;
}

const INTERVAL = 20;

async function probe(lab: RunningLab, from: string, to: string): Promise<Probe> {
  const plan = {
    id: `${from}-${to}`,
    from: await pod(lab, from),
    to: await pod(lab, to),
    interval: INTERVAL,
  };
  return Probe.start(lab, plan);
}

async function stop(lab: RunningLab, running: Probe): Promise<ProbeResult> {
  const report = await running.stop();
  if (report === null) throw new Error('the probe is lost');
  return running.judge(report, await Holders.of(lab));
}

test('a probe between pods that nobody troubles loses nothing', async (t) => {
  const lab = await simulate(calico());
  const running = await probe(lab, 'web-n1-1', 'web-n2-1');
  await lab.sleep(1_010);
  const result = await stop(lab, running);
  t.is(result.from, 'default/web-n1-1');
  t.is(result.to, 'default/web-n2-1');
  t.is(result.sent, 51, 'one at once, then 50 a second');
  t.is(result.received, 51);
  t.is(result.lost, 0);
  t.is(result.misdelivered, 0);
  t.is(result.answeredBySuccessor, 0);
  // A wire takes 0.05 to 0.1 ms one way.
  t.true(result.medianRtt >= 0.1 && result.medianRtt <= 0.2, String(result.medianRtt));
  t.true(
    result.longestGap >= INTERVAL - 0.1 && result.longestGap < INTERVAL + 0.5,
    String(result.longestGap),
  );
});

test('what is sent while a cable is out is lost, and nothing else', async (t) => {
  const lab = await simulate(calico());
  const [cut, whole] = [await probe(lab, 'web-n1-1', 'web-n2-1'), await probe(lab, 'web-n1-1', 'web-n3-1')];
  await lab.sleep(510);
  await lab.act({ type: 'link', node: 'n2', device: 'eth0', carrier: 'down' });
  await lab.sleep(1_000);
  await lab.act({ type: 'link', node: 'n2', device: 'eth0', carrier: 'up' });
  await lab.sleep(500);
  const result = await stop(lab, cut);
  t.is(result.sent, 101);
  t.is(result.lost, 50);
  t.is(result.received, 51);
  t.is(Math.round(result.longestGap / INTERVAL), 51);
  t.is(result.misdelivered, 0);
  t.is((await stop(lab, whole)).lost, 0);
});

test('answers of a pod that took over the address are told from those of the pod aimed at', async (t) => {
  // Blocks of four addresses, all of them taken: the next pod gets the one that was freed.
  const lab = await simulate(calico({ pods: 4, blockSize: 30 }));
  const address = await addressOf(lab, 'web-n2-1');
  const running = await probe(lab, 'web-n1-1', 'web-n2-1');
  await lab.sleep(200);
  await lab.act({ type: 'pod.delete', namespace: 'default', name: 'web-n2-1', node: 'n2' });
  await lab.act({ type: 'pod.create', namespace: 'default', name: 'heir', node: 'n2', labels: {} });
  await settle(lab);
  t.is(await addressOf(lab, 'heir'), address);
  const began = lab.now();
  await lab.sleep(400);
  const stale = Math.round((lab.now() - began) / INTERVAL);
  await running.retarget((await pod(lab, 'heir')).spec.uid, address);
  await lab.sleep(600);
  const result = await stop(lab, running);
  t.is(result.misdelivered, 0, 'it holds the address');
  t.true(result.answeredBySuccessor >= stale, `${result.answeredBySuccessor} of at least ${stale}`);
  t.true(
    result.answeredBySuccessor <= result.received - 600 / INTERVAL,
    'once it is aimed at, it is no successor',
  );
});

test('an answer from a pod that does not hold the address is found out', async (t) => {
  const lab = await simulate(flannel('host-gw'));
  const address = await addressOf(lab, 'web-n2-1');
  const subnet = address.replace(/\d+$/, '0/24');
  const running = await probe(lab, 'web-n1-1', 'web-n2-1');
  await lab.sleep(200);
  // A route to the wrong node, and a pod there that pretends to be the one.
  const wrong: readonly (readonly [where: string, line: string])[] = [
    ['web-n3-1', `ip address add ${address}/32 dev eth0`],
    ['n3', `ip route add ${address}/32 dev cni0`],
    ['n1', `ip route replace ${subnet} via 172.18.18.103`],
  ];
  for (const [where, line] of wrong) {
    const { code, output } = await run(lab, where, line);
    t.is(code, 0, `${line}: ${output}`);
  }
  await lab.sleep(200);
  const result = await stop(lab, running);
  t.true(result.misdelivered >= 9, JSON.stringify(result));
  t.true(result.received - result.misdelivered >= 10, 'before it all was well');
});

test('a probe lives and dies with its node', async (t) => {
  const lab = await simulate(calico());
  const running = await probe(lab, 'web-n1-1', 'web-n2-1');
  const second = { id: 'web-n1-1-web-n2-1', interval: INTERVAL };
  const again = Probe.start(lab, {
    ...second,
    from: await pod(lab, 'web-n1-1'),
    to: await pod(lab, 'web-n2-1'),
  });
  await t.throwsAsync(again, { instanceOf: ProbeError, message: /web-n1-1.*already running/ });
  await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
  await running.retarget('nobody', '10.0.0.1');
  t.is(await running.stop(), null);
  await lab.act({ type: 'start', node: 'n1' });
  await settle(lab);
  t.is(await running.stop(), null, 'nor does another boot know of it');
  const homeless = { ...(await pod(lab, 'web-n2-1')), status: null };
  const nowhere = Probe.start(lab, { ...second, from: await pod(lab, 'web-n1-1'), to: homeless });
  await t.throwsAsync(nowhere, { instanceOf: ProbeError, message: /web-n2-1 has no address/ });
  const dead = await pod(lab, 'web-n3-1');
  await lab.act({ type: 'kill', node: 'n3', how: 'silent' });
  const fromDead = Probe.start(lab, { ...second, from: dead, to: await pod(lab, 'web-n2-1') });
  await t.throwsAsync(fromDead, { instanceOf: NodeDownError });
});

test('whether a pod reaches another, and if not, why', async (t) => {
  const lab = await simulate(calico());
  const [near, far] = [await pod(lab, 'web-n1-1'), await pod(lab, 'web-n2-1')];
  t.is(await reachable(lab, near, far), null);
  t.is(await reachable(lab, near, { ...far, status: null }), 'default/web-n2-1 has no address');
  await lab.act({ type: 'pod.delete', namespace: 'default', name: 'web-n1-1', node: 'n1' });
  await settle(lab);
  t.is(await reachable(lab, near, far), 'no pod or container default/web-n1-1 runs on n1');
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  t.regex((await reachable(lab, await pod(lab, 'web-n1-2'), far)) ?? '', /100% packet loss/);
  t.regex((await reachable(lab, far, near)) ?? '', /node n2 is not running/);
});
