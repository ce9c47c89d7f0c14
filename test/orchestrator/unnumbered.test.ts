import { readFileSync } from 'node:fs';
import test from 'ava';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { collectReports } from '../../orchestrator/observe/quiescence.ts';
import { run, verifies } from '../support/lab.ts';
import { settle, simulate } from '../support/sim.ts';

const EXAMPLE = readFileSync(new URL('../../examples/unnumbered.yaml', import.meta.url), 'utf8');

test('the example: a fabric without addresses on its links routes both families', async (t) => {
  const lab = await simulate(EXAMPLE);
  t.notRegex((await run(lab, 'leaf1', 'ip addr show dev eth1')).output, /inet /);
  const routes = (await run(lab, 'leaf1', 'ip route')).output;
  // iproute2's own words, as in a fabric of FRR's.
  t.true(
    routes.includes(`10.1.2.0/24 proto bird 
\tnexthop via inet6 fe80::52:ff:fe01:0 dev eth1 weight 1 
\tnexthop via inet6 fe80::52:ff:fe02:0 dev eth2 weight 1 
`),
    routes,
  );
  t.regex(routes, /^10.255.0.1 via inet6 fe80::52:ff:fe01:0 dev eth1 proto bird $/m);
  t.regex(
    (await run(lab, 'leaf1', 'ip -6 route')).output,
    /^\tnexthop via fe80::52:ff:fe02:0 dev eth2 weight 1 $/m,
  );
  for (const target of ['10.1.2.2', '10.1.3.2', '2001:db8:2::2', '2001:db8:3::2']) {
    const { output } = await run(lab, 'h1', `ping -c 2 ${target}`);
    t.regex(output, /2 packets transmitted, 2 received, 0% packet loss/, output);
  }
  const hops = (await run(lab, 'h1', 'traceroute -n -q 1 10.1.2.2')).output;
  t.regex(hops, / 2 {2}10\.255\.0\.[12] .*\n 3 {2}10\.255\.0\.4 .*\n 4 {2}10\.1\.2\.2 /);
  const why = (await run(lab, 'leaf1', 'birdc show why 10.1.2.0/24')).output;
  t.regex(why, /^\* from spine1 \(AS 65000, external\) via fe80::52:ff:fe01:0$/m);
  t.regex(why, /lost at router-id: .*; used beside it, for it is equal$/m);
  t.regex(
    (await run(lab, 'leaf1', 'birdc show neighbors spine1')).output,
    /IPv6 next hops \(RFC 8950\): yes/,
  );
  await verifies(t, lab);

  await lab.act({ type: 'link', node: 'leaf1', device: 'eth1', carrier: 'down' });
  await settle(lab);
  t.regex(
    (await run(lab, 'leaf1', 'ip route')).output,
    /^10.1.2.0\/24 via inet6 fe80::52:ff:fe02:0 dev eth2 proto bird $/m,
  );
  t.regex((await run(lab, 'h1', 'ping -c 2 10.1.2.2')).output, /2 received, 0% packet loss/);
  await lab.act({ type: 'link', node: 'leaf1', device: 'eth1', carrier: 'up' });
  await settle(lab);
  t.true((await run(lab, 'leaf1', 'ip route')).output.includes(routes.slice(routes.indexOf('10.1.2.0'))));
  await verifies(t, lab);
});

test('a leaf that loses its power is missed and comes back, and one that restarts gracefully is not missed', async (t) => {
  const lab = await simulate(
    EXAMPLE.replace(
      'topology:',
      'topology:\n  kinds: { router: { bgp: { gracefulRestart: true, session: { bfd: true } } } }',
    ),
  );
  const via = async (node: string, prefix: string) =>
    (await run(lab, node, 'ip route')).output
      .split('\n')
      .filter((line, i, lines) => line.startsWith(prefix) || (lines[i - 1]?.startsWith(prefix) ?? false))
      .length;
  const before = (await run(lab, 'leaf1', 'ip route')).output;
  const counted = await collectReports(lab);
  await lab.act({ type: 'bgp', node: 'spine1', request: { op: 'restart' } });
  await lab.sleep(30_000);
  await settle(lab);
  t.is((await run(lab, 'leaf1', 'ip route')).output, before);
  const changes = (await collectReports(lab)).map(({ fibChanges }, i) => fibChanges - counted[i]!.fibChanges);
  t.deepEqual(changes, new Array<number>(8).fill(0), 'nobody changed a route');

  await lab.act({ type: 'kill', node: 'leaf3', how: 'silent' });
  await lab.sleep(2_000);
  t.is(await via('leaf1', '10.1.3.0/24'), 2, 'kept as stale for as long as it may restart');
  await lab.sleep(200_000);
  await settle(lab);
  t.is(await via('leaf1', '10.1.3.0/24'), 0);
  await lab.act({ type: 'start', node: 'leaf3' });
  await settle(lab);
  t.is((await run(lab, 'leaf1', 'ip route')).output, before);
  t.regex((await run(lab, 'h1', 'ping -c 2 10.1.3.2')).output, /2 received, 0% packet loss/);
  await verifies(t, lab);
});

