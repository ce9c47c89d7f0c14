import test from 'ava';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { Network } from '../../support/network.ts';
import { filesOf, serveNames } from './support/names.ts';
import { run } from './support/run.ts';
import { warmUp } from './support/topology.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** a — r1 — r2 — b; times of 0.1 ms a hop there and back, neighbours already known. */
function chain() {
  const net = new Network();
  net.latency = 0.05;
  const [a, r1, r2, b] = [net.host('a'), net.host('r1'), net.host('r2'), net.host('b')];
  net.attach(a, 's1', 'eth0', '10.0.1.2/24');
  net.attach(r1, 's1', 'eth0', '10.0.1.1/24');
  net.attach(r1, 's2', 'eth1', '10.0.2.1/24');
  net.attach(r2, 's2', 'eth0', '10.0.2.2/24');
  net.attach(r2, 's3', 'eth1', '10.0.3.1/24');
  net.attach(b, 's3', 'eth0', '10.0.3.2/24');
  run('ip route add default via 10.0.1.1', a.kernel.root);
  run('ip route add 10.0.3.0/24 via 10.0.2.2', r1.kernel.root);
  run('ip route add 10.0.1.0/24 via 10.0.2.1', r2.kernel.root);
  run('ip route add default via 10.0.3.1', b.kernel.root);
  r1.kernel.root.ipForward = true;
  r2.kernel.root.ipForward = true;
  warmUp(net, a, ip('10.0.3.2'));
  return { net, a, r1, r2, b };
}

test('three hops, three probes each', (t) => {
  const { net, a } = chain();
  const trace = run('traceroute 10.0.3.2', a.kernel.root);
  net.advance(100);
  t.is(
    trace.text,
    `traceroute to 10.0.3.2 (10.0.3.2), 30 hops max, 60 byte packets
 1  10.0.1.1 (10.0.1.1)  0.100 ms  0.100 ms  0.100 ms
 2  10.0.2.2 (10.0.2.2)  0.200 ms  0.200 ms  0.200 ms
 3  10.0.3.2 (10.0.3.2)  0.300 ms  0.300 ms  0.300 ms
`,
  );
  t.is(trace.code, 0);
});

test('the probes are UDP from port 33434 on, 32 bytes of data', (t) => {
  const { net, a } = chain();
  const from = net.frames.length;
  run('traceroute -q 2 10.0.3.2', a.kernel.root);
  net.advance(100);
  const sent = net.frames
    .slice(from)
    .filter(({ segment, frame }) => segment === 's1' && frame[23] === 17)
    .map(({ frame }) => ({
      port: (frame[36]! << 8) | frame[37]!,
      ttl: frame[22],
      length: (frame[16]! << 8) | frame[17]!,
    }));
  t.deepEqual(sent.slice(0, 5), [
    { port: 33_434, ttl: 1, length: 60 },
    { port: 33_435, ttl: 1, length: 60 },
    { port: 33_436, ttl: 2, length: 60 },
    { port: 33_437, ttl: 2, length: 60 },
    { port: 33_438, ttl: 3, length: 60 },
  ]);
});

test('numeric, one probe, ICMP', (t) => {
  const { net, a } = chain();
  const trace = run('traceroute -n -I -q1 10.0.3.2', a.kernel.root);
  net.advance(100);
  t.is(
    trace.text,
    `traceroute to 10.0.3.2 (10.0.3.2), 30 hops max, 60 byte packets
 1  10.0.1.1  0.100 ms
 2  10.0.2.2  0.200 ms
 3  10.0.3.2  0.300 ms
`,
  );
});

test('a host on the wire, and the host itself', (t) => {
  const { net, a } = chain();
  const lines = (line: string) => {
    const trace = run(line, a.kernel.root);
    net.advance(100);
    return trace.text.split('\n').slice(1);
  };
  t.deepEqual(lines('traceroute -n 10.0.1.1'), [' 1  10.0.1.1  0.100 ms  0.100 ms  0.100 ms', '']);
  t.deepEqual(lines('traceroute -n 10.0.1.2'), [' 1  10.0.1.2  0.000 ms  0.000 ms  0.000 ms', '']);
  t.deepEqual(lines('traceroute -n 127.0.0.1'), [' 1  127.0.0.1  0.000 ms  0.000 ms  0.000 ms', '']);
});

test('a service that answers on a probed port is the destination too', (t) => {
  const { net, a, b } = chain();
  const echo = b.kernel.root.bindUdp({ addr: 0, port: 33_440 }, ({ src, srcPort, payload }) => {
    echo.sendTo(src, srcPort, payload.slice());
  });
  const trace = run('traceroute -n 10.0.3.2', a.kernel.root);
  net.advance(100);
  t.is(trace.text.split('\n')[3], ' 3  10.0.3.2  0.300 ms  0.300 ms  0.300 ms');
  t.is(trace.code, 0);
});

