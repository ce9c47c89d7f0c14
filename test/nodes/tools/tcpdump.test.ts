import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { PacketText } from '../../../nodes/tools/tcpdump/packet-text.ts';
import { LINKTYPE_ETHERNET } from '../../../protocols/pcapng.ts';
import { needing } from '../../support/needs.ts';
import { saveCapture } from '../../support/save-capture.ts';
import { filesOf, serveNames } from './support/names.ts';
import { run } from './support/run.ts';
import { fixedServers } from './support/servers.ts';
import { routed } from './support/topology.ts';

function lab() {
  const { net, a, r, b } = routed();
  fixedServers(b.kernel.root, '10.0.2.2');
  serveNames(r.kernel.root, { 'web.mynet': '10.0.2.2' });
  const files = filesOf({ '/etc/resolv.conf': 'nameserver 10.0.1.1\n' });
  const start = (line: string | readonly string[]) => run(line, a.kernel.root, { files });
  return { net, a, r, b, start };
}

const NUMERIC = { verbose: false, quiet: false, numbers: 'relative' } as const;

test('a ping, as recorded from tcpdump 4.99', (t) => {
  const { net, start } = lab();
  net.latency = 0.0125;
  const dump = start('tcpdump -n -i eth0 -c 4');
  start('ping -c 2 10.0.1.1');
  net.advance(2_000);
  t.regex(
    dump.streams.stdout,
    /^00:00:00\.000000 ARP, Request who-has 10\.0\.1\.1 tell 10\.0\.1\.2, length 28\n00:00:00\.000025 ARP, Reply 10\.0\.1\.1 is-at 52:54:00:00:01:00, length 28\n00:00:00\.000025 IP 10\.0\.1\.2 > 10\.0\.1\.1: ICMP echo request, id \d+, seq 1, length 64\n00:00:00\.000050 IP 10\.0\.1\.1 > 10\.0\.1\.2: ICMP echo reply, id \d+, seq 1, length 64\n$/,
  );
  t.is(
    dump.streams.stderr,
    `tcpdump: verbose output suppressed, use -v[v]... for full protocol decode
listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes
4 packets captured
4 packets received by filter
0 packets dropped by kernel
`,
  );
  t.is(dump.code, 0);
});

test('a filter, an interrupt, one packet', (t) => {
  const { net, start } = lab();
  const dump = start('tcpdump -t -i eth0 udp port 53');
  start('getent hosts web.mynet');
  net.advance(1_000);
  dump.interrupt();
  t.regex(
    dump.streams.stdout,
    /^IP 10\.0\.1\.2\.\d+ > 10\.0\.1\.1\.53: \d+\+ AAAA\? web\.mynet\. \(27\)\nIP 10\.0\.1\.1\.53 > 10\.0\.1\.2\.\d+: \d+\* 0\/0\/0 \(27\)\nIP 10\.0\.1\.2\.\d+ > 10\.0\.1\.1\.53: \d+\+ A\? web\.mynet\. \(27\)\nIP 10\.0\.1\.1\.53 > 10\.0\.1\.2\.\d+: \d+\* 1\/0\/0 A 10\.0\.2\.2 \(43\)\n\n$/,
  );
  t.regex(dump.streams.stderr, /4 packets captured\n4 packets received by filter\n/);
  const one = start('tcpdump -e -t -c 1 icmp');
  start('ping -c 1 10.0.1.1');
  net.advance(100);
  t.regex(
    one.streams.stdout,
    /^52:54:00:00:00:00 > 52:54:00:00:01:00, ethertype IPv4 \(0x0800\), length 98: 10\.0\.1\.2 > 10\.0\.1\.1: ICMP echo request, id \d+, seq 1, length 64\n$/,
  );
  t.regex(one.streams.stderr, /1 packet captured\n1 packet received by filter\n/);
});

test('all devices, and one direction', (t) => {
  const { net, start } = lab();
  const any = start('tcpdump -t -i any -c 2 icmp');
  const incoming = start('tcpdump -t -Q in icmp');
  start('ping -c 1 10.0.1.1');
  net.advance(100);
  t.regex(
    any.streams.stdout,
    /^eth0 {2}Out IP 10\.0\.1\.2 > [^\n]*\neth0 {2}In {2}IP 10\.0\.1\.1 > [^\n]*\n$/,
  );
  t.regex(incoming.streams.stdout, /^IP 10\.0\.1\.1 > 10\.0\.1\.2: ICMP echo reply[^\n]*\n$/);
});

