import { formatMac } from '../../../../protocols/mac.ts';
import { settleVxlan, vxlanKind, vxlanRows } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show } from './case.ts';
import { type Packet4, packet4 } from './frames4.ts';
import { advert, fragments6, type Packet6, packet6, rest, udp6 } from './frames6.ts';
import { udp } from './transport.ts';
import {
  ELSEWHERE,
  HERE,
  pathTakes6,
  plain,
  THERE,
  type Tunnel,
  tunnelled,
  tunnelled6,
  vxlan,
} from './vxlan-frames.ts';

const ALL = 0xffff_ffff_ffff;
const [THERE_TEXT, ELSEWHERE_TEXT] = [THERE, ELSEWHERE].map(formatMac);
const REST_TEXT = formatMac(0);

/** A device with addresses of IPv6 that need not be claimed, and none of its own. */
const ipv6 = (dev: string, ...addresses: readonly string[]) => [
  `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
  `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
  ...addresses.map((address) => `ip -6 addr add ${address} dev ${dev} nodad`),
];
const known = (address: string) => `ip -6 neigh add ${address} lladdr 02:00:00:00:00:02 dev u0 nud permanent`;

const UNDERLAY = [
  'sysctl -w net.ipv6.conf.all.forwarding=1',
  ...ipv6('u0', '2001:db8::1/64'),
  ...['2001:db8::2', '2001:db8::3'].map(known),
];
const device = (settings: string, name = 'vx0', vni = 42) =>
  `ip link add ${name} address 02:00:00:00:00:50 type vxlan id ${vni} dstport 4789 ${settings}`;

/** In a bridge with the port p0. */
const BRIDGED = [
  'ip link add name br0 address 02:00:00:00:00:60 type bridge mcast_snooping 0',
  'ip link set p0 master br0',
  'ip link set vx0 master br0',
  'ip link set vx0 up',
  'ip link set br0 up',
];
const bridged = (settings: string, ...rows: readonly string[]) => [
  ...UNDERLAY,
  device(settings),
  ...BRIDGED,
  ...rows,
];

/** By itself, as flannel-v6.1 is: packets for fd00:2::/64 go by it, those for fd00:1::/64 by p0. */
const flannel = (settings = 'local 2001:db8::1 nolearning') => [
  ...UNDERLAY,
  device(settings),
  ...ipv6('vx0', 'fd00:1::/128'),
  ...ipv6('p0', 'fd00:1::1/64'),
  'ip link set vx0 up',
  `ip -6 neigh add fd00:2:: lladdr ${THERE_TEXT} dev vx0 nud permanent`,
  'ip -6 neigh add fd00:1::11 lladdr 02:00:00:00:00:11 dev p0 nud permanent',
  `bridge fdb append ${THERE_TEXT} dev vx0 dst 2001:db8::2`,
  'ip -6 route add fd00:2::/64 via fd00:2:: dev vx0 onlink',
];

const LOCAL = 'local 2001:db8::1';
const REMOTE = `${LOCAL} remote 2001:db8::2`;
const ROWS = show('bridge fdb show dev vx0', vxlanRows);
const row = (verb: string, mac: string | undefined, rest: string) =>
  `bridge fdb ${verb} ${mac} dev vx0 ${rest}`;
const details = (name = 'vx0') => show(`ip -d link show ${name}`, vxlanKind);

/** A station sends a frame to another. */
const says = (to: number, from = HERE): CaseStep => send(0, plain(to, from));
/** Another VTEP sends a frame of a station of its own. */
const hears = (from: number, tunnel: Tunnel = {}, packet: Partial<Packet6> = {}): CaseStep =>
  send(1, tunnelled6(plain(HERE, from), tunnel, packet));

const STATION4 = { src: '10.1.0.11', dst: '10.1.0.12', to: THERE, from: HERE, upper: udp(1_000, 53) };
const STATION6 = { src: 'fd00:9::11', dst: 'fd00:9::12', to: THERE, upper: udp6(1_000, 53) };
const says4 = (packet: Partial<Packet4>): CaseStep => send(0, packet4({ ...STATION4, ...packet }));
const says6 = (packet: Partial<Packet6>): CaseStep => send(0, packet6({ ...STATION6, ...packet }));
const hears4 = (packet: Partial<Packet4>, tunnel: Tunnel = {}): CaseStep =>
  send(1, tunnelled6(packet4({ ...STATION4, to: HERE, from: THERE, ...packet }), tunnel));
const pathIs = (mtu: number): CaseStep => send(1, pathTakes6(mtu));
const big = (size: number) => ({ upper: udp(1_000, 53, size) });

/** From the pod fd00:1::11 to the one beyond the tunnel. */
const fromPod = (size: number): CaseStep =>
  send(
    0,
    packet6({
      src: 'fd00:1::11',
      dst: 'fd00:2::12',
      to: 0x0200_0000_00a0,
      upper: udp6(1_000, 53, size),
    }),
  );

