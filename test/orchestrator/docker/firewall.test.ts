import test from 'ava';
import { dockerHost } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';
import { snapshotOf } from '../../support/sim.ts';

/** What iptables-save prints on a host with Docker 20.10 that runs `docker run -d -p 8080:80 nginx`, without counters. */
const FILTER = `*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:DOCKER -
:DOCKER-ISOLATION-STAGE-1 -
:DOCKER-ISOLATION-STAGE-2 -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
`;
const NAT = `*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
`;

function plain(saved: string): string {
  return saved.replace(/^#.*\n/gm, '').replace(/ \[\d+:\d+\]$/gm, '');
}

test('the rules are those of Docker 20.10, and go with what they are for', async (t) => {
  const { lab, host } = await dockerHost(t);
  const save = async (table: string) => plain(await host.out(`iptables-save -t ${table}`));
  const before = [await save('filter'), await save('nat')];
  await host.out('docker run -d --name web -p 8080:80 nginx');
  t.is(await save('filter'), FILTER);
  t.is(await save('nat'), NAT);
  await host.out('docker network create --subnet 10.9.0.0/24 mynet');
  await host.out('docker network create --internal --subnet 10.8.0.0/24 closed');
  await host.out('docker run -d --name both --net mynet -p 127.0.0.1:9090:80 nginx');
  const filter = await save('filter');
  t.regex(
    filter,
    /^-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1$/m,
    'the user’s chain stays first',
  );
  t.regex(filter, /^-A DOCKER-ISOLATION-STAGE-1 ! -s 10\.8\.0\.0\/24 -o br-\w{12} -j DROP$/m);
  t.regex(
    await save('nat'),
    /^-A DOCKER -d 127\.0\.0\.1\/32 ! -i br-\w{12} -p tcp -m tcp --dport 9090 -j DNAT --to-destination 10\.9\.0\.2:80$/m,
  );
  await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
  await lab.act({ type: 'start', node: 'n1' });
  for (const name of ['web', 'both']) await host.out(`docker rm -f ${name}`);
  for (const name of ['mynet', 'closed']) await host.out(`docker network rm ${name}`);
  t.deepEqual([await save('filter'), await save('nat')], before);
  t.is(await host.out('sysctl -n net.ipv4.ip_forward'), '1\n');
  await verifies(t, lab);
});

test('published ports: from another node by PREROUTING, from the node by OUTPUT, hairpin by the proxy', async (t) => {
  const { host, other } = await dockerHost(t);
  await host.out('docker run -d --name web -p 8080:80 nginx');
  const client = async (run: Promise<string>) => /^Client: ([\d.]+):/m.exec(await run)?.[1];
  t.is(
    await client(other.out('curl -s http://10.0.0.11:8080/')),
    '10.0.0.12',
    'translated: the container sees who it is',
  );
  t.is(await client(host.out('curl -s http://10.0.0.11:8080/')), '10.0.0.11');
  t.is(await client(host.out('curl -s http://127.0.0.1:8080/')), '172.17.0.1', 'docker-proxy');
  t.is(
    await client(host.out('docker exec web curl -s http://10.0.0.11:8080/')),
    '172.17.0.1',
    'docker-proxy',
  );
  const flows = await host.out('conntrack -L -p tcp --dport 8080');
  t.regex(
    flows,
    /src=10\.0\.0\.12 dst=10\.0\.0\.11 sport=\d+ dport=8080 src=172\.17\.0\.2 dst=10\.0\.0\.12 sport=80/,
  );
  // A container reaches the LAN as its host, and nobody reaches it but by what is published.
  await other.out('docker run -d --name far -p 80:80 nginx');
  t.is(await client(host.out('docker exec web curl -s http://10.0.0.12/')), '10.0.0.11', 'MASQUERADE');
  await other.out('ip route add 172.17.0.2/32 via 10.0.0.11');
  t.is((await other.run('curl -s -m 1 http://172.17.0.2:81/')).code, 28);
  // The user's own chain is asked first.
  await host.out('iptables -I DOCKER-USER -s 10.0.0.12 -j DROP');
  t.is((await other.run('curl -s -m 1 http://10.0.0.11:8080/')).code, 28);
});

test('without the proxy: hairpin mode, MASQUERADE, and the loopback translated too', async (t) => {
  const { lab, host, other } = await dockerHost(t, 'userlandProxy: false');
  await host.out('docker run -d --name web -p 8080:80 nginx');
  t.regex(await host.out('iptables -t nat -S'), /-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER/);
  const { view } = await snapshotOf(lab, 'n1');
  t.true(
    view.kernel.links['']?.some(
      ({ name, bridgePort }) => name.startsWith('veth') && bridgePort?.hairpin === true,
    ),
  );
  const client = async (run: Promise<string>) => /^Client: ([\d.]+):/m.exec(await run)?.[1];
  t.is(await client(other.out('curl -s http://10.0.0.11:8080/')), '10.0.0.12');
  t.is(
    await client(host.out('docker exec web curl -s http://10.0.0.11:8080/')),
    '172.17.0.1',
    'hairpin: masqueraded',
  );
  t.is(await client(host.out('curl -s http://127.0.0.1:8080/')), '172.17.0.1');
});

test('icc=false: containers of docker0 reach each other by links alone, and those of other networks as ever', async (t) => {
  const { host } = await dockerHost(t, 'icc: false');
  await host.out('docker run -d --name web nginx');
  await host.out('docker run -d --name stranger nginx');
  t.is((await host.run('docker exec stranger curl -s -m 1 http://172.17.0.2/')).code, 28);
  await host.out('docker run -d --name friend --link web nginx');
  t.regex(await host.out('docker exec friend curl -s http://web/'), /^Name: web$/m);
  t.is((await host.run('docker exec friend ping -c 1 -W 1 web')).code, 1, 'the exposed port alone');
  await host.out('docker rm -f friend');
  t.notRegex(await host.out('iptables -S DOCKER'), /--sport 80/);
  await host.out('docker network create mynet');
  await host.out('docker run -d --name one --net mynet nginx');
  await host.out('docker run -d --name two --net mynet nginx');
  t.regex(await host.out('docker exec one curl -s http://two/'), /^Name: two$/m);
});

test('iptables: false leaves the tables alone, and networks open to each other', async (t) => {
  const { host } = await dockerHost(t, 'iptables: false');
  await host.out('docker run -d --name web nginx');
  await host.out('docker network create mynet');
  await host.out('docker run -d --name other --net mynet nginx');
  t.is(plain(await host.out('iptables-save')), '');
  t.regex(await host.out('docker exec web ping -c 1 172.18.0.2'), /1 received/);
});