test('what cannot be is said', (t) => {
  const { start } = lab();
  const said = (line: string) => [start(line).streams.stderr, start(line).code];
  t.deepEqual(said('tcpdump -i nope'), [
    'tcpdump: nope: No such device exists\n(No such device exists)\n',
    1,
  ]);
  t.deepEqual(said('tcpdump -w x.pcap'), ['tcpdump: -w is not emulated: use reroute capture -w FILE\n', 1]);
  t.regex(String(said('tcpdump foo bar')[0]), /^tcpdump: can't parse filter expression: /);
  t.deepEqual(said('tcpdump -c 0'), ['tcpdump: invalid packet count 0\n', 1]);
  t.regex(start('tcpdump -D').streams.stdout, /^1\.lo \[Up, Running, Loopback\]\n2\.eth0 \[Up, Running\]\n$/);
});

test('any bytes are printed', (t) => {
  const text = new PacketText({ ...NUMERIC, verbose: true });
  const types = fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x8100, 0x1234);
  const protocols = fc.constantFrom(1, 4, 6, 17, 47, 58, 0);
  fc.assert(
    fc.property(types, protocols, fc.uint8Array({ maxLength: 120 }), (type, protocol, bytes) => {
      const frame = new Uint8Array(14 + bytes.length);
      frame.set([type >>> 8, type & 0xff], 12);
      frame.set(bytes, 14);
      if (frame.length > 34) {
        frame[14] = type === 0x86dd ? 0x60 : 0x45;
        frame[type === 0x86dd ? 20 : 23] = protocol;
        if (type === 0x0800) frame.set([0, bytes.length], 16);
      }
      t.is(typeof text.frame(frame, frame.length, 'shown'), 'string');
    }),
    { numRuns: 5000 },
  );
});

/** Traffic of many kinds, as it passed one wire. */
function traffic(): Uint8Array[] {
  const { net, r, start } = lab();
  const lines = [
    'ping -c 2 10.0.2.2',
    'ping -c 1 -t 1 10.0.2.2',
    'ping -c 1 -W 1 10.0.2.9',
    'curl -s http://10.0.2.2/x',
    'curl -s http://10.0.2.2:83/',
    'curl -s http://10.0.2.2:89/',
    'getent hosts web.mynet',
    'getent hosts nosuch.mynet',
    'getent hosts 10.0.2.2',
    'dig +short web.mynet',
    'nc -zvu 10.0.2.2 9999',
  ];
  for (const line of lines) {
    start(line);
    net.advance(5_000);
  }
  run('ip route add unreachable 10.9.0.0/16', r.kernel.root);
  start('ping -c 1 10.9.0.1');
  start('traceroute -n -q 1 10.0.2.2');
  net.advance(5_000);
  return net.frames.filter(({ segment }) => segment === 'left').map(({ frame }) => frame);
}

const PROGRAM = 'tcpdump';
const testWithTcpdump = needing(PROGRAM, 'tcpdump');

for (const [name, flags, options] of [
  ['plain', [], NUMERIC],
  ['-v', ['-v'], { ...NUMERIC, verbose: true }],
  ['-q', ['-q'], { ...NUMERIC, quiet: true }],
  ['-S', ['-S'], { ...NUMERIC, numbers: 'absolute' }],
] as const) {
  testWithTcpdump(`tcpdump itself prints the same lines: ${name}`, (t) => {
    // With -v, what is inside of TCP and DNS is told at length by the real one alone.
    const told = (frame: Uint8Array) => name !== '-v' || frame[13] === 6 || frame[23] === 1;
    const frames = traffic().filter(told);
    const file = saveCapture(t, frames, LINKTYPE_ETHERNET);
    const real = execFileSync(PROGRAM, ['-n', '-t', ...flags, '-r', file], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const text = new PacketText(options);
    t.true(frames.length > 30);
    t.deepEqual(
      frames
        .map((frame) => text.frame(frame, frame.length, 'hidden'))
        .join('\n')
        .split('\n'),
      real.trimEnd().split('\n'),
    );
  });
}
