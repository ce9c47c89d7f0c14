import test from 'ava';
import fc from 'fast-check';
import { subnet6Of } from '../../nodes/daemons/flannel/dual-stack.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { listPods } from '../../orchestrator/pods.ts';
import type { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { formatPrefix6, parsePrefix6 } from '../../protocols/ip6.ts';
import { run, until, verifies } from '../support/lab.ts';
import { settle, simulate, snapshotOf } from '../support/sim.ts';

const lab = (backend: string, podCIDR6 = 'fd00:10:244::/56') => `
name: flannel-dual
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    n3: { kind: node }
segments:
  lan: { subnet: 192.168.0.0/24, rangeStart: 192.168.0.11, subnet6: "2001:db8:18::/64", nodes: all }
cluster:
  cni: flannel
  backend: ${backend}
  podCIDR: 10.244.0.0/16
  podCIDR6: "${podCIDR6}"
  pods: 2
`;

/** Before an address is known to be nobody else's, nothing is sent from it. */
async function settledAddresses(sim: SimLab, nodes: readonly string[]): Promise<void> {
  for (const node of nodes)
    await until(
      sim,
      'addresses',
      async () => !(await run(sim, node, 'ip -6 addr')).output.includes('tentative'),
    );
}

for (const backend of ['host-gw', 'wireguard'] as const) {
  test(`flannel ${backend} with both families: leases, routes, and pods that reach each other by each`, async (t) => {
    const sim = await simulate(lab(backend));
    await settledAddresses(sim, ['n1', 'n2', 'n3']);
    const pods = await listPods(sim);
    const ips = (node: string) =>
      pods.filter(({ spec }) => spec.node === node).map(({ status }) => status!.podIPs!);
    t.true(pods.every(({ status }) => status?.podIPs?.length === 2));
    const from = pods.find(({ spec }) => spec.node === 'n1')!.spec.name;
    for (const node of ['n1', 'n2', 'n3'])
      for (const target of ips(node).flat()) {
        const { output } = await run(sim, from, `ping -n -c 2 -i 0.2 -W 2 ${target}`);
        t.regex(output, / 2 received/, `${target}: ${output}`);
      }
    const { own, peers } = (await snapshotOf(sim, 'n1')).view.cluster.flannel;
    const { ipv6, subnet } = own!.lease;
    // The subnet of IPv6 has the number of that of IPv4.
    const number = Number(subnet.split('.')[2]);
    t.is(ipv6!.subnet, `fd00:10:244:${number.toString(16)}::/64`);
    t.true(
      (await run(sim, 'n1', 'ip -6 addr show dev eth0 scope global')).output.includes(
        ` ${ipv6!.publicIP}/64 `,
      ),
    );
    t.is(peers.length, 2);
    const routes = (await run(sim, 'n1', 'ip -6 route')).output;
    const links = (await run(sim, 'n1', 'ip link')).output;
    if (backend === 'host-gw')
      for (const peer of peers)
        t.true(routes.includes(`${peer.ipv6!.subnet} via ${peer.ipv6!.publicIP} dev eth0 `), routes);
    else {
      t.regex(routes, /^fd00:10:244::\/56 dev flannel-wg-v6 /m);
      t.regex(links, /flannel-wg-v6: .* mtu 1420 /);
      const wg = (await run(sim, 'n1', 'wg show flannel-wg-v6')).output;
      for (const peer of peers) {
        t.true(
          wg.includes(
            `peer: ${peer.ipv6!.backendData.PublicKey}\n  endpoint: [${peer.ipv6!.publicIP}]:51821\n  allowed ips: ${peer.ipv6!.subnet}\n`,
          ),
          wg,
        );
        t.not(peer.ipv6!.backendData.PublicKey, peer.backendData.PublicKey);
      }
    }
    t.regex(routes, new RegExp(`^${ipv6!.subnet} dev cni0 `, 'm'));
    const inside = (await run(sim, from, 'ip -6 route')).output;
    const gateway = ipv6!.subnet.replace('/64', '1');
    t.true(inside.includes(`default via ${gateway} dev eth0 `), inside);
    t.true(inside.includes(`fd00:10:244::/56 via ${gateway} dev eth0 `), inside);

    // A node that boots anew has both subnets again, and the others find it.
    const before = (await snapshotOf(sim, 'n2')).view.cluster.flannel.own!.lease;
    await sim.act({ type: 'kill', node: 'n2', how: 'silent' });
    await sim.act({ type: 'start', node: 'n2' });
    await settle(sim);
    await settledAddresses(sim, ['n2']);
    const after = (await snapshotOf(sim, 'n2')).view.cluster.flannel.own!.lease;
    t.is(after.ipv6!.subnet, before.ipv6!.subnet);
    const again = (await listPods(sim)).find(({ spec }) => spec.node === 'n2')!.status!.podIPs!;
    for (const target of again)
      t.regex((await run(sim, from, `ping -n -c 1 -W 5 ${target}`)).output, / 1 received/);
    await verifies(t, sim);
  });
}

test('a backend that carries no IPv6 says so, and so does a network without room', (t) => {
  const problem = (backend: string, network?: string) =>
    t.throws(() => compileLab(lab(backend, network), 'lab.yaml')).message;
  t.regex(problem('vxlan'), /flannel's vxlan carries no IPv6 here/);
  t.regex(problem('host-gw', 'fd00::/120'), /no IPv6 subnet for each of IPv4 in fd00::\/120/);
});

test('each subnet of IPv4 has one of IPv6 of its own', (t) => {
  const network6 = parsePrefix6('fd00:10:244::/56')!;
  fc.assert(
    fc.property(fc.nat(255), fc.constantFrom(64, 72, 100), (number, subnetLen) => {
      const of = (n: number) =>
        subnet6Of(
          { addr: 0x0af40000, len: 16 },
          { addr: 0x0af40000 + n * 256, len: 24 },
          { network: network6, subnetLen, publicIP: '' },
        );
      const subnet = of(number);
      t.deepEqual(parsePrefix6(formatPrefix6(subnet)), subnet);
      t.not(formatPrefix6(of((number + 1) % 256)), formatPrefix6(subnet));
    }),
  );
});
