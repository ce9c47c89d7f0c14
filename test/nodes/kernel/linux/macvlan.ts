import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show } from './case.ts';
import { icmpEcho, type Packet4, packet4 } from './frames4.ts';
import {
  BEHIND_0,
  BEHIND_1,
  Family,
  links,
  ofLink,
  PARENT,
  PORTS,
  reply,
  request,
  script,
} from './stacked.ts';
import { udp } from './transport.ts';

const M0 = 0x0200_0000_0010;
const M1 = 0x0200_0000_0011;
const NOBODY = 0x0200_0000_0099;
const BROADCAST = 0xffff_ffff_ffff;

const types = (mode: string, other = mode): string[] =>
  [mode, other].map((name, i) => `address 02:00:00:00:00:1${i} type macvlan mode ${name}`);

const packet = (to: number, dst: string, more: Partial<Packet4> = {}): Uint8Array =>
  packet4({ src: '10.0.0.2', dst, to, upper: udp(1_000, 53), ...more });
const ping = (to: number, dst: string, more: Partial<Packet4> = {}): Uint8Array =>
  packet(to, dst, { upper: icmpEcho('request'), ...more });
/** Of the station behind m0, for 10.0.0.x. */
const from0 = (dst: string): CaseStep => send(1, ping(BEHIND_0, dst, { src: '10.0.1.2' }));
const from1 = (dst: string): CaseStep => send(2, ping(BEHIND_1, dst, { src: '10.0.2.2' }));
/** Only that: what ports are differs. */
const promiscuity = (text: string): string => / promiscuity \d+/.exec(text)?.[0] ?? text;

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => new Family(letter)) as [
  Family,
  Family,
  Family,
  Family,
];
const modes = ({ in0, in1 }: Family, one: string, two: string): CaseStep =>
  script(`${in0} link set m0 type macvlan mode ${one}`, `${in1} link set m1 type macvlan mode ${two}`);

