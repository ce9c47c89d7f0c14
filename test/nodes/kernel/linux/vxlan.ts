import { ETHERTYPE_IPV6 } from '../../../../protocols/ethernet.ts';
import { PROTO_ICMP } from '../../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../../protocols/ipv6.ts';
import { formatMac } from '../../../../protocols/mac.ts';
import { ETHERTYPE_8021Q, tagged } from '../../../../protocols/vlan.ts';
import { settleVxlan, vxlanKind, vxlanRows } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show, wait } from './case.ts';
import { type Packet4, packet4 } from './frames4.ts';
import { type Packet6, packet6, udp6 } from './frames6.ts';
import { rest, udp } from './transport.ts';
import {
  arp,
  ELSEWHERE,
  HERE,
  pathTakes,
  plain,
  THERE,
  type Tunnel,
  tunnelled,
  typed,
} from './vxlan-frames.ts';

const ALL = 0xffff_ffff_ffff;
const GROUP = 0x0100_5e01_0203;
const OWN = 0x0200_0000_0050;
const [THERE_TEXT, ELSEWHERE_TEXT, GROUP_TEXT] = [THERE, ELSEWHERE, GROUP].map(formatMac);
const REST_TEXT = formatMac(0);

const UNDERLAY = [
  'ip addr add 10.0.0.1/24 dev u0',
  ...[2, 3].map((n) => `ip neigh add 10.0.0.${n} lladdr 02:00:00:00:00:02 dev u0 nud permanent`),
];
const device = (settings: string) =>
  `ip link add vx0 address 02:00:00:00:00:50 type vxlan id 42 dstport 4789 ${settings}`;

/** In a bridge with the port p0. */
const bridged = (settings: string, ...rows: readonly string[]) => [
  ...UNDERLAY,
  device(settings),
  'ip link add name br0 address 02:00:00:00:00:60 type bridge mcast_snooping 0',
  'ip link set p0 master br0',
  'ip link set vx0 master br0',
  'ip link set vx0 up',
  'ip link set br0 up',
  ...rows,
];

/** By itself, as flannel.1 is: packets for 10.1.0.12 go by it, those for 10.1.1.11 by p0. */
const routed = (settings: string, ...rows: readonly string[]) => [
  ...UNDERLAY,
  device(settings),
  'ip addr add 10.1.0.1/32 dev vx0',
  'ip addr add 10.1.1.1/24 dev p0',
  'ip link set vx0 up',
  `ip neigh add 10.1.0.12 lladdr ${THERE_TEXT} dev vx0 nud permanent`,
  'ip neigh add 10.1.1.11 lladdr 02:00:00:00:00:11 dev p0 nud permanent',
  'ip route add 10.1.0.12/32 via 10.1.0.12 dev vx0 onlink',
  ...rows,
];

const LOCAL = 'local 10.0.0.1';
const REMOTE = `${LOCAL} remote 10.0.0.2`;
const ROWS = show('bridge fdb show dev vx0', vxlanRows);
const row = (verb: string, mac: string | undefined, rest: string) =>
  `bridge fdb ${verb} ${mac} dev vx0 ${rest}`;

/** A station sends a frame to another. */
const says = (to: number, from = HERE): CaseStep => send(0, plain(to, from));
/** Another VTEP sends a frame of a station of its own. */
const hears = (from: number, tunnel: Tunnel = {}): CaseStep => send(1, tunnelled(plain(HERE, from), tunnel));

const STATION4 = { src: '10.1.0.11', dst: '10.1.0.12', to: THERE, from: HERE, upper: udp(1_000, 53) };
const STATION6 = { src: '2001:db8::11', dst: '2001:db8::12', to: THERE, upper: udp6(1_000, 53) };
const says4 = (packet: Partial<Packet4>): CaseStep => send(0, packet4({ ...STATION4, ...packet }));
const says6 = (packet: Partial<Packet6>): CaseStep => send(0, packet6({ ...STATION6, ...packet }));
const hears4 = (packet: Partial<Packet4>, tunnel: Tunnel = {}): CaseStep =>
  send(1, tunnelled(packet4({ ...STATION4, to: HERE, from: THERE, ...packet }), tunnel));

/** Messages too long for the paths below. */
const icmp = (type: number) => rest(PROTO_ICMP, [type, ...new Uint8Array(700)]);
const icmp6 = (type: number) => rest(PROTO_ICMPV6, [type, ...new Uint8Array(1_400)]);
const pathIs = (mtu: number): CaseStep => send(1, pathTakes(mtu));
const big = (size: number) => ({ upper: udp(1_000, 53, size) });

