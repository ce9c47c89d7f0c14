import test from 'ava';
import { readReport, writeReport } from '../../../nodes/tools/iperf/datagram.ts';
import { startTool } from '../../../nodes/tools/start.ts';
import { type Host, Network } from '../../support/network.ts';

interface Run {
  readonly out: string[];
  readonly err: string[];
  code: number | null;
  interrupt(): void;
}

function start(host: Host, line: string): Run {
  const run: Run = { out: [], err: [], code: null, interrupt: () => tool.interrupt() };
  const tool = startTool(
    line.split(' '),
    { rt: host.rt, kernel: host.kernel, ns: host.kernel.root },
    {
      stdout: (text) => run.out.push(text),
      stderr: (text) => run.err.push(text),
      exit: (code) => {
        run.code = code;
      },
    },
  );
  return run;
}

function pair() {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  return { net, a, b };
}

test('UDP at a rate: what was asked for is sent, and the server says that it came', (t) => {
  const { net, a, b } = pair();
  const server = start(b, 'iperf -s -u');
  const client = start(a, 'iperf -c 10.0.0.2 -u -l 1000 -b 100pps -t 2');
  net.advance(3_000);
  t.is(client.code, 0);
  t.regex(client.out.join(''), /Sent 200 datagrams/);
  // 200 datagrams of 8000 bit in just under 2 s.
  t.regex(
    client.out.join(''),
    /Server Report:\n.*\n\[ {2}1\] 0\.0000-1\.9[89]\d\d sec {3}195 KBytes {3}80[34] Kbits\/sec .* 0\/200 \(0%\)/,
  );
  t.regex(server.out.join(''), / 0\/200 \(0%\)\n$/);
  server.interrupt();
  t.is(server.code, 130);
});

test('what is lost on the way is told', (t) => {
  const { net, a, b } = pair();
  start(b, 'iperf -s -u');
  let count = 0;
  start(a, 'ping -c 1 10.0.0.2');
  net.advance(2_000);
  net.passes = (frame) => frame.length < 1000 || ++count % 4 !== 0;
  const client = start(a, 'iperf -c 10.0.0.2 -u -l 1000 -n 100000 -b 1000pps');
  net.advance(2_000);
  t.regex(client.out.join(''), / 25\/100 \(25%\)\n/);
});

test('nobody answers: the last datagram goes out ten times', (t) => {
  const { net, a } = pair();
  const client = start(a, 'iperf -c 10.0.0.2 -u -t 1');
  net.advance(10_000);
  t.is(client.code, 0);
  t.regex(client.err.join(''), /did not receive ack of last datagram after 10 tries/);
});

test('TCP sends all it is told to, and both ends count the same', (t) => {
  const { net, a, b } = pair();
  const server = start(b, 'iperf -s');
  const client = start(a, 'iperf -c 10.0.0.2 -n 10m');
  net.advance(60_000);
  t.is(client.code, 0, client.err.join(''));
  t.regex(client.out.join(''), /10\.0 MBytes/);
  t.regex(server.out.join(''), /10\.0 MBytes/);
});

test('a port that nobody listens on, one that is taken, and bad usage', (t) => {
  const { net, a, b } = pair();
  const refused = start(a, 'iperf -c 10.0.0.2');
  net.advance(1_000);
  t.is(refused.code, 1);
  t.deepEqual(refused.err, ['connect failed: Connection refused\n']);
  start(b, 'iperf -s -u');
  t.deepEqual(start(b, 'iperf -s -u').err, ['bind failed: Address already in use\n']);
  for (const line of ['iperf', 'iperf -s -c 10.0.0.2', 'iperf -c 10.0.0.2 -b fast', 'iperf -s -q'])
    t.is(start(a, line).code, 1, line);
  t.is(start(a, 'iperf --help').code, 0);
  const nobody = start(a, 'iperf -c somewhere');
  net.advance(60_000);
  t.deepEqual([nobody.code, nobody.err.join('')], [1, 'somewhere: Host name lookup failure\n']);
});

/** Lines as iperf 2.1.8 has them with -V, recorded. */
test('over IPv6', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a', 'on'), net.host('b', 'on')];
  for (const [i, host] of [a, b].entries()) {
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    start(host, `ip addr add fd00::${i + 1}/64 dev eth0 nodad`);
  }
  net.advance(3_000);
  const both = start(b, 'iperf -s -V');
  const datagrams = start(b, 'iperf -s -V -u');
  for (const line of ['-c fd00::2', '-V -c fd00::2', '-c 10.0.0.2']) {
    const client = start(a, `iperf ${line} -n 1m`);
    net.advance(20_000);
    t.is(client.code, 0, client.err.join(''));
    const udp = start(a, `iperf ${line} -u -t 1`);
    net.advance(5_000);
    t.regex(udp.out.join(''), /Server Report:\n.*\n.* 0\/\d+ \(0%\)\n$/);
  }
  const lines = (run: Run, pattern: RegExp) =>
    run.out
      .join('')
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => line.replace(/(?<=\d port )(?!5001)\d+/g, 'P'));
  const six = '[  1] local fd00::2 port 5001 connected with fd00::1 port P';
  const four = '[  1] local ::ffff:10.0.0.2 port 5001 connected with ::ffff:10.0.0.1 port P';
  t.deepEqual(lines(both, /local/), [six, six, four]);
  t.deepEqual(lines(datagrams, /local/), [six, six, four]);
  t.deepEqual(start(a, 'iperf -V -c 10.0.0.2').err, [
    "ERROR: failed to find an ip address for host '10.0.0.2'\n",
  ]);
  const sized = start(a, 'iperf -V -c fd00::2 -u -t 1').out.join('');
  t.regex(sized, /^Sending 1450 byte datagrams, IPG target: 11062\.62 us/m);
});

/** 1 MiB, which is the send buffer, is an odd number of segments over IPv6, and an even one over IPv4. */
test('TCP never pauses for an acknowledgment that is delayed, over either family', (t) => {
  for (const to of ['10.0.0.2', 'fd00::2']) {
    const net = new Network();
    const [a, b] = [net.host('a', 'on'), net.host('b', 'on')];
    for (const [i, host] of [a, b].entries()) {
      net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
      start(host, `ip addr add fd00::${i + 1}/64 dev eth0 nodad`);
    }
    net.advance(3_000);
    start(b, 'iperf -s -V');
    const sentAt: number[] = [];
    net.passes = (frame) => {
      if (frame.length > 1_000) sentAt.push(a.rt.now);
      return true;
    };
    const client = start(a, `iperf -c ${to} -n 4M`);
    net.advance(3_000);
    t.is(client.code, 0);
    t.is(sentAt.length, to === '10.0.0.2' ? 2_873 : 2_913);
    const pauses = sentAt.slice(1).map((at, i) => at - sentAt[i]!);
    t.true(Math.max(...pauses) < 1, `${Math.max(...pauses)} ms`);
  }
});

test('a report is read as it was written, and nothing short is one', (t) => {
  const report = {
    bytes: 2 ** 33 + 5,
    took: 2_500.25,
    lost: 7,
    outOfOrder: 2,
    datagrams: 1_000,
    jitter: 0.125,
  };
  const buf = new Uint8Array(56);
  writeReport(buf, report);
  t.deepEqual(readReport(buf), report);
  t.is(readReport(buf.subarray(0, 55)), null);
  t.is(readReport(new Uint8Array(100)), null);
});
