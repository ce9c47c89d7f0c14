import test from 'ava';
import { dockerHost } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';

test('macvlan: on the wire by MACs of their own, reached by all but their host', async (t) => {
  const { lab, host, other } = await dockerHost(t);
  await host.out(
    'docker network create -d macvlan --subnet 10.0.0.0/24 --gateway 10.0.0.12 --ip-range 10.0.0.128/25 -o parent=eth0 wire',
  );
  await host.out('docker run -d --name one --net wire nginx');
  await host.out('docker run -d --name two --net wire nginx');
  const addresses = await host.out('docker exec one ip addr');
  t.regex(
    addresses,
    /^\d+: eth0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP>.*\n.*link\/ether 02:42:0a:00:00:80 .*\n.*inet 10\.0\.0\.128\/24/m,
  );
  t.regex(await host.out('docker exec one ping -c 1 two'), /from two\.wire \(10\.0\.0\.129\)/);
  t.regex(await other.out('ping -c 1 10.0.0.128'), /ttl=64/);
  t.regex(await other.out('ip neigh'), /^10\.0\.0\.128 dev eth0 lladdr 02:42:0a:00:00:80/m);
  t.regex(await other.out('curl -s http://10.0.0.129/'), /^Name: two$/m);
  t.is(
    (await host.run('ping -c 1 -W 1 10.0.0.128')).code,
    1,
    'the host does not reach its own macvlan children',
  );
  await host.fails(
    'docker network create -d macvlan -o parent=eth0 more',
    1,
    /is already using parent interface eth0\n$/,
  );
  await host.fails(
    'docker network create -d macvlan -o parent=eth9 more',
    1,
    /parent interface was not found on the host: eth9\n$/,
  );
  await host.fails(
    'docker network create -d macvlan -o macvlan_mode=odd more',
    1,
    /requested macvlan mode 'odd' is not valid/,
  );
  await verifies(t, lab);
});

test('ipvlan: behind the MAC of the host, in l2 and in l3', async (t) => {
  const { lab, host, other } = await dockerHost(t);
  await host.out(
    'docker network create -d ipvlan --subnet 10.0.0.0/24 --ip-range 10.0.0.64/26 -o parent=eth0 flat',
  );
  await host.out('docker run -d --name flat1 --net flat --ip 10.0.0.70 nginx');
  const mac = /link\/ether (\S+)/.exec(await host.out('ip link show eth0'))?.[1];
  t.regex(await host.out('docker exec flat1 ip addr'), new RegExp(`link/ether ${mac} `), 'the parent’s MAC');
  t.regex(await other.out('ping -c 1 10.0.0.70'), /ttl=64/);
  await host.out(
    'docker network create -d ipvlan --subnet 192.168.66.0/24 -o parent=eth0.66 -o ipvlan_mode=l3 routed',
  );
  await host.out('docker run -d --name routed1 --net routed nginx');
  await host.out('docker run -d --name routed2 --net routed nginx');
  t.is(
    await host.out('docker exec routed1 ip route'),
    'default dev eth0 scope link \n192.168.66.0/24 dev eth0 proto kernel scope link src 192.168.66.2 \n',
  );
  t.regex(
    await host.out('docker exec routed1 ping -c 1 routed2'),
    /from routed2\.routed \(192\.168\.66\.3\)/,
  );
  t.regex(await host.out('ip link show eth0.66'), /eth0\.66@eth0/, 'dockerd has made the VLAN');
  await host.out('docker rm -f routed1 routed2');
  await host.out('docker network rm routed');
  t.is((await host.run('ip link show eth0.66')).code, 1, 'and takes it away with the network');
  await verifies(t, lab);
});

test('a bridge of one’s own making: name, MTU, internal', async (t) => {
  const { host } = await dockerHost(t);
  await host.out(
    'docker network create -o com.docker.network.bridge.name=br-own -o com.docker.network.driver.mtu=1400 own',
  );
  await host.out('docker run -d --name in1 --net own nginx');
  t.regex(await host.out('ip link show br-own'), /mtu 1400/);
  t.regex(await host.out('docker exec in1 ip link show eth0'), /mtu 1400/);
  await host.out('docker network create --internal --subnet 10.77.0.0/24 closed');
  await host.out('docker run -d --name in2 --net closed nginx');
  t.is(
    await host.out('docker exec in2 ip route'),
    '10.77.0.0/24 dev eth0 proto kernel scope link src 10.77.0.2 \n',
    'no way out',
  );
  await host.out('docker network connect own in2');
  t.regex(await host.out('docker exec in2 ip route'), /^default via 172\.18\.0\.1 dev eth1/m);
});