/** How macvlan devices stand to each other, to the one below and to the wire. */
export const macvlanCases: CaseGroup = {
  name: 'macvlan',
  kernel: 'guest',
  ports: PORTS,
  settle: settleIpId,
  cases: [
    {
      name: 'a macvlan device has an address that no other of them has, nor the one below, once it is up',
      setUp: [],
      steps: [
        script(
          'ip link add m0 type macvlan mode bridge',
          'ip link add m0 link p0 type macvlan mode nonsense',
          'ip link add m0 link lo type macvlan mode bridge',
          'ip link add m0 link p0 mtu 1501 type macvlan mode bridge',
          'ip link add m0 link p0 address 01:00:5e:00:00:01 type macvlan mode bridge',
          'ip link add m0 link p0 address 00:00:00:00:00:00 type macvlan mode bridge',
          'ip link add m0 link p0 address 02:00:00:00:00:a0 type macvlan mode bridge',
          'ip link set m0 up',
          'ip link set m0 address 02:00:00:00:00:10',
          'ip link set m0 up',
          'ip link add m1 link m0 address 02:00:00:00:00:10 type macvlan mode private',
          'ip link set m1 up',
          'ip link set m1 address 02:00:00:00:00:a0',
          'ip link set m1 address 02:00:00:00:00:11',
          'ip link set m1 up',
          'ip link set m1 address 02:00:00:00:00:10',
          'ip link set m1 address 01:00:00:00:00:a0',
          'ip link set m1 address 00:00:00:00:00:00',
          'ip link set p0 address 02:00:00:00:00:10',
          'ip link add i0 link p0 type ipvlan mode l2',
          'ip link set m1 type ipvlan mode l2',
          'ip link set m1 type macvlan mode passthru',
          'ip link set m1 type macvlan mode nonsense',
        ),
        show('ip -d link show m1', ofLink),
      ],
    },
    {
      name: 'a macvlan device follows the one below in its MTU, its carrier and its end',
      setUp: [],
      steps: [
        script(
          ...[0, 1].map(
            (i) => `ip link add m${i} link p0 address 02:00:00:00:00:1${i} type macvlan mode vepa`,
          ),
          'ip link set m0 up',
          'ip link set m1 mtu 1600',
          'ip link set m1 mtu 1400',
          'ip link set p0 mtu 1450',
        ),
        links('macvlan'),
        script('ip link set p0 mtu 1300', 'ip link set p0 mtu 1500', 'ip link set p0 down'),
        links('macvlan'),
        script('ip link set m1 up', 'ip link set p0 up'),
        links('macvlan'),
        script(
          'ip link add b0 address 02:00:00:00:00:40 type bridge',
          'ip link add m2 link b0 address 02:00:00:00:00:12 type macvlan mode bridge',
          'ip link set p0 master b0',
          'ip link set m1 master b0',
          'ip link del b0',
          'ip link show m2',
        ),
      ],
    },
    {
      name: 'what comes in is for the macvlan device that has its address, and what is for many is for all',
      setUp: A.made(types('bridge', 'private')),
      steps: [
        ...['10.0.0.1', '10.0.0.10', '10.0.0.11', '10.0.0.12'].map((tpa) =>
          send(0, request({ spa: '10.0.0.2', tpa })),
        ),
        ...[M0, M1, PARENT, NOBODY, BROADCAST].flatMap((to) =>
          ['10.0.0.1', '10.0.0.10', '10.0.0.11'].flatMap((dst) => [
            send(0, ping(to, dst)),
            send(0, packet(to, dst)),
          ]),
        ),
        send(0, request({ spa: '10.0.0.2', tpa: '10.0.0.10', to: M1 })),
        send(0, request({ spa: '10.0.0.2', tpa: '10.0.0.10', to: M0 })),
        command(`${A.in0} link set m0 down`),
        send(0, request({ spa: '10.0.0.2', tpa: '10.0.0.10' })),
        send(0, ping(M0, '10.0.0.10')),
        send(0, ping(M0, '10.0.0.1')),
      ],
    },
    {
      name: 'macvlan siblings reach each other where both are bridged, and the host never does',
      setUp: [
        ...B.routing(types('bridge')),
        ...[2, 3].map((host) => `${B.in1} addr add 10.0.0.1${host}/24 dev m1`),
      ],
      steps: [
        from0('10.0.0.11'),
        from0('10.0.0.1'),
        from0('10.0.2.2'),
        from1('10.0.1.2'),
        send(0, packet(PARENT, '10.0.1.2')),
        modes(B, 'bridge', 'private'),
        from0('10.0.0.11'),
        from0('10.0.0.12'),
        modes(B, 'private', 'bridge'),
        from0('10.0.0.11'),
        from0('10.0.0.13'),
      ],
    },
    {
      name: 'what a switch sends back is heard by those macvlan devices that leave it to a switch',
      setUp: C.made(types('vepa')),
      steps: (
        [
          ['vepa', 'vepa'],
          ['vepa', 'bridge'],
          ['bridge', 'vepa'],
          ['bridge', 'bridge'],
          ['private', 'vepa'],
          ['vepa', 'private'],
        ] as const
      ).flatMap(([one, two]) => [
        modes(C, one, two),
        send(0, request({ from: M0, spa: '10.0.0.10', tpa: '10.0.0.11' })),
        send(0, request({ from: M0, spa: '10.0.0.10', tpa: '10.0.0.1' })),
        send(0, ping(M1, '10.0.0.11', { from: M0, src: '10.0.0.10' })),
      ]),
    },
    {
      name: 'a macvlan device of mode passthru is alone, has the address of the one below, and hears all',
      setUp: D.made(['address 02:00:00:00:00:10 type macvlan mode passthru']),
      steps: [
        show(`${D.in0} -d link show m0`, ofLink),
        show('ip -d link show p0', promiscuity),
        script(
          'ip link add m1 link p0 type macvlan mode bridge',
          'ip link add m1 link p0 type macvlan mode passthru',
          `${D.in0} link set m0 type macvlan mode private`,
        ),
        send(0, request({ spa: '10.0.0.2', tpa: '10.0.0.10' })),
        send(0, request({ spa: '10.0.0.2', tpa: '10.0.0.1' })),
        ...[M0, PARENT, NOBODY, BROADCAST].flatMap((to) =>
          ['10.0.0.1', '10.0.0.10'].map((dst) => send(0, ping(to, dst))),
        ),
        script(
          `${D.in0} link set m0 address 02:00:00:00:00:77`,
          'ip link show p0',
          'ip link set p0 address 02:00:00:00:00:78',
          `${D.in0} link show m0`,
          `${D.in0} link set m0 down`,
        ),
        show('ip -d link show p0', promiscuity),
        send(0, ping(0x0200_0000_0078, '10.0.0.1')),
        send(0, reply({ spa: '10.0.0.2', tpa: '10.0.0.1', to: 0x0200_0000_0078 })),
      ],
    },
  ],
};
