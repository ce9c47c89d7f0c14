import fc from 'fast-check';
import { ARP_LEN, ARP_REQUEST, encodeArp } from '../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, tagged, type VlanProtocol } from '../../../protocols/vlan.ts';
import { framesOf } from './packets.ts';
import { guestTestWith, runs } from './suite.ts';
import { Twin } from './twin.ts';

const guestTest = guestTestWith();
const ip = (text: string): number => parseIp4(text) ?? 0;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((text) => text !== '').join(' '));

const PORTS = ['p0', 'p1', 'p2', 'p3'];
const BRIDGE_MAC = 0x0200_0000_0060;
const GROUP = 0x0100_5e01_0203;
const BROADCAST = 0xffff_ffff_ffff;
const FOR_BRIDGES = [0x0180_c200_0000, 0x0180_c200_0008, 0x0180_c200_000b, 0x0180_c200_000e];
const STATIONS = [0x0200_0000_0011, 0x0200_0000_0012, 0x0200_0000_0013];

const vid = one('1', '1', '2', '10', '10', '20', '9-11', '10-20', '20-22', '4094', '0', '4095');
const place = one(...PORTS.map((dev) => `dev ${dev}`), 'dev p0 master', 'dev br0 self', 'dev br0 self');
const membership = join(
  one('bridge vlan add', 'bridge vlan add', 'bridge vlan add', 'bridge vlan del'),
  one('vid'),
  vid,
  place,
  one('', '', 'pvid', 'pvid'),
  one('', 'untagged'),
);
const setting = join(
  one('ip link set br0 type bridge'),
  one(
    'vlan_filtering 1',
    'vlan_filtering 0',
    'vlan_default_pvid 1',
    'vlan_default_pvid 0',
    'vlan_default_pvid 10',
    'vlan_default_pvid 4095',
    'vlan_protocol 802.1ad',
    'vlan_protocol 802.1Q',
    'vlan_filtering 0 vlan_default_pvid 20 vlan_filtering 1',
  ),
);
const row = join(
  one('bridge fdb add', 'bridge fdb replace', 'bridge fdb del'),
  one('02:00:00:00:00:11', '02:00:00:00:00:12', '02:00:00:00:00:13'),
  one(...PORTS.map((dev) => `dev ${dev} master`)),
  one('static', 'static', 'local'),
  one('', 'vlan 1', 'vlan 10', 'vlan 20'),
);
const port = one(
  'ip link set p3 nomaster',
  'ip link set p3 master br0',
  'bridge link set dev p1 isolated on',
  'bridge link set dev p2 isolated on',
  'bridge link set dev p1 hairpin on',
  'bridge link set dev p2 learning off',
  'bridge link set dev p2 flood off',
);
const command = fc.oneof(
  { weight: 8, arbitrary: membership },
  { weight: 2, arbitrary: setting },
  { weight: 2, arbitrary: row },
  { weight: 1, arbitrary: port },
);

interface Tag {
  readonly protocol: VlanProtocol;
  readonly id: number;
  readonly priority: number;
}

const tag = fc.record<Tag>({
  protocol: one<VlanProtocol>(ETHERTYPE_8021Q, ETHERTYPE_8021Q, ETHERTYPE_8021Q, ETHERTYPE_8021AD),
  id: one(0, 1, 1, 2, 10, 10, 11, 20, 20, 4094, 4095),
  priority: one(0, 0, 5, 7),
});

/** No protocol that a host would answer. */
function unknownFrame(dst: number, src: number): Uint8Array {
  const bytes = new Uint8Array(ETH_HLEN + 46).fill(0x61);
  writeEthernet(bytes, dst, src, ETHERTYPE_IPV4 + 0x80b5);
  return bytes;
}

