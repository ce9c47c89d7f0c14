import { OUR_TIME, settleTimes } from '../../../interop/linux/ip-options.ts';
import { type CaseGroup, type CaseStep, command, send, wait } from './case.ts';
import { fragments4, icmpEcho, ip, type Packet4, packet4 } from './frames4.ts';
import { ROUTER, SYN, through } from './router4.ts';
import { udp } from './transport.ts';

const addresses = (...texts: readonly string[]): number[] =>
  texts.flatMap((text) => {
    const address = ip(text);
    return [address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff];
  });
const FREE = '0.0.0.0';

/** Options with room for addresses; `next` is the place that is free, or that is next, from 0 on. */
const record = (next: number, ...places: readonly string[]) => [
  ...[7, 3 + 4 * places.length, 4 + 4 * next],
  ...addresses(...places),
];
const loose = (next: number, ...hops: readonly string[]) => [131, ...record(next, ...hops).slice(1)];
const strict = (next: number, ...hops: readonly string[]) => [137, ...record(next, ...hops).slice(1)];
/** `step`: bytes of a place, 4 where there are times alone. */
const stamp = (flag: number, next: number, step: number, ...places: readonly string[]) => [
  ...[68, 4 + 4 * places.length, 5 + step * next, flag],
  ...addresses(...places),
];

/** A packet of 10.0.1.2 to 10.0.2.2 with options, one that its router does not send on, and an echo to the router itself. */
const everyWay = (options: readonly number[]): CaseStep[] => [
  wait(OUR_TIME),
  through({ options }),
  through({ options, ttl: 1 }),
  through({ options, dst: '10.0.1.1', upper: icmpEcho('request') }),
];
const TAKING = [...ROUTER, 'sysctl -w net.ipv4.conf.all.accept_source_route=1'];
const GATEWAY = 'ip route add 10.7.0.0/16 via 10.0.2.3';
const echo = (packet: Partial<Packet4>) => through({ upper: icmpEcho('request'), ...packet });

