import test from 'ava';
import { Shell } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';
import { simulate, snapshotOf } from '../../support/sim.ts';

const LAB = `
name: swarm
topology:
  nodes:
    n1: { kind: host, docker: {} }
    n2: { kind: host, docker: {} }
    n3: { kind: host, docker: {} }
segments:
  lan: { subnet: 10.7.0.0/24, rangeStart: 10.7.0.11, nodes: all }
`;

test('a swarm: joined by token, an overlay network over VXLAN, names and addresses across hosts', async (t) => {
  const lab = await simulate(LAB);
  const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((node) => new Shell(t, lab, node)) as [Shell, Shell, Shell];
  await n1.fails(
    'docker network create -d overlay early',
    1,
    'Error response from daemon: This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.\n',
  );
  const init = await n1.out('docker swarm init');
  t.regex(
    init,
    /^Swarm initialized: current node \([0-9a-z]{25}\) is now a manager\.\n\nTo add a worker to this swarm, run the following command:\n\n {4}docker swarm join --token SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25} 10\.7\.0\.11:2377\n/,
  );
  const join = /docker swarm join .*/.exec(init)![0];
  await n2.fails(
    'docker swarm join --token SWMTKN-1-x 10.7.0.11:2377',
    1,
    'Error response from daemon: invalid join token\n',
  );
  for (const [manager, problem] of [
    ['10.7.0.13:2377', 'connect: connection refused'],
    ['10.7.0.99:2377', 'connect: no route to host'],
  ])
    await n2.fails(
      join.replace(/\S+$/, manager!),
      1,
      `Error response from daemon: rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing dial tcp ${manager}: ${problem}"\n`,
    );
  t.is(await n2.out(join), 'This node joined a swarm as a worker.\n');
  t.is(await n3.out(join), 'This node joined a swarm as a worker.\n');
  await n2.fails(join, 1, /This node is already part of a swarm/);
  t.regex(
    await n1.out('docker node ls'),
    /^ID +HOSTNAME +STATUS +AVAILABILITY +MANAGER STATUS +ENGINE VERSION\n\w{25} \* +n1 +Ready +Active +Leader +20/,
  );
  await n2.fails('docker node ls', 1, /Worker nodes can't be used to view or modify cluster state/);
  t.deepEqual(
    (await n1.out("docker network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'")).trim().split('\n'),
    [
      'bridge bridge local',
      'docker_gwbridge bridge local',
      'host host local',
      'ingress overlay swarm',
      'none null local',
    ],
  );
  t.regex(await n1.out('docker network create -d overlay --attachable over'), /^[0-9a-z]{25}\n$/);
  await n1.out('docker network create -d overlay tasks-only');
  const inspect = (what: string, name: string) => n1.out(`docker network inspect -f '{{${what}}}' ${name}`);
  t.is(await inspect('(index .IPAM.Config 0).Subnet', 'ingress'), '10.0.0.0/24\n');
  t.is(await inspect('(index .IPAM.Config 0).Subnet', 'over'), '10.0.1.0/24\n');
  t.is(await inspect('(index .IPAM.Config 0).Subnet', 'tasks-only'), '10.0.2.0/24\n');
  t.is(await inspect('index .Options "com.docker.network.driver.overlay.vxlanid_list"', 'ingress'), '4096\n');
  t.is(await inspect('index .Options "com.docker.network.driver.overlay.vxlanid_list"', 'over'), '4097\n');
  await n1.fails('docker run -d --net tasks-only nginx', 125, /not manually attachable\.\n$/);

  await n1.out('docker run -d --name web1 --net over nginx');
  t.notRegex(
    await n2.out("docker network ls --format '{{.Name}}'"),
    /^over$/m,
    'a worker learns of a network when it uses it',
  );
  await n2.out('docker run -d --name web2 --net over --network-alias two nginx');
  await n3.out('docker run -d --name web3 --net over nginx');
  // Gossip takes its time.
  await lab.sleep(50);
  const addresses = await n2.out('docker exec web2 ip addr');
  t.regex(
    addresses,
    /eth0@if\d+: .* mtu 1450 [\s\S]*link\/ether 02:42:0a:00:01:04 [\s\S]*inet 10\.0\.1\.4\/24/,
  );
  t.regex(addresses, /eth1@if\d+: .* mtu 1500 [\s\S]*inet 172\.18\.0\.3\/16/, 'docker_gwbridge');
  t.regex(await n2.out('docker exec web2 ip route'), /^default via 172\.18\.0\.1 dev eth1/m);
  for (const name of ['web2', 'two', 'web2.over'])
    t.regex(await n1.out(`docker exec web1 ping -c 1 ${name}`), /from web2\.over \(10\.0\.1\.4\)/, name);
  t.regex(await n1.out('docker exec web1 curl -s http://web3/'), /^Name: web3$/m);
  t.regex(await n3.out('docker exec web3 ping -c 1 -s 1400 web1'), /from web1\.over \(10\.0\.1\.2\)/);

  // Each node has a load balancer in the network too: six addresses are given out so far.
  // Serial: the next address is the one after the last, not the one that is free again.
  await n2.out('docker rm -f web2');
  await lab.sleep(50);
  t.is((await n1.run('docker exec web1 ping -c 1 -W 1 web2')).code, 2, 'its name has gone everywhere');
  await n2.out('docker run -d --name web4 --net over nginx');
  t.regex(await n2.out('docker exec web4 ip addr'), /inet 10\.0\.1\.8\/24/);
  await n1.fails('docker network rm over', 1, /has active endpoints\n$/);
  await verifies(t, lab);

  // A host that has lost its power: its containers' rows go when it is back, its own container gets an address anew.
  await n3.out('docker rm -f web3');
  await n3.out('docker run -d --name web5 --restart always --net over nginx');
  await lab.act({ type: 'kill', node: 'n3', how: 'silent' });
  await lab.act({ type: 'start', node: 'n3' });
  await lab.sleep(1000);
  t.regex(await n1.out('docker exec web1 ping -c 1 web5'), /from web5\.over \(10\.0\.1\.\d+\)/);
  t.regex(await n3.out('docker exec web5 ping -c 1 web1'), /1 received/);
  for (const [host, name] of [
    [n1, 'web1'],
    [n2, 'web4'],
    [n3, 'web5'],
  ] as const)
    await host.out(`docker rm -f ${name}`);
  await lab.sleep(100);
  await n1.out('docker network rm over');
  t.is(await n2.out('docker swarm leave'), 'Node left the swarm.\n');
  await n1.fails('docker swarm leave', 1, /Use `--force` to ignore this message\./);
  await verifies(t, lab);
});

