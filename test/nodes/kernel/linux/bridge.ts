import { setU16 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV6 } from '../../../../protocols/ethernet.ts';
import { ETHERTYPE_8021Q, tagged } from '../../../../protocols/vlan.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show, trimmed } from './case.ts';
import { icmpEcho, type Packet4, packet4 } from './frames4.ts';
import { packet6, udp6 } from './frames6.ts';
import { udp } from './transport.ts';
import { plain, typed } from './vxlan-frames.ts';

const ALL = 0xffff_ffff_ffff;
const GROUP = 0x0100_5e01_0203;
/** Stations at p0, p1 and p2, and one that nothing is known of. */
const [A, B, C, NOBODY] = [0x0200_0000_0011, 0x0200_0000_0012, 0x0200_0000_0013, 0x0200_0000_0019];
/** Of the ports, and of the bridge. */
const PORT_MACS = [0x0200_0000_00a0, 0x0200_0000_00a1, 0x0200_0000_00a2] as const;
const BRIDGE_MAC = 0x0200_0000_0060;

const BRIDGE = [
  'ip link add name br0 address 02:00:00:00:00:60 type bridge mcast_snooping 0',
  ...['p0', 'p1', 'p2'].map((dev) => `ip link set ${dev} master br0`),
  'ip link set br0 up',
];
/** The host is 10.0.1.1, the stations are known to it. */
const HOST = [
  ...BRIDGE,
  'ip addr add 10.0.1.1/24 dev br0',
  ...[1, 2, 3].map((n) => `ip neigh add 10.0.1.1${n} lladdr 02:00:00:00:00:1${n} dev br0 nud permanent`),
];
/** Rows of no VLAN: Linux may have been built without any. */
const rowsOf = (where: string) =>
  show(`bridge fdb show ${where}`, (text) =>
    trimmed(text)
      .split('\n')
      .filter((line) => line.startsWith('02:') && line.includes(' master ') && !line.includes(' vlan '))
      .join('\n'),
  );
const ROWS = rowsOf('br br0');

/** A station at a port sends a frame to another. */
const says = (port: number, from: number, to: number): CaseStep => send(port, plain(to, from));

const PACKET = { src: '10.0.1.11', dst: '10.0.1.12', to: B, from: A, upper: udp(1_000, 53, 4) };
const bridged = (packet: Partial<Packet4>): Uint8Array => packet4({ ...PACKET, ...packet });
const BRIDGED6 = packet6({ src: '2001:db8::11', dst: '2001:db8::12', to: B, upper: udp6(1_000, 53, 4) });

/** A frame with some of its bytes changed. */
function patched(frame: Uint8Array, ...bytes: readonly (readonly [at: number, value: number])[]): Uint8Array {
  const copy = frame.slice();
  for (const [at, value] of bytes) copy[at] = value;
  return copy;
}
const longer = (frame: Uint8Array) => Uint8Array.of(...frame, 1, 2, 3);
const shorter = (frame: Uint8Array) => frame.slice(0, -3);

function bareTag(length: number): Uint8Array {
  const frame = plain(B, A, 6);
  setU16(frame, 12, ETHERTYPE_8021Q);
  return frame.slice(0, length);
}

