import test from 'ava';
import { startWorkload } from '../../../nodes/daemons/workload/start.ts';
import { parseUrl, redirected } from '../../../nodes/tools/http/url.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { filesOf, serveNames } from './support/names.ts';
import { run } from './support/run.ts';
import { fixedServers } from './support/servers.ts';
import { routed, warmUp } from './support/topology.ts';

function lab() {
  const { net, a, r, b } = routed();
  net.latency = 0.01;
  fixedServers(b.kernel.root, '10.0.2.2');
  warmUp(net, a, parseIp4('10.0.2.2') ?? 0);
  const files = filesOf({ '/etc/hosts': '10.0.2.2 web\n', '/etc/resolv.conf': 'nameserver 10.0.1.1\n' });
  const curl = (line: string | readonly string[], ms = 1_000) => {
    const words = typeof line === 'string' ? line.split(' ') : line;
    const started = run(['curl', ...words], a.kernel.root, { files });
    net.advance(ms);
    return started;
  };
  return { net, a, r, b, curl };
}

const IN_ORDER = `*   Trying 10.0.2.2:80...
* Connected to 10.0.2.2 (10.0.2.2) port 80 (#0)
> GET /x HTTP/1.1
> Host: 10.0.2.2
> User-Agent: curl/7.88.1
> Accept: */*
> 
< HTTP/1.1 200 OK
< Server: nginx
< Date: Thu, 01 Jan 1970 00:00:00 GMT
< Content-Type: text/plain
< Content-Length: 6
< Connection: keep-alive
< 
hello
* Connection #0 to host 10.0.2.2 left intact
`;

test('a page, and -v as curl 7.88 shows it on a terminal', (t) => {
  const { curl } = lab();
  const plain = curl('http://10.0.2.2/');
  t.deepEqual([plain.text, plain.code], ['hello\n', 0]);
  t.is(curl('10.0.2.2').text, 'hello\n');
  t.is(curl('-s 10.0.2.2:88').text, 'hello\n');
  t.is(curl('-v http://10.0.2.2/x').text, IN_ORDER);
  const hidden = curl('-sv -o /dev/null http://10.0.2.2/x');
  t.is(hidden.text, IN_ORDER.replace('hello\n', '{ [6 bytes data]\n'));
});

test('-i and -I', (t) => {
  const { curl } = lab();
  const head =
    'HTTP/1.1 200 OK\nServer: nginx\nDate: Thu, 01 Jan 1970 00:00:00 GMT\nContent-Type: text/plain\nContent-Length: 6\nConnection: keep-alive\n\n';
  t.is(curl('-i http://10.0.2.2/x').streams.stdout, `${head}hello\n`);
  t.is(curl('-I http://10.0.2.2/x').streams.stdout, head);
  t.regex(curl('-Iv http://10.0.2.2/x').streams.stderr, /^> HEAD \/x HTTP\/1\.1$/m);
});