test('routers on one segment without IPv4 speak over IPv6, each with each', async (t) => {
  const lab = await simulate(`
name: lan6
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    r2: { kind: router, bgp: { as: 65002 } }
    r3: { kind: router, bgp: { as: 65003 } }
    h: { kind: host, interfaces: { eth0: { segment: ix } } }
segments:
  ix: { subnet: none, subnet6: "2001:db8::/64", nodes: [r1, r2, r3] }
`);
  for (const [from, to] of [
    ['r1', '10.255.0.3'],
    ['r3', '10.255.0.2'],
  ] as const)
    t.regex((await run(lab, from, `ping -c 1 ${to}`)).output, /1 received/);
  t.regex((await run(lab, 'h', 'ping -6 -c 1 2001:db8::2')).output, /1 received/);
  t.regex(
    (await run(lab, 'r1', 'ip route')).output,
    /^10\.255\.0\.3 via inet6 fe80::52:ff:fe03:0 dev eth0 proto bird $/m,
  );
  await verifies(t, lab);
});

function ends(text: string, node: string): (readonly [string, string, string])[] {
  const config = compileLab(text, 'ends.yaml').nodes.find(({ name }) => name === node);
  return (config?.bgp?.neighbors ?? []).map(({ name, localAddress, address }) => [
    name,
    localAddress,
    address,
  ]);
}

const PAIR = (one: string, two: string, link = 'subnet6: "2001:db8::/64"') => `
name: ends
topology:
  nodes:
    r1: { kind: router, loopbacks6: ["2001:db8:f::1"], bgp: { as: 65001, ${one} } }
    r2: { kind: router, loopbacks6: ["2001:db8:f::2"], bgp: { as: 65002, ${two} } }
  links:
    - { endpoints: [r1:eth1, r2:eth2], ${link} }
`;
const LL1 = 'fe80::52:ff:fe01:0';
const LL2 = 'fe80::52:ff:fe02:0';

test('which addresses a session runs between', (t) => {
  const cases: readonly (readonly [string, string, readonly [string, string]])[] = [
    [PAIR('networks: []', 'networks: []'), 'IPv4 where there is one', ['10.0.0.0', '10.0.0.1']],
    [PAIR('transport: ipv6', 'networks: []'), 'one end says so', ['2001:db8::', '2001:db8::1']],
    [PAIR('transport: unnumbered', 'networks: []'), 'unnumbered', [`${LL1}%eth1`, `${LL2}%eth1`]],
    [
      PAIR('transport: ipv6', 'networks: []', 'mtu: 1500'),
      'IPv6 without a prefix',
      [`${LL1}%eth1`, `${LL2}%eth1`],
    ],
    [PAIR('networks: []', 'networks: []', 'subnet: none'), 'nothing else', [`${LL1}%eth1`, `${LL2}%eth1`]],
    [
      PAIR('networks: []', 'networks: []', 'subnet: none, subnet6: "2001:db8::/64"'),
      'IPv6 alone',
      ['2001:db8::1', '2001:db8::2'],
    ],
    [PAIR('neighbors: [{ interface: eth1 }]', 'networks: []'), 'interface', [`${LL1}%eth1`, `${LL2}%eth1`]],
    [
      PAIR('neighbors: [{ node: r2, transport: ipv6 }]', 'networks: []'),
      'node',
      ['2001:db8::', '2001:db8::1'],
    ],
    [
      PAIR('neighbors: [{ address: "2001:db8::1" }]', 'networks: []'),
      'address',
      ['2001:db8::', '2001:db8::1'],
    ],
    [
      PAIR(`neighbors: [{ address: "${LL2}%eth1" }]`, 'networks: []'),
      'link-local address',
      [`${LL1}%eth1`, `${LL2}%eth1`],
    ],
    [
      PAIR('neighbors: [{ address: "2001:db8:f::2", localAddress: "2001:db8:f::1" }]', 'networks: []'),
      'loopbacks',
      ['2001:db8:f::1', '2001:db8:f::2'],
    ],
  ];
  for (const [text, what, [local, address]] of cases) {
    t.deepEqual(ends(text, 'r1'), [['r2', local, address]], what);
    // The other end has the same session, by its own interface.
    const back = (end: string) => end.replace('%eth1', '%eth2');
    t.deepEqual(ends(text, 'r2'), [['r1', back(address), back(local)]], what);
    t.deepEqual(compileLab(text, 'ends.yaml').warnings, [], what);
  }
  const [neighbor] = compileLab(cases[2]![0], 'ends.yaml').nodes[0]?.bgp?.neighbors ?? [];
  t.deepEqual(neighbor?.families, ['ipv4', 'ipv6']);
  t.is(neighbor?.nextHop6, '2001:db8::', 'an address of the interface goes before the link-local one');
  t.is(neighbor?.nextHop4, '10.0.0.0', 'for a peer without RFC 8950');
});

test('sessions that cannot be are named with the mend', (t) => {
  const fails = (text: string) => t.throws(() => compileLab(text, 'ends.yaml')).message;
  t.regex(
    fails(PAIR('transport: ipv6', 'transport: unnumbered')),
    /r1 would speak with r2 over ipv6, and r2 over unnumbered; set the same/,
  );
  t.regex(fails(PAIR('neighbors: [{ interface: eth7 }]', 'networks: []')), /r1 has no interface eth7/);
  t.regex(
    fails(PAIR('neighbors: [{ address: "fe80::9" }]', 'networks: []')),
    /a link-local address is one of a link; write fe80::9%eth1, with the interface/,
  );
  t.regex(fails(PAIR('neighbors: [{ address: "10.0.0.1%eth1" }]', 'networks: []')), /is no address/);
  t.regex(
    fails(PAIR('neighbors: [{ address: 10.0.0.1, localAddress: "2001:db8::" }]', 'networks: []')),
    /2001:db8:: and 10.0.0.1 are of two families/,
  );
});