test('the rows of an overlay network: a neighbour and an FDB row for each peer, set and never learned', async (t) => {
  const lab = await simulate(
    LAB.replaceAll('docker: {}', 'docker: { swarm: worker }').replace(
      'swarm: worker',
      "swarm: manager, networks: ['-d overlay --attachable over']",
    ),
  );
  const [n1, n2] = ['n1', 'n2'].map((node) => new Shell(t, lab, node)) as [Shell, Shell];
  await lab.sleep(100);
  await n1.out('docker run -d --name web1 --net over nginx');
  await n2.out('docker run -d --name web2 --net over nginx');
  await lab.sleep(100);
  const { view } = await snapshotOf(lab, 'n1');
  const over = view.docker.networks.find(({ name }) => name === 'over')!;
  const ns = `1-${over.id.slice(0, 10)}`;
  const row = (mac: string) => ({
    dev: 'vxlan0',
    mac,
    port: '',
    dst: '10.7.0.12',
    kind: 'permanent' as const,
  });
  t.deepEqual(
    view.kernel.fdb[ns]?.filter(({ dev }) => dev === 'vxlan0'),
    [row('02:42:0a:00:01:04'), row('02:42:0a:00:01:05')],
    'web2 and the load balancer beside it',
  );
  t.like(
    view.kernel.neighbors[ns]?.find(({ ip }) => ip === '10.0.1.4'),
    { dev: 'vxlan0', mac: '02:42:0a:00:01:04', state: 'PERMANENT' },
  );
  t.is(view.kernel.links[ns]?.find(({ name }) => name === 'vxlan0')?.mtu, 1450);
  t.deepEqual(
    view.docker.peers.filter(({ networkId }) => networkId === over.id).map(({ role = '' }) => role),
    ['', 'load-balancer'],
  );
  await n1.out('docker rm -f web1');
  const after = await snapshotOf(lab, 'n1');
  t.false(Object.keys(after.view.kernel.links).includes(ns), 'the last container takes the namespace along');
  t.deepEqual(
    after.view.docker.peers.filter(({ networkId }) => networkId === over.id),
    [],
  );
  await verifies(t, lab);
});
