import test from 'ava';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { filesOf, serveNames } from './support/names.ts';
import { run } from './support/run.ts';
import { routed, warmUp } from './support/topology.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

test('replies and statistics, as iputils prints them', (t) => {
  const { net, a } = routed();
  net.latency = 0.0325;
  const ping = run('ping -c 2 10.0.1.1', a.kernel.root);
  t.is(ping.text, 'PING 10.0.1.1 (10.0.1.1) 56(84) bytes of data.\n');
  net.advance(5_000);
  // The first packet waits for ARP, so it takes two round trips.
  t.is(
    ping.text,
    `PING 10.0.1.1 (10.0.1.1) 56(84) bytes of data.
64 bytes from 10.0.1.1: icmp_seq=1 ttl=64 time=0.130 ms
64 bytes from 10.0.1.1: icmp_seq=2 ttl=64 time=0.065 ms

--- 10.0.1.1 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 1000ms
rtt min/avg/max/mdev = 0.065/0.097/0.130/0.032 ms
`,
  );
  t.is(ping.code, 0);
});

for (const [latency, shown] of [
  [0.615, '1.23'],
  [6.15, '12.3'],
  [61.5, '123'],
] as const) {
  test(`a round trip of ${2 * latency} ms shows three digits`, (t) => {
    const { net, a } = routed();
    net.latency = latency;
    warmUp(net, a, ip('10.0.1.1'));
    net.advance(1_000);
    const ping = run('ping -c1 10.0.1.1', a.kernel.root);
    net.advance(1_000);
    t.regex(ping.text, new RegExp(`^64 bytes from 10.0.1.1: icmp_seq=1 ttl=64 time=${shown} ms$`, 'm'));
  });
}

test('without a count it goes on until it is interrupted', (t) => {
  const { net, a } = routed();
  const ping = run('ping -i 0.5 10.0.2.2', a.kernel.root);
  net.advance(60_100);
  t.is(ping.code, null);
  t.is(ping.text.match(/icmp_seq=/g)?.length, 121);
  ping.interrupt();
  t.is(ping.code, 0);
  t.regex(
    ping.text,
    /\n\n--- 10\.0\.2\.2 ping statistics ---\n121 packets transmitted, 121 received, 0% packet loss, time 60000ms\nrtt /,
  );
  net.advance(10_000);
  ping.interrupt();
  t.is(ping.text.match(/icmp_seq=/g)?.length, 121);
});

test('a neighbour that does not answer, as recorded from a real host', (t) => {
  const { net, a } = routed();
  const ping = run('ping -c 3 10.0.1.77', a.kernel.root);
  net.advance(10_000);
  t.is(
    ping.text,
    `PING 10.0.1.77 (10.0.1.77) 56(84) bytes of data.
From 10.0.1.2 icmp_seq=1 Destination Host Unreachable
From 10.0.1.2 icmp_seq=2 Destination Host Unreachable
From 10.0.1.2 icmp_seq=3 Destination Host Unreachable

--- 10.0.1.77 ping statistics ---
3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2000ms
pipe 3
`,
  );
  t.is(ping.code, 1);
});

test('errors from a router on the way', (t) => {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  run('ip route add unreachable 10.7.0.0/16', root);
  run('ip link set eth1 mtu 1450', root);
  const expect = (line: string, error: string) => {
    const ping = run(`ping -c 1 ${line}`, a.kernel.root);
    net.advance(5_000);
    const target = line.split(' ').at(-1);
    t.is(
      ping.text.split('\n').slice(1).join('\n'),
      `From 10.0.1.1 icmp_seq=1 ${error}

--- ${target} ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms

`,
    );
    t.is(ping.code, 1);
  };
  expect('-t 1 10.0.2.2', 'Time to live exceeded');
  expect('99.1.1.1', 'Destination Net Unreachable');
  expect('10.7.0.1', 'Destination Host Unreachable');
  expect('-M do -s 1472 10.0.2.2', 'Frag needed and DF set (mtu = 1450)');
});

