import test from 'ava';
import { routed } from '../kernel/ipv6/lab.ts';
import { run } from './support/run.ts';

/** Head lines and errors are those of iputils 20221126 on Linux, recorded. */
const lines = (text: string) => text.split('\n').map((line) => line.replace(/[\d.]+ ms|time \d+ms/g, 'T'));

test('ping of an IPv6 address, with -6 and without', (t) => {
  const { net, a } = routed();
  for (const options of ['', '-6 ']) {
    const got = run(`ping ${options}-c 1 2001:db8:2::2`, a.kernel.root);
    net.advance(10);
    t.deepEqual(lines(got.text).slice(0, 5), [
      'PING 2001:db8:2::2(2001:db8:2::2) 56 data bytes',
      '64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63 time=T',
      '',
      '--- 2001:db8:2::2 ping statistics ---',
      '1 packets transmitted, 1 received, 0% packet loss, T',
    ]);
    t.is(got.code, 0);
  }
});

test('an address of a link needs its device, which is shown with it', (t) => {
  const { net, a, r } = routed();
  const peer = 'fe80::5054:ff:fe00:100';
  t.is(r.kernel.root.device('eth0')!.inet6.addresses.length, 2);
  for (const line of [`ping -c 1 ${peer}%eth0`, `ping -c 1 -I eth0 ${peer}`]) {
    const got = run(line, a.kernel.root);
    net.advance(10);
    t.regex(got.text, new RegExp(`64 bytes from ${peer}%eth0: icmp_seq=1 ttl=64`));
  }
  const group = run('ping -c 1 ff02::1%eth0', a.kernel.root);
  net.advance(10);
  t.regex(group.text, /^PING ff02::1%eth0\(ff02::1%eth0\) 56 data bytes\n64 bytes from fe80::/);
});

test('a source, by address and by device', (t) => {
  const { net, a } = routed();
  for (const [from, shown] of [
    ['eth0', 'from 2001:db8:1::2 eth0:'],
    ['2001:db8:1::2', 'from 2001:db8:1::2 :'],
  ]) {
    const got = run(`ping -c 1 -I ${from} 2001:db8:2::2`, a.kernel.root);
    net.advance(10);
    t.is(lines(got.text)[0], `PING 2001:db8:2::2(2001:db8:2::2) ${shown} 56 data bytes`);
    t.is(got.code, 0);
  }
});

test('errors, by who says them', (t) => {
  const { net, a, r } = routed();
  const { root } = a.kernel;
  r.kernel.root.setMtu('eth1', 1280);
  for (const [line, expected] of [
    ['ping -c 1 -t 1 2001:db8:2::2', 'From 2001:db8:1::1 icmp_seq=1 Time exceeded: Hop limit'],
    ['ping -c 1 2001:db8:9::2', 'From 2001:db8:1::1 icmp_seq=1 Destination unreachable: No route'],
    [
      'ping -c 1 2001:db8:2::77',
      'From 2001:db8:1::1 icmp_seq=1 Destination unreachable: Address unreachable',
    ],
    ['ping -c 1 -s 1400 2001:db8:2::2', 'From 2001:db8:1::1 icmp_seq=1 Packet too big: mtu=1280'],
    ['ping -c 1 -M do -s 1400 2001:db8:2::2', 'ping: local error: message too long, mtu: 1280'],
  ]) {
    const got = run(line!, root);
    net.advance(5_000);
    t.is(lines(got.text)[1], expected);
    t.is(got.code, 1);
  }
  for (const [line, expected] of [
    ['ping -6 10.0.0.1', 'ping: 10.0.0.1: Address family for hostname not supported\n'],
    ['ping -4 ::1', 'ping: ::1: Address family for hostname not supported\n'],
    ['ping -I nope ::1', 'ping: SO_BINDTODEVICE nope: No such device\n'],
  ])
    t.is(run(line!, root).text, expected!);
  root.ipv6.routes.delete('::/0');
  t.is(run('ping -c 1 3000::1', root).text, 'ping: connect: Network is unreachable\n');
});
