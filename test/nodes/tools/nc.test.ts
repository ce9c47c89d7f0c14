import test from 'ava';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';
import { fixedServers } from './support/servers.ts';
import { routed } from './support/topology.ts';

function lab() {
  const { net, a, r, b } = routed();
  fixedServers(b.kernel.root, '10.0.2.2');
  const files = filesOf({ '/etc/hosts': '10.0.2.2 tomcat\n10.0.1.2 client\n' });
  const at = (host: typeof a, line: string, stdin = '') => run(line, host.kernel.root, { files, stdin });
  const nc = (line: string, ms = 100, stdin = '') => {
    const started = at(a, `nc ${line}`, stdin);
    net.advance(ms);
    return started;
  };
  return { net, a, r, b, nc, at };
}

/** Recorded from Debian's netcat-openbsd 1.219. */
const RECORDED: readonly (readonly [line: string, ms: number, code: number, stderr: string])[] = [
  ['-z -v 10.0.2.2 80', 100, 0, 'Connection to 10.0.2.2 80 port [tcp/http] succeeded!\n'],
  ['-zv tomcat 80', 100, 0, 'Connection to tomcat (10.0.2.2) 80 port [tcp/http] succeeded!\n'],
  ['-nzv 10.0.2.2 80', 100, 0, 'Connection to 10.0.2.2 80 port [tcp/*] succeeded!\n'],
  ['-zv 10.0.2.2 http', 100, 0, 'Connection to 10.0.2.2 80 port [tcp/http] succeeded!\n'],
  ['-zv 10.0.2.2 79', 100, 1, 'nc: connect to 10.0.2.2 port 79 (tcp) failed: Connection refused\n'],
  ['-zv tomcat 79', 100, 1, 'nc: connect to tomcat (10.0.2.2) port 79 (tcp) failed: Connection refused\n'],
  ['-z 10.0.2.2 79', 100, 1, ''],
  [
    '-zv 10.0.2.2 79-81',
    100,
    0,
    'nc: connect to 10.0.2.2 port 79 (tcp) failed: Connection refused\nConnection to 10.0.2.2 80 port [tcp/http] succeeded!\nConnection to 10.0.2.2 81 port [tcp/*] succeeded!\n',
  ],
  [
    '-zv -w 1 10.0.1.77 80',
    1_100,
    1,
    'nc: connect to 10.0.1.77 port 80 (tcp) timed out: Operation now in progress\n',
  ],
  ['-zv 10.0.1.77 80', 3_500, 1, 'nc: connect to 10.0.1.77 port 80 (tcp) failed: No route to host\n'],
  [
    '-zv nosuch 80',
    100,
    1,
    'nc: getaddrinfo for host "nosuch" port 80: Temporary failure in name resolution\n',
  ],
  ['-nzv tomcat 80', 100, 1, 'nc: getaddrinfo for host "tomcat" port 80: Name or service not known\n'],
  ['-zvu 10.0.2.2 53', 4_000, 1, ''],
  ['10.0.2.2', 0, 1, 'nc: missing port number\n'],
  ['-l', 0, 1, 'nc: missing port number\n'],
  ['10.0.2.2 99999', 0, 1, 'nc: port number too large: 99999\n'],
  ['10.0.2.2 http2x', 0, 1, 'nc: port number invalid: http2x\n'],
  ['-w x 10.0.2.2 80', 0, 1, 'nc: timeout invalid: x\n'],
  ['-U x', 0, 1, 'nc: -U is not emulated\n'],
];

for (const [line, ms, code, stderr] of RECORDED) {
  test(`nc ${line}: exit ${code}`, (t) => {
    const { nc } = lab();
    const got = nc(line, ms);
    t.is(got.streams.stderr, stderr);
    t.is(got.code, code);
  });
}

test('usage', (t) => {
  const { nc } = lab();
  t.true(nc('').streams.stderr.startsWith('usage: nc [-46CDdFhklNnrStUuvZz] '));
  t.is(nc('-k 10.0.2.2 80').streams.stderr, 'nc: must use -l with -k\n');
});

test('what comes from the input goes out, what comes back is printed', (t) => {
  const { nc } = lab();
  const got = nc('-v 10.0.2.2 80', 1_000, 'GET / HTTP/1.0\r\n\r\n');
  t.true(got.streams.stdout.endsWith('\r\n\r\nhello\n'));
  t.is(got.code, 0);
});

test('-w ends a silent connection, -q one whose input has ended', (t) => {
  const { net, nc } = lab();
  const silent = nc('-w 5 10.0.2.2 84', 4_900, 'x');
  t.is(silent.code, null);
  net.advance(200);
  t.is(silent.code, 0);
  const quit = nc('-q 1 10.0.2.2 84', 900, 'x');
  t.is(quit.code, null);
  net.advance(200);
  t.is(quit.code, 0);
  const open = nc('10.0.2.2 84', 100_000);
  t.is(open.code, null);
  open.interrupt();
  t.is(open.code, 130);
});

test('one end listens, the other sends', (t) => {
  const { net, b, nc, at } = lab();
  const listening = at(b, 'nc -l -v 7000', 'welcome\n');
  t.is(listening.text, 'Listening on 0.0.0.0 7000\n');
  const sending = nc('-N 10.0.2.2 7000', 200, 'hi\n');
  t.regex(listening.text, /^Listening on 0\.0\.0\.0 7000\nConnection received on client \d+\nhi\n$/);
  t.is(sending.streams.stdout, 'welcome\n');
  net.advance(1_000);
  t.deepEqual([listening.code, sending.code], [0, 0]);
  t.is(nc('-zv 10.0.2.2 7000').code, 1);
});

test('-k takes one connection after the other', (t) => {
  const { net, b, nc, at } = lab();
  const listening = at(b, 'nc -lkn -p 7003');
  for (const text of ['one\n', 'two\n']) nc('-N 10.0.2.2 7003', 200, text);
  t.is(listening.text, 'one\ntwo\n');
  t.is(listening.code, null);
  const taken = at(b, 'nc -l 7003');
  t.deepEqual([taken.text, taken.code], ['nc: Address already in use\n', 1]);
  listening.interrupt();
  net.advance(100);
  t.is(nc('-z 10.0.2.2 7003').code, 1);
});

test('UDP', (t) => {
  const { net, b, nc, at } = lab();
  const listening = at(b, 'nc -luv 7006', 'pong\n');
  const sending = nc('-u -w 1 10.0.2.2 7006', 100, 'ping\n');
  t.regex(listening.text, /^Bound on 0\.0\.0\.0 7006\nConnection received on client \d+\nping\n$/);
  t.is(sending.streams.stdout, 'pong\n');
  net.advance(1_000);
  t.is(sending.code, 0);
  listening.interrupt();
  const open = at(b, 'nc -lu 53');
  const probe = nc('-zvu 10.0.2.2 53', 2_900);
  t.is(probe.text, '');
  net.advance(200);
  t.is(probe.text, 'Connection to 10.0.2.2 53 port [udp/domain] succeeded!\n');
  t.is(open.streams.stdout, 'XXXX');
});

test('from an address and a port', (t) => {
  const { net, b, nc } = lab();
  let from = 0;
  b.kernel.root.listenTcp({ addr: 0, port: 9000 }, (socket) => {
    from = socket.remote.port;
    socket.close();
  });
  nc('-s 10.0.1.2 -p 5555 10.0.2.2 9000', 1_000);
  t.is(from, 5555);
  t.is(nc('-s 1.2.3.4 10.0.2.2 9000').streams.stderr, 'nc: bind failed: Cannot assign requested address\n');
  net.advance(1);
});
