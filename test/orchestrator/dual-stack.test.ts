import { readFileSync } from 'node:fs';
import test from 'ava';
import { withAddresses } from '../../orchestrator/cli/target.ts';
import { run, verifies } from '../support/lab.ts';
import { settle, simulate, snapshotOf } from '../support/sim.ts';

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
  const far = sandboxes.find(({ node }) => node !== from!.node)!;
  t.deepEqual(await withAddresses(lab, ['ping', `@${far.pod}`]), ['ping', far.ip]);
  t.deepEqual(await withAddresses(lab, ['ping', '-6', `@${far.pod}`]), ['ping', '-6', far.ip6!]);
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

test('pods of two nodes serve each other by IPv6: curl, wget and nc', async (t) => {
  const lab = await simulate(readFileSync(EXAMPLE, 'utf8'));
  const { view } = await snapshotOf(lab, 'n2');
  const { ip, ip6 = '' } = view.cluster.sandboxes.find(({ pod }) => pod.endsWith('web-n2-1'))!;
  const own = (await snapshotOf(lab, 'n1')).view.cluster.sandboxes.find(({ pod }) =>
    pod.endsWith('web-n1-1'),
  )!;
  const [from, to] = ['web-n1-1', 'web-n2-1'];
  const in1 = (line: string) => run(lab, from, line);

  const curl = await in1(`curl -s http://[${ip6}]:8080/`);
  t.is(curl.code, 0);
  for (const line of [`Hostname: ${to}`, `IP: ${ip6}/128`, `Server: [${ip6}]:8080`, `Host: [${ip6}]:8080`])
    t.true(curl.output.split('\n').includes(line), `${line} in\n${curl.output}`);
  t.regex(curl.output, new RegExp(`^Client: \\[${own.ip6}\\]:\\d+$`, 'm'));
  // To the mapped address goes IPv4, which the same socket answers.
  t.regex((await in1(`curl -s http://[::ffff:${ip}]/`)).output, new RegExp(`^Server: ${ip}:80$`, 'm'));
  t.regex((await in1(`wget -q -O - http://[${ip6}]/`)).output, new RegExp(`^Server: \\[${ip6}\\]:80$`, 'm'));
  t.is(
    (await in1(`nc -6 -zv ${ip6} 79-80`)).output,
    `nc: connect to ${ip6} port 79 (tcp) failed: Connection refused\nConnection to ${ip6} 80 port [tcp/http] succeeded!\n`,
  );

  t.regex((await in1('ss -Hltn')).output, /^LISTEN 0 {6}128 +\*:80 +\*:\*$/m);
  t.deepEqual(
    (await in1('cat /etc/hosts')).output.split('\n').filter((line) => line.endsWith(from)),
    [own.ip, own.ip6].map((address) => `${address}\t${from}`),
  );
  t.regex((await in1(`getent ahosts ${from}`)).output, new RegExp(`^${own.ip6} +STREAM ${from}\n`));
  t.regex((await run(lab, 'n1', 'cat /etc/hosts')).output, /^::1 +localhost ip6-localhost ip6-loopback$/m);

  const server = run(lab, to, 'nc -6 -v -n -l 5555');
  await lab.sleep(100);
  t.is((await in1(`nc -6 -z ${ip6} 5555`)).code, 0);
  t.regex(
    (await server).output,
    new RegExp(`^Listening on :: 5555\nConnection received on ${own.ip6} \\d+\n$`),
  );

  await run(lab, 'n2', `ip6tables -A FORWARD -p tcp -d ${ip6} --dport 80 -j DROP`);
  const dropped = await in1(`curl -sS --connect-timeout 2 http://[${ip6}]/`);
  t.is(dropped.code, 28);
  t.is(dropped.output, `curl: (28) Failed to connect to ${ip6} port 80 after 2001 ms: Timeout was reached\n`);
  await run(lab, 'n2', `ip6tables -I FORWARD -p tcp -d ${ip6} --dport 80 -j REJECT`);
  const refused = await in1(`curl -sS http://[${ip6}]/`);
  t.is(refused.code, 7);
  await verifies(t, lab);
});

