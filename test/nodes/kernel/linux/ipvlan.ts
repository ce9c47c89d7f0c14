import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show } from './case.ts';
import { icmpEcho, type Packet4, packet4 } from './frames4.ts';
import { BEHIND_0, BEHIND_1, Family, links, ofLink, PARENT, PORTS, request, script } from './stacked.ts';
import { udp } from './transport.ts';

const NOBODY = 0x0200_0000_0099;
const BROADCAST = 0xffff_ffff_ffff;

const packet = (dst: string, more: Partial<Packet4> = {}): Uint8Array =>
  packet4({ src: '10.0.0.2', dst, to: PARENT, upper: udp(1_000, 53), ...more });
const ping = (dst: string, more: Partial<Packet4> = {}): Uint8Array =>
  packet(dst, { upper: icmpEcho('request'), ...more });
/** Of the station behind m0, for 10.0.0.x. */
const from0 = (dst: string): CaseStep => send(1, ping(dst, { to: BEHIND_0, src: '10.0.1.2' }));
const from1 = (dst: string): CaseStep => send(2, ping(dst, { to: BEHIND_1, src: '10.0.2.2' }));
const ask = (tpa: string): CaseStep => send(0, request({ spa: '10.0.0.2', tpa }));

const [A, B, C, D] = ['e', 'f', 'g', 'h'].map((letter) => new Family(letter)) as [
  Family,
  Family,
  Family,
  Family,
];
const types = (mode: string): string[] => [0, 1].map(() => `type ipvlan mode ${mode}`);
const change = ({ in0 }: Family, words: string): CaseStep =>
  command(`${in0} link set m0 type ipvlan ${words}`);

/** Rules that count what goes by. */
const COUNTERS = [
  ...[
    'raw -A PREROUTING -d',
    'filter -A INPUT -d',
    'filter -A FORWARD -d',
    'filter -A OUTPUT -s',
    'mangle -A POSTROUTING -s',
  ].map((chain) => `iptables -t ${chain} 10.0.0.10`),
];
const COUNTED = ['raw', 'filter', 'mangle'].map((table) => show(`iptables -t ${table} -nvxL`));