/** Recorded from curl 7.88.1. */
const FAILURES: readonly (readonly [line: string, ms: number, code: number, stderr: string])[] = [
  [
    '-sS http://10.0.2.2:89/',
    100,
    7,
    "curl: (7) Failed to connect to 10.0.2.2 port 89 after 0 ms: Couldn't connect to server\n",
  ],
  ['-sS http://10.0.2.2:81/', 100, 52, 'curl: (52) Empty reply from server\n'],
  ['-sS http://10.0.2.2:82/', 100, 18, 'curl: (18) transfer closed with 54 bytes remaining to read\n'],
  ['-sS http://10.0.2.2:83/', 100, 56, 'curl: (56) Recv failure: Connection reset by peer\n'],
  [
    '-sS -m 1 http://10.0.2.2:84/',
    1_100,
    28,
    'curl: (28) Operation timed out after 1001 milliseconds with 0 bytes received\n',
  ],
  ['-sS http://10.0.2.2:86/', 100, 1, 'curl: (1) Received HTTP/0.9 when not allowed\n'],
  ['-sS -f http://10.0.2.2:87/', 100, 22, 'curl: (22) The requested URL returned error: 404\n'],
  ['-s http://10.0.2.2:89/', 100, 7, ''],
  [
    '-sS --connect-timeout 1 http://10.0.1.77/',
    1_100,
    28,
    'curl: (28) Failed to connect to 10.0.1.77 port 80 after 1001 ms: Timeout was reached\n',
  ],
  [
    '-s -v -m 2 http://10.0.1.77/',
    2_100,
    28,
    '*   Trying 10.0.1.77:80...\n* Connection timed out after 2001 milliseconds\n* Closing connection 0\n',
  ],
  [
    '-s -v http://10.0.1.77/',
    5_000,
    7,
    "*   Trying 10.0.1.77:80...\n* connect to 10.0.1.77 port 80 failed: No route to host\n* Failed to connect to 10.0.1.77 port 80 after 3000 ms: Couldn't connect to server\n* Closing connection 0\n",
  ],
  [
    '-v http://10.0.2.2:89/',
    100,
    7,
    "*   Trying 10.0.2.2:89...\n* connect to 10.0.2.2 port 89 failed: Connection refused\n* Failed to connect to 10.0.2.2 port 89 after 0 ms: Couldn't connect to server\n* Closing connection 0\ncurl: (7) Failed to connect to 10.0.2.2 port 89 after 0 ms: Couldn't connect to server\n",
  ],
  ['-sS -k https://10.0.2.2/', 100, 1, 'curl: (1) Protocol "https" not supported or disabled in libcurl\n'],
  [
    '-sS http://[::/',
    100,
    3,
    'curl: (3) bad range specification in URL position 9:\nhttp://[::/\n        ^\n',
  ],
  ['-gsS http://[::/', 100, 3, 'curl: (3) URL using bad/illegal format or missing URL\n'],
  ['-sS --interface nope http://10.0.2.2/', 100, 45, "curl: (45) Couldn't bind to 'nope'\n"],
  [
    '-sS --interface 1.2.3.4 http://10.0.2.2/',
    100,
    45,
    'curl: (45) bind failed with errno 99: Cannot assign requested address\n',
  ],
  [
    '--foo',
    0,
    2,
    "curl: option --foo: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
  ],
  [
    '-m',
    0,
    2,
    "curl: option -m: requires parameter\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
  ],
  [
    '-m x http://10.0.2.2/',
    0,
    2,
    "curl: option -m: expected a proper numerical parameter\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
  ],
  ['-s', 0, 2, "curl: no URL specified!\ncurl: try 'curl --help' or 'curl --manual' for more information\n"],
  [
    '-O http://10.0.2.2/',
    0,
    2,
    "curl: option -O: is not emulated\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
  ],
];

for (const [line, ms, code, stderr] of FAILURES) {
  test(`curl ${line}: exit ${code}`, (t) => {
    const { curl } = lab();
    const got = curl(line, ms);
    t.is(got.streams.stderr, stderr);
    t.is(got.code, code);
  });
}

test('no route at all', (t) => {
  const { a, curl } = lab();
  run('ip route del default', a.kernel.root);
  t.regex(
    curl('-sv http://10.0.9.9/').streams.stderr,
    /^\* Immediate connect fail for 10\.0\.9\.9: Network is unreachable$/m,
  );
});

test('a SYN that nobody answers is given up after six more', (t) => {
  const { net, a, curl } = lab();
  net.passes = (frame) => frame[47] !== 0x02;
  const got = curl('-sS http://10.0.2.2/', 126_900);
  t.is(got.code, null);
  net.advance(200);
  t.is(
    got.streams.stderr,
    "curl: (28) Failed to connect to 10.0.2.2 port 80 after 127000 ms: Couldn't connect to server\n",
  );
  t.is(a.kernel.root.tcp.list().length, 0);
});

