import test from 'ava';
import { dockerHost } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';

const IP = "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'";

test('host, none and container modes', async (t) => {
  const { lab, host } = await dockerHost(t);
  const hostname = (await host.out('docker run --rm --net host busybox hostname')).trim();
  t.is(hostname, 'n1');
  const ownAddresses = await host.out('ip addr');
  t.is(
    await host.out('docker run --rm --net host busybox ip addr'),
    ownAddresses,
    'the node’s own namespace',
  );

  const none = await host.out('docker run --rm --net none busybox ip addr');
  t.regex(none, /^1: lo: /);
  t.notRegex(none, /^\d+: (?!lo)/m);

  await host.out('docker run -d --name pause --hostname pod-1 -p 8080:80 pause');
  await host.out('docker run -d --name web --net container:pause nginx');
  const [of, shared] = [
    await host.out('docker exec pause ip addr'),
    await host.out('docker exec web ip addr'),
  ];
  t.is(shared, of, 'the same interfaces, addresses and MACs');
  t.is(await host.out('docker exec web hostname'), 'pod-1\n');
  t.is(await host.out('docker exec web cat /etc/hosts'), await host.out('docker exec pause cat /etc/hosts'));
  t.is((await host.out('docker exec web ip addr')).match(/172\.17\.0\.\d+\/16/g)?.length, 1);
  await host.fails('docker run -d --net container:pause --name twice nginx', 0, '');
  t.regex(
    await host.out('docker ps -a --filter name=twice'),
    /Exited \(1\)/,
    'port 80 is taken in that namespace',
  );

  // The shared namespace is the pause container's: without it nothing is left in it but lo.
  await host.out('docker rm -f pause');
  t.notRegex(await host.out('docker exec web ip addr'), /eth0/);
  t.is(await host.out('docker ps -q --filter name=web'), `${await idOf('web')}\n`, 'it runs on');
  await host.fails(
    'docker run -d --net container:web2 nginx',
    125,
    /^docker: Error response from daemon: No such container: web2\.\nSee 'docker run --help'\.\n$/,
  );
  await verifies(t, lab);

  async function idOf(name: string): Promise<string> {
    return (await host.out(`docker inspect -f '{{.Id}}' ${name}`)).trim().slice(0, 12);
  }
});

test('addresses are given and asked for as Docker has it', async (t) => {
  const { host } = await dockerHost(t);
  for (const name of ['aa', 'bb', 'cc']) await host.out(`docker run -d --name ${name} nginx`);
  t.is(await host.out(`${IP} aa`), '172.17.0.2\n');
  await host.out('docker stop bb');
  t.is(await host.out(`${IP} bb`), '\n', 'a stopped container has none');
  await host.out('docker run -d --name dd nginx');
  t.is(await host.out(`${IP} dd`), '172.17.0.3\n', 'the freed one is given at once');
  await host.out('docker start bb');
  t.is(await host.out(`${IP} bb`), '172.17.0.5\n');

  t.regex(await host.out('docker network create one'), /^[0-9a-f]{64}$/m);
  await host.out('docker network create two');
  t.is(
    await host.out("docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}' one"),
    '172.18.0.0/16 172.18.0.1\n',
  );
  t.is(
    await host.out("docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' two"),
    '172.19.0.0/16\n',
  );
  await host.out('docker network rm one');
  await host.out('docker network create three');
  t.is(
    await host.out("docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' three"),
    '172.18.0.0/16\n',
    'the lowest free pool',
  );

  await host.out(
    'docker network create --subnet 10.1.0.0/16 --ip-range 10.1.5.0/24 --gateway 10.1.5.254 --aux-address printer=10.1.5.0 ranged',
  );
  await host.out('docker run -d --name r1 --net ranged nginx');
  await host.out('docker run -d --name r2 --net ranged --ip 10.1.9.9 --mac-address 92:d0:c6:0a:29:33 nginx');
  t.is(await host.out(`${IP} r1`), '10.1.5.1\n');
  t.is(await host.out(`${IP} r2`), '10.1.9.9\n', 'outside of the range, where it was asked for');
  t.regex(await host.out('docker exec r2 ip addr'), /link\/ether 92:d0:c6:0a:29:33/);
  t.regex(await host.out('docker exec r2 ping -c 1 10.1.5.1'), /1 received/);
  await host.fails(
    'docker run -d --net ranged --ip 10.1.9.9 nginx',
    125,
    'docker: Error response from daemon: Address already in use.\n',
  );
  await host.fails(
    'docker run -d --net ranged --ip 10.2.0.1 nginx',
    125,
    "docker: Error response from daemon: Invalid address 10.2.0.1: It does not belong to any of this network's subnets.\n",
  );
  await host.fails(
    'docker run -d --ip 172.17.0.9 nginx',
    125,
    "docker: Error response from daemon: user specified IP address is supported on user defined networks only.\nSee 'docker run --help'.\n",
  );
  await host.fails(
    'docker network create --subnet 10.1.128.0/17 clash',
    1,
    'Error response from daemon: Pool overlaps with other one on this address space\n',
  );
  await host.fails(
    'docker network create --subnet 10.3.0.0/16 --gateway 10.4.0.1 bad',
    1,
    'no matching subnet for gateway 10.4.0.1\n',
  );
  await host.fails(
    'docker network create bridge',
    1,
    'Error response from daemon: operation is not permitted on predefined bridge network\n',
  );
  await host.fails(
    'docker network rm bridge',
    1,
    'Error response from daemon: bridge is a pre-defined network and cannot be removed\n',
  );
  await host.fails(
    'docker network rm ranged',
    1,
    /^Error response from daemon: error while removing network: network ranged id [0-9a-f]{64} has active endpoints\n$/,
  );
  await host.fails('docker network rm nosuch', 1, 'Error: No such network: nosuch\n');
});