/** What once differed from Linux in bridges, and in what br_netfilter does to what they pass on. */
export const bridgeCases: CaseGroup = {
  name: 'bridge',
  ports: PORT_MACS.map((mac, i) => ({ name: `p${i}`, mac })),
  settle: settleIpId,
  cases: [
    {
      name: 'a static row moves with its station',
      setUp: [...BRIDGE, 'bridge fdb add 02:00:00:00:00:11 dev p0 master static'],
      steps: [says(2, C, A), ROWS, says(1, A, C), says(2, C, A), ROWS],
    },
    {
      name: 'a row that is the host’s own does not move with who sends from its address',
      setUp: [...BRIDGE, 'bridge fdb add 02:00:00:00:00:11 dev p0 master permanent'],
      steps: [says(1, A, C), says(2, C, A), ROWS],
    },
    {
      name: 'what is for the address of a port is for the host, where it came by that very port',
      setUp: HOST,
      steps: [0, 1].map((port) =>
        send(port, bridged({ dst: '10.0.1.1', to: PORT_MACS[0], upper: icmpEcho('request') })),
      ),
    },
    {
      name: 'what is for the address of the bridge is for the host, by whichever port it came',
      setUp: HOST,
      steps: [0, 1].map((port) =>
        send(port, bridged({ dst: '10.0.1.1', to: BRIDGE_MAC, upper: icmpEcho('request') })),
      ),
    },
    {
      name: 'the addresses of the bridge and its ports are learned of nobody',
      setUp: BRIDGE,
      steps: [
        says(1, PORT_MACS[0], C),
        says(2, C, PORT_MACS[0]),
        says(1, BRIDGE_MAC, C),
        says(2, C, BRIDGE_MAC),
        rowsOf('dev p1'),
      ],
    },
    {
      name: 'what is for bridges themselves goes no further, though its sender is learned',
      setUp: BRIDGE,
      steps: [
        says(0, A, 0x0180_c200_0002),
        says(0, B, 0x0180_c200_000e),
        says(0, C, 0x0180_c200_0000),
        says(2, NOBODY, A),
        ROWS,
      ],
    },
    {
      name: 'a frame longer than a port takes, with its tag beside it, does not leave by it',
      setUp: [...BRIDGE, 'ip link set p1 mtu 1000'],
      steps: [
        send(0, plain(B, A, 1_004)),
        send(0, plain(B, A, 1_005)),
        send(0, tagged(plain(B, A, 1_004), ETHERTYPE_8021Q, 7)),
        send(0, tagged(plain(B, A, 1_005), ETHERTYPE_8021Q, 7)),
      ],
    },
    {
      name: 'a veth takes no frame longer than its other end does',
      setUp: [
        'ip link add name br0 type bridge mcast_snooping 0',
        'ip link add name br1 type bridge mcast_snooping 0',
        'ip link add a0 type veth peer name b0',
        'ip link set b0 mtu 1000',
        'ip link set p0 master br0',
        'ip link set a0 master br0',
        'ip link set b0 master br1',
        'ip link set p1 master br1',
        ...['a0', 'b0', 'br0', 'br1'].map((dev) => `ip link set ${dev} up`),
      ],
      steps: [
        send(0, plain(B, A, 1_004)),
        send(0, plain(B, A, 1_005)),
        send(0, tagged(plain(B, A, 1_004), ETHERTYPE_8021Q, 7)),
        send(0, tagged(plain(B, A, 1_005), ETHERTYPE_8021Q, 7)),
      ],
    },
    {
      name: 'a tag with nothing behind it is taken by no device',
      setUp: BRIDGE,
      steps: [14, 17, 18, 19, 20].map((length) => send(0, bareTag(length))),
    },
    {
      name: 'a packet of IPv4 that is malformed is not passed on, and its sender not learned',
      setUp: BRIDGE,
      steps: [
        send(0, patched(bridged({}), [ETH_HLEN + 10, 1])),
        send(0, patched(bridged({}), [ETH_HLEN, 0x65])),
        send(0, patched(bridged({}), [ETH_HLEN, 0x44])),
        send(0, shorter(bridged({}))),
        send(0, typed(plain(B, A, 19))),
        ROWS,
        says(2, C, A),
        send(0, bridged({})),
        ROWS,
      ],
    },
    {
      name: 'a packet of IPv6 that is malformed is not passed on',
      setUp: BRIDGE,
      steps: [
        send(0, patched(BRIDGED6, [ETH_HLEN, 0x45])),
        send(0, shorter(BRIDGED6)),
        send(0, typed(plain(B, A, 39), ETHERTYPE_IPV6)),
        send(0, BRIDGED6),
      ],
    },
    {
      name: 'a malformed packet is passed on where netfilter is not asked',
      setUp: BRIDGE,
      steps: [
        command('sysctl -w net.bridge.bridge-nf-call-iptables=0'),
        send(0, patched(bridged({}), [ETH_HLEN + 10, 1])),
        send(0, longer(bridged({}))),
        send(0, shorter(BRIDGED6)),
        command('sysctl -w net.bridge.bridge-nf-call-ip6tables=0'),
        send(0, shorter(BRIDGED6)),
      ],
    },
    {
      name: 'what follows a packet in its frame is cut off',
      setUp: BRIDGE,
      steps: [send(0, longer(bridged({}))), send(0, longer(BRIDGED6)), send(0, longer(plain(B, A)))],
    },
    {
      name: 'a question of ARP that is cut before its kind is not passed on',
      setUp: BRIDGE,
      steps: [7, 8].flatMap((size) => [
        send(0, typed(plain(B, A, size), ETHERTYPE_ARP)),
        send(0, typed(plain(ALL, A, size), ETHERTYPE_ARP)),
      ]),
    },
    {
      name: 'a question of ARP that is cut is passed on where netfilter is not asked',
      setUp: [...BRIDGE, 'sysctl -w net.bridge.bridge-nf-call-arptables=0'],
      steps: [send(0, typed(plain(B, A, 7), ETHERTYPE_ARP))],
    },
    {
      name: 'a packet longer than a port takes is divided by the MTU of the bridge, unless it may not be',
      setUp: [...BRIDGE, 'ip link set p1 mtu 1000', 'ip link set br0 mtu 600'],
      steps: [
        send(0, bridged({ upper: udp(1_000, 53, 1_200), df: false })),
        send(0, bridged({ upper: udp(1_000, 53, 1_200), df: true })),
        send(0, packet6({ src: '2001:db8::11', dst: '2001:db8::12', to: B, upper: udp6(1_000, 53, 1_200) })),
        send(0, bridged({ upper: udp(1_000, 53, 900), df: false })),
      ],
    },
    {
      name: 'a packet longer than a port takes is not divided where netfilter is not asked',
      setUp: [...BRIDGE, 'ip link set p1 mtu 1000', 'sysctl -w net.bridge.bridge-nf-call-iptables=0'],
      steps: [
        send(0, bridged({ upper: udp(1_000, 53, 1_200), df: false })),
        send(0, bridged({ upper: udp(1_000, 53, 976), df: false })),
        send(0, bridged({ upper: udp(1_000, 53, 977), df: false })),
      ],
    },
    {
      name: 'a bridged packet that DNAT sends to another station goes there by the bridge',
      setUp: [
        ...HOST,
        'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.0.1.12:99',
      ],
      steps: [
        send(0, bridged({ dst: '10.96.0.10', to: BRIDGE_MAC })),
        send(1, bridged({ src: '10.0.1.12', dst: '10.0.1.11', from: B, to: A, upper: udp(99, 1_000) })),
        says(2, C, GROUP),
      ],
    },
  ],
};
