import test from 'ava';
import { startWorkload } from '../../../nodes/daemons/workload/start.ts';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';
import { fixedServers } from './support/servers.ts';
import { routed } from './support/topology.ts';

function lab() {
  const { net, a, b } = routed();
  fixedServers(b.kernel.root, '10.0.2.2');
  const files = filesOf({ '/etc/hosts': '10.0.2.2 web\n' });
  const wget = (words: string | readonly string[], ms = 1_000) => {
    const list = typeof words === 'string' ? words.split(' ') : words;
    const started = run(['wget', ...list], a.kernel.root, { files });
    net.advance(ms);
    return started;
  };
  return { net, b, wget };
}

/** Recorded from BusyBox 1.35. */
const RECORDED: readonly (readonly [
  line: string,
  ms: number,
  stdout: string,
  stderr: string,
  code: number,
])[] = [
  ['-qO- http://web/', 100, 'hello\n', '', 0],
  ['-q -O - 10.0.2.2:88', 100, 'hello\n', '', 0],
  [
    '-O - http://10.0.2.2:88/',
    100,
    'hello\n',
    'Connecting to 10.0.2.2:88 (10.0.2.2:88)\nwriting to stdout\n-                    100% |********************************|     6  0:00:00 ETA\nwritten to stdout\n',
    0,
  ],
  [
    'http://web/x -O /dev/null',
    100,
    '',
    "Connecting to web (10.0.2.2:80)\nsaving to '/dev/null'\nnull                 100% |********************************|     6  0:00:00 ETA\n'/dev/null' saved\n",
    0,
  ],
  ['-S -qO- http://10.0.2.2:88/', 100, 'hello\n', '  HTTP/1.1 200 OK\n  Transfer-Encoding: chunked\n  \n', 0],
  ['--spider http://web/', 100, '', 'Connecting to web (10.0.2.2:80)\nremote file exists\n', 0],
  ['-qO- http://10.0.2.2:81/', 100, '', 'wget: error getting response\n', 1],
  ['-qO- http://10.0.2.2:82/', 100, 'hello\n', 'wget: connection closed prematurely\n', 1],
  ['-qO- http://10.0.2.2:83/', 100, '', 'wget: error getting response: Connection reset by peer\n', 1],
  ['-T 1 -qO- http://10.0.2.2:84/', 1_100, '', 'wget: download timed out\n', 1],
  ['-qO- http://10.0.2.2:85/', 100, 'hello\n', '', 0],
  ['-qO- http://10.0.2.2:86/', 100, '', 'wget: error getting response\n', 1],
  ['-qO- http://10.0.2.2:87/', 100, '', 'wget: server returned error: HTTP/1.1 404 Not Found\n', 1],
  [
    '-qO- http://10.0.2.2:89/',
    100,
    '',
    "wget: can't connect to remote host (10.0.2.2): Connection refused\n",
    1,
  ],
  ['-qO- http://nosuch/', 100, '', "wget: bad address 'nosuch'\n", 1],
];

for (const [line, ms, stdout, stderr, code] of RECORDED) {
  test(`wget ${line}: exit ${code}`, (t) => {
    const got = lab().wget(line, ms);
    t.is(got.streams.stdout, stdout);
    t.is(got.streams.stderr, stderr);
    t.is(got.code, code);
  });
}

test('what cannot be is said', (t) => {
  const { wget } = lab();
  t.is(
    wget('http://web/').streams.stderr,
    "wget: can't open 'index.html': there is no disk, use -O - or -O /dev/null\n",
  );
  t.is(wget('-qO- https://web/').streams.stderr, 'wget: TLS is not emulated: use http://\n');
  t.regex(wget('-Z').streams.stderr, /^wget: invalid option -- 'Z'\nBusyBox v1\.35\.0 /);
});

test('headers and data', (t) => {
  const { b, wget } = lab();
  startWorkload(b.kernel.root, { name: 'w', uid: 'u', hostname: 'h', image: 'tomcat', expose: [] });
  const got = wget([
    '-qO-',
    '--header',
    'X-A: b c',
    '--header',
    'Host: other',
    '--post-data',
    'x=1',
    'http://web:8080/json',
  ]);
  const { request } = JSON.parse(got.streams.stdout);
  t.is(request.method, 'POST');
  t.is(request.headers['X-A'], 'b c');
  t.is(request.host, 'other');
  t.is(request.headers['User-Agent'], 'Wget');
});
