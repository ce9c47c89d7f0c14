import test from 'ava';
import { toolNames } from '../../../nodes/tools/start.ts';
import { run } from './support/run.ts';
import { routed } from './support/topology.ts';

const { a } = routed();
const { root } = a.kernel;

test('a command that is not there', (t) => {
  for (const name of ['perl', 'constructor', 'toString']) {
    const got = run(`${name} 10.0.2.2`, root);
    const [first, second] = got.streams.stderr.split('\n');
    t.is(first, `exec: "${name}": executable file not found in $PATH`);
    t.regex(second ?? '', /^There are: arp, arping, .*, wget$/);
    t.is(got.streams.stdout, '');
    t.is(got.code, 127);
  }
  t.regex(run('/opt/perl', root).streams.stderr, /^exec: "\/opt\/perl": no such file or directory\n/);
  t.is(run('', root).code, 127);
});

test('a path leads to the tool', (t) => {
  t.is(run('/usr/sbin/ip -V', root).streams.stdout, run('ip -V', root).streams.stdout);
  for (const name of ['bridge', 'cat', 'ip', 'ping', 'tc', 'traceroute'])
    t.true(toolNames.includes(name), name);
});

test('hostname', (t) => {
  t.is(run('hostname', root, { hostname: 'web.lab' }).streams.stdout, 'web.lab\n');
  t.is(run('hostname -s', root, { hostname: 'web.lab' }).streams.stdout, 'web\n');
  t.is(run('hostname -I', root).streams.stdout, '10.0.1.2 \n');
  t.is(run('hostname', root).code, 1);
  t.is(run('hostname new', root, { hostname: 'web' }).code, 1);
  t.is(run('hostname -Z', root).streams.stderr, "hostname: invalid option -- 'Z'\n");
});

test('cat', (t) => {
  const files = (path: string) => (path === '/etc/hosts' ? '127.0.0.1\tlocalhost\n' : null);
  t.is(run('cat /etc/hosts', root, { files }).text, '127.0.0.1\tlocalhost\n');
  const both = run('cat /etc/hosts /etc/foo /etc/hosts', root, { files });
  t.is(both.streams.stdout, '127.0.0.1\tlocalhost\n127.0.0.1\tlocalhost\n');
  t.is(both.streams.stderr, 'cat: /etc/foo: No such file or directory\n');
  t.is(both.code, 1);
  t.is(run('cat /etc/hosts', root).code, 1);
  t.is(
    run('cat -Z', root).streams.stderr,
    "cat: invalid option -- 'Z'\nTry 'cat --help' for more information.\n",
  );
});
