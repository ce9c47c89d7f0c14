import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { addressOf, run } from '../../support/lab.ts';
import { temporaryFolder } from '../../support/nats.ts';
import { complaints, testWithTshark, tshark } from '../../support/tshark.ts';
import { simulateCapture } from './simulated.ts';

const CALICO = `
name: dissect-calico
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
    rr: { kind: reflector }
segments:
  lan: { subnet: 172.18.18.0/24, rangeStart: 172.18.18.101, nodes: all }
cluster:
  cni: calico
  calico: { mesh: reflectors }
  pods: { perNode: 1, name: web }
`;

/** Routers with every kind of community, both families, several paths to a prefix, long-lived graceful restart and BFD. */
const RICH = `
name: dissect-rich
policy:
  policies:
    tag:
      - { set: { communities: { add: ["65001:77", "65001:1:2", "rt:65001:5", no-export] }, med: 20, prepend: 2 }, action: accept }
topology:
  kinds:
    router:
      bgp:
        session: { families: [ipv4, ipv6], addPath: both, gracefulRestart: { longLivedTime: 1h }, ttlSecurity: 1, bfd: true }
  nodes:
    r1: { kind: router, bgp: { as: 4200000001, networks: [203.0.113.0/24, "2001:db8::/32"], peers: { r2: { export: tag } } } }
    r2: { kind: router, bgp: { as: 65002, networks: [192.0.2.0/24] } }
    r3: { kind: router, bgp: { as: 65003 } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"] }
    - { endpoints: ["r2:eth2", "r3:eth1"] }
    - { endpoints: ["r1:eth2", "r3:eth2"] }
`;

function flannel(backend: string): string {
  return `
name: dissect-flannel
topology:
  nodes:
    n1: { kind: node }
    n2: { kind: node }
segments:
  lan: { subnet: 192.168.0.0/24, rangeStart: 192.168.0.11, nodes: all }
cluster: { cni: flannel, backend: ${backend}, podCIDR: 10.244.0.0/16, pods: 1 }
`;
}

function save(t: ExecutionContext, bytes: Uint8Array): string {
  const file = join(temporaryFolder(t), 'capture.pcapng');
  writeFileSync(file, bytes);
  return file;
}

/** Checksums are not looked at unless asked. */
const CHECK_SUMS = ['ip', 'udp', 'tcp'].flatMap((name) => ['-o', `${name}.check_checksum:TRUE`]);

const CHECKSUM_GOOD = '1';

/** Fields of all frames; several of one name in a frame are separated by commas. */
async function fields(
  file: string,
  names: readonly string[],
  ...args: readonly string[]
): Promise<Record<string, string>[]> {
  const wanted = names.flatMap((name) => ['-e', name]);
  const lines = await tshark(file, '-T', 'fields', '-E', 'separator=|', ...wanted, ...args);
  return lines.map((line) => {
    const values = line.split('|');
    return Object.fromEntries(names.map((name, i) => [name, values[i] ?? '']));
  });
}

/** Number of frames that match. */
async function frames(file: string, filter: string, ...args: readonly string[]): Promise<number> {
  return (await tshark(file, '-Y', filter, ...args)).length;
}

testWithTshark('ARP, ICMP, TCP and BGP of a Calico lab dissect without a complaint', async (t) => {
  const { bytes } = await simulateCapture(CALICO, ['lan'], async (lab) => {
    const to = await addressOf(lab, 'web-n2-1');
    t.is((await run(lab, 'web-n1-1', `ping -n -c 2 ${to}`)).code, 0);
    await run(lab, 'web-n1-1', `traceroute -n ${to}`);
    await lab.sleep(100_000);
  });
  const file = save(t, bytes);
  t.deepEqual(await complaints(file, ...CHECK_SUMS), []);

  const rows = await fields(
    file,
    ['ip.checksum.status', 'arp.opcode', 'icmp.type', 'ip.ttl', 'tcp.flags', 'bgp.type'],
    ...CHECK_SUMS,
  );
  const count = (name: string, value: string) =>
    rows.filter((row) => row[name]?.split(',').includes(value)).length;
  t.is(
    count('ip.checksum.status', CHECKSUM_GOOD) + count('arp.opcode', '1') + count('arp.opcode', '2'),
    rows.length,
  );
  t.true(count('arp.opcode', '1') > 0);
  t.true(count('arp.opcode', '2') > 0);
  t.is(count('icmp.type', '8'), 2);
  t.is(count('icmp.type', '0'), 2);
  t.is(count('tcp.flags', '0x0002'), 2, 'SYN');
  for (const [type, name] of [
    ['1', 'OPEN'],
    ['2', 'UPDATE'],
    ['4', 'KEEPALIVE'],
  ] as const)
    t.true(count('bgp.type', type) >= 4, name);
});

