import test, { type ExecutionContext } from 'ava';
import type { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { Shell } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';
import { simulate } from '../../support/sim.ts';

const LAB = `
name: services
topology:
  nodes:
    n1: { kind: host, docker: { swarm: manager, networks: ['-d overlay --attachable back'] } }
    n2: { kind: host, docker: { swarm: worker } }
    n3: { kind: host, docker: { swarm: worker } }
    client: { kind: host }
segments:
  lan: { subnet: 10.7.0.0/24, rangeStart: 10.7.0.11, nodes: all }
`;

interface Place {
  readonly lab: SimLab;
  readonly nodes: readonly [Shell, Shell, Shell];
  readonly client: Shell;
}

async function swarm(t: ExecutionContext): Promise<Place> {
  const lab = await simulate(LAB);
  await lab.sleep(100);
  const [n1, n2, n3, client] = ['n1', 'n2', 'n3', 'client'].map((node) => new Shell(t, lab, node)) as [
    Shell,
    Shell,
    Shell,
    Shell,
  ];
  return { lab, nodes: [n1, n2, n3], client };
}

/** Container of a service on a node, '' if there is none that runs. */
async function containerOf(host: Shell, service: string): Promise<string> {
  const filter = `label=com.docker.swarm.service.name=${service}`;
  return (await host.out(`docker ps --filter ${filter} --format '{{.Names}}'`)).trim();
}

/** Who answers, one time after the other. */
async function answers(shell: Shell, command: string, times: number): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < times; i++)
    names.push(/^Name: ([\w-]+\.\d+)\./m.exec(await shell.out(command))?.[1] ?? 'nobody');
  return names;
}