const ROUTERS = `
name: routers
topology:
  defaults: { kind: router }
  nodes:
    r1: { bgp: { as: 65001, session: { families: [ipv4, ipv6] } }, loopbacks6: ["2001:db8:f::1"] }
    r2: { bgp: { as: 65002, session: { families: [ipv4, ipv6] } } }
    r3: { bgp: { as: 65003, session: { families: [ipv4, ipv6] } }, loopbacks6: ["2001:db8:f::3"] }
    r4: { bgp: { as: 65004, session: { families: [ipv4, ipv6] }, networks: ["2001:db8:4::/48"] } }
  links:
    - { endpoints: [r1:eth0, r2:eth0], subnet6: "2001:db8:12::/64" }
    - { endpoints: [r2:eth1, r3:eth0], subnet6: "2001:db8:23::/64" }
    - { endpoints: [r3:eth1, r4:eth0] }
`;

test('routes of BGP are in the kernel by IPv6 next hops that are reached, and a node without IPv6 passes them on', async (t) => {
  const lab = await simulate(ROUTERS);
  const routes = (await run(lab, 'r1', 'ip -6 route')).output;
  // By the link-local address that stands behind the global one, as the peer is on the link (RFC 2545 §3).
  t.regex(routes, /^2001:db8:f::3 via fe80::52:ff:fe02:0 dev eth0 proto bird metric 1024 pref medium$/m);
  // r4 has no IPv6 address to be a next hop: what it tells has its IPv4 one, which leads no IPv6 packet anywhere.
  t.notRegex((await run(lab, 'r3', 'ip -6 route')).output, /2001:db8:4::/);
  t.regex(routes, /^2001:db8:4::\/48 via fe80::52:ff:fe02:0 /m);
  const { code, output } = await run(lab, 'r1', 'ping -c 1 -I 2001:db8:f::1 2001:db8:f::3');
  t.is(code, 0, output);
  t.is(
    (await run(lab, 'r4', 'sysctl net.ipv6.conf.all.disable_ipv6')).output,
    'net.ipv6.conf.all.disable_ipv6 = 1\n',
  );
  await lab.act({ type: 'link', node: 'r2', device: 'eth1', carrier: 'down' });
  await settle(lab);
  t.notRegex((await run(lab, 'r1', 'ip -6 route')).output, /2001:db8:f::3/);
  await verifies(t, lab);
});

const ADVERTISED = `
name: advertised
topology:
  nodes:
    r1: { kind: router, loopbacks6: ["2001:db8:f::1"], interfaces: { eth0: { segment: lan, ra: true } } }
    h1: { kind: host, interfaces: { eth0: { segment: lan, address6: auto } } }
segments:
  lan: { subnet: 10.0.0.0/24, subnet6: "2001:db8:1::/64" }
`;

test('a host takes its address and its router from what the router advertises', async (t) => {
  const lab = await simulate(ADVERTISED);
  await lab.sleep(10_000);
  const { output } = await run(lab, 'h1', 'ip -6 addr show dev eth0');
  const [, left] =
    /inet6 2001:db8:1::?[0-9a-f:]*\/64 scope global dynamic mngtmpaddr \n {7}valid_lft (\d+)sec/.exec(
      output,
    ) ?? [];
  t.true(Number(left) > 86_300 && Number(left) <= 86_400, output);
  t.regex(
    (await run(lab, 'h1', 'ip -6 route')).output,
    /^default via fe80::\S+ dev eth0 proto ra metric 1024 expires 17\d\dsec hoplimit 64 pref medium$/m,
  );
  const ping = await run(lab, 'h1', 'ping -c 1 2001:db8:f::1');
  t.is(ping.code, 0, ping.output);
  await lab.act({ type: 'link', node: 'h1', device: 'eth0', carrier: 'down' });
  await lab.act({ type: 'link', node: 'h1', device: 'eth0', carrier: 'up' });
  await lab.sleep(20_000);
  await verifies(t, lab);
});