testWithTshark('all that an UPDATE may carry dissects without a complaint', async (t) => {
  const { bytes } = await simulateCapture(RICH, [], async (lab) => {
    await lab.act({ type: 'bgp', node: 'r2', request: { op: 'announce', prefix: '203.0.113.0/25' } });
    await lab.act({ type: 'bgp', node: 'r2', request: { op: 'refresh', peer: 'r1', family: 'ipv6' } });
    await lab.sleep(10_000);
    await lab.act({ type: 'bgp', node: 'r2', request: { op: 'withdraw', prefix: '203.0.113.0/25' } });
    const communication = 'maintenance';
    await lab.act({ type: 'bgp', node: 'r2', request: { op: 'disable', peer: 'r1', communication } });
    await lab.sleep(10_000);
  });
  const file = save(t, bytes);
  t.deepEqual(
    await tshark(file, '-Y', '_ws.malformed || _ws.expert.severity >= 0x00800000', ...CHECK_SUMS),
    [],
  );
  const names = [
    'bgp.mp_reach_nlri_ipv6_prefix',
    'bgp.update.path_attribute.community_wellknown',
    'bgp.large_communities.ga',
    'bgp.ext_com.type',
    'bgp.nlri_path_id',
    'bgp.cap.gr.timers.restart_time',
    'bgp.notify.communication',
    'bgp.route_refresh.subtype',
    'bfd.sta',
  ];
  const rows = await fields(file, names);
  for (const name of names)
    t.true(
      rows.some((row) => row[name] !== ''),
      name,
    );
});

/** BFD, TTL security and dynamic neighbours over IPv6, by global and by link-local addresses. */
const OVER_IPV6 = `
name: dissect-ipv6
topology:
  kinds:
    router: { bgp: { session: { bfd: true, ttlSecurity: 1 } } }
  nodes:
    r1: { kind: router, bgp: { as: 65001, networks: [203.0.113.0/24, "2001:db8:1::/48"] } }
    r2: { kind: router, bgp: { as: 65002, networks: [192.0.2.0/24] } }
    r3: { kind: router, bgp: { as: 65003, transport: ipv6 } }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"], subnet: none }
    - { endpoints: ["r2:eth2", "r3:eth1"], subnet6: "2001:db8:23::/64" }
`;

testWithTshark(
  'BGP and BFD over IPv6 dissect without a complaint, next hops of both lengths included',
  async (t) => {
    const { bytes } = await simulateCapture(OVER_IPV6, [], async (lab) => {
      await lab.act({ type: 'bgp', node: 'r2', request: { op: 'reset', peer: 'r1' } });
      await lab.sleep(10_000);
    });
    const file = save(t, bytes);
    t.deepEqual(
      await tshark(file, '-Y', '_ws.malformed || _ws.expert.severity >= 0x00800000', ...CHECK_SUMS),
      [],
    );
    const overTcp = await fields(file, ['ipv6.src', 'ipv6.hlim'], '-Y', 'bgp');
    t.true(overTcp.some((row) => row['ipv6.src'] === '2001:db8:23::1'));
    t.true(overTcp.some((row) => row['ipv6.src']?.startsWith('fe80::')));
    t.true(overTcp.every((row) => row['ipv6.hlim'] === '255'));
    const bfd = await fields(file, ['ipv6.hlim', 'udp.dstport'], '-Y', 'bfd');
    t.true(bfd.length > 0);
    t.true(bfd.every((row) => row['ipv6.hlim'] === '255' && row['udp.dstport'] === '3784'));
    const [told] = await fields(
      file,
      [
        'bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6',
        'bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6.link_local',
      ],
      '-Y',
      'bgp.update.path_attribute.mp_reach_nlri.afi == 1 && ipv6.src == 2001:db8:23::',
    );
    t.deepEqual(Object.values(told ?? {}), ['2001:db8:23::', 'fe80::52:ff:fe02:1']);
  },
);

