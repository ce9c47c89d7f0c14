import test, { type ExecutionContext } from 'ava';
import type { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { Shell } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';
import { simulate } from '../../support/sim.ts';

function labOf(second: 'manager' | 'worker'): string {
  return `
name: orchestration
topology:
  nodes:
    n1: { kind: host, docker: { swarm: manager, networks: ['-d overlay --attachable back'] } }
    n2: { kind: host, docker: { swarm: ${second} } }
    n3: { kind: host, docker: { swarm: ${second} } }
segments:
  lan: { subnet: 10.7.0.0/24, rangeStart: 10.7.0.11, nodes: all }
`;
}

type Nodes = readonly [Shell, Shell, Shell];

async function swarm(
  t: ExecutionContext,
  second: 'manager' | 'worker' = 'worker',
): Promise<{ readonly lab: SimLab; readonly nodes: Nodes }> {
  const lab = await simulate(labOf(second));
  await lab.sleep(200);
  const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((node) => new Shell(t, lab, node)) as [Shell, Shell, Shell];
  return { lab, nodes: [n1, n2, n3] };
}

const TASKS = "--format '{{.Name}} {{.Node}} {{.DesiredState}} {{.CurrentState}}'";

async function tasksOf(manager: Shell, service: string): Promise<string[]> {
  const text = await manager.out(`docker service ps ${TASKS} ${service}`);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ (\d+|less than a|about a) (second|minute)s? ago$/i, ''));
}

async function statuses(manager: Shell): Promise<string[]> {
  return (await manager.out("docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'"))
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd());
}

test('a node without power: found to be down after three heartbeats, its tasks run elsewhere', async (t) => {
  const { lab, nodes } = await swarm(t);
  const [n1, , n3] = nodes;
  await n1.out('docker service create -d --name web --replicas 3 --network back nginx');
  await n1.out('docker run -d --name probe --network back busybox sleep infinity');
  await lab.sleep(6000);
  t.deepEqual(await tasksOf(n1, 'web'), [
    'web.1 n1 Running Running',
    'web.2 n2 Running Running',
    'web.3 n3 Running Running',
  ]);
  await lab.act({ type: 'kill', node: 'n3', how: 'silent' });
  await lab.sleep(9000);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Ready'], 'not yet');
  await lab.sleep(7500);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Down']);
  t.deepEqual(await tasksOf(n1, 'web'), [
    'web.1 n1 Running Running',
    'web.2 n2 Running Running',
    'web.3 n1 Running Running',
    ' \\_ web.3 n3 Shutdown Running',
  ]);
  // Nobody is sent to the one that is gone.
  t.is((await n1.out('docker exec probe dig +short tasks.web')).trim().split('\n').length, 3);
  for (let i = 0; i < 6; i++)
    t.regex(await n1.out('docker exec probe curl -s -m 1 http://web/'), /^Name: web/m);
  await lab.act({ type: 'start', node: 'n3' });
  await lab.sleep(3000);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Ready']);
  t.is((await tasksOf(n1, 'web')).at(-1), ' \\_ web.3 n3 Shutdown Shutdown', 'where it is, it stays');
  t.is(await n3.out("docker ps --format '{{.Names}}'"), '');
  await verifies(t, lab);
});

test('a node that is cut off goes on with its tasks, and ends them when it learns that they are elsewhere', async (t) => {
  const { lab, nodes } = await swarm(t);
  const [n1, , n3] = nodes;
  await n1.out('docker service create -d --name web --replicas 3 --network back -p 8080:80 nginx');
  await n3.out('docker run -d --name alone --network back nginx');
  await n1.out('docker run -d --name probe --network back busybox sleep infinity');
  await lab.sleep(6000);
  await lab.act({ type: 'link', node: 'n3', device: 'eth0', carrier: 'down' });
  await lab.sleep(16_000);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Down']);
  t.is((await tasksOf(n1, 'web'))[2], 'web.3 n1 Running Running');
  t.regex(await n3.out("docker ps --format '{{.Names}}'"), /^web\.3\./m, 'it does not know');
  const own: string[] = [];
  for (let i = 0; i < 3; i++) own.push((await n3.run('curl -s -m 1 http://localhost:8080/')).stdout);
  t.true(
    own.some((page) => /^Name: web\.3\./m.test(page)),
    'of the three it reaches its own',
  );
  t.is((await n1.run('docker exec probe dig +short alone')).stdout, '', 'gossip has given it up');
  await lab.act({ type: 'link', node: 'n3', device: 'eth0', carrier: 'up' });
  await lab.sleep(20_000);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Ready']);
  t.is(await n3.out("docker ps --format '{{.Names}}'"), 'alone\n');
  t.is((await tasksOf(n1, 'web'))[3], ' \\_ web.3 n3 Shutdown Shutdown');
  t.regex(await n1.out('docker exec probe curl -s -m 2 http://alone/'), /^Name: alone/m);
  await verifies(t, lab);
});

