import test from 'ava';
import { Network } from '../../support/network.ts';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';

function lab() {
  const net = new Network();
  net.latency = 0.2715;
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  const files = filesOf({ '/etc/hosts': '10.0.0.2 tomcat\n' });
  const start = (line: string, ms = 3_000) => {
    const started = run(line, a.kernel.root, { files });
    net.advance(ms);
    return started;
  };
  return { net, b: b.kernel.root, start };
}

/** Recorded from iputils 20221126. */
const RECORDED: readonly (readonly [line: string, text: string, code: number])[] = [
  [
    'arping -c 2 10.0.0.2',
    'ARPING 10.0.0.2 from 10.0.0.1 eth0\nUnicast reply from 10.0.0.2 [52:54:00:00:01:00]  0.543ms\nUnicast reply from 10.0.0.2 [52:54:00:00:01:00]  0.543ms\nSent 2 probes (1 broadcast(s))\nReceived 2 response(s)\n',
    0,
  ],
  [
    'arping -c 1 -w 1 10.0.0.77',
    'ARPING 10.0.0.77 from 10.0.0.1 eth0\nSent 1 probes (1 broadcast(s))\nReceived 0 response(s)\n',
    1,
  ],
  [
    'arping -D -c 1 -I eth0 10.0.0.2',
    'ARPING 10.0.0.2 from 0.0.0.0 eth0\nUnicast reply from 10.0.0.2 [52:54:00:00:01:00]  0.543ms\nSent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n',
    1,
  ],
  [
    'arping -D -c 1 -I eth0 10.0.0.9',
    'ARPING 10.0.0.9 from 0.0.0.0 eth0\nSent 1 probes (1 broadcast(s))\nReceived 0 response(s)\n',
    0,
  ],
  ['arping -q -c 1 -I eth0 10.0.0.2', '', 0],
  [
    'arping -f -I eth0 tomcat',
    'ARPING 10.0.0.2 from 10.0.0.1 eth0\nUnicast reply from 10.0.0.2 [52:54:00:00:01:00]  0.543ms\nSent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n',
    0,
  ],
  [
    'arping -U -c 1 -I eth0 10.0.0.1',
    'ARPING 10.0.0.1 from 10.0.0.1 eth0\nSent 1 probes (1 broadcast(s))\nReceived 0 response(s)\n',
    0,
  ],
  ['arping -c 1 -I nope 10.0.0.2', 'arping: Device nope not available.\n', 2],
  ['arping -I lo -c 1 127.0.0.1', 'Interface "lo" is not ARPable\n', 2],
  ['arping nosuch', 'arping: nosuch: Temporary failure in name resolution\n', 2],
];

for (const [line, text, code] of RECORDED) {
  test(line, (t) => {
    const got = lab().start(line);
    t.is(got.text, text);
    t.is(got.code, code);
  });
}

test('an announcement is what the neighbours learn from', (t) => {
  const { b, start } = lab();
  start('arping -c 1 10.0.0.2');
  t.is(b.neighbors()[0]?.ip, '10.0.0.1');
  const forever = start('arping 10.0.0.2', 10_000);
  t.is(forever.code, null);
  forever.interrupt();
  t.regex(forever.text, /Sent 10 probes|Sent 11 probes/);
  t.is(forever.code, 0);
});