test('fragments go where DF does not', (t) => {
  const { net, a, r } = routed();
  run('ip link set eth1 mtu 1450', r.kernel.root);
  const ping = run('ping -c 1 -s 3000 10.0.2.2', a.kernel.root);
  net.advance(5_000);
  t.true(
    ping.text.startsWith('PING 10.0.2.2 (10.0.2.2) 3000(3028) bytes of data.\n3008 bytes from 10.0.2.2: '),
  );
  t.is(ping.code, 0);
});

test('a packet over the MTU of the way out is a local error', (t) => {
  const { net, a } = routed();
  const ping = run('ping -c 2 -i 0.2 -M do -s 1473 10.0.2.2', a.kernel.root);
  net.advance(1_000);
  const line = 'ping: local error: message too long, mtu=1500\n';
  t.is(ping.streams.stderr, line + line);
  t.true(
    ping.streams.stdout.endsWith(
      '2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 200ms\n\n',
    ),
  );
  t.is(ping.code, 1);
});

test('no way out: nothing is sent', (t) => {
  const { a, r } = routed();
  const { root } = a.kernel;
  const refused = (line: string, message: string) => {
    const ping = run(line, root);
    t.is(ping.text, message);
    t.is(ping.code, 2);
  };
  refused('ping foo..bar', 'ping: foo..bar: Name or service not known\n');
  run('ip route add unreachable 10.66.0.0/16', root);
  run('ip route add blackhole 10.67.0.0/16', root);
  refused('ping 10.66.0.1', 'ping: connect: No route to host\n');
  refused('ping 10.67.0.1', 'ping: connect: Invalid argument\n');
  refused(
    'ping 10.0.1.255',
    'ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules\n',
  );
  refused('ping -I 1.2.3.4 10.0.2.2', 'ping: bind: Cannot assign requested address\n');
  refused('ping -I nope 10.0.2.2', 'ping: SO_BINDTODEVICE nope: No such device\n');
  run('ip route del default', root);
  refused('ping 10.0.2.2', 'ping: connect: Network is unreachable\n');
  t.is(
    run('ping -I eth0 10.0.2.2', r.kernel.root).text,
    'ping: -I eth0: the route leaves by eth1, sending against it is not emulated\n',
  );
});

test('a route that goes while it runs', (t) => {
  const { net, a } = routed();
  const ping = run('ping -c 3 10.0.2.2', a.kernel.root);
  net.advance(500);
  run('ip route del default', a.kernel.root);
  net.advance(20_000);
  const line = 'ping: sendmsg: Network is unreachable\n';
  t.is(ping.streams.stderr, line + line);
  t.regex(ping.streams.stdout, /3 packets transmitted, 1 received, 66\.6667% packet loss, time 2000ms\nrtt /);
  t.is(ping.code, 0);
});

test('the first line tells what it was bound to', (t) => {
  const { a } = routed();
  const { root } = a.kernel;
  t.is(
    run('ping -I eth0 10.0.2.2', root).text,
    'PING 10.0.2.2 (10.0.2.2) from 10.0.1.2 eth0: 56(84) bytes of data.\n',
  );
  t.is(
    run('ping -I 10.0.1.2 10.0.2.2', root).text,
    'PING 10.0.2.2 (10.0.2.2) from 10.0.1.2 : 56(84) bytes of data.\n',
  );
});

