import test from 'ava';
import { listPods } from '../../orchestrator/pods.ts';
import { run, verifies } from '../support/lab.ts';
import { flannel, simulate } from '../support/sim.ts';

/** What flannel leaves of 1500 bytes for packets of pods, and by which device they leave (REFERENCE §3, §6). */
const ROWS = [
  { backend: 'udp', mtu: 1472, device: 'flannel0' },
  { backend: 'vxlan', mtu: 1450, device: 'flannel.1' },
  { backend: 'host-gw', mtu: 1500, device: 'eth0' },
  { backend: 'ipip', mtu: 1480, device: 'flannel.ipip' },
  { backend: 'wireguard', mtu: 1420, device: 'flannel-wg' },
  // No device of its own: what ESP leaves, of AES-GCM 1446, is more than the 1423 that flannel gives to pods.
  { backend: 'ipsec', mtu: 1423, device: null },
] as const;

for (const { backend, mtu, device } of ROWS) {
  test(`flannel ${backend}: a packet that is too long is answered with the MTU of the way, and one of it gets through`, async (t) => {
    const lab = await simulate(flannel(backend, { nodes: 2, pods: 1 }));
    const pods = await listPods(lab);
    const target = pods.find(({ spec }) => spec.node === 'n2')?.status?.podIP ?? '';
    const from = pods.find(({ spec }) => spec.node === 'n1')?.spec.name ?? '';
    const mtuOf = async (where: string, dev: string) =>
      Number(/ mtu (\d+) /.exec((await run(lab, where, `ip link show ${dev}`)).output)?.[1]);
    t.is(await mtuOf(from, 'eth0'), mtu);
    if (device !== null) t.is(await mtuOf('n1', device), mtu);
    // A pod that thinks that it has more: its node tells it better, and it heeds that.
    const told = backend === 'ipsec' ? 1446 : mtu;
    for (const [where, dev] of [
      [from, 'eth0'],
      ['n1', 'cni0'],
    ] as const)
      t.is((await run(lab, where, `ip link set ${dev} mtu 1600`)).code, 0);
    const veth = /\d+: (veth\w+)@/.exec((await run(lab, 'n1', 'ip link')).output)?.[1] ?? '';
    await run(lab, 'n1', `ip link set ${veth} mtu 1600`);
    const ping = (size: number) => run(lab, from, `ping -n -c 1 -W 2 -M do -s ${size - 28} ${target}`);
    const first = await ping(told + 1);
    t.regex(first.output, new RegExp(`Frag needed and DF set \\(mtu = ${told}\\)`));
    t.regex((await ping(told + 1)).output, new RegExp(`message too long, mtu=${told}`));
    const fits = await ping(mtu);
    t.regex(fits.output, / 1 received/, fits.output);
    // Without DF nobody has to be told.
    const fragmented = await run(lab, from, `ping -n -c 1 -W 2 -M dont -s 3000 ${target}`);
    t.regex(fragmented.output, / 1 received/, fragmented.output);
    await verifies(t, lab);
  });
}