/** How ipvlan devices stand to each other, to the one below and to the wire. */
export const ipvlanCases: CaseGroup = {
  name: 'ipvlan',
  kernel: 'guest',
  ports: PORTS,
  settle: settleIpId,
  cases: [
    {
      name: 'ipvlan devices of one device have one mode, one flag and one MAC address, but addresses of their own',
      setUp: [],
      steps: [
        script(
          'ip link add m0 type ipvlan mode l2',
          'ip link add m0 link p0 type ipvlan mode nonsense',
          'ip link add m0 link lo type ipvlan mode l2',
          'ip link add m0 link p0 address 02:00:00:00:00:10 type ipvlan mode l2',
          'ip link add m1 link p0 type ipvlan mode l2',
          'ip link add m2 link m1 type ipvlan mode l3 private',
        ),
        show('ip -d link show type ipvlan', ofLink),
        script('ip link set m0 up', 'ip link set m1 type ipvlan mode l2'),
        show('ip -d link show type ipvlan', ofLink),
        script('ip link set m0 type ipvlan mode l3s vepa', 'ip link set m0 type ipvlan private'),
        show('ip -d link show type ipvlan', ofLink),
        script(
          'ip addr add 10.0.0.10/24 dev m0',
          'ip addr add 10.0.0.10/24 dev m1',
          'ip addr add 10.0.0.10/25 dev m0',
          'ip addr add 10.0.0.10/24 dev m0',
          'ip addr add 10.0.0.10/24 dev p0',
        ),
        script(
          'ip link set m0 address 02:00:00:00:00:10',
          'ip link set p0 address 02:00:00:00:00:55',
          'ip link add b0 type bridge',
          'ip link set m0 master b0',
          'ip link set p0 master b0',
          'ip link add v0 link m0 type vlan id 5',
          'ip link add v0 link p0 type macvlan',
          'ip link add v0 link m0 type macvlan',
          'ip link set m0 type macvlan mode bridge',
          'ip link set p1 master b0',
          'ip link add m3 link p1 type ipvlan mode l2',
        ),
        links('ipvlan'),
      ],
    },
    {
      name: 'an ipvlan device has its MTU of the one below, and its carrier while that is up',
      setUp: [],
      steps: [
        script(
          'ip link add m0 link p0 mtu 1600 type ipvlan mode l2',
          'ip link add m1 link p0 type ipvlan mode l2',
          'ip link set m1 mtu 2000',
          'ip link set m0 up',
        ),
        links('ipvlan'),
        script('ip link set p0 mtu 1400', 'ip link set p0 down'),
        links('ipvlan'),
        script('ip link add m2 link p0 type ipvlan mode l2', 'ip link set m2 up', 'ip link set p0 up'),
        links('ipvlan'),
        script(
          'ip link set m0 down',
          'ip link add b0 address 02:00:00:00:00:40 type bridge',
          'ip link add m3 link b0 type ipvlan',
          'ip link del b0',
          'ip link show m3',
        ),
        links('ipvlan'),
      ],
    },
    {
      name: 'what comes in is for the ipvlan device that has its IP address',
      setUp: [...A.made(types('l2')), `${A.in1} addr add 10.9.0.1/24 dev m1`],
      steps: ['l2', 'l2 private', 'l2 vepa', 'l3', 'l3s'].flatMap((mode) => [
        change(A, `mode ${mode}`),
        ...['10.0.0.1', '10.0.0.10', '10.0.0.11', '10.9.0.1', '10.0.0.12'].map(ask),
        ...[PARENT, NOBODY, BROADCAST].flatMap((to) =>
          ['10.0.0.1', '10.0.0.10', '10.0.0.11'].map((dst) => send(0, ping(dst, { to }))),
        ),
        send(0, packet('10.0.0.11')),
        send(0, ping('10.0.0.11', { src: '10.0.0.10', from: PARENT })),
        send(0, request({ spa: '10.0.0.10', tpa: '10.0.0.11', from: PARENT })),
        send(0, request({ spa: '10.0.0.10', tpa: '10.0.0.11' })),
      ]),
    },
    {
      name: 'ipvlan devices of mode l2 reach each other by their address, but where they are private or leave it to a switch',
      setUp: [
        ...B.routing(types('l2')),
        ...[2, 3].map((host) => `${B.in1} addr add 10.0.0.1${host}/24 dev m1`),
      ],
      steps: [
        from0('10.0.0.11'),
        from0('10.0.0.1'),
        from0('10.0.0.2'),
        from0('10.0.2.2'),
        from1('10.0.1.2'),
        send(0, packet('10.0.1.2')),
        change(B, 'mode l2 private'),
        from0('10.0.0.11'),
        from0('10.0.0.12'),
        change(B, 'mode l2 vepa'),
        from0('10.0.0.11'),
        from0('10.0.0.13'),
      ],
    },
    {
      name: 'ipvlan devices of mode l3 reach each other, and all else by the routes of the one below',
      setUp: [...C.routing(types('l3')), ...COUNTERS],
      steps: [
        from0('10.0.0.11'),
        from0('10.0.0.1'),
        from0('10.0.0.2'),
        from0('10.0.0.255'),
        from0('10.8.0.1'),
        from0('10.0.2.2'),
        from1('10.0.1.2'),
        send(0, packet('10.0.0.10')),
        send(0, packet('10.0.1.2')),
        ...COUNTED,
        change(C, 'mode l3 private'),
        from0('10.0.0.11'),
        change(C, 'mode l3 vepa'),
        from0('10.0.0.11'),
      ],
    },
    {
      name: 'ipvlan devices of mode l3s are behind the filters of the one below',
      setUp: [...D.routing(types('l3s')), ...COUNTERS],
      steps: [
        from0('10.0.0.11'),
        from0('10.0.0.1'),
        from0('10.0.0.2'),
        send(0, packet('10.0.0.10')),
        send(0, ping('10.0.0.10')),
        send(0, packet('10.0.1.2')),
        ...COUNTED,
        command('iptables -A INPUT -d 10.0.0.10 -j DROP'),
        send(0, ping('10.0.0.10')),
        send(0, ping('10.0.0.11')),
      ],
    },
  ],
};
