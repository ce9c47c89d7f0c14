import { readFileSync } from 'node:fs';
import test from 'ava';
import { run, verifies } from '../support/lab.ts';
import { simulate, snapshotOf } from '../support/sim.ts';

const EXAMPLE = new URL('../../examples/dual-stack.yaml', import.meta.url);

test('pods of the example reach each other and the world by both families', async (t) => {
  const lab = await simulate(readFileSync(EXAMPLE, 'utf8'));
  const views = new Map(
    await Promise.all(
      ['n1', 'n2', 'n3', 'r1', 'h1'].map(async (name) => [name, (await snapshotOf(lab, name)).view] as const),
    ),
  );
  const sandboxes = [...views].flatMap(([node, view]) =>
    view.cluster.sandboxes.map((sandbox) => ({ ...sandbox, node })),
  );
  t.is(sandboxes.length, 6);
  t.true(sandboxes.every(({ ip6 }) => ip6?.startsWith('fd00:10:244:') === true));
  const [from] = sandboxes;
  const targets = sandboxes.slice(1).flatMap(({ ip, ip6 }) => [ip, ip6!]);
  for (const target of [...targets, '172.18.20.1', '2001:db8:20::1', '2001:db8:ffff::1']) {
    const got = await run(lab, from!.pod, `ping -c 2 ${target}`);
    t.regex(got.output, /2 packets transmitted, 2 received, 0% packet loss/, target);
  }
  const addresses = await run(lab, from!.pod, 'ip -6 addr show dev eth0');
  t.regex(addresses.output, new RegExp(`inet6 ${from!.ip6}/128 scope global nodad \\n`));
  const inPod = await run(lab, from!.pod, 'ip -6 route');
  t.regex(inPod.output, /^default via fe80::ecee:eeff:feee:eeee dev eth0 metric 1024 pref medium$/m);
  const onNode = await run(lab, 'n1', 'ip -6 route');
  t.regex(onNode.output, /^blackhole fd00:10:244:\S+\/122 dev lo proto bird metric 1024 pref medium$/m);
  t.regex(
    onNode.output,
    /^fd00:10:244:\S+\/122 via 2001:db8:18::2 dev eth0 proto bird metric 1024 pref medium$/m,
  );
  t.regex(onNode.output, /^fd00:10:244:\S+ dev cali\w{11} metric 1024 pref medium$/m);
  await verifies(t, lab);
});