test('names stand before addresses', (t) => {
  const { net, a, r1 } = chain();
  serveNames(r1.kernel.root, { 'r2.lab': '10.0.2.2' });
  const files = filesOf({ '/etc/hosts': '10.0.3.2 web\n', '/etc/resolv.conf': 'nameserver 10.0.1.1\n' });
  const trace = run('traceroute -q 1 web', a.kernel.root, { files });
  net.advance(100);
  t.is(
    trace.text,
    `traceroute to web (10.0.3.2), 30 hops max, 60 byte packets
 1  10.0.1.1 (10.0.1.1)  0.100 ms
 2  r2.lab (10.0.2.2)  0.200 ms
 3  web (10.0.3.2)  0.300 ms
`,
  );
  t.is(trace.code, 0);
});

test('stars where nothing comes back, up to the last hop', (t) => {
  const { net, a, r2 } = chain();
  r2.kernel.root.ipForward = false;
  const trace = run('traceroute -n -m 4 -w 1 10.0.3.2', a.kernel.root);
  net.advance(30_000);
  t.is(
    trace.text,
    `traceroute to 10.0.3.2 (10.0.3.2), 4 hops max, 60 byte packets
 1  10.0.1.1  0.100 ms  0.100 ms  0.100 ms
 2  * * *
 3  * * *
 4  * * *
`,
  );
  t.is(trace.code, 0);
});

test('waiting is bounded by what other probes took', (t) => {
  const { net, a } = chain();
  let dropped = 0;
  // The second probe of the first hop is lost.
  net.passes = (frame) => !(frame[23] === 17 && frame[37] === (33_435 & 0xff) && ++dropped > 0);
  const trace = run('traceroute -n 10.0.3.2', a.kernel.root);
  // Three times (0.1 ms and 1 ms), not five seconds.
  net.advance(3.2);
  t.is(trace.code, null);
  net.advance(0.2);
  t.is(trace.code, 0);
  t.is(dropped, 1);
  t.is(trace.text.split('\n')[1], ' 1  10.0.1.1  0.100 ms *  0.100 ms');
});

test('… and where a hop is silent, by what later ones took', (t) => {
  const { net, a } = chain();
  const start = net.world.now;
  // Time exceeded from the first router is lost.
  net.passes = (frame) => !(frame[23] === 1 && frame[34] === 11 && frame[29] === 1);
  const trace = run('traceroute -n -q 1 10.0.3.2', a.kernel.root);
  while (trace.code === null && net.world.now < start + 6_000) net.advance(1);
  // Ten times (0.2 ms and 1 ms).
  t.is(Math.round(net.world.now - start), 12);
  t.is(trace.text.split('\n')[1], ' 1  *');
  t.is(trace.text.split('\n')[2], ' 2  10.0.2.2  0.200 ms');
});

test('errors are annotated, and end it', (t) => {
  const { net, a, r1, r2 } = chain();
  run('ip route add unreachable 10.7.0.0/16', r1.kernel.root);
  run('ip link set eth1 mtu 1400', r2.kernel.root);
  const last = (line: string) => {
    const trace = run(line, a.kernel.root);
    net.advance(30_000);
    t.is(trace.code, 0);
    return trace.text.split('\n').at(-2)?.slice(2);
  };
  t.is(last('traceroute -n 10.7.0.1'), '  10.0.1.1  0.100 ms !H  0.100 ms !H  0.100 ms !H');
  t.is(last('traceroute -n 99.1.1.1'), '  10.0.1.1  0.100 ms !N  0.100 ms !N  0.100 ms !N');
  t.is(
    last('traceroute -n -F 10.0.3.2 1500'),
    '  10.0.2.2  0.200 ms !F-1400  0.200 ms !F-1400  0.200 ms !F-1400',
  );
  t.is(
    last('traceroute -n -F 10.0.3.2 2000'),
    '  *  0.000 ms !F-1500 *  0.000 ms !F-1500 *  0.000 ms !F-1500',
  );
});

test('a neighbour that does not answer is the host’s own error', (t) => {
  const { net, a } = chain();
  const trace = run('traceroute -n -w 4 -m 2 10.0.1.77', a.kernel.root);
  net.advance(10_000);
  t.is(
    trace.text,
    `traceroute to 10.0.1.77 (10.0.1.77), 2 hops max, 60 byte packets
 1  10.0.1.2  3000.000 ms !H  3000.000 ms !H  3000.000 ms !H
`,
  );
});