test('drain, activate, constraints, updates, roll back and restarts', async (t) => {
  const { lab, nodes } = await swarm(t);
  const [n1, n2] = nodes;
  await n1.out('docker service create -d --name web --replicas 4 --network back nginx');
  await lab.sleep(500);
  t.is(await n1.out('docker node update --availability drain n2'), 'n2\n');
  await lab.sleep(500);
  t.deepEqual(
    (await tasksOf(n1, 'web')).filter((line) => line.includes(' n2 ')),
    [' \\_ web.2 n2 Shutdown Shutdown'],
  );
  t.is(await n2.out("docker ps --format '{{.Names}}'"), '');
  t.regex(await n1.out('docker node ls'), /n2 +Ready +Drain +20/);
  await n1.out('docker node update --availability active --label-add zone=b n2');
  await n1.out('docker service create -d --name zoned --replicas 2 --constraint node.labels.zone==b nginx');
  await n1.out('docker service create -d --name nowhere --constraint node.labels.zone==c nginx');
  await lab.sleep(500);
  t.deepEqual(await tasksOf(n1, 'zoned'), ['zoned.1 n2 Running Running', 'zoned.2 n2 Running Running']);
  t.regex(
    await n1.out('docker service ps --no-trunc nowhere'),
    /Running +Pending .* ago +"no suitable node \(scheduling constraints not satisfied on 3 nodes\)" +\n$/,
  );
  await n1.fails(
    'docker service create --constraint 1zone==c nginx',
    1,
    "Error response from daemon: rpc error: code = InvalidArgument desc = key '1zone' is invalid\n",
  );

  // One after the other, each stopped before its successor starts.
  await n1.out('docker service update -d --env-add A=1 zoned');
  await lab.sleep(2000);
  t.deepEqual(await tasksOf(n1, 'zoned'), [
    'zoned.1 n2 Running Running',
    ' \\_ zoned.1 n2 Shutdown Shutdown',
    'zoned.2 n2 Running Running',
    ' \\_ zoned.2 n2 Shutdown Shutdown',
  ]);
  const inspect = (what: string) => n1.out(`docker service inspect -f '{{json ${what}}}' zoned`);
  t.is(await inspect('.Spec.TaskTemplate.ContainerSpec.Env'), '["A=1"]\n');
  t.is(await inspect('.UpdateStatus.State'), '"completed"\n');
  t.regex(await n1.out('docker service rollback zoned'), /^zoned\n[\s\S]*verify: Service converged \n$/);
  t.is(await inspect('.Spec.TaskTemplate.Placement.Constraints'), '["node.labels.zone==b"]\n');
  t.is((await n1.out('docker service inspect zoned')).includes('A=1'), true, 'PreviousSpec');

  // One that ends by itself is replaced after five seconds.
  const [name = ''] = (
    await n2.out("docker ps --filter label=com.docker.swarm.service.name=zoned --format '{{.Names}}'")
  ).split('\n');
  await n2.out(`docker kill ${name}`);
  await lab.sleep(1000);
  const slot = name.split('.').slice(0, 2).join('.');
  const ofSlot = async () => (await tasksOf(n1, 'zoned')).filter((line) => line.includes(slot));
  t.deepEqual((await ofSlot()).slice(0, 2), [`${slot} n2 Ready Assigned`, ` \\_ ${slot} n2 Shutdown Failed`]);
  t.regex(await n1.out('docker service ps zoned'), /Failed .* ago +"task: non-zero exit \(137\)"/);
  await lab.sleep(5000);
  t.is((await ofSlot())[0], `${slot} n2 Running Running`);
  t.regex(await n1.out('docker node ps n2'), /zoned\.1/);
  await verifies(t, lab);
});