/** What once differed from Linux in `test/interop/linux/vxlan.test.ts`. */
export const vxlanCases: CaseGroup = {
  name: 'vxlan',
  ports: [{ name: 'p0', mac: 0x0200_0000_00a0 }, { name: 'u0' }],
  settle: settleVxlan([32_768, 60_999]),
  cases: [
    {
      name: 'a row of a group takes what is for that group, and nothing else',
      setUp: bridged(REMOTE, row('append', GROUP_TEXT, 'dst 10.0.0.3')),
      steps: [says(GROUP), says(ALL), says(GROUP + 1)],
    },
    {
      name: 'groups and the row that takes the rest may have several destinations, a station has one',
      setUp: bridged(
        LOCAL,
        ...[GROUP_TEXT, REST_TEXT, THERE_TEXT].flatMap((mac) =>
          ['10.0.0.2', '10.0.0.3'].map((dst) => row('append', mac, `dst ${dst}`)),
        ),
      ),
      steps: [says(GROUP), says(ELSEWHERE), says(THERE), ROWS],
    },
    {
      name: 'a row that is there is not added again, and what is appended to it twice is there once',
      setUp: bridged(LOCAL, row('add', REST_TEXT, 'dst 10.0.0.2')),
      steps: [
        command(row('add', REST_TEXT, 'dst 10.0.0.2')),
        command(row('add', REST_TEXT, 'dst 10.0.0.3')),
        command(row('append', REST_TEXT, 'dst 10.0.0.2')),
        command(row('append', REST_TEXT, 'dst 10.0.0.2 via u0')),
        ROWS,
        says(THERE),
      ],
    },
    {
      name: 'a station’s row is replaced, that of a group or of the rest is not, but takes the kind that was asked for',
      setUp: bridged(
        LOCAL,
        row('add', THERE_TEXT, 'dst 10.0.0.2'),
        row('add', GROUP_TEXT, 'dst 10.0.0.2'),
        row('add', REST_TEXT, 'dst 10.0.0.2'),
      ),
      steps: [
        command(row('replace', THERE_TEXT, 'dst 10.0.0.3')),
        says(THERE),
        command(row('replace', GROUP_TEXT, 'dst 10.0.0.3')),
        command(row('replace', '01:00:5e:01:02:09', 'dst 10.0.0.3')),
        command(row('replace', REST_TEXT, 'dst 10.0.0.3 static')),
        ROWS,
      ],
    },
    {
      name: 'a destination that a row does not have is removed without a fault, and without one all are',
      setUp: bridged(
        LOCAL,
        row('append', REST_TEXT, 'dst 10.0.0.2'),
        row('append', REST_TEXT, 'dst 10.0.0.3'),
        row('add', THERE_TEXT, 'dst 10.0.0.3'),
      ),
      steps: [
        command(row('del', THERE_TEXT, 'dst 10.0.0.2')),
        command(row('del', ELSEWHERE_TEXT, '')),
        command(row('del', ELSEWHERE_TEXT, 'dst 10.0.0.2')),
        command(row('del', REST_TEXT, 'dst 10.0.0.2')),
        ROWS,
        command(row('del', THERE_TEXT, '')),
        command(row('append', REST_TEXT, 'dst 10.0.0.2')),
        command(row('del', REST_TEXT, '')),
        ROWS,
      ],
    },
    {
      name: 'a row leaves by the device that it names, whatever the route to its VTEP is',
      setUp: bridged(
        LOCAL,
        'ip route add blackhole 10.0.9.0/24',
        'ip neigh add 10.0.9.4 lladdr 02:00:00:00:00:04 dev u0 nud permanent',
        row('add', THERE_TEXT, 'dst 10.0.9.4 via u0'),
        row('add', ELSEWHERE_TEXT, 'dst 10.0.9.4'),
      ),
      steps: [says(THERE), says(ELSEWHERE), ROWS],
    },
    {
      name: 'a device that is bound to a link sends by it, whatever the route to the VTEP is',
      setUp: bridged(
        `${LOCAL} remote 10.0.9.4 dev u0`,
        'ip neigh add 10.0.9.4 lladdr 02:00:00:00:00:04 dev u0 nud permanent',
      ),
      steps: [
        says(THERE),
        command('ip route add unreachable 10.0.9.0/24'),
        says(THERE),
        command('ip route replace blackhole 10.0.9.0/24'),
        says(THERE),
        ROWS,
      ],
    },
    {
      name: 'a device that is bound to a link is given no MTU beyond the link’s',
      setUp: bridged(`${REMOTE} dev u0`),
      steps: [
        command('ip link set vx0 mtu 1451'),
        command('ip link set vx0 mtu 1450'),
        command('ip link set u0 mtu 1000'),
        command('ip link set vx0 mtu 951'),
        command('ip link set vx0 mtu 950'),
      ],
    },
    {
      name: 'a device shows what it was given',
      setUp: [
        device(
          `${REMOTE} dev u0 srcport 5000 5001 nolearning proxy l2miss l3miss tos 0x10 ttl 9 df set ageing 100 noudpcsum`,
        ),
      ],
      steps: [show('ip -d link show vx0', vxlanKind)],
    },
    {
      name: 'a device shows what it inherits',
      setUp: [device(`${LOCAL} tos inherit ttl inherit df inherit`)],
      steps: [show('ip -d link show vx0', vxlanKind)],
    },
    {
      name: 'a learned row is forgotten at its age, one that was set is not',
      setUp: bridged(`${LOCAL} ageing 1`, row('add', ELSEWHERE_TEXT, 'dst 10.0.0.3 static')),
      // Linux looks through them ten seconds after the device came up, and not before.
      steps: [hears(THERE), ROWS, wait(11_000), ROWS],
    },
    {
      name: 'a learned row goes as the device goes down, those that were set and that of the rest stay',
      setUp: bridged(
        LOCAL,
        row('add', ELSEWHERE_TEXT, 'dst 10.0.0.3 static'),
        row('add', '02:00:00:00:00:14', 'dst 10.0.0.3 dynamic'),
        row('add', REST_TEXT, 'dst 10.0.0.3 dynamic'),
      ),
      steps: [hears(THERE), ROWS, command('ip link set vx0 down'), ROWS],
    },
    {
      name: 'a learned row moves with its station',
      setUp: bridged(LOCAL),
      steps: [hears(THERE), says(THERE), hears(THERE, { src: '10.0.0.3' }), says(THERE), ROWS],
    },
    {
      name: 'a frame from the device’s own address is dropped',
      setUp: bridged(REMOTE),
      steps: [hears(OWN), hears(OWN + 1)],
    },
    {
      name: 'a frame from a station that a static row has elsewhere is dropped, unless nothing is learned',
      setUp: bridged(
        LOCAL,
        row('add', THERE_TEXT, 'dst 10.0.0.3 static'),
        'ip link add vx1 address 02:00:00:00:00:51 type vxlan id 43 dstport 4789 local 10.0.0.1 nolearning',
        'ip link set vx1 master br0',
        'ip link set vx1 up',
        `bridge fdb add ${THERE_TEXT} dev vx1 dst 10.0.0.3 static`,
      ),
      steps: [hears(THERE), hears(THERE, { src: '10.0.0.3' }), hears(THERE, { vni: 43 }), ROWS],
    },
    {
      name: 'a frame from a group or nobody is dropped by a device that learns',
      setUp: routed(REMOTE),
      steps: [0, GROUP, THERE].map((from) => hears4({ src: '10.1.0.12', dst: '10.1.1.11', to: OWN, from })),
    },
    {
      name: 'a frame from a group or nobody is taken by a device that does not learn',
      setUp: routed(`${REMOTE} nolearning`),
      steps: [0, GROUP].map((from) => hears4({ src: '10.1.0.12', dst: '10.1.1.11', to: OWN, from })),
    },
    {
      name: 'a datagram with reserved bits, without a VNI or of another one is dropped',
      setUp: bridged(REMOTE),
      steps: [{}, { flags: 0x88 }, { flags: 0x0c }, { flags: 0 }, { reserved: 1 }, { vni: 43 }].map(
        (tunnel) => hears(THERE, tunnel),
      ),
    },
    {
      name: 'a datagram’s checksum may be absent, but not wrong',
      setUp: bridged(REMOTE),
      steps: (['compute', 'zero', 'wrong'] as const).map((checksum) => hears(THERE, { checksum })),
    },
    {
      name: 'a frame whose packet has less than a header is dropped',
      setUp: bridged(
        REMOTE,
        'sysctl -w net.bridge.bridge-nf-call-iptables=0',
        'sysctl -w net.bridge.bridge-nf-call-ip6tables=0',
      ),
      steps: [
        send(1, tunnelled(typed(plain(HERE, THERE, 19)))),
        send(1, tunnelled(typed(plain(HERE, THERE, 20)))),
        send(1, tunnelled(typed(plain(HERE, THERE, 39), ETHERTYPE_IPV6))),
        send(1, tunnelled(plain(HERE, THERE, 1))),
        send(1, tunnelled(plain(HERE, THERE, 0))),
      ],
    },
    {
      name: 'congestion on the way is told to a packet whose ends know of it, and drops another',
      setUp: bridged(REMOTE),
      steps: [0, 1, 2, 3].flatMap((inner) =>
        [1, 2, 3].map((outer) => hears4({ tos: inner }, { tos: outer })),
      ),
    },
    {
      name: 'congestion on the way is told to packets of IPv6 too',
      setUp: bridged(REMOTE),
      steps: [0, 1, 2, 3].map((trafficClass) =>
        send(1, tunnelled(packet6({ ...STATION6, to: HERE, trafficClass }), { tos: 3 })),
      ),
    },
    {
      name: 'ECN goes to the outer packet, but for a mark of congestion',
      setUp: bridged(REMOTE),
      steps: [0xb8, 0xb9, 0xba, 0xbb].flatMap((tos) => [says4({ tos }), says6({ trafficClass: tos })]),
    },
    {
      name: 'a type of service of the device’s own stands beside the packet’s ECN',
      setUp: bridged(`${REMOTE} tos 0x13`),
      steps: [says4({ tos: 0xb8 }), says4({ tos: 0xba }), says4({ tos: 3 }), says(THERE)],
    },
    {
      name: 'the type of service is inherited of IPv4 and IPv6, of nothing else',
      setUp: bridged(`${REMOTE} tos inherit`),
      steps: [says4({ tos: 0xb8 }), says6({ trafficClass: 0xbb }), says(THERE)],
    },
    {
      name: 'the TTL is inherited of IPv4 and IPv6, of nothing else',
      setUp: bridged(`${REMOTE} ttl inherit`),
      steps: [says4({ ttl: 9 }), says6({ hopLimit: 7 }), says(THERE)],
    },
    {
      name: 'the TTL is the device’s own, or that of all packets of the host',
      setUp: bridged(
        `${REMOTE} ttl 9`,
        'sysctl -w net.ipv4.ip_default_ttl=33',
        'ip link add vx1 address 02:00:00:00:00:51 type vxlan id 43 dstport 4789 local 10.0.0.1 remote 10.0.0.2',
        'ip link set vx1 master br0',
        'ip link set vx1 up',
      ),
      steps: [says4({ ttl: 5 })],
    },
    {
      name: 'DF is inherited of IPv4, set for IPv6, and not looked for behind a tag',
      setUp: bridged(`${REMOTE} df inherit`),
      steps: [
        says4({ df: true }),
        says4({ df: false }),
        says6({}),
        says(THERE),
        send(0, tagged(packet4({ ...STATION4, df: true }), ETHERTYPE_8021Q, 7, 3)),
      ],
    },
    {
      name: 'DF is set, or is not, as the device has it',
      setUp: bridged(
        `${REMOTE} df set`,
        'ip link add vx1 address 02:00:00:00:00:51 type vxlan id 43 dstport 4789 local 10.0.0.1 remote 10.0.0.2',
        'ip link set vx1 master br0',
        'ip link set vx1 up',
      ),
      steps: [says4({ df: false }), says4({ df: true }), says(THERE)],
    },
    {
      name: 'the outer checksum is there unless the device is to do without',
      setUp: bridged(
        REMOTE,
        'ip link add vx1 address 02:00:00:00:00:51 type vxlan id 43 dstport 4789 local 10.0.0.1 remote 10.0.0.2 noudpcsum',
        'ip link set vx1 master br0',
        'ip link set vx1 up',
      ),
      steps: [says(THERE)],
    },
    {
      name: 'a source port is of the range that the device has',
      setUp: bridged(`${REMOTE} srcport 5000 5001`),
      steps: [says(THERE)],
    },
    {
      name: 'a source port is of the range that the host has',
      setUp: bridged(REMOTE, 'sysctl -w "net.ipv4.ip_local_port_range=1024 1030"'),
      steps: [says(THERE)],
    },
    {
      name: 'rules know the ports of what a device sends',
      setUp: bridged(REMOTE),
      steps: [
        command('ip rule add pref 100 ipproto udp dport 4790 blackhole'),
        says(THERE),
        command('ip rule add pref 100 ipproto udp dport 4789 blackhole'),
        says(THERE),
      ],
    },
    {
      name: 'a device whose address the host does not have sends nothing',
      setUp: bridged('local 10.0.0.99 remote 10.0.0.2'),
      steps: [says(THERE), command('ip addr add 10.0.0.99/24 dev u0'), says(THERE)],
    },
    {
      name: 'a row without a destination sends nothing',
      setUp: bridged(REMOTE, 'ip route add default via 10.0.0.2', row('add', THERE_TEXT, 'dst 0.0.0.0')),
      steps: [says(THERE), says(ELSEWHERE)],
    },
    {
      name: 'a VTEP of the same host takes a frame that is not sent, and has its source at 127.0.0.1',
      setUp: bridged(`${LOCAL} remote 10.0.0.1`),
      steps: [says(THERE), ROWS],
    },
    {
      name: 'a VTEP of the same host takes nothing of a row that names a device',
      setUp: bridged(`${LOCAL} remote 10.0.0.1 dev u0`),
      steps: [says(THERE), ROWS],
    },
    {
      name: 'a proxy answers for neighbours that it knows, and lets no question out',
      setUp: bridged(
        `${REMOTE} proxy`,
        `ip neigh add 10.1.0.12 lladdr ${THERE_TEXT} dev vx0 nud permanent`,
        ...['127.0.0.1', '224.0.0.1'].map(
          (address) => `ip neigh add ${address} lladdr ${THERE_TEXT} dev vx0 nud permanent`,
        ),
        `ip neigh add 10.1.0.13 lladdr ${ELSEWHERE_TEXT} dev vx0 nud permanent`,
        row('add', ELSEWHERE_TEXT, 'dst 0.0.0.0'),
      ),
      steps: ['10.1.0.12', '10.1.0.13', '10.1.0.14', '127.0.0.1', '224.0.0.1'].map((tpa) =>
        send(0, arp({ op: 1, from: HERE, spa: '10.1.0.11', tpa })),
      ),
    },
    {
      name: 'a bridged sender is told what the path takes of a packet that may not be divided',
      setUp: bridged(REMOTE),
      steps: [
        pathIs(1_000),
        says4({ ...big(922), df: true }),
        says4({ ...big(923), df: true }),
        says4({ ...big(923), df: false }),
        says(THERE),
      ],
    },
    {
      name: 'a bridged sender is told what the path takes where the MTU of the link is less than the device’s',
      setUp: bridged(REMOTE, 'ip link set u0 mtu 1400'),
      steps: [says4({ ...big(1_322), df: true }), says4({ ...big(1_323), df: true })],
    },
    {
      name: 'a bridged sender of IPv6 is told what the path takes, if that is what IPv6 needs',
      setUp: bridged(REMOTE),
      steps: [
        pathIs(1_400),
        says6({ upper: udp6(1_000, 53, 1_302) }),
        says6({ upper: udp6(1_000, 53, 1_303) }),
        says6({ upper: icmp6(128) }),
        says6({ src: '::', upper: udp6(1_000, 53, 1_303) }),
        says6({ upper: icmp6(2) }),
        says6({ upper: icmp6(137) }),
        says6({ upper: rest(59, new Uint8Array(1_400)) }),
        pathIs(1_300),
        says6({ upper: udp6(1_000, 53, 1_303) }),
      ],
    },
    {
      name: 'a bridged sender is not told of less than 576, nor of what is from or for many',
      setUp: bridged(REMOTE),
      steps: [
        pathIs(700),
        says4({ ...big(700), df: true }),
        says4({ ...big(700), df: true, dst: '255.255.255.255' }),
        says4({ ...big(700), df: true, dst: '224.0.0.5' }),
        says4({ ...big(700), df: true, src: '0.0.0.0' }),
        says4({ ...big(700), df: true, src: '127.0.0.1' }),
        pathIs(600),
        says4({ ...big(700), df: true }),
      ],
    },
    {
      name: 'a bridged sender is told as much as an error may quote, and nothing about an error',
      setUp: bridged(REMOTE),
      steps: [
        pathIs(700),
        says4({ ...big(700), df: true }),
        ...[0, 3, 5, 8, 11, 12, 13].map((type) => says4({ upper: icmp(type), df: true })),
      ],
    },
    {
      name: 'a path that takes less than 552 is not to be kept from dividing, and takes 552',
      setUp: bridged(`${REMOTE} df set`),
      steps: [pathIs(300), says4(big(600)), pathIs(552), says4(big(600)), pathIs(1_000), says4(big(600))],
    },
    {
      name: 'a path that takes less is remembered for the station behind a device that is in no bridge',
      setUp: routed(`${REMOTE} nolearning`),
      steps: [
        pathIs(1_000),
        send(0, packet4({ ...STATION4, src: '10.1.1.11', to: 0x0200_0000_00a0, ...big(1_000), df: true })),
        send(0, packet4({ ...STATION4, src: '10.1.1.11', to: 0x0200_0000_00a0, ...big(1_000), df: true })),
        show('ip route get 10.1.0.12', (text) =>
          text.replaceAll(/expires \d+sec/g, 'expires').replaceAll(/ +\n/g, '\n'),
        ),
      ],
    },
  ],
};