test('names in networks of one’s own: aliases, short ids, links, and none that was not given', async (t) => {
  const { host } = await dockerHost(t);
  await host.out('docker network create mynet');
  await host.out('docker network create other');
  const db = (await host.out('docker run -d --name db --net mynet --network-alias data redis')).trim();
  await host.out('docker run -d --name web --net mynet --link db:database nginx');
  await host.out('docker run -d --name stranger --net other nginx');
  for (const name of ['db', 'data', 'database', db.slice(0, 12), 'db.mynet', 'DB'])
    t.regex(await host.out(`docker exec web ping -c 1 ${name}`), /from db\.mynet \(172\.18\.0\.2\)/, name);
  for (const name of ['stranger', 'nosuch'])
    t.is((await host.run(`docker exec web ping -c 1 ${name}`)).code, 2, name);
  t.is((await host.run('docker exec db ping -c 1 database')).code, 2, 'the link’s alias is web’s alone');
  const anonymous = (await host.out('docker run -d --net mynet nginx')).trim();
  const name = (await host.out(`docker inspect -f '{{.Name}}' ${anonymous}`)).trim().slice(1);
  t.is((await host.run(`docker exec web ping -c 1 ${name}`)).code, 2, 'a name that nobody has given');
  t.regex(await host.out(`docker exec web ping -c 1 ${anonymous.slice(0, 12)}`), /1 received/);
  t.regex(await host.out('docker exec web cat /etc/resolv.conf'), /^nameserver 127\.0\.0\.11$/m);

  // Two with one alias: both addresses are in the answer, and one is as good as the other.
  await host.out('docker run -d --name db2 --net mynet --network-alias data redis');
  await host.out('docker stop db');
  t.regex(await host.out('docker exec web ping -c 1 data'), /from db2\.mynet/);
  await host.out('docker network disconnect mynet web');
  t.is((await host.run('docker exec web ping -c 1 data')).code, 2);
  t.notRegex(await host.out('docker exec web cat /etc/hosts'), /172\.18/);
  await host.out('docker network connect --alias www --ip 172.18.0.77 mynet web');
  t.regex(
    await host.out('docker exec web ip addr'),
    /eth1@if\d+:[\s\S]*172\.18\.0\.77\/16/,
    'interfaces are numbered on',
  );
  t.regex(await host.out('docker exec db2 ping -c 1 www'), /from web\.mynet \(172\.18\.0\.77\)/);
});

test('a link follows its target to a new address', async (t) => {
  const { host } = await dockerHost(t);
  await host.out('docker run -d --name target nginx');
  await host.out('docker run -d --name linker --link target:t --add-host me:10.9.9.9 nginx');
  const id = (await host.out("docker inspect -f '{{.Config.Hostname}}' target")).trim();
  const hosts = () => host.out('docker exec linker cat /etc/hosts');
  t.regex(
    await hosts(),
    new RegExp(`^10\\.9\\.9\\.9\\tme\\n172\\.17\\.0\\.2\\tt ${id} target\\n172\\.17\\.0\\.3\\t`, 'm'),
  );
  await host.out('docker stop target');
  await host.out('docker run -d --name squatter nginx');
  await host.out('docker start target');
  t.regex(await hosts(), new RegExp(`^172\\.17\\.0\\.4\\tt ${id} target$`, 'm'));
  t.regex(await host.out('docker exec linker ping -c 1 t'), /172\.17\.0\.4/);
  await host.out('docker stop target');
  await host.fails(
    'docker restart linker',
    1,
    'Error response from daemon: Cannot link to a non running container: /target AS /linker/t\n',
  );
  await host.fails(
    'docker run -d --link nosuch nginx',
    125,
    /could not get container for nosuch: No such container: nosuch\./,
  );
});