testWithTshark('a node killed, started and cut off leaves no frame malformed on any device', async (t) => {
  const targets = ['lan', 'n1:eth0', 'n1:lo', 'web-n1-1:eth0'];
  const { bytes } = await simulateCapture(CALICO, targets, async (lab) => {
    t.not((await run(lab, 'web-n1-1', 'ping -n -c 1 -W 1 172.18.18.77')).code, 0);
    await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
    await lab.act({ type: 'start', node: 'n2' });
    await lab.sleep(10_000);
    await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'down' });
    await lab.sleep(300_000);
  });
  const file = save(t, bytes);
  // That a connection is reset, and seen on two interfaces, is worth a warning to Wireshark: errors only.
  t.deepEqual(
    await tshark(file, '-Y', '_ws.malformed || _ws.expert.severity >= 0x00800000', ...CHECK_SUMS),
    [],
  );
  t.true((await frames(file, 'frame.interface_name == "lan" && tcp.flags.reset == 1')) > 0);
});

testWithTshark('a frame on n1:eth0 goes out or in, and its echo lies between', async (t) => {
  const { bytes } = await simulateCapture(
    CALICO,
    ['n1:eth0', 'n2:eth0', 'lan'],
    async (lab) => {
      await run(lab, 'n1', 'ping -n -c 1 172.18.18.102');
    },
    { filter: 'icmp' },
  );
  const file = save(t, bytes);
  const fields = [
    'frame.interface_name',
    'frame.interface_description',
    'frame.packet_flags_direction',
    'icmp.type',
  ];
  const lines = await tshark(
    file,
    '-T',
    'fields',
    '-E',
    'separator=|',
    ...fields.flatMap((name) => ['-e', name]),
  );
  t.deepEqual(lines, [
    'n1:eth0|LAN lan|0x00000002|8',
    'lan|LAN of n1:eth0 n2:eth0 rr:eth0||8',
    'n2:eth0|LAN lan|0x00000001|8',
    'n2:eth0|LAN lan|0x00000002|0',
    'lan|LAN of n1:eth0 n2:eth0 rr:eth0||0',
    'n1:eth0|LAN lan|0x00000001|0',
  ]);
});

testWithTshark('VXLAN of a Flannel lab dissects down to the packet of the pod', async (t) => {
  const targets = ['lan', 'n1:flannel.1', 'n1:cni0', 'web-n1-1:eth0'];
  const { bytes, warnings } = await simulateCapture(flannel('vxlan'), targets, async (lab) => {
    await run(lab, 'web-n1-1', `ping -n -c 2 ${await addressOf(lab, 'web-n2-1')}`);
  });
  t.deepEqual(warnings, []);
  const file = save(t, bytes);
  const vxlan = ['-d', 'udp.port==8472,vxlan'];
  t.deepEqual(await complaints(file, ...vxlan), []);
  t.is(await frames(file, 'vxlan.vni == 1 && icmp.type == 8', ...vxlan), 2);
  t.is(await frames(file, 'vxlan.vni == 1 && icmp.type == 0', ...vxlan), 2);
  for (const name of targets.slice(1))
    t.is(await frames(file, `frame.interface_name == "${name}" && icmp && !vxlan`, ...vxlan), 4, name);
});

testWithTshark('the TUN device of Flannel shows IP packets without a link layer', async (t) => {
  const targets = ['lan', 'n1:flannel0', 'n1:lo'];
  const { bytes } = await simulateCapture(flannel('udp'), targets, async (lab) => {
    await run(lab, 'web-n1-1', `ping -n -c 1 ${await addressOf(lab, 'web-n2-1')}`);
    await run(lab, 'n1', 'ping -n -c 1 127.0.0.1');
  });
  const file = save(t, bytes);
  t.deepEqual(await complaints(file), []);
  t.is(await frames(file, 'frame.interface_name == "n1:flannel0" && raw && !eth && icmp'), 2);
  t.is(await frames(file, 'frame.interface_name == "n1:lo" && eth && icmp'), 2);
  t.is(await frames(file, 'frame.interface_name == "lan" && udp.port == 8285'), 2);
});