test('starting at a later hop, with another port and length', (t) => {
  const { net, a } = chain();
  const trace = run('traceroute -n -f 2 -p 40000 10.0.3.2 200', a.kernel.root);
  net.advance(100);
  t.is(
    trace.text,
    `traceroute to 10.0.3.2 (10.0.3.2), 30 hops max, 200 byte packets
 2  10.0.2.2  0.200 ms  0.200 ms  0.200 ms
 3  10.0.3.2  0.300 ms  0.300 ms  0.300 ms
`,
  );
});

test('one probe at a time takes the sum of the times', (t) => {
  const { net, a } = chain();
  const trace = run('traceroute -n -N 1 10.0.3.2', a.kernel.root);
  const start = net.world.now;
  while (trace.code === null) net.advance(0.05);
  t.true(Math.abs(net.world.now - start - 3 * (0.1 + 0.2 + 0.3)) < 0.06);
});

test('no way out', (t) => {
  const { a } = chain();
  const { root } = a.kernel;
  const refused = (line: string, text: string, code: number) => {
    const trace = run(line, root);
    t.is(trace.text, text);
    t.is(trace.code, code);
  };
  const header = 'traceroute to 10.0.3.2 (10.0.3.2), 30 hops max, 60 byte packets\n';
  refused('traceroute -s 1.2.3.4 10.0.3.2', `${header}bind: Cannot assign requested address\n`, 1);
  refused('traceroute -i nope 10.0.3.2', `${header}setsockopt SO_BINDTODEVICE: No such device\n`, 1);
  run('ip route del default', root);
  refused('traceroute 10.0.3.2', `${header}connect: Network is unreachable\n`, 1);
  refused('traceroute -I 10.0.3.2', '\nconnect: Network is unreachable\n', 1);
  run('ip route add blackhole default', root);
  refused('traceroute 10.0.3.2', `${header}connect: Invalid argument\n`, 1);
});

test('interrupted', (t) => {
  const { net, a, r1 } = chain();
  run('ip route add blackhole 10.8.0.0/16', r1.kernel.root);
  const trace = run('traceroute -n 10.8.0.1', a.kernel.root);
  net.advance(6_000);
  trace.interrupt();
  t.is(trace.code, 130);
  net.advance(60_000);
});

const USAGE_ERRORS: readonly (readonly [line: string, message: string])[] = [
  [
    'traceroute foo..bar',
    'foo..bar: Name or service not known\nCannot handle "host" cmdline arg `foo..bar\' on position 1 (argc 1)\n',
  ],
  ['traceroute -n -m 0 10.0.2.2', 'first hop out of range\n'],
  ['traceroute -n -m 300 10.0.2.2', 'max hops cannot be more than 255\n'],
  ['traceroute -n -q 11 10.0.2.2', 'no more than 10 probes per hop\n'],
  ['traceroute -n -q 0 10.0.2.2', 'no more than 10 probes per hop\n'],
  ['traceroute -m x 10.0.2.2', "Cannot handle `-m' option with arg `x' (argc 2)\n"],
  ['traceroute -w x 10.0.2.2', "Cannot handle `-w' option with arg `x' (argc 2)\n"],
  ['traceroute -Z 10.0.2.2', "Bad option `-Z' (argc 1)\n"],
  ['traceroute --foo', "Bad option `--foo' (argc 1)\n"],
  ['traceroute -m', "Option `-m' (argc 1) requires an argument: `-m max_ttl'\n"],
  ['traceroute -n a b c', "Extra arg `c' (position 3, argc 4)\n"],
  [
    'traceroute -6 -n 10.0.2.2',
    '10.0.2.2: Address family for hostname not supported\nCannot handle "host" cmdline arg `10.0.2.2\' on position 1 (argc 3)\n',
  ],
  ['traceroute -T 10.0.2.2', 'traceroute: -T is not emulated\n'],
];

for (const [line, message] of USAGE_ERRORS) {
  test(`usage: ${line}`, (t) => {
    const { a } = chain();
    const trace = run(line, a.kernel.root);
    t.is(trace.streams.stderr, message);
    t.is(trace.streams.stdout, '');
    t.is(trace.code, 2);
  });
}

test('without arguments it prints its usage', (t) => {
  const { a } = chain();
  const trace = run('traceroute', a.kernel.root);
  t.true(trace.streams.stdout.startsWith('Usage:\n  traceroute [ '));
  t.is(trace.code, 0);
  t.true(
    run('traceroute -V', a.kernel.root).streams.stdout.startsWith(
      'Modern traceroute for Linux, version 2.1.2',
    ),
  );
});