test('a service: spread over the nodes, its name its virtual address, behind which its tasks take turns', async (t) => {
  const { lab, nodes } = await swarm(t);
  const [n1, n2] = nodes;
  const created = await n1.out('docker service create --name web --replicas 3 --network back nginx');
  const bar = `[${'='.repeat(50)}>]`;
  t.regex(created, /^[0-9a-z]{25}\n/);
  t.is(
    created.split('\n').slice(1).join('\n'),
    `overall progress: 3 out of 3 tasks \n1/3: running   ${bar} \n2/3: running   ${bar} \n3/3: running   ${bar} \nverify: Service converged \n`,
  );
  await n1.out(
    'docker service create -d --name probe --mode global --endpoint-mode dnsrr --network back busybox sleep infinity',
  );
  await lab.sleep(200);
  t.regex(
    await n1.out('docker service ls'),
    /^ID +NAME +MODE +REPLICAS +IMAGE +PORTS\n\w{12} +probe +global +3\/3 +busybox:latest +\n\w{12} +web +replicated +3\/3 +nginx:latest +\n$/,
  );
  const tasks = await n1.out('docker service ps web');
  for (const [slot, node] of [
    ['web.1', 'n1'],
    ['web.2', 'n2'],
    ['web.3', 'n3'],
  ])
    t.regex(
      tasks,
      new RegExp(`^\\w{12} +${slot} +nginx:latest +${node} +Running +Running 5 seconds ago`, 'm'),
    );
  const from = await containerOf(n2, 'probe');
  t.is(
    await n2.out(`docker exec ${from} dig +short web`),
    '10.0.1.2\n',
    'the first address after the gateway',
  );
  const found = (await n2.out(`docker exec ${from} dig +short tasks.web`)).trim().split('\n');
  t.is(found.length, 3);
  t.false(found.includes('10.0.1.2'));
  t.is(
    (await n2.out(`docker exec ${from} dig +short probe`)).trim().split('\n').length,
    3,
    'dnsrr: all tasks',
  );
  const byName = await answers(n2, `docker exec ${from} curl -s http://web/`, 6);
  t.deepEqual([...new Set(byName.slice(0, 3))].sort(), ['web.1', 'web.2', 'web.3'], 'round robin');
  t.deepEqual(byName.slice(3), byName.slice(0, 3));
  t.is((await n2.run(`docker exec ${from} ping -c 1 web`)).code, 0);

  // As libnetwork programs it.
  const balancer = `lb_${(await n2.out('docker network ls --no-trunc -q --filter name=back')).slice(0, 9)}`;
  t.is(
    await n2.out(`ip netns exec ${balancer} ipvsadm -Sn`),
    `-A -f 256 -s rr\n${found
      .toSorted()
      .map((address) => `-a -f 256 -r ${address}:0 -m -w 1\n`)
      .join('')}`,
  );
  t.regex(
    await n2.out(`ip netns exec ${balancer} iptables-save`),
    /-A INPUT -d 10\.0\.1\.2\/32 -j MARK --set-xmark 0x100\/0xffffffff\n[\s\S]*-A POSTROUTING -d 10\.0\.1\.0\/24 -m ipvs --ipvs -j SNAT --to-source 10\.0\.1\.\d+\n/,
  );
  t.regex(
    await n2.out(`ip netns exec ${balancer} ip addr show eth0`),
    /inet 10\.0\.1\.2\/32 scope global eth0/,
  );

  // The load balancer is listed beside the containers, and who else is in the network.
  const network = JSON.parse(await n1.out('docker network inspect back'))[0];
  t.like(network.Containers['lb-back'], { Name: 'back-endpoint', IPv6Address: '' });
  t.regex(network.Containers['lb-back'].IPv4Address, /^10\.0\.1\.\d+\/24$/);
  t.deepEqual(
    network.Peers.map(({ IP }: { IP: string }) => IP),
    ['10.7.0.11', '10.7.0.12', '10.7.0.13'],
  );
  const [first = ''] = (await n1.out('docker service ps -q web')).split('\n');
  const status = '{{.Status.State}} {{.DesiredState}} {{.Slot}}';
  t.is(await n1.out(`docker inspect -f '${status}' ${first}`), 'running running 1\n');
  t.is(
    await n1.out("docker inspect --type node -f '{{.Description.Hostname}} {{.Status.Addr}}' n3"),
    'n3 10.7.0.13\n',
  );
  t.is(await n1.out("docker inspect -f '{{.Spec.Mode.Replicated.Replicas}}' web"), '3\n');

  t.regex(await n1.out('docker service scale web=1'), /^web scaled to 1\noverall progress: 1 out of 1 tasks/);
  t.is((await n2.out(`docker exec ${from} dig +short tasks.web`)).trim().split('\n').length, 1);
  t.deepEqual([...new Set(await answers(n2, `docker exec ${from} curl -s http://web/`, 3))], ['web.1']);
  await verifies(t, lab);

  await n2.fails('docker service ls', 1, /Worker nodes can't be used/);
  await n1.fails('docker service create --name web nginx', 1, /service web already exists\n$/);
  await n1.fails('docker service inspect gone', 1, 'Error: no such service: gone\n');
  await n1.fails('docker service update --force gone', 1, 'Error: No such service: gone\n');
  await n1.fails('docker service scale gone=2', 1, 'gone: Error: No such service: gone\n');
  await n1.fails('docker node promote gone', 1, 'Error: No such node: gone\n');
  await n1.fails('docker service rm gone', 1, 'Error: No such service: gone\n');

  // What a node missed while it was down, it does when it is back.
  await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
  await n1.out('docker service rm web probe');
  await lab.act({ type: 'start', node: 'n2' });
  // sleep does not heed SIGTERM, and is killed after the time that it has.
  await lab.sleep(11_000);
  for (const node of nodes) t.is(await node.out('docker ps -aq'), '');
  await verifies(t, lab);
});

test('the routing mesh: a published port answers on every node, and from the node itself', async (t) => {
  const { lab, nodes, client } = await swarm(t);
  const [n1, n2, n3] = nodes;
  await n1.out(
    'docker service create -d --name web --replicas 2 --constraint node.hostname!=n3 --network back -p 8080:80 nginx',
  );
  await lab.sleep(200);
  t.regex(await n1.out('docker service ls'), /web +replicated +2\/2 +nginx:latest +\*:8080->80\/tcp\n/);
  t.is(await containerOf(n3, 'web'), '', 'no task on n3');
  for (const address of ['10.7.0.11', '10.7.0.12', '10.7.0.13'])
    t.deepEqual(
      (await answers(client, `curl -s -m 2 http://${address}:8080/`, 4)).toSorted(),
      ['web.1', 'web.1', 'web.2', 'web.2'],
      address,
    );
  for (const to of ['localhost', '10.7.0.13', '10.7.0.11'])
    t.deepEqual(
      [...new Set(await answers(n3, `curl -s -m 2 http://${to}:8080/`, 4))].toSorted(),
      ['web.1', 'web.2'],
      `n3 to ${to}`,
    );
  // An unmanaged container on docker0 reaches it by the host's address too.
  await n3.out('docker run -d --name plain busybox sleep infinity');
  t.regex(await n3.out('docker exec plain curl -s -m 2 http://10.7.0.13:8080/'), /^Name: web\.\d\./m);

  const host = await n3.out('iptables-save');
  for (const rule of [
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER-INGRESS',
    '-A POSTROUTING -o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE',
    '-A DOCKER-INGRESS -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:8080\n-A DOCKER-INGRESS -j RETURN',
    '-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-INGRESS\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
    '-A DOCKER-INGRESS -p tcp -m tcp --dport 8080 -j ACCEPT\n-A DOCKER-INGRESS -p tcp -m state --state RELATED,ESTABLISHED -m tcp --sport 8080 -j ACCEPT\n-A DOCKER-INGRESS -j RETURN',
  ])
    t.true(host.includes(`${rule}\n`), `${rule}\n${host}`);
  const mesh = await n3.out('ip netns exec ingress_sbox iptables-save');
  t.regex(mesh, /-A PREROUTING -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x\w+\/0xffffffff\n/);
  t.regex(mesh, /-A POSTROUTING -d 10\.0\.0\.0\/24 -m ipvs --ipvs -j SNAT --to-source 10\.0\.0\.\d+\n/);
  const own = await containerOf(n1, 'web');
  t.regex(
    await n1.out(`docker exec ${own} iptables-save`),
    /-A PREROUTING -d 10\.0\.0\.\d+\/32 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80\n/,
  );
  // The mesh is the way to its ports alone.
  const inMesh = (
    await n1.out(`docker inspect -f '{{.NetworkSettings.Networks.ingress.IPAddress}}' ${own}`)
  ).trim();
  t.is((await n2.run(`ip netns exec ingress_sbox curl -s -m 1 http://${inMesh}:9/`)).code, 28);

  await n2.fails('docker run -d -p 8080:80 nginx', 125, /bind: address already in use/);
  await n1.fails(
    'docker service create --name other -p 8080:80 nginx',
    1,
    /^Error response from daemon: rpc error: code = InvalidArgument desc = port '8080' is already in use by service 'web' \(\w{25}\) as an ingress port\n$/,
  );
  await n1.fails(
    'docker service create --name other --endpoint-mode dnsrr -p 80 nginx',
    1,
    /EndpointSpec: port published with ingress mode can't be used with dnsrr mode\n$/,
  );
  // A port that nobody has asked for, and one on the tasks' own nodes.
  await n1.out(
    'docker service create -d --name some -p 80 -p published=81,target=80,mode=host --mode global nginx',
  );
  await lab.sleep(200);
  t.regex(await n1.out('docker service ls'), /some +global +3\/3 +nginx:latest +\*:30000->80\/tcp\n/);
  t.regex(await n1.out('docker service ps some'), /n3 +Running +Running .*\*:81->80\/tcp\n/);
  t.regex(await client.out('curl -s -m 2 http://10.7.0.12:30000/'), /^Name: some\./m);
  t.regex(await client.out('curl -s -m 2 http://10.7.0.12:81/'), /^Name: some\./m);
  await n1.out('docker service update -d --publish-rm 80 --publish-add 8081:80 web');
  await lab.sleep(2000);
  t.regex(await client.out('curl -s -m 2 http://10.7.0.13:8081/'), /^Name: web\./m);
  t.is((await client.run('curl -s -m 2 http://10.7.0.13:8080/')).code, 7, 'refused');
  await n1.out('docker service rm web some');
  await lab.sleep(1000);
  t.false((await n3.out('iptables-save')).includes('--dport 808'));
  t.is(await n3.out('ip netns exec ingress_sbox ipvsadm -Sn'), '');
  await verifies(t, lab);
});