test('-w', (t) => {
  const { curl } = lab();
  const format =
    '%{http_code} %{remote_ip} %{remote_port} %{local_ip} %{size_download} %{num_connects} %{url_effective} %{content_type} %{exitcode} %{errormsg} %{method} %{scheme} %{http_version} %{num_redirects} %{redirect_url} %{time_total} 100%%\\n';
  const got = curl(['-s', '-o', '/dev/null', '-w', format, 'http://10.0.2.2']);
  t.regex(
    got.streams.stdout,
    /^200 10\.0\.2\.2 80 10\.0\.1\.2 6 1 http:\/\/10\.0\.2\.2\/ text\/plain 0 {2}GET HTTP 1\.1 0 {2}0\.000\d{3} 100%\n$/,
  );
  t.is(got.streams.stderr, '');
  t.is(curl(['-s', '-w', '%{http_code}', '10.0.2.2:89']).streams.stdout, '000');
  t.is(
    curl(['-s', '-w', '%{foo}', '10.0.2.2']).streams.stderr,
    "curl: unknown --write-out variable: 'foo'\n",
  );
});

test('requests as they are asked for', (t) => {
  const { b, curl } = lab();
  startWorkload(b.kernel.root, { name: 'w', uid: 'u', hostname: 'h', image: 'tomcat', expose: [] });
  const seen = (...words: string[]) => {
    const { request } = JSON.parse(curl(['-s', ...words, 'http://10.0.2.2:8080/json']).streams.stdout);
    return { method: request.method, headers: request.headers };
  };
  t.deepEqual(seen('-d', 'a=b', '-d', 'c=d'), {
    method: 'POST',
    headers: {
      Host: '10.0.2.2:8080',
      'User-Agent': 'curl/7.88.1',
      Accept: '*/*',
      'Content-Length': '7',
      'Content-Type': 'application/x-www-form-urlencoded',
    },
  });
  t.deepEqual(seen('-X', 'DELETE', '-H', 'X-A: b', '-H', 'Host: foo', '-H', 'User-Agent:', '-H', 'X-E;'), {
    method: 'DELETE',
    headers: { Host: 'foo', Accept: '*/*', 'X-A': 'b', 'X-E': '' },
  });
  t.is(seen('-u', 'a:b').headers.Authorization, 'Basic YTpi');
  t.is(seen('-A', 'me', '-e', 'there').headers.Referer, 'there');
  t.is(seen('--json', '{}').headers['Content-Type'], 'application/json');
  t.is(curl(['-s', '-d', 'hellö', 'http://10.0.2.2:8080/echo']).streams.stdout, 'hellö');
  t.is(
    curl(['-s', '-G', '-d', 'x=1', 'http://10.0.2.2:8080/']).streams.stdout.match(/^GET .*$/m)?.[0],
    'GET /?x=1 HTTP/1.1',
  );
});

test('redirections, with -L alone', (t) => {
  const { curl } = lab();
  t.is(curl('-s http://10.0.2.2:85/').text, 'no\n');
  t.is(curl(['-s', '-w', '%{redirect_url}', 'http://10.0.2.2:85/']).text, 'no\nhttp://10.0.2.2:80/x');
  const followed = curl('-v -L http://10.0.2.2:85/');
  t.is(followed.streams.stdout, 'hello\n');
  t.regex(
    followed.streams.stderr,
    /\* Ignoring the response-body\n\* Connection #0 to host 10\.0\.2\.2 left intact\n\* Issue another request to this URL: 'http:\/\/10\.0\.2\.2:80\/x'\n\* {3}Trying 10\.0\.2\.2:80\.\.\.\n\* Connected to 10\.0\.2\.2 \(10\.0\.2\.2\) port 80 \(#1\)\n/,
  );
  t.deepEqual(
    [curl('-sS -L --max-redirs 0 http://10.0.2.2:85/').streams.stderr],
    ['curl: (47) Maximum (0) redirects followed\n'],
  );
});