test('a name from the hosts file is resolved at once, and stands before addresses', (t) => {
  const { net, a } = routed();
  const files = filesOf({ '/etc/hosts': '10.0.2.2\ttomcat02 56bb3fef856f\n' });
  const first = (line: string) => {
    const ping = run(line, a.kernel.root, { files });
    net.advance(50);
    ping.interrupt();
    return ping.streams.stdout.split('\n');
  };
  const named = first('ping tomcat02');
  t.is(named[0], 'PING tomcat02 (10.0.2.2) 56(84) bytes of data.');
  t.regex(named[1] ?? '', /^64 bytes from tomcat02 \(10\.0\.2\.2\): icmp_seq=1 ttl=63 /);
  t.true(named.includes('--- tomcat02 ping statistics ---'));
  t.is(first('ping 56bb3fef856f')[0], 'PING tomcat02 (10.0.2.2) 56(84) bytes of data.');
  t.regex(first('ping -n tomcat02')[1] ?? '', /^64 bytes from 10\.0\.2\.2: /);
  t.regex(first('ping 10.0.2.2')[1] ?? '', /^64 bytes from 10\.0\.2\.2: /);
  t.regex(first('ping -t 1 tomcat02')[1] ?? '', /^From 10\.0\.1\.1 icmp_seq=1 Time to live exceeded$/);
});

test('a name is asked for over the wire, and so is that of the one who answers', (t) => {
  const { net, a, r } = routed();
  serveNames(r.kernel.root, { 'tomcat-net-02.mynet': '10.0.2.2' });
  const files = filesOf({ '/etc/resolv.conf': 'search mynet\nnameserver 10.0.1.1\noptions ndots:0\n' });
  const ping = run('ping -c 2 tomcat-net-02.mynet', a.kernel.root, { files });
  t.is(ping.text, '');
  net.advance(2_000);
  t.is(ping.code, 0);
  t.regex(
    ping.text,
    /^PING tomcat-net-02\.mynet \(10\.0\.2\.2\) 56\(84\) bytes of data\.\n64 bytes from tomcat-net-02\.mynet \(10\.0\.2\.2\): icmp_seq=1 ttl=63 time=\S+ ms\n64 bytes from tomcat-net-02\.mynet \(10\.0\.2\.2\): icmp_seq=2 /,
  );
  const searched = run('ping -c 1 tomcat-net-02', a.kernel.root, { files });
  net.advance(2_000);
  t.true(searched.text.startsWith('PING tomcat-net-02.mynet (10.0.2.2)'));
  const unknown = run('ping tomcat01', a.kernel.root, { files });
  net.advance(2_000);
  t.is(unknown.text, 'ping: tomcat01: Name or service not known\n');
  t.is(unknown.code, 2);
});

test('names that nobody tells: failure, or lines that come late', (t) => {
  const { net, a, r } = routed();
  const resolvConf = 'nameserver 10.0.1.1\n';
  const dead = run('ping tomcat01', a.kernel.root, { files: filesOf({ '/etc/resolv.conf': resolvConf }) });
  net.advance(1_000);
  t.is(dead.text, 'ping: tomcat01: Temporary failure in name resolution\n');
  t.is(dead.code, 2);
  const silent = r.kernel.root.bindUdp({ addr: 0, port: 53 }, () => {});
  const files = filesOf({ '/etc/resolv.conf': resolvConf, '/etc/hosts': '10.0.2.2 b\n' });
  const waiting = run('ping tomcat01', a.kernel.root, { files });
  net.advance(14_900);
  t.is(waiting.text, '');
  net.advance(200);
  t.is(waiting.text, 'ping: tomcat01: Temporary failure in name resolution\n');
  const interrupted = run('ping tomcat01', a.kernel.root, { files });
  interrupted.interrupt();
  t.deepEqual([interrupted.text, interrupted.code], ['', 130]);
  // The router's address has no name: its line waits for the resolver, and the second packet with it.
  const slow = run('ping -c 2 -t 1 b', a.kernel.root, { files });
  net.advance(14_900);
  t.is(slow.text, 'PING b (10.0.2.2) 56(84) bytes of data.\n');
  net.advance(5_000);
  t.regex(slow.text, /From 10\.0\.1\.1 icmp_seq=1 Time.*\nFrom 10\.0\.1\.1 icmp_seq=2 Time/);
  t.is(slow.code, 1);
  silent.close();
});

test('quiet prints the first line and the statistics', (t) => {
  const { net, a } = routed();
  const ping = run('ping -q -c 3 10.0.1.77', a.kernel.root);
  net.advance(10_000);
  t.is(
    ping.text,
    `PING 10.0.1.77 (10.0.1.77) 56(84) bytes of data.

--- 10.0.1.77 ping statistics ---
3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2000ms
pipe 3
`,
  );
});

