import test from 'ava';
import { addressOf, converge, launch, pings, run, verifies } from '../support/lab.ts';

const BACKENDS = ['udp', 'vxlan', 'host-gw', 'wireguard'] as const;

function flannel(backend: string): string {
  return `
name: scn-${backend}
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    n3: { kind: node }
segments:
  lan: { subnet: 192.168.0.0/24, rangeStart: 192.168.0.11, nodes: all }
cluster:
  cni: flannel
  backend: ${backend}
  podCIDR: 10.244.0.0/16
  pods: 2
`;
}

/** MTU of a pod's eth0 (REFERENCE §3): what the encapsulation leaves of 1500. */
const MTU = { udp: 1472, vxlan: 1450, 'host-gw': 1500, wireguard: 1420 } as const;

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
    else {
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
