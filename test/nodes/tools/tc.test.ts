import test from 'ava';
import { run } from './support/run.ts';
import { routed } from './support/topology.ts';

test('tc, ip link and ip addr name the same queueing discipline', (t) => {
  const { a } = routed();
  const { root } = a.kernel;
  root.addDummy({ name: 'dummy0', mac: 2, mtu: 1500 });
  const qdisc = (line: string) => /qdisc (\w+)/.exec(run(line, root).text)?.[1];
  const everywhere = (dev: string) =>
    [`tc qdisc show dev ${dev}`, `ip link show ${dev}`, `ip addr show ${dev}`, `ip -j link show ${dev}`].map(
      (line) => qdisc(line) ?? /"qdisc":"(\w+)"/.exec(run(line, root).text)?.[1],
    );
  t.deepEqual(everywhere('eth0'), Array(4).fill('pfifo_fast'));
  t.deepEqual(everywhere('dummy0'), Array(4).fill('noqueue'));
  t.is(
    run('tc qdisc show dev eth0', root).text,
    'qdisc pfifo_fast 0: root refcnt 2 bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1\n',
  );
  for (const dev of ['eth0', 'dummy0']) {
    t.is(run(`tc qdisc add dev ${dev} root netem delay 10ms`, root).code, 0);
    t.deepEqual(everywhere(dev), Array(4).fill('netem'));
    t.is(run(`tc qdisc del dev ${dev} root`, root).code, 0);
  }
  t.deepEqual(everywhere('eth0'), Array(4).fill('pfifo_fast'));
});
