import test from 'ava';
import type { Host } from '../../../support/network.ts';
import { Network } from '../../../support/network.ts';
import { CLAIMED, foldOf, ip6, neighbors, pinger, route, shown } from './lab.ts';

/** `ip -6 route`, in short. */
function routes(host: Host): string[] {
  return host.kernel.root.ipv6.routes
    .list()
    .map(({ dst, metric, nexthops, protocol }) => `${dst} ${nexthops[0]?.dev} ${protocol} ${metric}`);
}

function single() {
  const net = new Network();
  const host = net.host('a', 'on');
  net.attach(host, 'lan', 'eth0', '10.0.0.1/24');
  return { net, host, root: host.kernel.root };
}

test('an interface gets a link-local address, tentative until nobody has objected', (t) => {
  const { net, host, root } = single();
  t.deepEqual(shown(root, 'lo'), ['::1/128 host']);
  t.deepEqual(shown(root, 'eth0'), ['fe80::5054:ff:fe00:0/64 link tentative']);
  t.deepEqual(routes(host), ['fe80::/64 eth0 kernel 256']);
  t.is(root.device('eth0')!.inet6.linkLocal(), null);
  net.advance(CLAIMED);
  t.deepEqual(shown(root, 'eth0'), ['fe80::5054:ff:fe00:0/64 link']);
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('addresses stand as the kernel lists them: the wider scope first, then the newest', (t) => {
  const { root } = single();
  for (const address of ['2001:db8::1/64', '2001:db8:0:1::1/128']) root.addAddress('eth0', address);
  root.addAddress('lo', '2001:db8:7::1/128');
  t.deepEqual(shown(root, 'lo'), ['2001:db8:7::1/128 global', '::1/128 host']);
  t.deepEqual(shown(root, 'eth0'), [
    '2001:db8:0:1::1/128 global tentative',
    '2001:db8::1/64 global tentative',
    'fe80::5054:ff:fe00:0/64 link tentative',
  ]);
});

test('what an address brings with it goes with it (recorded of Linux)', (t) => {
  const { host, root } = single();
  root.addAddress('eth0', '2001:db8::1/64');
  root.addAddress('eth0', '2001:db8::2/64');
  root.addAddress('eth0', '2001:db8:0:1::1/128');
  root.ipv6.routes.set(route('2001:db8:2::/48', '2001:db8::9'));
  root.ipv6.routes.set(route('::/0', 'fe80::1', 'eth0'));
  t.deepEqual(routes(host), [
    '::/0 eth0 static 1024',
    '2001:db8::/64 eth0 kernel 256',
    '2001:db8:0:1::1/128 eth0 kernel 256',
    '2001:db8:2::/48 eth0 static 1024',
    'fe80::/64 eth0 kernel 256',
  ]);
  root.removeAddress('eth0', '2001:db8::1/64');
  t.true(routes(host).includes('2001:db8::/64 eth0 kernel 256'), 'the other address is of the prefix too');
  root.removeAddress('eth0', '2001:db8::2/64');
  t.false(routes(host).includes('2001:db8::/64 eth0 kernel 256'));
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('a link that goes down takes its addresses and routes along, and comes up with its own address alone', (t) => {
  const { net, host, root } = single();
  root.addAddress('eth0', '2001:db8::1/64');
  root.ipv6.routes.set(route('::/0', 'fe80::1', 'eth0'));
  net.advance(CLAIMED);
  root.setDown('eth0');
  t.deepEqual([shown(root, 'eth0'), routes(host)], [[], []]);
  root.setUp('eth0');
  t.deepEqual(shown(root, 'eth0'), ['fe80::5054:ff:fe00:0/64 link tentative']);
  t.deepEqual(routes(host), ['fe80::/64 eth0 kernel 256']);
  net.advance(CLAIMED);
  root.sysctls.set('ipv6.conf.*.keep_addr_on_down', 1, 'eth0');
  root.addAddress('eth0', '2001:db8::1/64');
  root.setDown('eth0');
  t.deepEqual(shown(root, 'eth0'), ['2001:db8::1/64 global tentative']);
  root.setUp('eth0');
  net.advance(CLAIMED);
  t.is(shown(root, 'eth0').length, 2);
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('errors in the words of the kernel', (t) => {
  const { root } = single();
  const { routes } = root.ipv6;
  root.addAddress('eth0', '2001:db8::1/64');
  const throws = (run: () => void, message: string) => t.throws(run, { message });
  throws(() => root.addAddress('eth0', '2001:db8::1/64'), 'Error: ipv6: address already assigned.');
  throws(() => root.removeAddress('eth0', '2001:db8::77/64'), 'Error: ipv6: address not found.');
  throws(() => routes.set(route('2001:db8:2::/48', 'fe80::9')), 'Error: Egress device not specified.');
  throws(() => routes.set(route('2001:db8:2::/48', '2001:dead::9')), 'RTNETLINK answers: No route to host');
  throws(
    () => routes.set(route('10.0.0.0/8', '', 'eth0')),
    'Error: inet6 prefix is expected rather than "10.0.0.0/8".',
  );
  root.sysctls.set('ipv6.conf.*.disable_ipv6', 1, 'eth0');
  throws(() => root.addAddress('eth0', '2001:db8::1/64'), 'Error: ipv6: IPv6 is disabled on this device.');
});

test('disable_ipv6 takes IPv6 from a device, and from all and those to come', (t) => {
  const { net, host, root } = single();
  root.addAddress('eth0', '2001:db8::1/64');
  net.advance(CLAIMED);
  root.sysctls.set('ipv6.conf.*.disable_ipv6', 1, 'all');
  t.deepEqual(root.ipv6.addresses.list(), []);
  t.deepEqual(routes(host), []);
  t.is(root.sysctls.get('ipv6.conf.*.disable_ipv6', 'eth0'), 1);
  root.addDummy({ name: 'd0', mac: 2, mtu: 1500 });
  root.setUp('d0');
  t.deepEqual(root.ipv6.addresses.list(), []);
  root.sysctls.set('ipv6.conf.*.disable_ipv6', 0, 'all');
  t.deepEqual(shown(root, 'lo'), ['::1/128 host']);
  t.deepEqual(shown(root, 'eth0'), ['fe80::5054:ff:fe00:0/64 link tentative']);
  // Nobody is there to object on a device without neighbours.
  t.deepEqual(shown(root, 'd0'), ['fe80::200:ff:fe00:2/64 link']);
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('a kernel booted without IPv6 has none, in new namespaces neither, and says so', (t) => {
  const net = new Network();
  const host = net.host('a');
  net.attach(host, 'lan', 'eth0', '10.0.0.1/24');
  const pod = host.kernel.addNetns('pod');
  for (const ns of [host.kernel.root, pod]) {
    t.is(ns.sysctls.get('ipv6.conf.*.disable_ipv6', 'all'), 1);
    t.deepEqual(ns.ipv6.addresses.list(), []);
  }
  pod.sysctls.set('ipv6.conf.*.disable_ipv6', 0, 'lo');
  t.deepEqual(shown(pod, 'lo'), ['::1/128 host']);
  t.false(
    host.rt.events.some(
      (event) => event.type === 'addr.added' && event.ns === '' && event.address.includes(':'),
    ),
  );
});

test('two hosts that claim one address: both lose it', (t) => {
  const net = new Network();
  const hosts = [net.host('a', 'on'), net.host('b', 'on')];
  for (const host of hosts) net.attach(host, 'lan', 'eth0', '2001:db8::1/64');
  net.advance(CLAIMED);
  const states = hosts.map((host) => shown(host.kernel.root, 'eth0')[0]);
  t.true(states.includes('2001:db8::1/64 global failed'));
  t.deepEqual(foldOf(hosts[0]!.rt), hosts[0]!.kernel.snapshot());
});

test('who has an address defends it against a newcomer, whose connected route stays without it', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a', 'on'), net.host('b', 'on')];
  net.attach(a, 'lan', 'eth0', '2001:db8::1/64');
  net.advance(CLAIMED);
  net.attach(b, 'lan', 'eth0', '2001:db8::1/64');
  net.advance(CLAIMED);
  t.is(shown(a.kernel.root, 'eth0')[0], '2001:db8::1/64 global');
  t.is(shown(b.kernel.root, 'eth0')[0], '2001:db8::1/64 global failed');
  t.is(b.kernel.drops.get('ndp-duplicate-address'), 1);
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8::1');
  net.advance(10);
  t.is(ping.replies.length, 1);
});

test('a neighbour goes stale, is probed, and is found to be gone', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a', 'on'), net.host('b', 'on')];
  net.attach(a, 'lan', 'eth0', '2001:db8::1/64');
  net.attach(b, 'lan', 'eth0', '2001:db8::2/64');
  net.advance(CLAIMED);
  const ping = pinger(a.kernel.root);
  const state = () =>
    neighbors(a.kernel.root)
      .find((line) => line.startsWith('2001:db8::2'))
      ?.split(' ')[2];
  ping.send('2001:db8::2');
  net.advance(50_000);
  t.is(state(), 'STALE');
  net.passes = () => false;
  ping.send('2001:db8::2');
  t.is(state(), 'DELAY');
  net.advance(5_500);
  t.is(state(), 'PROBE');
  net.advance(3_000);
  t.is(state(), 'FAILED');
  t.deepEqual(foldOf(a.rt), a.kernel.snapshot());
});

test('a source is chosen by scope, then by the way out, then by what is closest (RFC 6724)', (t) => {
  const net = new Network();
  const host = net.host('a', 'on');
  const { root } = host.kernel;
  for (const [name, address] of [
    ['eth0', '2001:db8:1::1/64'],
    ['eth1', '2001:db8:2::1/64'],
  ] as const)
    net.attach(host, name, name, address);
  root.addAddress('eth0', '2001:db8:1:1::1/64');
  root.addAddress('eth0', 'fd00::1/64');
  root.addAddress('lo', '2001:db8:9::1/128');
  net.advance(CLAIMED);
  const from = (dst: string, dev: string) => {
    const found = root.ipv6.addresses.sourceFor(ip6(dst), root.device(dev)!);
    return root.ipv6.addresses.list().find(({ address }) => ip6(address.split('/')[0]!) === found)?.address;
  };
  t.is(from('2001:db8:1::9', 'eth0'), '2001:db8:1::1/64');
  t.is(from('2001:db8:1:1::9', 'eth0'), '2001:db8:1:1::1/64');
  t.is(from('fd00::9', 'eth0'), 'fd00::1/64');
  t.is(from('2001:db8:1::9', 'eth1'), '2001:db8:2::1/64', 'the way out before what is closest');
  t.is(from('fe80::9', 'eth1'), 'fe80::5054:ff:fe00:1/64');
  t.is(from('ff02::1', 'eth1'), 'fe80::5054:ff:fe00:1/64');
});
