import test from 'ava';
import { addressOf, converge, launch, pings, run, verifies } from '../support/lab.ts';

const BACKENDS = ['udp', 'vxlan', 'host-gw', 'ipip', 'wireguard', 'ipsec'] as const;

function flannel(backend: string): string {
  // What goes to pods by ipsec goes by the default route until a policy takes it.
  const node = backend === 'ipsec' ? '{ kind: node, gateway: 192.168.0.1 }' : '{ kind: node }';
  const psk = backend === 'ipsec' ? `flannel: { psk: ${'k'.repeat(96)} }` : 'flannel: {}';
  return `
name: scn-${backend}
topology:
  nodes:
    n1: ${node}
    n2: ${node}
    n3: ${node}
segments:
  lan: { subnet: 192.168.0.0/24, rangeStart: 192.168.0.11, nodes: all }
cluster:
  cni: flannel
  backend: ${backend}
  ${psk}
  podCIDR: 10.244.0.0/16
  pods: 2
`;
}

/** MTU of a pod's eth0 (REFERENCE §3): what the encapsulation leaves of 1500. */
const MTU = { udp: 1472, vxlan: 1450, 'host-gw': 1500, ipip: 1480, wireguard: 1420, ipsec: 1423 } as const;

for (const backend of BACKENDS) {
  test(`flannel ${backend}: rows, MTUs, and a restart that keeps the subnet`, async (t) => {
    const { lab } = await launch(t, flannel(backend));
    await pings(t, lab, 'web-n1-1', 'web-n2-2');
    await pings(t, lab, 'web-n3-1', 'web-n1-1');
    await pings(t, lab, 'web-n3-1', 'web-n3-2');
    t.regex((await run(lab, 'web-n1-1', 'ip link show eth0')).output, new RegExp(`mtu ${MTU[backend]} `));

    const subnet = (await addressOf(lab, 'web-n2-1')).replace(/\d+$/, '0/24');
    const network = subnet.replace('/24', '');
    const route = (await run(lab, 'n1', `ip route show ${subnet}`)).output.trim();
    if (backend === 'vxlan') {
      t.is(route, `${subnet} via ${network} dev flannel.1 onlink`);
      const neighbour = (await run(lab, 'n1', `ip neigh show ${network}`)).output;
      const mac = /lladdr (\S+) PERMANENT/.exec(neighbour)?.[1] ?? 'none';
      const fdb = (await run(lab, 'n1', 'bridge fdb show dev flannel.1')).output;
      t.true(fdb.includes(`${mac} dst 192.168.0.12 self permanent`), fdb);
    } else if (backend === 'host-gw') t.is(route, `${subnet} via 192.168.0.12 dev eth0`);
    else if (backend === 'ipip') t.is(route, `${subnet} via 192.168.0.12 dev flannel.ipip onlink`);
    else if (backend === 'ipsec') {
      t.is(route, '');
      const { output } = await run(lab, 'n1', 'ip xfrm policy');
      t.regex(output, new RegExp(`dst ${subnet} \n\tdir out .*\n\ttmpl src 192.168.0.11 dst 192.168.0.12\n`));
    } else {
      const device = backend === 'udp' ? 'flannel0' : 'flannel-wg';
      t.regex(
        (await run(lab, 'n1', 'ip route')).output,
        new RegExp(`^10\\.244\\.0\\.0/16 dev ${device}`, 'm'),
      );
    }

    const vtep = async () =>
      backend === 'vxlan'
        ? /link\/ether (\S+)/.exec((await run(lab, 'n2', 'ip link show flannel.1')).output)?.[1]
        : '';
    const macBefore = await vtep();
    await lab.act({ type: 'kill', node: 'n2', how: 'silent' });
    await lab.act({ type: 'start', node: 'n2' });
    await converge(t, lab);
    t.is((await addressOf(lab, 'web-n2-1')).replace(/\d+$/, '0/24'), subnet);
    t.is(await vtep(), macBefore);
    await pings(t, lab, 'web-n1-1', 'web-n2-1');
    await verifies(t, lab);
  });
}
