import { ARP_LEN, ARP_REQUEST, encodeArp } from '../../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../../../protocols/ethernet.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, tagged } from '../../../../protocols/vlan.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, command, send, show, trimmed } from './case.ts';
import { ip } from './frames4.ts';

const PORTS = ['p0', 'p1', 'p2'];
const BRIDGE_MAC = 0x0200_0000_0060;
const A = 0x0200_0000_0011;
const B = 0x0200_0000_0012;
const B_TEXT = '02:00:00:00:00:12';

/** A frame of no protocol that a host would answer. */
function frame(dst: number, src: number, ...tags: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(ETH_HLEN + 46).fill(0x61);
  writeEthernet(bytes, dst, src, 0x88b5);
  return tags.reduce<Uint8Array>((inner, id) => tagged(inner, ETHERTYPE_8021Q, id, 5), bytes);
}

/** Who has 10.0.1.1? */
function request(...tags: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(ETH_HLEN + ARP_LEN);
  writeEthernet(bytes, BROADCAST_MAC, A, ETHERTYPE_ARP);
  encodeArp(bytes, ETH_HLEN, { op: ARP_REQUEST, sha: A, spa: ip('10.0.1.9'), tha: 0, tpa: ip('10.0.1.1') });
  return tags.reduce<Uint8Array>((inner, id) => tagged(inner, ETHERTYPE_8021Q, id), bytes);
}

/** Rows of the bridge: groups that the devices listen to are of the devices themselves. */
const ROWS = show('bridge fdb show', (text) =>
  trimmed(
    text
      .split('\n')
      .filter((line) => line.includes('master br0'))
      .join('\n'),
  ),
);
const SET_UP = [
  'ip link add name br0 address 02:00:00:00:00:60 type bridge vlan_filtering 1 mcast_snooping 0',
  ...PORTS.map((dev) => `ip link set ${dev} master br0`),
  'ip link set br0 up',
];

/** What once differed from Linux in `test/interop/linux/bridge-vlan.test.ts`. */
export const bridgeVlanCases: CaseGroup = {
  name: 'bridge-vlan',
  kernel: 'guest',
  ports: PORTS.map((name, i) => ({ name, mac: 0x0200_0000_00a0 + i })),
  settle: settleIpId,
  cases: [
    {
      name: 'a row of which no VLAN is said is in each of its port',
      setUp: [...SET_UP, 'bridge vlan add dev p2 vid 10 pvid untagged'],
      steps: [
        command(`bridge fdb add ${B_TEXT} dev p2 master static vlan 20`),
        command(`bridge fdb add ${B_TEXT} dev p2 master static`),
        ROWS,
        command(`bridge fdb add ${B_TEXT} dev p2 master static vlan 10`),
        send(0, frame(B, A)),
        command('bridge vlan del dev p2 vid 10'),
        command('bridge vlan del dev p2 vid 10'),
        ROWS,
        command(`bridge fdb del ${B_TEXT} dev p1 master`),
        command(`bridge fdb del ${B_TEXT} dev p2 master`),
        ROWS,
      ],
    },
    {
      name: 'the addresses of bridge and ports are the host’s own in the VLANs that they are in',
      setUp: [...SET_UP, 'bridge vlan add dev p0 vid 10', 'bridge vlan add dev p2 vid 10'],
      steps: [
        send(0, frame(0x0200_0000_00a1, A, 10)),
        send(0, frame(0x0200_0000_00a1, A)),
        send(0, frame(BRIDGE_MAC, A, 10)),
        send(1, frame(BROADCAST_MAC, 0x0200_0000_00a2)),
        send(0, frame(BROADCAST_MAC, 0x0200_0000_00a1, 10)),
        command(`bridge fdb add ${B_TEXT} dev p2 master local`),
        send(0, frame(B, A)),
        ROWS,
      ],
    },
    {
      name: 'the default PVID changes while VLANs are filtered, where nobody set another',
      setUp: [...SET_UP, 'bridge vlan add dev p1 vid 10 pvid untagged', 'bridge vlan add dev p2 vid 20'],
      steps: [
        send(0, frame(BROADCAST_MAC, A)),
        send(2, frame(BROADCAST_MAC, B)),
        command('ip link set br0 type bridge vlan_default_pvid 20'),
        show('bridge vlan show'),
        ROWS,
        command('ip link set br0 type bridge vlan_default_pvid 0'),
        show('bridge vlan show'),
        command('ip link set br0 type bridge vlan_default_pvid 4095'),
      ],
    },
    {
      name: 'what was learned stays as VLANs are no longer filtered',
      setUp: SET_UP,
      steps: [
        send(0, frame(BROADCAST_MAC, A)),
        command('ip link set br0 type bridge vlan_filtering 0'),
        ROWS,
        send(1, frame(A, B)),
        command('ip link set br0 type bridge vlan_filtering 1'),
        send(1, frame(A, B)),
      ],
    },
    {
      name: 'a bridge of a provider passes on what is for those of its customers',
      setUp: [...SET_UP, 'ip link set br0 type bridge vlan_protocol 802.1ad'],
      steps: [
        ...[0, 1, 2, 8, 11, 12, 13, 14, 15].map((last) => send(0, frame(0x0180_c200_0000 + last, A))),
        send(0, tagged(frame(BROADCAST_MAC, A), ETHERTYPE_8021AD, 1)),
        send(0, frame(BROADCAST_MAC, A, 10)),
      ],
    },
    {
      name: 'every device passes over a tag that says a priority alone',
      setUp: [
        ...SET_UP,
        'ip link set br0 type bridge vlan_filtering 0',
        'ip addr add 10.0.1.1/24 dev br0',
        'ip link add link br0 name br0.7 type vlan id 7',
        'ip link set br0.7 up',
      ],
      steps: [
        send(0, request()),
        send(0, request(0)),
        send(0, request(0, 0)),
        send(0, request(9)),
        send(0, request(9, 0)),
        command('ip addr del 10.0.1.1/24 dev br0'),
        command('ip addr add 10.0.1.1/24 dev br0.7'),
        send(0, request(7, 0)),
      ],
    },
  ],
};
