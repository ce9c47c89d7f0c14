import test from 'ava';
import { mac, Network } from '../../support/network.ts';
import { run } from './support/run.ts';
import { readSession } from './support/session.ts';

/**
 * Sessions of real iproute2 6.1.0 on Linux 6.18, recorded in a namespace of two interfaces, eth0 (10.0.0.1/24) and eth1
 * (10.5.0.1/24), and replayed here.
 */
function host(
  addresses: readonly string[] = ['10.0.0.1/24', '10.5.0.1/24'],
  ipv6: 'on' | 'off' = 'off',
  addrGenMode = 0,
) {
  const net = new Network();
  const { kernel } = net.host('h', ipv6);
  const { root: ns } = kernel;
  if (addrGenMode !== 0) ns.sysctls.set('ipv6.conf.*.addr_gen_mode', addrGenMode, 'default');
  for (let i = 0; i < 2; i++) {
    const address = addresses[i];
    ns.addVeth({
      name: `eth${i}`,
      mac: mac(`52:54:00:00:00:0${i + 1}`),
      mtu: 1500,
      peer: { ns, name: `far${i}`, mac: mac(`52:54:00:00:01:0${i + 1}`) },
    });
    ns.setUp(`far${i}`);
    ns.setUp(`eth${i}`);
    if (address !== undefined) ns.addAddress(`eth${i}`, address);
  }
  return { net, ns };
}

test('ip rule, ip route by table, ip route get: to the byte', (t) => {
  const { ns } = host();
  const steps = readSession('ip-rule-6.1.session.txt');
  t.true(steps.length > 140);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(`$ ${command}\n${got.text}[exit ${got.code}]`, `$ ${command}\n${output}[exit ${code}]`);
  }
});

/**
 * Left out of the comparison: indices, which each real namespace counts for itself; the queue, which a real device gets when
 * it comes up first; and whether the other namespace has a name.
 */
function comparable(text: string): string {
  return text
    .replace(/^\d+: /gm, 'N: ')
    .replace(/@if\d+/g, '@ifN')
    .replace(/ qdisc \S+/g, '')
    .replace(/ qlen \d+/g, '')
    .replace(/ link-netns(id)? \S+/g, '')
    .replace(/ \(id: \d+\)/g, '')
    .replace(/ +$/gm, '')
    .replace(/ +\\/g, '\\');
}

test('ip link add, set, delete, ip netns: what they say and what becomes of the links', (t) => {
  const { ns } = host();
  const steps = readSession('ip-link-6.1.session.txt');
  t.true(steps.length > 90);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(
      comparable(`$ ${command}\n${got.text}[exit ${got.code}]`),
      comparable(`$ ${command}\n${output}[exit ${code}]`),
    );
  }
});

/**
 * Left out too: what the recording's kernel has no VLAN filtering for, and how long timers have to run that nothing depends on.
 */
function withoutVlans(text: string): string {
  return comparable(text)
    .replace(/ vlan_protocol 802\.1Q/g, '')
    .replace(/ vlan_default_pvid 1 vlan_stats_enabled 0 vlan_stats_per_port 0/g, '')
    .replace(/ (gc|forward_delay)_timer +[\d.]+/g, '');
}

test('ip -d link, bridge link: the settings of bridges and their ports', (t) => {
  const { ns } = host();
  const steps = readSession('bridge-6.1.session.txt');
  t.true(steps.length > 50);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(
      withoutVlans(`$ ${command}\n${got.text}[exit ${got.code}]`),
      withoutVlans(`$ ${command}\n${output}[exit ${code}]`),
    );
  }
});

test('ip xfrm policy, and what ip xfrm state complains of: to the byte', (t) => {
  const { ns } = host();
  const steps = readSession('ip-xfrm-6.1.session.txt');
  t.true(steps.length > 30);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(`$ ${command}\n${got.text}[exit ${got.code}]`, `$ ${command}\n${output}[exit ${code}]`);
  }
});

/** Recorded with IPv6 on and no address of IPv4, once the link-local addresses were claimed. */
test('ip route … via inet6: to the byte', (t) => {
  const { net, ns } = host([], 'on');
  net.advance(3000);
  const steps = readSession('ip-via-inet6-6.1.session.txt');
  t.true(steps.length > 60);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(`$ ${command}\n${got.text}[exit ${got.code}]`, `$ ${command}\n${output}[exit ${code}]`);
    net.advance(1);
  }
});

/** Addresses of IPv6 as the recordings have them: no device makes its own. */
function host6(addresses: readonly string[], addresses6: readonly (readonly [string, string])[]) {
  const { net, ns } = host(addresses, 'on', 1);
  for (const [dev, address] of addresses6)
    ns.ipv6.addresses.add(ns.links.require(dev), address, { dad: 'none' });
  return { net, ns };
}

const GLOBAL = [
  ['eth0', '2001:db8:1::1/64'],
  ['eth1', '2001:db8:2::1/64'],
] as const;

test('ip -6 rule, ip -6 route by table, ip -6 route get: to the byte', (t) => {
  // Left out: in which order the links came up.
  const comparable = (text: string) => text.replaceAll(/^multicast ff00::\/8 .*\n/gm, '');
  const { ns } = host6([], [...GLOBAL, ['eth0', 'fe80::a/64'], ['eth1', 'fe80::b/64']]);
  const steps = readSession('ip-rule6-6.1.session.txt');
  t.true(steps.length > 100);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(
      `$ ${command}\n${comparable(got.text)}[exit ${got.code}]`,
      `$ ${command}\n${comparable(output)}[exit ${code}]`,
    );
  }
});

test('ip route append, prepend and replace, of both families: to the byte', (t) => {
  const { ns } = host6(['10.0.0.1/24', '10.5.0.1/24'], GLOBAL);
  const steps = readSession('ip-route-append-6.1.session.txt');
  t.true(steps.length > 75);
  for (const { command, output, code } of steps) {
    const got = run(command, ns);
    t.is(`$ ${command}\n${got.text}[exit ${got.code}]`, `$ ${command}\n${output}[exit ${code}]`);
  }
});

test('routes by a device that loses its carrier, goes down or goes away: to the byte', (t) => {
  const { net, ns } = host6(['10.0.0.1/24', '10.5.0.1/24'], GLOBAL);
  const steps = readSession('ip-route-linkdown-6.1.session.txt');
  t.true(steps.length > 40);
  for (const { command, output, code } of steps) {
    const [, seconds] = /^sleep (\d+)$/.exec(command) ?? [];
    if (seconds !== undefined) {
      net.advance(Number(seconds) * 1000);
      continue;
    }
    const got = run(command, ns);
    t.is(`$ ${command}\n${got.text}[exit ${got.code}]`, `$ ${command}\n${output}[exit ${code}]`);
  }
});
