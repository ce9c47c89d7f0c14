import test from 'ava';
import { routed } from '../kernel/ipv6/lab.ts';
import { run } from './support/run.ts';

const plain = (text: string) => text.replace(/[\d.]+ ms/g, 'T');

for (const options of ['', '-6 ', '-I '])
  test(`the way to an IPv6 address: ${options || 'UDP'}`, (t) => {
    const { net, a } = routed();
    const got = run(`traceroute ${options}-n -q 1 2001:db8:2::2`, a.kernel.root);
    net.advance(20_000);
    t.is(
      plain(got.text),
      'traceroute to 2001:db8:2::2 (2001:db8:2::2), 30 hops max, 80 byte packets\n 1  2001:db8:1::1  T\n 2  2001:db8:2::2  T\n',
    );
    t.is(got.code, 0);
  });

test('what comes back of a way that ends', (t) => {
  const { net, a, r } = routed();
  const { root } = a.kernel;
  const trace = (line: string) => {
    const got = run(line, root);
    net.advance(30_000);
    return plain(got.text).split('\n').slice(1).join('\n');
  };
  t.is(trace('traceroute -n -q 1 2001:db8:9::9'), ' 1  2001:db8:1::1  T !N\n');
  t.is(trace('traceroute -n -q 1 2001:db8:2::77'), ' 1  2001:db8:1::1  T\n 2  2001:db8:1::1  T !H\n');
  r.kernel.root.setMtu('eth1', 1280);
  t.is(
    trace('traceroute -n -q 1 -F 2001:db8:2::2 1400'),
    ' 1  2001:db8:1::1  T\n 2  2001:db8:1::1  T !F-1280\n',
  );
  t.is(trace('traceroute -n -q 1 -F 2001:db8:2::2 3000'), ' 1  *  T !F-1500\n');
  root.ipv6.routes.delete('::/0');
  t.is(run('traceroute 3000::1', root).streams.stderr, '\nconnect: Network is unreachable\n');
  t.is(
    run('traceroute -4 ::1', root).streams.stderr,
    '::1: Address family for hostname not supported\nCannot handle "host" cmdline arg `::1\' on position 1 (argc 2)\n',
  );
});