function arpRequest(src: number, net: number): Uint8Array {
  const bytes = new Uint8Array(ETH_HLEN + ARP_LEN);
  writeEthernet(bytes, BROADCAST, src, ETHERTYPE_ARP);
  const packet = { op: ARP_REQUEST, sha: src, spa: ip(`10.0.${net}.9`), tha: 0, tpa: ip(`10.0.${net}.1`) };
  encodeArp(bytes, ETH_HLEN, packet);
  return bytes;
}

function ping(src: number, net: number): Uint8Array {
  const [frame] = framesOf({
    ...{ port: 0, src: ip(`10.0.${net}.2`), dst: ip(`10.0.${net}.1`), proto: 1, srcPort: 9, dstPort: 0 },
    ...{ flags: 0, size: 20, ttl: 64, tos: 0, df: true, fault: 'none', mtu: 0 },
  });
  writeEthernet(frame!, BRIDGE_MAC, src, ETHERTYPE_IPV4);
  return frame!;
}

const frame = fc
  .record({
    port: fc.nat(PORTS.length - 1),
    src: one(...STATIONS),
    dst: one(...STATIONS, ...STATIONS, BROADCAST, GROUP, BRIDGE_MAC, 0x0200_0000_00a1, ...FOR_BRIDGES),
    what: one('unknown', 'unknown', 'unknown', 'arp', 'ping'),
    net: one(1, 10, 20),
    tags: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 5, arbitrary: fc.tuple(tag) },
      { weight: 1, arbitrary: fc.tuple(tag, tag) },
    ),
  })
  .map(({ port, src, dst, what, net, tags }) => {
    const bare =
      what === 'arp' ? arpRequest(src, net) : what === 'ping' ? ping(src, net) : unknownFrame(dst, src);
    const bytes = tags.reduce(
      (inner, { protocol, id, priority }) => tagged(inner, protocol, id, priority),
      bare,
    );
    return { port, bytes };
  });

/** The host is in VLANs 1, 10 and 20: in the first without a tag. */
const SET_UP = [
  'ip link add name br0 address 02:00:00:00:00:60 type bridge vlan_filtering 1 mcast_snooping 0',
  ...PORTS.map((dev) => `ip link set ${dev} master br0`),
  'ip addr add 10.0.1.1/24 dev br0',
  'ip link set br0 up',
  ...['10', '20'].flatMap((id) => [
    `ip link add link br0 name br0.${id} type vlan id ${id}`,
    `ip addr add 10.0.${id}.1/24 dev br0.${id}`,
    `ip link set br0.${id} up`,
    `ip neigh add 10.0.${id}.2 lladdr 02:00:00:00:00:12 dev br0.${id} nud permanent`,
  ]),
  'ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:12 dev br0 nud permanent',
];

/** Rows of the bridge: groups that the devices listen to are of the devices themselves. */
function rowsOfBridge(text: string): string {
  return text
    .split('\n')
    .filter((line) => line.includes('master br0'))
    .map((line) => line.trimEnd())
    .sort()
    .join('\n');
}

guestTest('bridges that filter VLANs take, tag and turn away frames as in Linux', async (t, guest) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 3, maxLength: 12, size: 'max' }),
      fc.array(fc.oneof({ weight: 6, arbitrary: frame }, { weight: 1, arbitrary: command }), {
        minLength: 15,
        maxLength: 45,
        size: 'max',
      }),
      async (settings, steps) => {
        const twin = await Twin.start(
          PORTS.map((name, i) => ({ name, mac: 0x0200_0000_00a0 + i })),
          SET_UP,
          { guest },
        );
        try {
          await twin.all(settings);
          await twin.same('bridge vlan show');
          await twin.same('bridge -compressvlans vlan show');
          for (const step of steps) {
            if (typeof step === 'string') await twin.all([step]);
            else await twin.send(step.port, step.bytes);
          }
          await twin.same('bridge vlan show');
          await twin.same('bridge fdb show', rowsOfBridge);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(4, 3),
  );
  t.pass();
});