test('three managers: one leads, another when it is gone, none without a majority', async (t) => {
  const { lab, nodes } = await swarm(t, 'manager');
  const [n1, n2, n3] = nodes;
  await n1.out('docker service create -d --name web --replicas 3 --network back nginx');
  await lab.sleep(2000);
  t.deepEqual(await statuses(n2), ['n1 Ready Leader', 'n2 Ready Reachable', 'n3 Ready Reachable']);
  await n1.fails('docker node rm n2', 1, /is a cluster manager and is a member of the raft cluster/);
  await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
  await lab.sleep(45_000);
  const now = await statuses(n2);
  t.is(now[0], 'n1 Down Unreachable');
  t.deepEqual(
    now
      .slice(1)
      .map((line) => line.split(' ')[2])
      .toSorted(),
    ['Leader', 'Reachable'],
  );
  t.false((await tasksOf(n3, 'web')).some((line) => line.includes('n1 Running Running')));
  t.is((await tasksOf(n3, 'web')).filter((line) => line.endsWith(' Running Running')).length, 3);
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await lab.sleep(16_000);
  await n3.fails(
    'docker node ls',
    1,
    "Error response from daemon: rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.\n",
  );
  t.regex(await n3.out("docker ps --format '{{.Names}}'"), /^web\./m, 'tasks go on');
  await lab.act({ type: 'start', node: 'n2' });
  await lab.act({ type: 'start', node: 'n1' });
  await lab.sleep(30_000);
  t.deepEqual(
    (await statuses(n1)).map((line) => line.split(' ')[1]),
    ['Ready', 'Ready', 'Ready'],
  );
  await n2.out('docker node demote n1');
  await lab.sleep(1000);
  await n1.fails('docker node ls', 1, /Worker nodes can't be used/);
  await n2.fails('docker node rm n1', 1, /is not down and can't be removed\n$/);
  await verifies(t, lab);
});

test('a task that is to end gets weight 0 first, and goes when it has ended', async (t) => {
  const { lab, nodes } = await swarm(t);
  const [n1] = nodes;
  await n1.out('docker service create -d --name slow --replicas 2 --network back busybox sleep infinity');
  await n1.out('docker run -d --name probe --network back busybox sleep infinity');
  await lab.sleep(500);
  const namespace = (await n1.out('ip netns ls')).split('\n').find((name) => name.startsWith('lb_'));
  const weights = async () =>
    (await n1.out(`ip netns exec ${namespace} ipvsadm -Sn`))
      .split('\n')
      .flatMap((line) => /-r .* -w (\d)/.exec(line)?.[1] ?? [])
      .join('');
  t.is(await weights(), '11');
  await n1.out('docker service scale -d slow=1');
  await lab.sleep(1000);
  t.is((await weights()).split('').sort().join(''), '01', 'it does not heed SIGTERM');
  t.is((await n1.out('docker exec probe dig +short tasks.slow')).trim().split('\n').length, 1);
  await lab.sleep(10_000);
  t.is(await weights(), '1');
  await verifies(t, lab);
});

test("what is no member's words at a manager's port does it no harm", async (t) => {
  const { lab, nodes } = await swarm(t);
  const [n1, n2] = nodes;
  const send = (text: string) =>
    lab.command('n2', {
      type: 'exec',
      pod: '',
      argv: ['nc', '-w', '2', '10.7.0.11', '2377'],
      stdin: text,
    });
  for (const text of [
    'GET / HTTP/1.1\r\n\r\n',
    'heartbeat nobody\n',
    `heartbeat ${'x'.repeat(5000)}`,
    '\n\n\n',
    'heartbeat n3\n',
  ])
    await send(text);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Ready']);
  t.is((await n2.run('nc -z -w 1 10.7.0.11 2377')).code, 0, 'it still listens');
  await lab.sleep(20_000);
  t.deepEqual(await statuses(n1), ['n1 Ready Leader', 'n2 Ready', 'n3 Ready']);
  await verifies(t, lab);
});