test('a payload too small for a timestamp gives no times', (t) => {
  const { net, a } = routed();
  const ping = run('ping -c 1 10.0.2.2 -s 4', a.kernel.root);
  net.advance(1_000);
  t.is(
    ping.text,
    `PING 10.0.2.2 (10.0.2.2) 4(32) bytes of data.
12 bytes from 10.0.2.2: icmp_seq=1 ttl=63

--- 10.0.2.2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 0ms

`,
  );
});

test('how long it waits for what does not come', (t) => {
  const { net, a, r } = routed();
  run('ip route add blackhole 10.8.0.0/16', r.kernel.root);
  const endOf = (line: string) => {
    const from = net.world.now;
    const ping = run(line, a.kernel.root);
    while (ping.code === null && net.world.now < from + 20_000) net.advance(100);
    return [Math.round(net.world.now - from), ping.code, /(\d+) packets/.exec(ping.text)?.[1]];
  };
  t.deepEqual(endOf('ping -c 1 10.8.0.1'), [10_000, 1, '1']);
  t.deepEqual(endOf('ping -c 1 -W 1.5 10.8.0.1'), [1_500, 1, '1']);
  t.deepEqual(endOf('ping -c 2 -W 1 10.8.0.1'), [2_000, 1, '2']);
  t.deepEqual(endOf('ping -w 2 -i 0.4 10.8.0.1'), [2_000, 1, '5']);
  // With a deadline the count is of replies, not of packets.
  t.deepEqual(endOf('ping -c 2 -w 3 10.8.0.1'), [3_000, 1, '3']);
  t.deepEqual(endOf('ping -c 2 -w 3 10.0.2.2'), [1_100, 0, '2']);
  t.deepEqual(endOf('ping -c 5 -w 3 10.0.2.2').slice(1), [1, '3']);
  // … and the first error ends it.
  t.deepEqual(endOf('ping -w 9 99.1.1.1').slice(1), [1, '1']);
});

test('once something has come, the last packet is waited for as long as an interval', (t) => {
  const { net, a, r } = routed();
  const ping = run('ping -c 3 -i 0.5 10.0.2.2', a.kernel.root);
  net.advance(900);
  run('ip route add blackhole 10.0.2.2', r.kernel.root);
  net.advance(595);
  t.is(ping.code, null);
  net.advance(10);
  t.is(ping.code, 0);
  t.regex(ping.text, /3 packets transmitted, 2 received, 33\.3333% packet loss, time 1000ms/);
});

test('outstanding replies and timestamps', (t) => {
  const { net, a, r } = routed();
  run('ip route add blackhole 10.8.0.0/16', r.kernel.root);
  const outstanding = run('ping -O -c 3 -W 1 10.8.0.1', a.kernel.root);
  net.advance(5_000);
  t.true(
    outstanding.text.includes(
      'bytes of data.\nno answer yet for icmp_seq=1\nno answer yet for icmp_seq=2\n\n---',
    ),
  );
  const stamped = run('ping -D -c 1 10.0.1.1', a.kernel.root);
  net.advance(100);
  t.regex(stamped.text, /^\[5\.000\d{3}\] 64 bytes from 10\.0\.1\.1: icmp_seq=1 /m);
});

test('a reply that comes twice is marked, and counts apart', (t) => {
  const { net, a } = routed();
  const ping = run('ping -c 2 10.0.1.1', a.kernel.root);
  net.advance(50);
  const reply = net.frames.at(-1);
  a.kernel.receive(0, reply?.frame.slice() ?? new Uint8Array());
  net.advance(5_000);
  t.regex(ping.text, /seq=1 ttl=64 time=0.400 ms\n.*seq=1 ttl=64 time=50.0 ms \(DUP!\)\n.*seq=2 /);
  t.regex(ping.text, /2 packets transmitted, 2 received, \+1 duplicates, 0% packet loss, time 1000ms/);
});