test('restart policies, exit codes and the life of a container', async (t) => {
  const { lab, host } = await dockerHost(t);
  const state = (name: string) =>
    host.out(`docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' ${name}`);
  await host.fails('docker run --name ff busybox false', 1, '');
  t.is(await state('ff'), 'exited 1 0\n');
  await host.out('docker run -d --name again --restart on-failure:3 busybox false');
  await lab.sleep(5_000);
  t.is(await state('again'), 'exited 1 3\n');
  await host.out('docker run -d --name always --restart always busybox sleep 5');
  await lab.sleep(5_050);
  t.is(await state('always'), 'restarting 0 0\n');
  await lab.sleep(200);
  t.is(await state('always'), 'running 0 1\n');
  await host.out('docker stop always');
  await host.out('docker run -d --name stubborn --restart always busybox sleep infinity');
  const before = lab.now();
  await host.out('docker stop stubborn');
  t.true(lab.now() - before >= 10_000, 'sleep as init ignores SIGTERM');
  await lab.sleep(60_000);
  t.is(await state('stubborn'), 'exited 137 0\n', 'stopped by hand');
  await host.out('docker run -d --name server nginx');
  const stopping = lab.now();
  await host.out('docker stop server');
  t.true(lab.now() - stopping < 1000);
  await host.fails(
    'docker run --name ff busybox',
    125,
    /^docker: Error response from daemon: Conflict\. The container name "\/ff" is already in use by container "[0-9a-f]{64}"\. You have to remove \(or rename\) that container to be able to reuse that name\.\nSee 'docker run --help'\.\n$/,
  );
  t.is(await host.out('docker run --rm busybox echo hello'), 'hello\n');
  t.is(await host.out('docker wait ff'), '1\n');
  await host.out('docker rename ff gg');
  await host.fails(
    'docker start ff',
    1,
    'Error response from daemon: No such container: ff\nError: failed to start containers: ff\n',
  );
  await host.fails('docker rm ff', 1, 'Error: No such container: ff\n');
  await host.fails(
    'docker exec gg true',
    1,
    /^Error response from daemon: Container [0-9a-f]{64} is not running\n$/,
  );
  await host.fails(
    'docker kill gg',
    1,
    /^Error response from daemon: Cannot kill container: gg: Container [0-9a-f]{64} is not running\n$/,
  );
  t.regex(
    await host.out('docker container prune -f'),
    /^Deleted Containers:\n([0-9a-f]{64}\n)+\nTotal reclaimed space: 0B\n$/,
  );
  t.is(await host.out('docker ps -aq'), '');
  await verifies(t, lab);
});

test('what dockerd keeps on its disk is there after a power cut', async (t) => {
  const { lab, host } = await dockerHost(t);
  await host.out('docker network create --subnet 192.168.0.0/16 mynet');
  await host.out('docker run -d --name kept --restart unless-stopped --net mynet -p 8080:80 nginx');
  await host.out('docker run -d --name halted --restart unless-stopped nginx');
  await host.out('docker run -d --name gone nginx');
  await host.out('docker run -d --name passing --rm nginx');
  await host.out('docker stop halted');
  const bridge = await host.out('ip -br addr show docker0');
  await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
  await lab.act({ type: 'start', node: 'n1' });
  t.is(
    (await host.out('ip -br addr show docker0')).replace(/\s+/g, ' ').split(' ')[2],
    bridge.replace(/\s+/g, ' ').split(' ')[2],
  );
  t.deepEqual(
    (await host.out("docker ps -a --format '{{.Names}} {{.Status}}'"))
      .trim()
      .split('\n')
      .map((line) => line.replace(/(Up|\)).*/, '$1')),
    ['gone Exited (255)', 'halted Exited (143)', 'kept Up'],
  );
  t.is(await host.out(`${IP} kept`), '192.168.0.2\n');
  t.is(await host.out('docker port kept'), '80/tcp -> 0.0.0.0:8080\n');
  t.is(await host.out("docker network ls --format '{{.Name}}'"), 'bridge\nhost\nmynet\nnone\n');
  await verifies(t, lab);
});

test('the embedded server asks on, over the container’s own network', async (t) => {
  const { host } = await dockerHost(
    t,
    "dns: [172.17.0.1], containers: ['--net host dnsmasq --address=/example.com/192.0.2.80 -R']",
  );
  await host.out('docker network create mynet');
  await host.out('docker run -d --name web --net mynet nginx');
  t.regex(
    (await host.run('docker exec web ping -c 1 -W 1 www.example.com')).stdout,
    /^PING www\.example\.com \(192\.0\.2\.80\)/,
  );
  t.is(await host.out('docker exec web cat /etc/resolv.conf'), 'nameserver 127.0.0.11\noptions ndots:0\n');
  t.is(await host.out('docker run --rm busybox cat /etc/resolv.conf'), 'nameserver 172.17.0.1\n');
  t.is(
    await host.out('docker run --rm --dns 9.9.9.9 --dns-search lab.test busybox cat /etc/resolv.conf'),
    'search lab.test\nnameserver 9.9.9.9\n',
  );
});
