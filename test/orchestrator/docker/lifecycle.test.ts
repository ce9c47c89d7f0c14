import test from 'ava';
import type { CommandReply } from '../../../nodes/commands.ts';
import { dockerHost } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';

test('a paused container: its kernel takes what comes, its processes answer when they are thawed', async (t) => {
  const { lab, host } = await dockerHost(t);
  await host.out('docker network create --subnet 10.8.0.0/24 back');
  await host.out('docker run -d --name web --net back nginx');
  await host.out('docker run -d --name shop --net back busybox sleep infinity');
  t.is(await host.out('docker pause web'), 'web\n');
  t.regex(await host.out('docker ps'), /Up .* \(Paused\) /);
  t.is(
    await host.out("docker ps -q --filter status=paused --format '{{.Names}} {{.State}}'"),
    'web paused\n',
  );
  t.is(
    await host.out("docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.Paused}}' web"),
    'paused true true\n',
  );
  t.is((await host.run('docker exec shop ping -c 1 web')).code, 0, 'the kernel answers');
  t.is((await host.run('docker exec shop curl -s -m 2 http://web/')).code, 28, 'nobody reads');
  const id = (await host.out('docker inspect -f {{.Id}} web')).trim();
  await host.fails('docker pause web', 1, `Error response from daemon: Container ${id} is already paused\n`);
  await host.fails(
    'docker exec web ip a',
    1,
    'Error response from daemon: Container web is paused, unpause the container before exec\n',
  );
  await host.fails('docker attach web', 1, 'You cannot attach to a paused container, unpause it first\n');
  await host.fails('docker unpause shop', 1, /Container \w{64} is not paused\n$/);

  // One that was asked while it was frozen answers when it is not any more.
  let page = '';
  const asked = lab.command(
    'n1',
    { type: 'exec', pod: 'shop', argv: ['curl', '-s', '-m', '9', 'http://web/'] },
    {
      onReply: (part: CommandReply) => {
        if (part.type === 'stdout') page += part.text;
      },
    },
  );
  await lab.sleep(1000);
  t.is(page, '');
  const ns = (await host.out("docker inspect -f '{{.NetworkSettings.SandboxKey}}' web"))
    .trim()
    .split('/')
    .at(-1);
  t.regex(
    await host.out(`ip netns exec ${ns} ss -tn`),
    /^ESTAB +\d+ +0 +\[::ffff:10\.8\.0\.2\]:80 /m,
    'accepted all the same',
  );
  t.is(await host.out('docker unpause web'), 'web\n');
  await asked;
  t.regex(page, /^Name: web$/m);
  t.regex(await host.out('docker exec shop curl -s http://web/'), /^Name: web$/m);
  await host.out('docker pause web');
  await verifies(t, lab);
  t.is(await host.out('docker stop web'), 'web\n', 'a signal that ends it thaws it first');
  t.regex(await host.out('docker ps -a'), /Exited \(0\)|Exited \(143\)/);
  await verifies(t, lab);
});

test('what a container writes is seen by who is attached; its processes; what can not be measured', async (t) => {
  const { lab, host } = await dockerHost(t);
  await host.out('docker run -d --name pinger busybox ping -i 1 172.17.0.1');
  let seen = '';
  const stop = new AbortController();
  const attached = lab.command(
    'n1',
    { type: 'exec', pod: '', argv: ['docker', 'attach', 'pinger'] },
    {
      signal: stop.signal,
      onReply: (part: CommandReply) => {
        if (part.type === 'stdout') seen += part.text;
      },
    },
  );
  await lab.sleep(3000);
  t.regex(seen, /64 bytes from 172\.17\.0\.1: .*seq=2 /);
  await host.out('docker pause pinger');
  const before = seen.length;
  await lab.sleep(5000);
  t.is(seen.length, before, 'frozen');
  await host.out('docker unpause pinger');
  await lab.sleep(2000);
  t.true(seen.length > before);
  t.regex(
    await host.out('docker top pinger'),
    /^UID {17}PID {17}PPID {16}C {19}STIME {15}TTY {17}TIME {16}CMD\nroot {16}\d+ +1 +0 +\d\d:\d\d +\? +00:00:00 +ping -i 1 172\.17\.0\.1\n$/,
  );
  await host.fails('docker stats pinger', 1, /has no CPU or memory of its own to measure/);
  await host.out('docker kill pinger');
  t.like(await attached, { type: 'exit', code: 137 });
  await host.fails('docker attach pinger', 1, 'You cannot attach to a stopped container, start it first\n');
  await host.fails('docker top pinger', 1, /^Error response from daemon: Container \w{64} is not running\n$/);
  await host.fails(
    'docker commit pinger',
    1,
    "docker: 'commit' is not emulated; docker --help lists what is.\n",
  );
  await verifies(t, lab);
});

test('events, as the daemon tells them', async (t) => {
  const { lab, host } = await dockerHost(t);
  await host.out('docker network create back');
  await host.out('docker run -d --name web --net back nginx');
  await host.out('docker rename web shop');
  await host.out('docker pause shop');
  await host.out('docker unpause shop');
  await host.out('docker rm -f shop');
  await host.out('docker network rm back');
  const lines = (await host.out('docker events --since 1h --until 0s')).trimEnd().split('\n');
  const mine = lines.filter((line) => !/name=(bridge|host|none)[,)]/.test(line));
  t.deepEqual(
    mine.map((line) => line.split(' ').slice(1, 3).join(' ')),
    [
      'network create',
      'container create',
      'network connect',
      'container start',
      'container rename',
      'container pause',
      'container unpause',
      'network disconnect',
      'container die',
      'container destroy',
      'network destroy',
    ],
  );
  t.regex(
    mine[3]!,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z container start [0-9a-f]{64} \(image=nginx, name=web\)$/,
  );
  t.regex(mine[8]!, / container die [0-9a-f]{64} \(exitCode=137, image=nginx, name=shop\)$/);
  t.is(
    await host.out(
      "docker events --since 1h --until 0s --filter event=die --format '{{.Action}} {{.Actor.Attributes.name}}'",
    ),
    'die shop\n',
  );
  await verifies(t, lab);
});

test('info and version, of what there is', async (t) => {
  const { host } = await dockerHost(t);
  await host.out('docker run -d --name web nginx');
  await host.out('docker run --name once busybox true');
  const info = await host.out('docker info');
  for (const line of [
    ' Containers: 2',
    '  Running: 1',
    '  Stopped: 1',
    ' Server Version: 20.10.24',
    ' Swarm: inactive',
    ' Name: n1',
  ])
    t.true(info.split('\n').includes(line), `${line}\n${info}`);
  await host.out('docker swarm init');
  t.regex(
    await host.out('docker info'),
    / Swarm: active\n {2}NodeID: \w{25}\n {2}Is Manager: true\n {2}ClusterID: \w{25}\n {2}Managers: 1\n {2}Nodes: 1\n/,
  );
  t.is(await host.out("docker info -f '{{.Swarm.LocalNodeState}}'"), 'active\n');
  t.regex(
    await host.out('docker version'),
    /^Client: [\s\S]* Version: +20\.10\.24\n API version: +1\.41\n[\s\S]*Server: /,
  );
  t.is(await host.out("docker version --format '{{.Server.Version}}'"), '20.10.24\n');
});