test('a broadcast is pinged when asked to', (t) => {
  const { net, a } = routed();
  const ping = run('ping -b -w 1 10.0.1.255', a.kernel.root);
  t.is(ping.streams.stderr, 'WARNING: pinging broadcast address\n');
  t.is(ping.streams.stdout, 'PING 10.0.1.255 (10.0.1.255) 56(84) bytes of data.\n');
  t.deepEqual([...(net.frames.at(-1)?.frame.subarray(0, 6) ?? [])], [255, 255, 255, 255, 255, 255]);
});

test('two pings do not take each other’s replies', (t) => {
  const { net, a } = routed();
  const one = run('ping -c 2 10.0.1.1', a.kernel.root);
  const two = run('ping -c 2 10.0.2.2', a.kernel.root);
  net.advance(5_000);
  t.is(one.text.match(/^64 bytes from 10\.0\.1\.1/gm)?.length, 2);
  t.is(two.text.match(/^64 bytes from 10\.0\.2\.2/gm)?.length, 2);
  t.regex(one.text, /2 packets transmitted, 2 received, 0%/);
});

test('a ping ends with its namespace', (t) => {
  const { net, a } = routed();
  const pod = a.kernel.addNetns('pod');
  const ping = run('ping 127.0.0.1', pod);
  net.advance(1_500);
  t.is(ping.code, null);
  a.kernel.removeNetns('pod');
  net.advance(1_000);
  t.is(ping.code, 137);
});

const USAGE_ERRORS: readonly (readonly [line: string, message: string, code: number])[] = [
  ['ping', 'ping: usage error: Destination address required\n', 1],
  ['ping -c 0 10.0.2.2', "ping: invalid argument: '0': out of range: 1 <= value <= 9223372036854775807\n", 1],
  ['ping -c x 10.0.2.2', "ping: invalid argument: 'x'\n", 1],
  ['ping -s -1 10.0.2.2', "ping: invalid argument: '-1': out of range: 0 <= value <= 2147483647\n", 1],
  ['ping -t 0 10.0.2.2', 'ping: cannot set unicast time-to-live: Invalid argument\n', 2],
  ['ping -t 256 10.0.2.2', "ping: invalid argument: '256': out of range: 0 <= value <= 255\n", 1],
  ['ping -W -1 10.0.2.2', 'ping: bad linger time: -1\n', 2],
  ['ping -w x 10.0.2.2', "ping: invalid argument: 'x'\n", 1],
  ['ping -M foo 10.0.2.2', 'ping: invalid -M argument: foo\n', 2],
  ['ping -6 10.0.2.2', 'ping: 10.0.2.2: Address family for hostname not supported\n', 2],
  ['ping -4 -6 10.0.2.2', 'ping: only one -4 or -6 option may be specified\n', 2],
  ['ping -f 10.0.2.2', 'ping: -f is not emulated\n', 2],
];

for (const [line, message, code] of USAGE_ERRORS) {
  test(`usage: ${line}`, (t) => {
    const { a } = routed();
    const ping = run(line, a.kernel.root);
    t.is(ping.streams.stderr, message);
    t.is(ping.streams.stdout, '');
    t.is(ping.code, code);
  });
}

test('usage: options that do not exist are followed by the usage', (t) => {
  const { a } = routed();
  const start = (line: string) => run(line, a.kernel.root).streams.stderr.split('\n').slice(0, 4);
  const usage = ['', 'Usage', '  ping [options] <destination>'];
  t.deepEqual(start('ping -c'), ["ping: option requires an argument -- 'c'", ...usage]);
  t.deepEqual(start('ping -Z 10.0.2.2'), ["ping: invalid option -- 'Z'", ...usage]);
  t.deepEqual(start('ping --help'), ["ping: invalid option -- '-'", ...usage]);
  const version = run('ping -V', a.kernel.root);
  t.is(version.streams.stdout, 'ping from iputils 20221126, reroute\n');
  t.is(version.code, 0);
});