/** What once differed from Linux in `test/interop/linux/ip-options.test.ts`. */
export const ipOptionsCases: CaseGroup = {
  name: 'ip-options',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleTimes,
  cases: [
    {
      name: 'a router records the address that it sends on by, an answer goes on recording',
      setUp: ROUTER,
      steps: everyWay(record(0, FREE, FREE, FREE)),
    },
    { name: 'a record that is full stays as it is', setUp: ROUTER, steps: everyWay(record(1, '10.9.9.9')) },
    {
      name: 'a record is the address that the route is to have, in a router with several',
      setUp: [
        ...ROUTER,
        'ip addr add 10.0.2.77/24 dev w0',
        'ip route add 10.7.0.0/16 via 10.0.2.3 src 10.0.2.77',
      ],
      steps: [echo({ dst: '10.7.1.1', options: record(0, FREE) })],
    },
    {
      name: 'times alone are written one after the other',
      setUp: ROUTER,
      steps: everyWay(stamp(0, 0, 4, FREE, FREE)),
    },
    {
      name: 'times with addresses have that by which the sender is answered',
      setUp: ROUTER,
      steps: everyWay(stamp(1, 0, 8, FREE, FREE, FREE, FREE)),
    },
    {
      name: 'times of given addresses are written where the next one is the host’s own',
      setUp: ROUTER,
      steps: [
        ...everyWay(stamp(3, 0, 8, '10.0.2.1', FREE, '10.0.1.1', FREE)),
        ...everyWay(stamp(3, 0, 8, '10.0.2.3', FREE, '10.0.2.1', FREE)),
      ],
    },
    {
      name: 'who has no place left for a time counts, up to 15, but for given addresses',
      setUp: ROUTER,
      steps: [0x00, 0xe1, 0xf0, 0xf3].flatMap((flag) => everyWay(stamp(flag, 2, 4, '10.9.9.9', FREE))),
    },
    {
      name: 'what is wrong with an option is told by its place',
      setUp: ROUTER,
      steps: [
        wait(OUR_TIME),
        ...[
          ...[[7, 2], [7, 1], [7], [7, 3, 3], [7, 6, 4, 0, 0, 0], [68, 3, 5], [68, 8, 4, 0, 0, 0, 0, 0]],
          ...[
            [68, 8, 5, 1, 0, 0, 0, 0],
            [148, 3, 0],
            [131, 2],
            [131, 7, 3, 0, 0, 0, 0],
            [130, 40],
            [99, 0],
          ],
          [...record(0, FREE), ...record(0, FREE)],
          [...loose(0, '10.0.2.3'), ...loose(0, '10.0.2.3')],
          [...stamp(0, 0, 4, FREE), ...stamp(0, 0, 4, FREE)],
        ].map((options) => through({ options: [1, ...options] })),
      ],
    },
    {
      name: 'options that nobody knows are sent on, what stands behind the end is not',
      setUp: ROUTER,
      steps: [
        [130, 3, 9],
        [94, 4, 1, 2],
        [148, 4, 0, 0],
        [148, 4, 0, 1],
        [1, 0, 7, 7],
      ].map((options) => through({ options })),
    },
    {
      name: 'an option is wrong before a route is refused, not before a martian is',
      setUp: [...ROUTER, 'ip route add blackhole 10.6.0.0/16', 'sysctl -w net.ipv4.conf.v0.rp_filter=1'],
      steps: [
        through({ dst: '10.6.1.1', options: [7, 2] }),
        through({ dst: '127.0.0.1', options: [7, 2] }),
        through({ src: '10.0.2.3', options: [7, 2] }),
        through({ dst: FREE, options: [7, 2] }),
        command('sysctl -w net.ipv4.conf.v0.forwarding=0'),
        through({ options: [7, 2] }),
      ],
    },
    {
      name: 'a source route is taken where all and the device take it',
      setUp: ROUTER,
      steps: [
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.2') }),
        command('sysctl -w net.ipv4.conf.all.accept_source_route=1'),
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.2') }),
        command('sysctl -w net.ipv4.conf.v0.accept_source_route=0'),
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.2') }),
      ],
    },
    {
      name: 'a source route that is at its end is answered by the way back',
      setUp: TAKING,
      steps: [
        echo({ dst: '10.0.1.1', options: loose(2, '10.0.1.3', '10.0.1.2') }),
        echo({ dst: '10.0.1.1', options: loose(2, '10.0.2.3', '10.0.2.2') }),
        through({ dst: '10.0.1.1', options: loose(1, '10.0.2.3') }),
        through({ dst: '10.0.1.1', options: loose(1, '10.0.2.3'), upper: SYN }),
        echo({ dst: '10.0.1.1', options: [...loose(1, '10.0.1.2'), ...record(0, FREE)] }),
      ],
    },
    {
      name: 'a source route may lead by several addresses of a host, and out of it',
      setUp: TAKING,
      steps: [
        wait(OUR_TIME),
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.1', '10.0.2.2') }),
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.1') }),
        echo({ dst: '10.0.1.1', options: [...loose(0, '10.0.2.2'), ...stamp(1, 0, 8, FREE, FREE)] }),
      ],
    },
    {
      name: 'a strict route is one of neighbours: no gateway, and no host that is not in it',
      setUp: [...TAKING, GATEWAY],
      steps: [
        echo({ dst: '10.0.1.1', options: strict(0, '10.0.2.2') }),
        echo({ dst: '10.0.1.1', options: strict(0, '10.7.1.1') }),
        echo({ options: strict(0, '10.0.2.2') }),
        echo({ dst: '10.0.1.1', options: loose(0, '10.7.1.1') }),
        echo({ options: loose(0, '10.0.2.3') }),
      ],
    },
    {
      name: 'a source route leads to no refused route, and not by frames to all',
      setUp: [...TAKING, 'ip route add blackhole 10.6.0.0/16'],
      steps: [
        echo({ dst: '10.0.1.1', options: loose(0, '10.6.1.1') }),
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.255') }),
        echo({ dst: '10.0.1.1', options: loose(0, '10.0.2.2'), to: 0xffff_ffff_ffff }),
        echo({ dst: '10.0.1.1', options: [131, 9, 4, ...addresses('10.0.2.1'), 10, 0] }),
      ],
    },
    {
      name: 'an error about what a source route leads on comes from the way to the sender',
      setUp: [...TAKING, 'ip addr add 10.9.9.9/32 dev lo'],
      steps: [echo({ dst: '10.9.9.9', options: loose(0, '10.0.2.2'), ttl: 1 })],
    },
    {
      name: 'what a source route leads back to oneself is not sent on from there',
      setUp: [...TAKING, 'ip addr add 10.9.9.9/32 dev lo'],
      steps: [through({ options: [...loose(1, '10.9.9.9', FREE), 7, 2] })],
    },
    {
      name: 'a packet with a source route makes for no redirect',
      setUp: TAKING,
      steps: [
        send(
          0,
          packet4({ src: '10.0.1.2', dst: '10.0.1.1', options: loose(0, '10.0.1.3'), upper: udp(1_000, 53) }),
        ),
      ],
    },
    {
      name: 'options that are not to be copied are in the first fragment alone',
      setUp: [...ROUTER, 'ip link set w0 mtu 600'],
      steps: [
        through({
          options: [...record(0, FREE), 130, 3, 9, 148, 4, 0, 0],
          upper: udp(1_000, 53, 900),
          df: false,
        }),
      ],
    },
    {
      name: 'a packet of fragments is answered by the options of the first',
      setUp: ROUTER,
      steps: [
        send(
          0,
          ...fragments4(
            {
              src: '10.0.1.2',
              dst: '10.0.1.1',
              options: record(0, FREE, FREE),
              upper: icmpEcho('request', 56),
            },
            32,
          ),
        ),
      ],
    },
    {
      name: 'an error has as much less of what it is about as its options take',
      setUp: ROUTER,
      steps: [through({ options: record(0, FREE, FREE), ttl: 1, upper: udp(1_000, 53, 900) })],
    },
    {
      name: 'an error about options belongs to the flow of the packet, translated',
      setUp: [...TAKING, 'iptables -t nat -A POSTROUTING -o w0 -j MASQUERADE'],
      steps: [through(), through({ options: [...loose(1, '10.0.2.3', FREE), 7, 2] })],
    },
    ...[false, true].map((seen) => ({
      name: `REJECT says ${seen ? 'something' : 'nothing'} about a packet that has been written into, where conntrack has ${seen ? '' : 'not '}seen it, and resets no such`,
      setUp: [
        ...ROUTER,
        ...(seen ? ['iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP'] : []),
        'iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
        'iptables -A FORWARD -j REJECT',
      ],
      steps: [record(0, FREE), record(1, '10.9.9.9')].flatMap((options) => [
        through({ options }),
        through({ options, upper: SYN }),
      ]),
    })),
    ...[false, true].map((seen) => ({
      name: `REJECT ${seen ? 'resets' : 'does not reset'} what has been written into and is for the host, where conntrack has ${seen ? '' : 'not '}seen it`,
      setUp: [
        ...ROUTER,
        ...(seen ? ['iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP'] : []),
        'iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset',
      ],
      steps: [record(0, FREE), record(1, '10.9.9.9')].map((options) =>
        through({ dst: '10.0.1.1', options, upper: SYN }),
      ),
    })),
    {
      name: 'REJECT sums what conntrack has seen and not summed',
      setUp: [
        ...ROUTER,
        'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
        'sysctl -w net.netfilter.nf_conntrack_checksum=0',
        'iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset',
        'iptables -A INPUT -j REJECT',
        'iptables -A FORWARD -j REJECT',
      ],
      steps: [record(0, FREE), record(1, '10.9.9.9')].flatMap((options) => [
        through({ options }),
        through({ dst: '10.0.1.1', options }),
        through({ dst: '10.0.1.1', options, upper: SYN }),
      ]),
    },
  ],
};