test('names: hosts file, DNS, --resolve', (t) => {
  const { r, curl } = lab();
  const dns = serveNames(r.kernel.root, { 'tomcat.mynet': '10.0.2.2' });
  t.is(curl('-s http://web/').text, 'hello\n');
  t.is(curl('-s http://tomcat.mynet/').text, 'hello\n');
  const unknown = curl('-v http://nosuch/');
  t.is(
    unknown.streams.stderr,
    '* Could not resolve host: nosuch\n* Closing connection 0\ncurl: (6) Could not resolve host: nosuch\n',
  );
  t.is(unknown.code, 6);
  t.true(
    curl('-sv --resolve foo:80:10.0.2.2 http://foo/').streams.stderr.startsWith(
      '* Added foo:80:10.0.2.2 to DNS cache\n* Hostname foo was found in DNS cache\n*   Trying 10.0.2.2:80...\n* Connected to foo (10.0.2.2) port 80 (#0)\n> GET / HTTP/1.1\n> Host: foo\n',
    ),
  );
  dns.close();
  r.kernel.root.bindUdp({ addr: 0, port: 53 }, () => {});
  t.is(
    curl('-sS -m 2 http://other/', 2_100).streams.stderr,
    'curl: (28) Resolving timed out after 2001 milliseconds\n',
  );
});

test('--retry waits longer each time', (t) => {
  const { net, curl } = lab();
  const got = curl('--retry 2 --retry-connrefused http://10.0.2.2:89/', 2_900);
  t.is(got.code, null);
  net.advance(200);
  const failed = "curl: (7) Failed to connect to 10.0.2.2 port 89 after 0 ms: Couldn't connect to server\n";
  t.is(
    got.streams.stderr,
    `${failed}Warning: Problem : connection refused. Will retry in 1 seconds. 2 retries \nWarning: left.\n${failed}Warning: Problem : connection refused. Will retry in 2 seconds. 1 retries \nWarning: left.\n${failed}`,
  );
  t.is(got.code, 7);
});

test('several URLs, one after the other; interrupted', (t) => {
  const { net, curl } = lab();
  t.is(curl('-s http://10.0.2.2/ http://10.0.2.2:88/').text, 'hello\nhello\n');
  const silent = curl('-s http://10.0.2.2:84/', 10_000);
  t.is(silent.code, null);
  silent.interrupt();
  t.is(silent.code, 130);
  net.advance(1_000);
});

test('a long download over a wire that loses frames', (t) => {
  const { net, b, curl } = lab();
  startWorkload(b.kernel.root, { name: 'w', uid: 'u', hostname: 'h', image: 'tomcat', expose: [] });
  let count = 0;
  net.passes = () => Math.imul(++count, 0x9e3779b1) >>> 28 !== 0;
  const got = curl('-s http://10.0.2.2:8080/bytes/100000', 60_000);
  t.is(got.streams.stdout.length, 100_000);
  t.is(got.code, 0);
});

test('URLs', (t) => {
  t.deepEqual(parseUrl('HTTP://u:p@Host:81/a?b#c'), {
    authority: 'Host:81',
    zone: '',
    scheme: 'http',
    user: 'u:p',
    host: 'Host',
    port: 81,
    target: '/a?b',
  });
  t.is(parseUrl('web?x')?.target, '/?x');
  for (const bad of ['', 'http://', 'http://a:99999/', 'http://a b/', 'http://a/ b'])
    t.is(parseUrl(bad), null, bad);
  const from = parseUrl('http://a:81/x/y?z')!;
  t.is(redirected(from, 'w'), 'http://a:81/x/w');
  t.is(redirected(from, '/w'), 'http://a:81/w');
  t.is(redirected(from, '//b/w'), 'http://b/w');
});
