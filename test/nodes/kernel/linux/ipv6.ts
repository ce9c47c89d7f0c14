import { setU16 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { IPV6_HLEN } from '../../../../protocols/ipv6.ts';
import { NEXT_NONE } from '../../../../protocols/ipv6-headers.ts';
import { settleFragmentId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC } from '../../../support/router.ts';
import { type CaseGroup, command, listen, send, show, wait } from './case.ts';
import {
  advert,
  destinationOptions,
  echo6,
  fragment,
  fragments6,
  hopByHop,
  icmpError,
  icmpType,
  packet6,
  rest,
  routing,
  solicit,
  udp6,
} from './frames6.ts';

/** A device with an address that need not be claimed, on a host that forwards. */
const device = (dev: string, ...addresses: readonly string[]): string[] => [
  `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
  `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
  `sysctl -w net.ipv6.conf.${dev}.forwarding=1`,
  ...addresses.map((address) => `ip -6 addr add ${address} dev ${dev} nodad`),
];

const known = (address: string, dev: string): string =>
  `ip -6 neigh add ${address} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`;

const HOST = [
  'sysctl -w net.ipv6.conf.all.forwarding=1',
  'sysctl -w net.ipv6.icmp.ratelimit=0',
  ...device('v0', '2001:db8:1::1/64'),
  known('2001:db8:1::2', 'v0'),
];

/** Nobody is asked for a neighbour without it. */
const LINK_LOCAL = 'ip -6 addr add fe80::1/64 dev v0 nodad';

const ROUTER = [...HOST, ...device('w0', '2001:db8:2::1/64'), known('2001:db8:2::2', 'w0')];

/** From the neighbour at v0 to the one at w0, to the host, and to all at the link. */
const THROUGH = { src: '2001:db8:1::2', dst: '2001:db8:2::2', upper: udp6(1_000, 53) };
const HERE = { src: '2001:db8:1::2', dst: '2001:db8:1::1', upper: echo6('request') };
const TO_ALL = { ...HERE, dst: 'ff02::1' };

/** Options of nobody's: to be passed over, dropped, told of, and told of unless they came to many (RFC 8200 §4.2). */
const UNKNOWN = { pass: 0x1e, drop: 0x5e, tell: 0x9e, tellOne: 0xde } as const;
const unknown = (action: keyof typeof UNKNOWN) => hopByHop(UNKNOWN[action], 2, 0, 0, 1, 0);

const NEIGHBORS = show('ip -6 neigh');
const STRANGER_MAC = 0x0200_0000_0003;

/** A fragment with the last bytes of the largest packet, and more. */
const BEYOND = { ...HERE, headers: [fragment({ offset: 65_528, more: false })] };

/** What once differed from Linux in `test/interop/linux/ipv6.test.ts`, and in IPv6 without rules elsewhere. */
export const ipv6Cases: CaseGroup = {
  name: 'ipv6',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  first: ['sysctl -qw net.ipv6.auto_flowlabels=0'],
  settle: settleFragmentId,
  cases: [
    {
      name: 'a router acts on hop-by-hop options of packets that it forwards',
      setUp: ROUTER,
      steps: (['pass', 'drop', 'tell', 'tellOne'] as const).map((action) =>
        send(0, packet6({ ...THROUGH, headers: [unknown(action)] })),
      ),
    },
    {
      name: 'a router does not look at destination options of packets that it forwards',
      setUp: ROUTER,
      steps: [send(0, packet6({ ...THROUGH, headers: [destinationOptions(0x9e, 2, 0, 0, 1, 0)] }))],
    },
    {
      name: 'of options that came to many, only those of action 2 are told of',
      setUp: HOST,
      steps: (['tell', 'tellOne'] as const).flatMap((action) => [
        send(0, packet6({ ...TO_ALL, headers: [unknown(action)] })),
        send(0, packet6({ ...HERE, headers: [unknown(action)], to: 0x3333_0000_0001 })),
      ]),
    },
    {
      name: 'more than seven bytes of padding in a row are refused, as PadN and as Pad1',
      setUp: ROUTER,
      steps: [
        [1, 5, 0, 0, 0, 0, 0, UNKNOWN.pass, 0, 1, 3, 0, 0, 0],
        [1, 6, 0, 0, 0, 0, 0, 0, UNKNOWN.pass, 0, 1, 2, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, UNKNOWN.pass, 5, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, UNKNOWN.pass, 4, 0, 0, 0, 0],
      ].map((options) => send(0, packet6({ ...THROUGH, headers: [hopByHop(...options)] }))),
    },
    {
      name: 'padding that is not zero is refused',
      setUp: ROUTER,
      steps: [send(0, packet6({ ...THROUGH, headers: [hopByHop(1, 4, 0, 0, 0, 1)] }))],
    },
    {
      name: 'eight options are taken, nine are refused',
      setUp: ROUTER,
      steps: [8, 9].map((count) => {
        const options = Array.from({ length: count }, () => [UNKNOWN.pass, 0]).flat();
        const padding = count === 8 ? [1, 4, 0, 0, 0, 0] : [1, 2, 0, 0];
        return send(0, packet6({ ...THROUGH, headers: [hopByHop(...options, ...padding)] }));
      }),
    },
    {
      name: 'an option that reaches beyond its header is refused',
      setUp: ROUTER,
      steps: [
        send(0, packet6({ ...THROUGH, headers: [hopByHop(UNKNOWN.pass, 9, 0, 0, 0, 0)] })),
        send(0, packet6({ ...THROUGH, headers: [hopByHop(1, 3, 0, 0, 0, UNKNOWN.pass)] })),
      ],
    },
    {
      name: 'a router alert has two bytes, or is refused',
      setUp: ROUTER,
      steps: [
        send(0, packet6({ ...THROUGH, headers: [hopByHop(5, 2, 0, 0, 1, 0)] })),
        send(0, packet6({ ...THROUGH, headers: [hopByHop(5, 4, 0, 0, 0, 0)] })),
      ],
    },
    {
      name: 'a jumbo payload that needs to be none is told of, as is one of a packet that has a length',
      setUp: ROUTER,
      steps: [
        send(0, packet6({ ...THROUGH, headers: [hopByHop(0xc2, 4, 0, 0, 0xff, 0xff)] })),
        send(0, packet6({ ...THROUGH, headers: [hopByHop(0xc2, 4, 0, 1, 0, 0)] })),
      ],
    },
    {
      name: 'a jumbo payload of another length or place is refused without a word',
      setUp: ROUTER,
      steps: [
        send(0, packet6({ ...THROUGH, headers: [hopByHop(0xc2, 2, 0, 0, 1, 0)] })),
        send(
          0,
          packet6({ ...THROUGH, headers: [hopByHop(0, 0, 0xc2, 4, 0, 0, 0xff, 0xff, 1, 4, 0, 0, 0, 0)] }),
        ),
      ],
    },
    {
      name: 'a router alert and a jumbo payload are options of nobody’s where they are for the destination',
      setUp: HOST,
      steps: [
        send(0, packet6({ ...HERE, headers: [destinationOptions(5, 4, 0, 0, 0, 0)] })),
        send(0, packet6({ ...HERE, headers: [destinationOptions(0xc2, 4, 0, 0, 0, 1)] })),
      ],
    },
    {
      name: 'a routing header with segments left is told of, but for those of RPL and segment routing',
      setUp: HOST,
      steps: [0, 2, 3, 4, 253].map((type) => send(0, packet6({ ...HERE, headers: [routing(type, 1)] }))),
    },
    {
      name: 'a routing header without segments left is passed over, but for those of RPL and segment routing',
      setUp: HOST,
      steps: [0, 2, 3, 4, 253].map((type) => send(0, packet6({ ...HERE, headers: [routing(type, 0)] }))),
    },
    {
      name: 'a routing header to a group is refused without a word',
      setUp: HOST,
      steps: [
        send(0, packet6({ ...TO_ALL, headers: [routing(0, 0)] })),
        send(0, packet6({ ...TO_ALL, headers: [routing(0, 1)] })),
      ],
    },
    {
      name: 'an error comes from an address of where the packet came in',
      setUp: [
        ...ROUTER,
        'ip -6 addr add 2001:db8:1::77/64 dev v0 nodad',
        'ip -6 route add unreachable 2001:db8:97::/48',
        'ip -6 route add 2001:db8:7::/48 via 2001:db8:2::2',
      ],
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:97::1' })),
        send(0, packet6({ ...THROUGH, hopLimit: 1 })),
        // The way back is another one.
        send(0, packet6({ ...THROUGH, src: '2001:db8:7::1', hopLimit: 1 })),
      ],
    },
    {
      name: 'an error about what came in a frame to many comes from an address of where it came in, whatever it was for',
      setUp: [...ROUTER, 'ip -6 addr add 2001:db8:1::77/64 dev v0 nodad'],
      steps: ['2001:db8:2::1', '2001:db8:1::77', '2001:db8:1::1'].flatMap((dst) =>
        [{}, { to: 0x3333_0000_0001 }].map((to) =>
          send(0, packet6({ ...THROUGH, dst, headers: [unknown('tell')], ...to })),
        ),
      ),
    },
    {
      name: 'no error is about an error, but about redirects and types of no meaning there is one',
      setUp: ROUTER,
      steps: [1, 4, 100, 127, 128, 137, 139, 200].map((type) =>
        send(0, packet6({ ...THROUGH, upper: icmpType(type), hopLimit: 1 })),
      ),
    },
    {
      name: 'a message that is cut before its type is taken for an error, unless it is a fragment',
      setUp: ROUTER,
      steps: [
        send(0, packet6({ ...THROUGH, upper: rest(58, []), hopLimit: 1 })),
        send(
          0,
          packet6({
            ...THROUGH,
            headers: [fragment({ offset: 0, more: true })],
            upper: rest(58, []),
            hopLimit: 1,
          }),
        ),
        send(
          0,
          packet6({
            ...THROUGH,
            headers: [fragment({ offset: 8, more: false })],
            upper: rest(58, [1, 0, 0, 0]),
            hopLimit: 1,
          }),
        ),
      ],
    },
    {
      name: 'an error is known behind extension headers too',
      setUp: ROUTER,
      steps: [
        send(
          0,
          packet6({
            ...THROUGH,
            headers: [destinationOptions(1, 4, 0, 0, 0, 0)],
            upper: icmpError(1, 4, packet6(THROUGH)),
            hopLimit: 1,
          }),
        ),
      ],
    },
    {
      name: 'what is for an address of a link is sent back to the link that it came from',
      setUp: [...ROUTER, LINK_LOCAL, 'ip -6 addr add fe80::1/64 dev w0 nodad'],
      steps: [
        send(0, packet6({ ...THROUGH, dst: 'fe80::9' })),
        send(1, packet6({ ...THROUGH, src: '2001:db8:2::2', dst: 'fe80::9' })),
      ],
    },
    {
      name: 'what is for nobody (::) has no route',
      setUp: ROUTER,
      steps: [send(0, packet6({ ...THROUGH, dst: '::' }))],
    },
    {
      name: 'what comes from nobody or a link alone does not leave the link',
      setUp: [...ROUTER, known('fe80::2', 'v0')],
      steps: [send(0, packet6({ ...THROUGH, src: '::' })), send(0, packet6({ ...THROUGH, src: 'fe80::2' }))],
    },
    {
      name: 'an advertisement that was asked of one alone is short and overrides nothing',
      setUp: HOST,
      steps: [
        send(0, solicit('2001:db8:1::1', { src: '2001:db8:1::2', dst: '2001:db8:1::1' }, NEIGHBOR_MAC)),
        send(0, solicit('2001:db8:1::1', { src: '2001:db8:1::2', dst: 'ff02::1:ff00:1' }, NEIGHBOR_MAC)),
      ],
    },
    {
      name: 'who does not tell his MAC is answered if he asks one alone, or is known',
      setUp: HOST,
      steps: [
        send(0, solicit('2001:db8:1::1', { src: '2001:db8:1::3', dst: 'ff02::1:ff00:1' })),
        NEIGHBORS,
        send(0, solicit('2001:db8:1::1', { src: '2001:db8:1::2', dst: 'ff02::1:ff00:1' })),
        send(0, solicit('2001:db8:1::1', { src: '2001:db8:1::3', dst: '2001:db8:1::1' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'who has no address of the link asks for neighbours of his own packets alone',
      setUp: HOST,
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:1::9' })),
        send(0, packet6({ ...HERE, src: '2001:db8:1::9' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'an advertisement does not bring a neighbour back that has failed',
      setUp: [...HOST, LINK_LOCAL, 'ip -6 route add 2001:db8:9::/48 via 2001:db8:1::9'],
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:9::1' })),
        listen(3_500),
        NEIGHBORS,
        send(
          0,
          advert(
            { target: '2001:db8:1::9', flags: ['solicited', 'override'], targetMac: STRANGER_MAC },
            { src: '2001:db8:1::9', dst: '2001:db8:1::1' },
          ),
        ),
        NEIGHBORS,
        send(0, packet6({ ...THROUGH, dst: '2001:db8:9::1' })),
        NEIGHBORS,
      ],
    },
    {
      name: 'an advertisement of a neighbour that there is no entry of makes none',
      setUp: [...HOST, LINK_LOCAL, 'ip -6 route add 2001:db8:9::/48 via 2001:db8:1::9'],
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:9::1' })),
        command('ip -6 neigh del 2001:db8:1::9 dev v0'),
        NEIGHBORS,
        send(
          0,
          advert(
            { target: '2001:db8:1::9', flags: ['solicited', 'override'], targetMac: STRANGER_MAC },
            { src: '2001:db8:1::9', dst: '2001:db8:1::1' },
          ),
        ),
        NEIGHBORS,
      ],
    },
    {
      name: 'an advertisement without a MAC does not make a neighbour known that is asked for',
      setUp: [...HOST, LINK_LOCAL],
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:1::9' })),
        send(
          0,
          advert(
            { target: '2001:db8:1::9', flags: ['solicited', 'override'] },
            { src: '2001:db8:1::9', dst: '2001:db8:1::1' },
          ),
        ),
        NEIGHBORS,
        send(
          0,
          advert(
            { target: '2001:db8:1::9', flags: ['solicited'], targetMac: STRANGER_MAC },
            { src: '2001:db8:1::9', dst: '2001:db8:1::1' },
          ),
        ),
        NEIGHBORS,
      ],
    },
    {
      name: 'another MAC that overrides nothing makes a neighbour stale, one that overrides is believed',
      setUp: [...HOST, LINK_LOCAL],
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:1::9' })),
        ...(
          [['solicited', 'override'], [], ['solicited', 'override'], ['solicited'], ['override']] as const
        ).flatMap((flags, i) => [
          send(
            0,
            advert(
              { target: '2001:db8:1::9', flags, targetMac: STRANGER_MAC + i },
              { src: '2001:db8:1::9', dst: '2001:db8:1::1' },
            ),
          ),
          NEIGHBORS,
        ]),
      ],
    },
    {
      name: 'a host is not redirected by itself',
      setUp: [...HOST, LINK_LOCAL, known('2001:db8:1::5', 'v0')],
      steps: [
        send(0, packet6({ ...THROUGH, dst: '2001:db8:1::5' })),
        send(0, packet6({ ...THROUGH, src: '2001:db8:1::1', dst: '2001:db8:1::5' })),
      ],
    },
    {
      name: 'errors and redirects draw on one account of a host, of six times what the last of them takes',
      setUp: [
        ...[...HOST, LINK_LOCAL, known('2001:db8:1::5', 'v0')],
        // So long that the time that passes in between changes nothing.
        'sysctl -w net.ipv6.icmp.ratelimit=10000',
      ],
      // Within a tick of its clock Linux counts nothing anew.
      steps: [{ hopLimit: 1 }, {}, { hopLimit: 1 }, {}].flatMap((more) => [
        wait(20),
        send(0, packet6({ ...THROUGH, dst: '2001:db8:1::5', ...more })),
      ]),
    },
    ...[10_000, 25_000, 90_000].map((ratelimit) => ({
      name: `a host is told at first of what a minute has room for, of six errors at most: at one in ${ratelimit} ms`,
      setUp: [
        ...HOST,
        'ip -6 route add 2001:db8:7::/48 via 2001:db8:1::2',
        `sysctl -w net.ipv6.icmp.ratelimit=${ratelimit}`,
      ],
      steps: ['2001:db8:1::2', '2001:db8:7::1'].flatMap((src) =>
        Array.from({ length: 7 }, () =>
          send(0, packet6({ ...THROUGH, src, dst: '2001:db8:1::5', hopLimit: 1 })),
        ),
      ),
    })),
    {
      name: 'an echo to a group is answered by the way it came, whatever the routes say',
      setUp: [...ROUTER, 'ip -6 route add 2001:db8:7::/48 via 2001:db8:2::2'],
      steps: [
        send(0, packet6({ ...TO_ALL })),
        send(0, packet6({ ...TO_ALL, src: '2001:db8:7::1' })),
        send(0, packet6({ ...HERE, src: '2001:db8:7::1' })),
      ],
    },
    {
      name: 'an echo is answered with its traffic class',
      setUp: HOST,
      steps: [send(0, packet6({ ...HERE, trafficClass: 0xb8 }))],
    },
    {
      name: 'a first fragment without the whole header above it is told of',
      setUp: HOST,
      steps: [
        [6, 16],
        [17, 0],
        [58, 0],
        [200, 0],
        [6, 24],
      ].map(([proto = 0, size = 0]) =>
        send(
          0,
          packet6({
            ...HERE,
            headers: [fragment({ offset: 0, more: true })],
            upper: rest(proto, new Uint8Array(size)),
          }),
        ),
      ),
    },
    {
      name: 'a fragment of a length that no middle has, or that reaches beyond a packet, is told of',
      setUp: HOST,
      steps: [
        send(
          0,
          packet6({
            ...HERE,
            headers: [fragment({ offset: 0, more: true })],
            upper: rest(17, new Uint8Array(12)),
          }),
        ),
        send(0, packet6({ ...BEYOND, upper: rest(17, new Uint8Array(7)) })),
        send(0, packet6({ ...BEYOND, upper: rest(17, new Uint8Array(8)) })),
      ],
    },
    {
      name: 'fragments are put together behind other headers, in any order',
      setUp: HOST,
      steps: [
        send(0, ...fragments6({ ...HERE, upper: echo6('request', 7, 40) }, 16)),
        send(0, ...fragments6({ ...HERE, upper: echo6('request', 7, 40) }, 16).reverse()),
        send(
          0,
          ...fragments6(
            { ...HERE, headers: [hopByHop(1, 4, 0, 0, 0, 0), routing(0, 0)], upper: echo6('request', 7, 40) },
            16,
          ),
        ),
      ],
    },
    {
      name: 'a protocol that nobody knows is told of with the place that names it, no next header is not',
      setUp: HOST,
      steps: [
        send(0, packet6({ ...HERE, upper: rest(200, [1, 2, 3, 4]) })),
        send(0, packet6({ ...HERE, headers: [destinationOptions(1, 4, 0, 0, 0, 0)], upper: rest(200, [1]) })),
        send(0, packet6({ ...HERE, upper: rest(NEXT_NONE, [1, 2, 3, 4]) })),
      ],
    },
    {
      name: 'a packet that says that it is longer than it is goes nowhere, and what is behind its end is cut off',
      setUp: ROUTER,
      steps: [
        send(0, cut(packet6({ ...THROUGH, upper: udp6(1_000, 53, 20) }), 3)),
        send(0, Uint8Array.of(...packet6(THROUGH), 1, 2, 3)),
      ],
    },
    {
      name: 'a packet that is too big for a link is told the MTU of the link',
      setUp: [...ROUTER, 'ip link set w0 mtu 1300'],
      steps: [
        send(0, packet6({ ...THROUGH, upper: udp6(1_000, 53, 1_300) })),
        send(0, packet6({ ...THROUGH, upper: udp6(1_000, 53, 1_252) })),
      ],
    },
    {
      name: 'an IPv6 rule with a source does not choose for packets whose source is not chosen yet',
      setUp: [
        ...ROUTER,
        'ip -6 route add 2001:db8:7::/48 via 2001:db8:1::2',
        'ip -6 route add 2001:db8:7::/48 via 2001:db8:2::2 table 100',
        'ip -6 rule add from ::/1 iif w0 lookup 100',
        'ip -6 rule add from ::/1 iif lo lookup 100',
      ],
      steps: [
        show('ip -6 route get 2001:db8:7::1'),
        show('ip -6 route get 2001:db8:7::1 from 2001:db8:2::1'),
        send(0, packet6({ ...THROUGH, dst: '2001:db8:7::1' })),
        send(1, packet6({ ...THROUGH, src: '2001:db8:2::2', dst: '2001:db8:7::1' })),
      ],
    },
    {
      name: 'an IPv6 rule of a TOS looks at the DSCP, and heeds not what ECN says',
      setUp: [
        ...ROUTER,
        'ip -6 route add 2001:db8:7::/48 via 2001:db8:1::2',
        'ip -6 route add 2001:db8:7::/48 via 2001:db8:2::2 table 100',
        'ip -6 rule add tos 0x10 lookup 100',
      ],
      steps: [0x10, 0x12, 0x50].map((trafficClass) =>
        send(1, packet6({ ...THROUGH, src: '2001:db8:2::9', dst: '2001:db8:7::1', trafficClass })),
      ),
    },
    {
      name: 'routes of one prefix and metric by different gateways are one of two ways, appended or not',
      setUp: [...ROUTER, known('2001:db8:2::3', 'w0')],
      steps: [
        command('ip -6 route add 2001:db8:7::/48 via 2001:db8:2::2'),
        command('ip -6 route add 2001:db8:7::/48 via 2001:db8:2::3'),
        command('ip -6 route append 2001:db8:7::/48 via 2001:db8:2::3'),
        command('ip -6 route add 2001:db8:7::/48 via 2001:db8:1::2 metric 1'),
        show('ip -6 route show 2001:db8:7::/48'),
        show('ip -6 rule'),
      ],
    },
  ],
};

/** Without its last bytes. */
function cut(frame: Uint8Array, bytes: number): Uint8Array {
  const short = frame.slice(0, frame.length - bytes);
  setU16(short, ETH_HLEN + 4, frame.length - ETH_HLEN - IPV6_HLEN);
  return short;
}
