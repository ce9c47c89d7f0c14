import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { listPods } from '../../../orchestrator/pods.ts';
import type { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { run } from '../../support/lab.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { capinfos, testWithTshark, tshark } from '../../support/tshark.ts';
import { simulateCapture } from './simulated.ts';

const HOSTS = `
name: protocols
topology:
  nodes:
    h1:
      kind: host
      docker:
        networks: [--subnet 192.168.5.0/24 back]
        containers: [--name plain nginx, --name web --net back nginx, -it --name box --net back netshoot]
    h2: { kind: host }
segments:
  lan: { subnet: 10.0.0.0/24, rangeStart: 10.0.0.11, nodes: all }
`;

/** What makes a real dissector check what it may leave alone otherwise. */
const CHECKS = ['ip', 'udp', 'tcp'].flatMap((name) => ['-o', `${name}.check_checksum:TRUE`]);
/** Malformed, or an error: what is rare only, as a reset, is a warning. */
const WRONG =
  '_ws.malformed || _ws.expert.severity >= 0x00800000 || ip.checksum.status == 0 || udp.checksum.status == 0';

async function shell(t: ExecutionContext, lab: SimLab, place: string, line: string): Promise<string> {
  const { code, output } = await run(lab, place, line);
  t.is(code, 0, `${place}: ${line}: ${output}`);
  return output;
}

/** Captures while something is done, and has nothing wrong in it for tshark, and capinfos. */
async function captured(
  t: ExecutionContext,
  targets: readonly string[],
  during: (lab: SimLab) => Promise<void>,
  ...args: readonly string[]
) {
  const { bytes, warnings } = await simulateCapture(HOSTS, targets, during);
  t.deepEqual(warnings, []);
  const file = join(temporaryFolder(t), 'capture.pcapng');
  writeFileSync(file, bytes);
  const info = capinfos(file);
  t.regex(info, /File type: +.*pcapng/);
  t.regex(info, new RegExp(`Number of interfaces in file: ${targets.length}\\b`));
  t.deepEqual(await tshark(file, '-Y', WRONG, ...CHECKS, ...args), []);
  return async (filter: string) => (await tshark(file, '-Y', filter, ...CHECKS, ...args)).length;
}

for (const [kind, options, filter] of [
  ['ipip', '', 'ip.proto == 4 && icmp'],
  ['gre', '', 'gre.proto == 0x0800 && icmp'],
  ['gre', 'key 7 csum seq', 'gre.key == 7 && gre.checksum && gre.sequence_number && icmp'],
  ['gretap', '', 'gre.proto == 0x6558 && icmp'],
] as const)
  testWithTshark(`${kind} ${options}: inside and outside`, async (t) => {
    const tunnel = async (lab: SimLab, host: string, local: string, remote: string, inner: string) => {
      const line = `ip link add tun1 type ${kind} local ${local} remote ${remote} ${options}`;
      for (const each of [line.trim(), `ip addr add ${inner}/30 dev tun1`, 'ip link set tun1 up'])
        await shell(t, lab, host, each);
    };
    const count = await captured(t, ['lan', 'h1:tun1'], async (lab) => {
      await tunnel(lab, 'h1', '10.0.0.11', '10.0.0.12', '10.9.0.1');
      await tunnel(lab, 'h2', '10.0.0.12', '10.0.0.11', '10.9.0.2');
      await lab.sleep(100);
      t.regex(await shell(t, lab, 'h1', 'ping -n -c 3 -s 1400 10.9.0.2'), / 3 received/);
    });
    t.is(await count(`frame.interface_name == "lan" && ${filter}`), 6);
    const link = kind === 'gretap' ? 'eth' : 'raw && !eth';
    t.is(await count(`frame.interface_name == "h1:tun1" && ${link} && icmp && !gre`), 6);
  });

testWithTshark('VXLAN on its own port: inside and outside', async (t) => {
  const count = await captured(t, ['lan', 'h1:vx'], async (lab) => {
    for (const [host, remote, inner] of [
      ['h1', '10.0.0.12', '10.9.0.1'],
      ['h2', '10.0.0.11', '10.9.0.2'],
    ] as const) {
      await shell(t, lab, host, `ip link add vx type vxlan id 42 dstport 4789 remote ${remote} dev eth0`);
      await shell(t, lab, host, `ip addr add ${inner}/30 dev vx`);
      await shell(t, lab, host, 'ip link set vx up');
    }
    await lab.sleep(100);
    await shell(t, lab, 'h1', 'ping -n -c 2 10.9.0.2');
  });
  t.is(await count('vxlan.vni == 42 && icmp'), 4);
  t.is(await count('vxlan.vni == 42 && arp'), 2);
  t.is(await count('frame.interface_name == "h1:vx" && eth && icmp && !vxlan'), 4);
});

for (const [kind, options, filter] of [
  ['ip6tnl', '', 'ipv6.opt.tel == 4 && ipv6.nxt == 60'],
  ['ip6tnl', 'encaplimit none flowlabel 0x12345', 'ipv6.flow == 0x12345 && !ipv6.opt.tel'],
  [
    'ip6gre',
    'key 7 csum seq',
    'gre.key == 7 && gre.checksum.status == 1 && gre.sequence_number && ipv6.opt.tel == 4',
  ],
  ['ip6gretap', '', 'gre.proto == 0x6558 && ipv6.opt.tel == 4 && eth'],
] as const)
  testWithTshark(`${kind} ${options}: inside and outside`, async (t) => {
    const count = await captured(t, ['lan', 'h1:tun1'], async (lab) => {
      for (const [host, own, remote] of [
        ['h1', '1', '2'],
        ['h2', '2', '1'],
      ] as const)
        for (const line of [
          'sysctl -w net.ipv6.conf.eth0.disable_ipv6=0',
          `ip -6 addr add 2001:db8::${own}/64 dev eth0 nodad`,
          `ip link add tun1 type ${kind} local 2001:db8::${own} remote 2001:db8::${remote} ${options}`.trim(),
          `ip addr add 10.9.0.${own}/30 dev tun1`,
          'sysctl -w net.ipv6.conf.tun1.disable_ipv6=0',
          `ip -6 addr add fd00:9::${own}/64 dev tun1 nodad`,
          'ip link set tun1 up',
        ])
          await shell(t, lab, host, line);
      await lab.sleep(3_000);
      t.regex(await shell(t, lab, 'h1', 'ping -n -c 2 -s 1300 10.9.0.2'), / 2 received/);
      t.regex(await shell(t, lab, 'h1', 'ping -n -c 2 -s 1300 fd00:9::2'), / 2 received/);
    });
    t.is(await count(`frame.interface_name == "lan" && ${filter} && icmp`), 4);
    t.is(
      await count(`frame.interface_name == "lan" && ${filter} && (icmpv6.type == 128 || icmpv6.type == 129)`),
      4,
    );
    const link = kind === 'ip6gretap' ? 'eth' : 'raw && !eth';
    t.is(await count(`frame.interface_name == "h1:tun1" && ${link} && icmp && !gre`), 4);
  });

testWithTshark('sit: inside and outside', async (t) => {
  const count = await captured(t, ['lan', 'h1:tun1'], async (lab) => {
    for (const [host, own, remote] of [
      ['h1', '1', '2'],
      ['h2', '2', '1'],
    ] as const)
      for (const line of [
        `ip link add tun1 type sit local 10.0.0.1${own} remote 10.0.0.1${remote} ttl 64`,
        'sysctl -w net.ipv6.conf.tun1.disable_ipv6=0',
        `ip -6 addr add fd00:9::${own}/64 dev tun1`,
        'ip link set tun1 up',
      ])
        await shell(t, lab, host, line);
    await lab.sleep(3_000);
    t.regex(await shell(t, lab, 'h1', 'ping -n -c 2 -s 1300 fd00:9::2'), / 2 received/);
  });
  t.is(await count('frame.interface_name == "lan" && ip.proto == 41 && icmpv6'), 4);
  t.is(await count('frame.interface_name == "h1:tun1" && raw && !eth && icmpv6 && !ip'), 4);
});

testWithTshark('VXLAN over IPv6: inside and outside', async (t) => {
  const count = await captured(t, ['lan', 'h1:vx'], async (lab) => {
    for (const [host, own, remote, inner] of [
      ['h1', '1', '2', '10.9.0.1'],
      ['h2', '2', '1', '10.9.0.2'],
    ] as const) {
      await shell(t, lab, host, 'sysctl -w net.ipv6.conf.eth0.disable_ipv6=0');
      await shell(t, lab, host, `ip -6 addr add 2001:db8::${own}/64 dev eth0 nodad`);
      const ends = `local 2001:db8::${own} remote 2001:db8::${remote} dev eth0`;
      await shell(t, lab, host, `ip link add vx type vxlan id 42 dstport 4789 ${ends} flowlabel 0x12345`);
      await shell(t, lab, host, `ip addr add ${inner}/30 dev vx`);
      await shell(t, lab, host, 'ip link set vx up');
    }
    await lab.sleep(3_000);
    t.regex(await shell(t, lab, 'h1', 'ping -n -c 2 -M do -s 1402 10.9.0.2'), / 2 received/);
  });
  t.is(await count('ipv6.flow == 0x12345 && udp.checksum.status == 1 && vxlan.vni == 42 && icmp'), 4);
  t.is(await count('ipv6.plen == 1460 && vxlan.vni == 42 && icmp'), 4);
  t.is(await count('ipv6 && vxlan.vni == 42 && arp'), 2);
  t.is(await count('frame.interface_name == "h1:vx" && eth && icmp && !vxlan'), 4);
});

testWithTshark("containers: Docker's DNS, HTTP, their veth and their bridge", async (t) => {
  const targets = ['lan', 'h1/box:eth0', 'h1/box:lo', 'h1/web:eth0', 'h1:docker0', 'h1/plain:eth0'];
  const count = await captured(t, targets, async (lab) => {
    t.regex(await shell(t, lab, 'h1', 'docker exec box dig web'), /status: NOERROR/);
    t.regex(await shell(t, lab, 'h1', 'docker exec box dig +tcp web'), /status: NOERROR/);
    t.regex(await shell(t, lab, 'h1', 'docker exec box curl -s http://web/'), /web/);
    await shell(t, lab, 'h1', 'curl -s http://172.17.0.2/');
    t.not((await run(lab, 'h1', 'curl -s http://172.17.0.2:81/')).code, 0);
    await lab.sleep(500);
  });
  t.true(
    (await count('frame.interface_name == "h1/box:lo" && dns.qry.name == "web" && dns.a == 192.168.5.2')) > 0,
  );
  t.true((await count('frame.interface_name == "h1/box:lo" && dns && tcp')) > 0);
  // What is on two interfaces is a retransmission to tshark, and taken apart where it came first.
  for (const server of ['192.168.5.2', '172.17.0.2']) {
    t.true((await count(`http.request.method == "GET" && ip.dst == ${server}`)) > 0, server);
    t.true((await count(`http.response.code == 200 && ip.src == ${server}`)) > 0, server);
  }
  for (const name of ['h1/box:eth0', 'h1/web:eth0', 'h1:docker0', 'h1/plain:eth0'])
    t.is(await count(`frame.interface_name == "${name}" && tcp.port == 80 && tcp.flags.syn == 1`), 2, name);
  t.is(await count('frame.interface_name == "h1:docker0" && tcp.port == 81 && tcp.flags.reset == 1'), 1);
});

testWithTshark('a veth of a container by its name, ICMP errors and fragments', async (t) => {
  // Names are of the lab's seed, so that what one run says of them holds for the next.
  let veth = '';
  await simulateCapture(HOSTS, ['lan'], async (lab) => {
    const links = await shell(t, lab, 'h1', 'ip link show master docker0');
    veth = /(veth\w+)@/.exec(links)?.[1] ?? '';
  });
  t.regex(veth, /^veth/);
  const count = await captured(t, ['lan', `h1:${veth}`], async (lab) => {
    await shell(t, lab, 'h1', 'ping -n -c 1 -s 4000 172.17.0.2');
    await shell(t, lab, 'h1', 'ping -n -c 1 -s 4000 10.0.0.12');
    await run(lab, 'h2', 'traceroute -n -q 1 10.0.0.11');
  });
  t.true((await count(`frame.interface_name == "h1:${veth}" && ip.flags.mf == 1`)) >= 4);
  t.is(await count('frame.interface_name == "lan" && icmp.type == 8 && ip.reassembled.length'), 1);
  t.true((await count('icmp.type == 3 && icmp.code == 3')) >= 1);
});

testWithTshark('IPv6: neighbours, pings and BGP of a dual-stack cluster', async (t) => {
  const yaml = readFileSync('examples/dual-stack.yaml', 'utf8');
  const file = join(temporaryFolder(t), 'capture.pcapng');
  const { bytes } = await simulateCapture(yaml, [], async (lab) => {
    const pods = (await listPods(lab)).filter((pod) => pod.status?.podIPs?.[1] !== undefined);
    const one = pods[0];
    const two = pods.find((pod) => pod.spec.node !== one?.spec.node);
    await shell(t, lab, `${one?.spec.name}`, `ping -6 -n -c 2 ${two?.status?.podIPs?.[1]}`);
  });
  writeFileSync(file, bytes);
  t.deepEqual(await tshark(file, '-Y', WRONG, ...CHECKS), []);
  for (const filter of ['icmpv6.type == 135', 'icmpv6.type == 136', 'bgp.type == 2'])
    t.true((await tshark(file, '-Y', filter)).length > 0, filter);
});