const NEIGHBOR = { target: '2001:db8::4', targetMac: 0x0200_0000_0004 };

/** VXLAN over IPv6. */
export const vxlan6Cases: CaseGroup = {
  name: 'vxlan6',
  ports: [{ name: 'p0', mac: 0x0200_0000_00a0 }, { name: 'u0' }],
  first: ['sysctl -qw net.ipv6.auto_flowlabels=0'],
  settle: settleVxlan([32_768, 60_999]),
  cases: [
    {
      name: 'a frame travels with a checksum, the hop limit of the host and no flow label',
      setUp: bridged(REMOTE),
      steps: [
        says(THERE),
        says4({}),
        says6({}),
        command('sysctl -w net.ipv6.conf.u0.hop_limit=33'),
        says(THERE),
      ],
    },
    {
      name: 'a row leads to VTEPs of the family that the device is of',
      setUp: bridged(LOCAL),
      steps: [
        command(row('append', REST_TEXT, 'dst 2001:db8::2')),
        command(row('append', REST_TEXT, 'dst 2001:db8::3')),
        command(row('append', REST_TEXT, 'dst 10.0.0.2')),
        command(row('add', THERE_TEXT, 'dst 10.0.0.2')),
        command(row('add', THERE_TEXT, 'dst 2001:db8::2')),
        command(row('add', THERE_TEXT, 'dst 2001:db8::3')),
        command(row('replace', THERE_TEXT, 'dst 2001:db8::3 via u0')),
        says(THERE),
        says(ALL),
        ROWS,
        command(row('del', REST_TEXT, 'dst 10.0.0.2')),
        command(row('del', REST_TEXT, 'dst 2001:db8::3')),
        command(row('del', THERE_TEXT, '')),
        says(THERE),
        ROWS,
      ],
    },
    {
      name: 'a row without a destination sends nothing',
      setUp: bridged(REMOTE, 'ip -6 route add default via 2001:db8::2', row('add', THERE_TEXT, 'dst ::')),
      steps: [says(THERE), says(ELSEWHERE), ROWS],
    },
    {
      name: 'a device shows what it was given',
      setUp: [
        ...UNDERLAY,
        device(
          `${REMOTE} dev u0 srcport 5000 5001 nolearning proxy l2miss l3miss tos 0x10 ttl 9 df set flowlabel 0x12345 ageing 100 noudpcsum udp6zerocsumtx udp6zerocsumrx`,
        ),
        device(`${LOCAL} group ff05::42 dev u0`, 'vx1', 43),
        device('remote 2001:db8::2', 'vx2', 44),
        device('local ::', 'vx3', 45),
      ],
      steps: ['vx0', 'vx1', 'vx2', 'vx3'].map(details),
    },
    {
      name: 'ends are of one family and scope, and those of a link need one',
      setUp: UNDERLAY,
      steps: [
        `${LOCAL} remote 10.0.0.2`,
        'local 10.0.0.1 remote 2001:db8::2',
        'local ff05::1 dev u0',
        `${LOCAL} remote ff05::1 dev u0`,
        `${LOCAL} group ff05::1`,
        `${LOCAL} group 2001:db8::2 dev u0`,
        `${LOCAL} remote fe80::2 dev u0`,
        'local fe80::1 remote 2001:db8::2 dev u0',
        'local fe80::1 remote fe80::2',
        'local fe80::1 group ff05::2 dev u0',
        'local 10.0.0.1 flowlabel 1',
        `${LOCAL} flowlabel 0x100000`,
        `${LOCAL} dev p0`,
      ].map((settings) => command(device(settings))),
    },
    {
      name: 'devices of one VNI stand beside each other where they are of two families, or take other datagrams',
      setUp: [...UNDERLAY, device(LOCAL)],
      steps: [
        command(device('local 10.0.0.1', 'vx1')),
        command(device('local 2001:db8::9', 'vx2')),
        command(device('local 2001:db8::9 udp6zerocsumrx', 'vx2')),
        command('ip link set vx0 up'),
        command('ip link set vx1 up'),
        command('ip link set vx2 up'),
        command('ip link set vx0 down'),
        command('ip link set vx2 up'),
      ],
    },
    {
      name: 'a device that is bound to a link takes 70 bytes of its MTU',
      setUp: bridged(`${REMOTE} dev u0`),
      steps: [
        show('ip link show vx0', (text) => /mtu \d+/.exec(text)?.[0] ?? text),
        command('ip link set vx0 mtu 1431'),
        command('ip link set vx0 mtu 1430'),
        command('ip link set u0 mtu 1400'),
        command('ip link set vx0 mtu 1331'),
        command('ip link set vx0 mtu 1330'),
      ],
    },
    {
      name: 'a datagram without a checksum is dropped unless the device takes it, one with a wrong one is',
      setUp: bridged(REMOTE),
      steps: [
        ...(['compute', 'zero', 'wrong'] as const).map((checksum) => hears(THERE, { checksum })),
        command('ip link del vx0'),
        command(device(`${REMOTE} udp6zerocsumrx`)),
        command('ip link set vx0 master br0'),
        command('ip link set vx0 up'),
        ...(['compute', 'zero', 'wrong'] as const).map((checksum) => hears(THERE, { checksum })),
      ],
    },
    {
      name: 'what no device is up for is refused as for a port, and passed over without a checksum',
      setUp: UNDERLAY,
      steps: (['compute', 'zero'] as const).map((checksum) => hears(THERE, { checksum })),
    },
    {
      name: 'the outer checksum is absent where the device is to do without over IPv6, whatever it does over IPv4',
      setUp: bridged(`${REMOTE} udp6zerocsumtx`),
      steps: [
        says(THERE),
        command('ip link del vx0'),
        command(device(`${REMOTE} noudpcsum`)),
        command('ip link set vx0 master br0'),
        command('ip link set vx0 up'),
        says(THERE),
      ],
    },
    {
      name: 'a learned row leads to the VTEP that was heard, and moves with its station',
      setUp: bridged(LOCAL, row('add', ELSEWHERE_TEXT, 'dst 2001:db8::3 static')),
      steps: [
        hears(THERE),
        says(THERE),
        hears(THERE, { src: '2001:db8::3' }),
        says(THERE),
        hears(ELSEWHERE),
        hears(0x0200_0000_0050),
        ROWS,
      ],
    },
    {
      name: 'a datagram with reserved bits, without a VNI or of another one is dropped',
      setUp: bridged(REMOTE),
      steps: [{ flags: 0x88 }, { flags: 0 }, { reserved: 1 }, { vni: 43 }].map((tunnel) =>
        hears(THERE, tunnel),
      ),
    },
    {
      name: 'a datagram may come in fragments',
      setUp: bridged(REMOTE),
      steps: [
        send(
          1,
          ...fragments6(
            { src: '2001:db8::2', dst: '2001:db8::1', upper: vxlan(plain(HERE, THERE, 900), {}) },
            512,
          ),
        ),
      ],
    },
    {
      name: 'one of IPv4 takes nothing of IPv6, nor the other way',
      setUp: [
        ...UNDERLAY,
        'ip addr add 10.0.0.1/24 dev u0',
        'ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev u0 nud permanent',
        device('local 10.0.0.1'),
        ...BRIDGED,
        device(LOCAL, 'vx1'),
        'ip link set vx1 up',
      ],
      steps: [hears(THERE), send(1, tunnelled(plain(HERE, THERE)))],
    },
    {
      name: 'congestion on the way is told to a packet whose ends know of it, and drops another',
      setUp: bridged(REMOTE),
      steps: [0, 1, 2, 3].flatMap((inner) =>
        [1, 2, 3].map((outer) => hears4({ tos: inner }, { tos: outer })),
      ),
    },
    {
      name: 'ECN goes to the outer packet, but for a mark of congestion',
      setUp: bridged(REMOTE),
      steps: [0xb8, 0xb9, 0xba, 0xbb].flatMap((tos) => [says4({ tos }), says6({ trafficClass: tos })]),
    },
    {
      name: 'traffic class, hop limit and flow label are the device’s own',
      setUp: bridged(`${REMOTE} tos 0x13 ttl 9 flowlabel 0x12345`),
      steps: [says4({ tos: 0xb8, ttl: 5 }), says4({ tos: 3 }), says6({ hopLimit: 5 }), says(THERE)],
    },
    {
      name: 'traffic class and hop limit are inherited of IPv4 and IPv6, of nothing else',
      setUp: bridged(`${REMOTE} tos inherit ttl inherit`),
      steps: [says4({ tos: 0xb8, ttl: 9 }), says6({ trafficClass: 0xbb, hopLimit: 7 }), says(THERE)],
    },
    {
      name: 'a device sends from an address that the host does not have',
      setUp: bridged('local 2001:db8::99 remote 2001:db8::2'),
      steps: [says(THERE)],
    },
    {
      name: 'a device without an address of its own sends from that which suits the VTEP',
      setUp: bridged(
        'remote 2001:db8::2',
        'ip -6 addr add fd00::1/64 dev u0 nodad',
        row('add', ELSEWHERE_TEXT, 'dst fd00::2'),
        known('fd00::2'),
      ),
      steps: [says(THERE), says(ELSEWHERE)],
    },
    {
      name: 'a VTEP of the same host takes a frame that is not sent, and has its source at ::1',
      setUp: bridged(`${LOCAL} remote 2001:db8::1`),
      steps: [says(THERE), ROWS],
    },
    {
      name: 'a VTEP that there is no way to gets nothing',
      setUp: bridged(
        LOCAL,
        'ip -6 route add unreachable 2001:db8:1::/64',
        'ip -6 route add blackhole 2001:db8:2::/64',
        ...['2001:db8:1::2', '2001:db8:2::2', '2001:db8:3::2'].map((dst) =>
          row('append', REST_TEXT, `dst ${dst}`),
        ),
      ),
      steps: [says(THERE), command('ip -6 route add 2001:db8:3::/64 via 2001:db8::3'), says(THERE)],
    },
    {
      name: 'rules know the ports of what a device sends',
      setUp: bridged(REMOTE),
      steps: [
        command('ip -6 rule add pref 100 ipproto udp dport 4790 blackhole'),
        says(THERE),
        command('ip -6 rule add pref 100 ipproto udp dport 4789 blackhole'),
        says(THERE),
      ],
    },
    {
      name: 'a group of VTEPs gets what no row takes, one hop far, and is listened to while the device is up',
      setUp: bridged(`${LOCAL} group ff05::42 dev u0`, row('add', ELSEWHERE_TEXT, 'dst 2001:db8::3')),
      steps: [
        says(THERE),
        says(ELSEWHERE),
        hears(THERE, {}, { dst: 'ff05::42' }),
        says(THERE),
        hears(THERE, {}, { dst: 'ff05::43' }),
        ROWS,
        command('ip link set vx0 down'),
        hears(THERE, {}, { dst: 'ff05::42' }),
      ],
    },
    {
      name: 'a group is reached as far as the device has it',
      setUp: bridged(`${LOCAL} group ff05::42 dev u0 ttl 5`),
      steps: [says(THERE)],
    },
    {
      name: 'addresses of a link lead by that link',
      setUp: [
        ...UNDERLAY,
        'ip -6 addr add fe80::1/64 dev u0 nodad',
        known('fe80::2'),
        device('local fe80::1 remote fe80::2 dev u0'),
        ...BRIDGED,
      ],
      steps: [says(THERE), hears(THERE, { src: 'fe80::2' }, { dst: 'fe80::1' }), ROWS],
    },
    {
      name: 'a VTEP whose address is not known is asked for it, and the frame waits',
      setUp: bridged(`${LOCAL} remote 2001:db8::4`, 'ip -6 addr add fe80::1/64 dev u0 nodad'),
      steps: [
        says(THERE),
        send(1, advert({ ...NEIGHBOR, flags: ['solicited'] }, { src: NEIGHBOR.target, dst: 'fe80::1' })),
        says(THERE),
      ],
    },
    {
      name: 'a bridged sender is told what the path takes of a packet that may not be divided',
      setUp: bridged(REMOTE),
      steps: [
        pathIs(1_400),
        says4({ ...big(1_302), df: true }),
        says4({ ...big(1_303), df: true }),
        says4({ ...big(1_303), df: false }),
        says6({ upper: udp6(1_000, 53, 1_282) }),
        says6({ upper: udp6(1_000, 53, 1_283) }),
        pathIs(1_280),
        says4({ ...big(1_182), df: true }),
        says4({ ...big(1_183), df: true }),
        says6({ upper: udp6(1_000, 53, 1_200) }),
        pathIs(1_000),
        says4({ ...big(1_182), df: true }),
      ],
    },
    {
      name: 'a packet that the path does not take is not divided',
      setUp: bridged(REMOTE),
      steps: [
        says4({ ...big(1_402), df: false }),
        says4({ ...big(1_403), df: false }),
        send(0, plain(THERE, HERE, 1_430)),
        send(0, plain(THERE, HERE, 1_431)),
      ],
    },
    {
      name: 'pods’ packets go by the rows of the nodes, and are told what the tunnel takes',
      setUp: flannel(),
      steps: [
        fromPod(100),
        fromPod(1_382),
        fromPod(1_383),
        pathIs(1_400),
        fromPod(1_282),
        fromPod(1_283),
        fromPod(1_283),
        show('ip -6 route get fd00:2::12', (text) =>
          text.replaceAll(/expires \d+sec/g, 'expires').replaceAll(/ +\n/g, '\n'),
        ),
        send(
          1,
          tunnelled6(
            packet6({
              ...{ src: 'fd00:2::12', dst: 'fd00:1::11', to: 0x0200_0000_0050 },
              upper: udp6(53, 1_000),
            }),
          ),
        ),
        show('ip -6 neigh show dev vx0'),
        ROWS,
      ],
    },
    {
      name: 'what is of no protocol of IP is carried as it is',
      setUp: bridged(REMOTE),
      steps: [
        send(0, packet6({ ...STATION6, upper: rest(59, new Uint8Array(10)) })),
        send(0, plain(ALL, HERE)),
      ],
    },
  ],
};
