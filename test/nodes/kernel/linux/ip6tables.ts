import { settleFragmentId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC } from '../../../support/router.ts';
import { type CaseGroup, type CaseStep, command, send, show, trimmed } from './case.ts';
import {
  advert,
  destinationOptions,
  echo6,
  fragment,
  fragments6,
  hopByHop,
  icmpError,
  icmpType,
  ndRedirect,
  type Packet6,
  packet6,
  rest,
  routing,
  solicit,
  tcp6,
  udp6,
} from './frames6.ts';

/** 2001:db8:1::1/64 at v0 and 2001:db8:2::1/64 at w0, with neighbours that are known. */
const ROUTER = [
  'sysctl -w net.ipv6.conf.all.forwarding=1',
  'sysctl -w net.ipv6.icmp.ratelimit=0',
  ...['v0', 'w0'].flatMap((dev, i) => [
    `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
    `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
    `ip -6 addr add 2001:db8:${i + 1}::1/64 dev ${dev} nodad`,
    ...[2, 3].map(
      (host) =>
        `ip -6 neigh add 2001:db8:${i + 1}::${host} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ),
  ]),
];

/** The two ports in a bridge that has 2001:db8::1/64. */
const BRIDGE = [
  'ip link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0',
  'ip link set v0 master br0',
  'ip link set w0 master br0',
  'sysctl -w net.ipv6.conf.br0.addr_gen_mode=1',
  'sysctl -w net.ipv6.conf.br0.disable_ipv6=0',
  'ip link set br0 up',
  'ip -6 addr add 2001:db8::1/64 dev br0 nodad',
  'ip -6 neigh add 2001:db8::5 lladdr 02:00:00:00:02:05 dev br0 nud permanent',
];
const BRIDGED = { src: '2001:db8::2', dst: '2001:db8::5', to: 0x0200_0000_0205, upper: udp6(1_000, 53) };

const THROUGH = { src: '2001:db8:1::2', dst: '2001:db8:2::2', upper: udp6(1_000, 53) };
const BACK = { src: '2001:db8:2::2', dst: '2001:db8:1::2', upper: udp6(53, 1_000) };
const HERE = { src: '2001:db8:1::2', dst: '2001:db8:1::1', upper: echo6('request') };
const ANSWER = { src: '2001:db8:1::1', dst: '2001:db8:1::2', upper: echo6('reply') };
const REDIRECT = { src: 'fe80::2', dst: '2001:db8:1::1' };
const SYN = tcp6({ srcPort: 1_000, dstPort: 80, flags: ['syn'] });

const NO_OPTIONS = [1, 4, 0, 0, 0, 0] as const;

/** Counts that a chain has, of rules that let all pass. */
const counted = (chain: string, table = 'filter') => show(`ip6tables -t ${table} -nvxL ${chain}`);

const flows = show('conntrack -L -f ipv6', (text) =>
  trimmed(text)
    .split('\n')
    .filter((line) => /^\w+ +\d+ \d+ /.test(line))
    .map((line) => line.replace(/^(\w+ +\d+) \d+ /, '$1 '))
    .join('\n'),
);

const addrtype = (type: string) => `ip6tables -t mangle -A PREROUTING -m addrtype --dst-type ${type}`;

/** Rules of FORWARD that count what matches. */
const counting = (...matches: readonly string[]) => matches.map((match) => `ip6tables -A FORWARD ${match}`);
const through = (packet: Partial<Packet6>): CaseStep => send(0, packet6({ ...THROUGH, ...packet }));

/** What once differed from Linux in `test/interop/linux/ip6tables.test.ts`, and what rules of IPv6 have that those of IPv4 have not. */
export const ip6tablesCases: CaseGroup = {
  name: 'ip6tables',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  first: ['sysctl -qw net.ipv6.auto_flowlabels=0'],
  settle: settleFragmentId,
  cases: [
    {
      name: 'frag knows first, middle and last fragments, and what is none',
      setUp: [
        ...ROUTER,
        ...counting(
          '-m frag --fragfirst',
          '-m frag --fragmore',
          '-m frag --fraglast',
          '-m frag --fragid 4711',
          '-m frag ! --fragid 4000:5000',
          '-m frag --fragres',
        ),
      ],
      steps: [
        command('ip6tables -A FORWARD -m frag --fraglen 8:16'),
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_000, 53, 16) }, 8)),
        through({}),
        counted('FORWARD'),
      ],
    },
    {
      name: 'rt knows type, segments and length of a routing header',
      setUp: [
        ...ROUTER,
        ...counting(
          '-m rt --rt-type 0',
          '-m rt ! --rt-type 0',
          '-m rt --rt-segsleft 1:2',
          '-m rt --rt-len 8',
          '-m rt --rt-type 0 --rt-0-res',
        ),
      ],
      steps: [
        command('ip6tables -A FORWARD -m rt --rt-type 0:4'),
        through({ headers: [routing(0, 0)] }),
        through({ headers: [routing(4, 2)] }),
        through({}),
        counted('FORWARD'),
      ],
    },
    {
      name: 'options of hbh and dst are those that a header begins with, in their order',
      setUp: [
        ...ROUTER,
        ...counting(
          '-m hbh',
          '-m hbh --hbh-len 8',
          '-m hbh --hbh-len 16',
          '-m hbh --hbh-opts 5:2',
          '-m hbh --hbh-opts 1,5',
          '-m dst --dst-opts 1:4',
          '-m dst ! --dst-len 16',
        ),
      ],
      steps: [
        command('ip6tables -A FORWARD -m hbh --hbh-len 16:24'),
        through({ headers: [hopByHop(5, 2, 0, 0, 1, 0)] }),
        through({ headers: [hopByHop(1, 0, 5, 2, 0, 0)] }),
        through({ headers: [destinationOptions(...NO_OPTIONS)] }),
        through({}),
        counted('FORWARD'),
      ],
    },
    {
      name: 'ipv6header asks for just these headers, with --soft for these at least',
      setUp: [
        ...ROUTER,
        ...counting(
          '-m ipv6header --header hop,prot',
          '-m ipv6header ! --header hop,prot',
          '-m ipv6header --header hop --soft',
          '-m ipv6header ! --header hop,dst --soft',
          '-m ipv6header --header none',
          '-m ipv6header --header frag,prot',
        ),
      ],
      steps: [
        through({}),
        through({ headers: [hopByHop(...NO_OPTIONS)] }),
        through({ headers: [hopByHop(...NO_OPTIONS), destinationOptions(...NO_OPTIONS)] }),
        through({ upper: rest(59, [1, 2, 3]) }),
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_000, 53, 16) }, 16)),
        counted('FORWARD'),
      ],
    },
    {
      name: 'a packet that ends within a header that frag, rt, hbh or dst look for is dropped, but not for ipv6header',
      setUp: [
        ...ROUTER,
        'ip6tables -A FORWARD -m hl --hl-eq 63 -m frag --fragfirst',
        'ip6tables -A FORWARD -m hl --hl-eq 62 -m rt --rt-type 0',
        'ip6tables -A FORWARD -m hl --hl-eq 61 -m dst --dst-opts 1',
        'ip6tables -A FORWARD -m hl --hl-eq 60 -m ipv6header --header dst --soft',
      ],
      steps: [
        ...[
          { hopLimit: 64, proto: 44 },
          { hopLimit: 63, proto: 43 },
          { hopLimit: 62, proto: 60 },
          { hopLimit: 61, proto: 60 },
        ].flatMap(({ hopLimit, proto }) =>
          [0, 1, 2, 4, 7, 8].map((size) => through({ hopLimit, upper: rest(proto, new Uint8Array(size)) })),
        ),
        counted('FORWARD'),
      ],
    },
    {
      name: 'a protocol is that behind the extension headers, of later fragments too, but not their ports',
      setUp: [...ROUTER, ...counting('-p udp', '-p udp --dport 53', '-p tcp', '! -p udp')],
      steps: [
        through({ headers: [hopByHop(...NO_OPTIONS), destinationOptions(...NO_OPTIONS)] }),
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_000, 53, 32) }, 16)),
        through({ upper: SYN }),
        counted('FORWARD'),
      ],
    },
    {
      name: 'INPUT has each fragment by itself, and with conntrack the whole packet',
      setUp: [...ROUTER, 'ip6tables -A INPUT -p icmpv6'],
      steps: [
        send(0, ...fragments6({ ...HERE, upper: echo6('request', 7, 24) }, 16)),
        counted('INPUT'),
        command('ip6tables -A INPUT -m conntrack --ctstate NEW'),
        send(0, ...fragments6({ ...HERE, upper: echo6('request', 8, 24) }, 16)),
        counted('INPUT'),
      ],
    },
    {
      name: 'every change of a table begins the counters of its policies anew, and leaves those of its rules',
      setUp: [...ROUTER, 'ip6tables -A FORWARD -p udp'],
      steps: [
        through({}),
        counted('FORWARD'),
        command('ip6tables -A INPUT -p udp'),
        counted('FORWARD'),
        command('ip6tables -P FORWARD ACCEPT -c 5 50'),
        counted('FORWARD'),
        command('ip6tables -N other'),
        counted('FORWARD'),
        through({}),
        command('ip6tables -t mangle -N other'),
        counted('FORWARD'),
        command('ip6tables -E other another'),
        counted('FORWARD'),
        command('ip6tables -L FORWARD -c 1 1'),
        command('ip6tables -D FORWARD 1 -c 1 1'),
        command('ip6tables -A FORWARD -c 1 1'),
        counted('FORWARD'),
      ],
    },
    {
      name: 'INPUT has packets whose extension headers are refused after it',
      setUp: [...ROUTER, 'ip6tables -A INPUT'],
      steps: [send(0, packet6({ ...HERE, headers: [routing(0, 1)] })), counted('INPUT')],
    },
    {
      name: 'packets that conntrack has put together go on in the fragments that they came in',
      setUp: [...ROUTER, 'ip6tables -A FORWARD -m conntrack --ctstate NEW'],
      steps: [
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_000, 53, 40) }, 16)),
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_001, 53, 40) }, 16).reverse()),
        send(
          0,
          ...fragments6(
            { ...THROUGH, headers: [hopByHop(...NO_OPTIONS)], upper: udp6(1_002, 53, 1_500) },
            800,
          ),
        ),
        counted('FORWARD'),
      ],
    },
    {
      name: 'packets that conntrack has put together are too big if their largest fragment is',
      setUp: [...ROUTER, 'ip link set w0 mtu 1300', 'ip6tables -A FORWARD -m conntrack --ctstate NEW'],
      steps: [
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_000, 53, 2_000) }, 1_400)),
        send(0, ...fragments6({ ...THROUGH, upper: udp6(1_001, 53, 2_000) }, 1_200)),
      ],
    },
    {
      name: 'a first fragment without its headers, or of a length that none has, passes conntrack as it is',
      setUp: [...ROUTER, ...counting('-m conntrack --ctstate INVALID', '-m conntrack --ctstate NEW')],
      steps: [
        through({ headers: [fragment({ offset: 0, more: true })], upper: rest(6, new Uint8Array(16)) }),
        through({ headers: [fragment({ offset: 0, more: true })], upper: rest(17, new Uint8Array(12)) }),
        through({ headers: [fragment({ offset: 65_528, more: false })], upper: rest(17, new Uint8Array(8)) }),
        counted('FORWARD'),
      ],
    },
    {
      name: 'what conntrack has not seen yet is INVALID, and nothing else',
      setUp: [
        ...ROUTER,
        'ip6tables -t raw -A PREROUTING -m conntrack --ctstate INVALID',
        'ip6tables -t raw -A PREROUTING -m conntrack --ctstate NEW,UNTRACKED',
        'ip6tables -t raw -A PREROUTING -m conntrack --ctstate INVALID,DNAT',
        'ip6tables -t raw -A PREROUTING -m state --state INVALID',
      ],
      steps: [through({}), counted('PREROUTING', 'raw')],
    },
    {
      name: 'of a packet without a flow only the state can be asked for',
      setUp: [
        ...ROUTER,
        'ip6tables -t raw -A PREROUTING -j NOTRACK',
        ...counting(
          '-m conntrack --ctstate UNTRACKED',
          '-m conntrack ! --ctproto tcp',
          '-m conntrack --ctproto udp',
          '-m conntrack --ctstate UNTRACKED ! --ctproto udp',
          '-m conntrack --ctstate NEW ! --ctproto tcp',
          '-m conntrack ! --ctorigdst 2001:db8:9::9',
        ),
      ],
      steps: [through({}), counted('FORWARD')],
    },
    {
      name: 'neighbour discovery belongs to no flow, and echoes do',
      setUp: [
        ...ROUTER,
        'ip6tables -A INPUT -m conntrack --ctstate UNTRACKED',
        'ip6tables -A INPUT -m conntrack --ctstate INVALID',
        'ip6tables -A INPUT -m conntrack --ctstate NEW',
      ],
      steps: [
        send(0, solicit('2001:db8:1::1', { src: '2001:db8:1::2', dst: '2001:db8:1::1' })),
        send(0, advert({ target: '2001:db8:1::2' }, { src: '2001:db8:1::2', dst: '2001:db8:1::1' })),
        send(0, packet6(HERE)),
        send(0, packet6({ ...HERE, upper: echo6('reply', 9) })),
        send(0, packet6({ ...HERE, upper: icmpType(200) })),
        counted('INPUT'),
        flows,
      ],
    },
    {
      name: 'an error about a flow is RELATED, about none INVALID',
      setUp: [
        ...ROUTER,
        ...counting(
          '-m conntrack --ctstate RELATED',
          '-m conntrack --ctstate INVALID',
          '-m conntrack --ctstate ESTABLISHED',
        ),
      ],
      steps: [
        through({}),
        send(1, packet6(BACK)),
        send(1, packet6({ ...BACK, upper: icmpError(1, 4, packet6(THROUGH)) })),
        send(1, packet6({ ...BACK, upper: icmpError(1, 4, packet6({ ...THROUGH, upper: udp6(9, 9) })) })),
        counted('FORWARD'),
      ],
    },
    {
      name: 'a redirect is RELATED to the flow of the packet that it is about, one about none INVALID',
      setUp: [
        ...ROUTER,
        ...['RELATED', 'INVALID', 'UNTRACKED', 'ESTABLISHED'].map(
          (state) => `ip6tables -A INPUT -p icmpv6 --icmpv6-type redirect -m conntrack --ctstate ${state}`,
        ),
      ],
      steps: [
        send(0, packet6(HERE)),
        ...[packet6(ANSWER), packet6(HERE), packet6({ ...ANSWER, upper: udp6(9, 9) }), null].flatMap(
          (about) =>
            [{}, { targetMac: NEIGHBOR_MAC }].flatMap((options) => [
              send(0, ndRedirect(about, options, REDIRECT)),
              counted('INPUT'),
            ]),
        ),
        send(0, packet6({ ...HERE, upper: icmpError(137, 0, packet6(ANSWER)) })),
        counted('INPUT'),
        flows,
      ],
    },
    {
      name: 'an error about a translated packet is translated, and the packet in it, whoever sends it',
      setUp: [
        ...ROUTER,
        'ip6tables -t nat -A PREROUTING -d 2001:db8:96::1 -j DNAT --to-destination 2001:db8:2::2',
        'ip6tables -t nat -A POSTROUTING -o w0 -j SNAT --to-source 2001:db8:2::1',
      ],
      steps: [
        through({ dst: '2001:db8:96::1' }),
        ...(
          [
            [1, 4, '2001:db8:2::2'],
            [3, 0, '2001:db8:2::3'],
            [2, 0, '2001:db8:2::3'],
            [4, 1, '2001:db8:2::2'],
          ] as const
        ).map(([type, code, src]) =>
          send(
            1,
            packet6({
              src,
              dst: '2001:db8:2::1',
              upper: icmpError(
                type,
                code,
                packet6({ ...THROUGH, src: '2001:db8:2::1' }),
                type === 2 ? 1_300 : 0,
              ),
            }),
          ),
        ),
        flows,
      ],
    },
    {
      name: 'an error that is forwarded about an answer of a translated flow is translated too',
      setUp: [
        ...ROUTER,
        'ip6tables -t nat -A PREROUTING -d 2001:db8:96::1 -j DNAT --to-destination 2001:db8:2::2',
      ],
      steps: [
        through({ dst: '2001:db8:96::1' }),
        send(1, packet6(BACK)),
        through({
          dst: '2001:db8:96::1',
          upper: icmpError(1, 4, packet6({ ...BACK, src: '2001:db8:96::1' })),
        }),
      ],
    },
    {
      name: 'a RST in no window ends a flow that is not assured',
      setUp: [...ROUTER, 'ip6tables -A FORWARD -m conntrack --ctstate INVALID -j DROP'],
      steps: [
        through({ upper: tcp6({ srcPort: 1_000, dstPort: 80, flags: ['ack'], seq: 5_000, ack: 1_002 }) }),
        send(
          1,
          packet6({
            ...BACK,
            upper: tcp6({ srcPort: 80, dstPort: 1_000, flags: ['ack'], seq: 1_002, ack: 4_999, size: 500 }),
          }),
        ),
        flows,
        through({
          upper: tcp6({ srcPort: 1_000, dstPort: 80, flags: ['rst', 'ack'], seq: 0x4000_0000, ack: 1_502 }),
        }),
        flows,
      ],
    },
    {
      name: 'MASQUERADE takes the address of the way out, REDIRECT that of the way in',
      setUp: [
        ...ROUTER,
        'ip6tables -t nat -A PREROUTING -d 2001:db8:96::1 -j REDIRECT',
        'ip6tables -t nat -A POSTROUTING -o w0 -j MASQUERADE',
      ],
      steps: [through({}), through({ dst: '2001:db8:96::1', upper: echo6('request') }), flows],
    },
    {
      name: 'ports are chosen in the range of a rule, and echoes keep their number',
      setUp: [
        ...ROUTER,
        'ip6tables -t nat -A PREROUTING -p udp -j DNAT --to-destination [2001:db8:2::3]:7000',
        'ip6tables -t nat -A POSTROUTING -p udp -j SNAT --to-source [2001:db8:2::1]:8000-8000',
        'ip6tables -t nat -A POSTROUTING -p icmpv6 -j SNAT --to-source 2001:db8:2::1',
      ],
      steps: [
        through({}),
        send(1, packet6({ src: '2001:db8:2::3', dst: '2001:db8:2::1', upper: udp6(7_000, 8_000) })),
        through({ upper: echo6('request', 77) }),
        send(1, packet6({ ...BACK, dst: '2001:db8:2::1', upper: echo6('reply', 77) })),
        flows,
      ],
    },
    {
      name: 'NETMAP takes the prefix from the rule and the rest from the packet',
      setUp: [...ROUTER, 'ip6tables -t nat -A PREROUTING -d 2001:db8:96::/64 -j NETMAP --to 2001:db8:2::/64'],
      steps: [through({ dst: '2001:db8:96::3' })],
    },
    {
      name: 'REJECT has an error of each kind',
      setUp: [
        ...ROUTER,
        ...[
          'icmp6-no-route',
          'icmp6-adm-prohibited',
          'icmp6-addr-unreachable',
          'icmp6-port-unreachable',
          'icmp6-policy-fail',
          'icmp6-reject-route',
        ].map((kind, i) => `ip6tables -A FORWARD -p udp --dport ${i + 1} -j REJECT --reject-with ${kind}`),
        'ip6tables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
        'ip6tables -A FORWARD -j REJECT',
      ],
      steps: [
        ...[1, 2, 3, 4, 5, 6].map((port) => through({ upper: udp6(1_000, port) })),
        through({ upper: SYN }),
        through({ upper: tcp6({ srcPort: 1_000, dstPort: 80, flags: ['ack', 'psh'], ack: 5, size: 7 }) }),
        through({ upper: tcp6({ srcPort: 1_000, dstPort: 80, flags: ['rst'] }) }),
        through({ upper: echo6('request') }),
        through({ upper: icmpType(1) }),
      ],
    },
    {
      name: 'REJECT says nothing about a packet whose checksum is wrong',
      setUp: [...ROUTER, 'ip6tables -A FORWARD -j REJECT'],
      steps: [
        through({ upper: rest(17, [3, 232, 0, 53, 0, 8, 1, 1]) }),
        through({ upper: rest(58, [128, 0, 1, 1, 0, 7, 0, 1]) }),
        through({ upper: rest(200, [1, 2, 3, 4]) }),
      ],
    },
    {
      name: 'TCPMSS tells what fits the MTU less 60, and adds what is not there',
      setUp: [
        ...ROUTER,
        'ip link set w0 mtu 1300',
        'ip6tables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
      ],
      steps: [
        through({ upper: tcp6({ srcPort: 1, dstPort: 80, flags: ['syn'], mss: 1_440 }) }),
        through({ upper: tcp6({ srcPort: 1, dstPort: 80, flags: ['syn'], mss: 1_000 }) }),
        through({ upper: tcp6({ srcPort: 1, dstPort: 80, flags: ['syn'] }) }),
        through({ upper: tcp6({ srcPort: 1, dstPort: 80, flags: ['ack'] }) }),
      ],
    },
    {
      name: 'HL changes the hop limit as a packet passes, and hl compares it',
      setUp: [
        ...ROUTER,
        'ip6tables -t mangle -A PREROUTING -p udp --dport 1 -j HL --hl-set 1',
        'ip6tables -t mangle -A PREROUTING -p udp --dport 2 -j HL --hl-inc 5',
        'ip6tables -t mangle -A PREROUTING -p udp --dport 3 -j HL --hl-dec 63',
        ...counting('-m hl --hl-lt 64', '-m hl --hl-gt 64', '-m hl ! --hl-eq 68'),
      ],
      steps: [...[1, 2, 3, 4].map((port) => through({ upper: udp6(1_000, port) })), counted('FORWARD')],
    },
    {
      name: 'addrtype has the types of IPv6’s routes that the kernel can tell, and the others are refused',
      setUp: [
        ...ROUTER,
        'ip -6 route add blackhole 2001:db8:96::/48',
        'ip -6 route add unreachable 2001:db8:97::/48',
        'ip -6 route add prohibit 2001:db8:98::/48',
        ...['LOCAL', 'UNICAST', 'MULTICAST', 'UNREACHABLE', 'UNSPEC'].map((type) => addrtype(type)),
      ],
      steps: [
        ...['BLACKHOLE', 'PROHIBIT', 'BROADCAST', 'THROW'].map((type) => command(addrtype(type))),
        ...[
          '2001:db8:2::2',
          '2001:db8:2::1',
          'ff02::1',
          '2001:db8:96::1',
          '2001:db8:97::1',
          '2001:db8:98::1',
          '3fff::1',
        ].map((dst) => through({ dst, upper: udp6(1_000, 53) })),
        counted('PREROUTING', 'mangle'),
      ],
    },
    {
      name: 'a mark that OUTPUT sets chooses another way for what the host says itself',
      setUp: [
        ...ROUTER,
        'ip -6 rule add fwmark 7 lookup 100',
        'ip -6 route add default via 2001:db8:2::3 table 100',
        'ip6tables -t mangle -A OUTPUT -p icmpv6 --icmpv6-type echo-reply -j MARK --set-mark 7',
      ],
      steps: [send(0, packet6(HERE))],
    },
    {
      name: 'types of ICMPv6 are matched with and without their codes',
      setUp: [
        ...ROUTER,
        ...counting(
          '-p icmpv6 --icmpv6-type destination-unreachable',
          '-p icmpv6 --icmpv6-type port-unreachable',
          '-p icmpv6 ! --icmpv6-type 1/0',
          '-p icmpv6 --icmpv6-type echo-request',
        ),
      ],
      steps: [
        through({ upper: icmpType(1, 4) }),
        through({ upper: icmpType(1, 0) }),
        through({ upper: echo6('request') }),
        counted('FORWARD'),
      ],
    },
    {
      name: 'bridged packets pass the chains with their ports, unless br_netfilter is told not to call them',
      setUp: [
        ...BRIDGE,
        ...counting(
          '-m physdev --physdev-in v0 --physdev-out w0',
          '-i br0 -o br0',
          '-m physdev --physdev-is-bridged',
        ),
      ],
      steps: [
        send(0, packet6(BRIDGED)),
        counted('FORWARD'),
        command('sysctl -w net.bridge.bridge-nf-call-ip6tables=0'),
        send(0, packet6(BRIDGED)),
        counted('FORWARD'),
      ],
    },
    {
      name: 'DNAT sends bridged packets to another neighbour of the bridge',
      setUp: [
        ...BRIDGE,
        'ip6tables -t nat -A PREROUTING -d 2001:db8::9 -j DNAT --to-destination 2001:db8::5',
      ],
      steps: [
        send(0, packet6({ ...BRIDGED, dst: '2001:db8::9', to: 0x0200_0000_0209 })),
        send(
          1,
          packet6({
            ...BRIDGED,
            src: '2001:db8::5',
            dst: '2001:db8::2',
            to: 0x0200_0000_0202,
            upper: udp6(53, 1_000),
          }),
        ),
        flows,
      ],
    },
    {
      name: 'bridged packets that conntrack has put together go on in fragments',
      setUp: [...BRIDGE, ...counting('-m conntrack --ctstate NEW')],
      steps: [
        send(0, ...fragments6({ ...BRIDGED, upper: udp6(1_000, 53, 40) }, 16)),
        send(0, ...fragments6({ ...BRIDGED, upper: udp6(1_000, 54, 2_000) }, 1_000)),
        counted('FORWARD'),
      ],
    },
    {
      name: 'bridged packets that are for the host pass INPUT, and are answered',
      setUp: [
        ...BRIDGE,
        'ip -6 neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev br0 nud permanent',
        'ip6tables -A INPUT -i br0 -m physdev --physdev-in v0',
      ],
      steps: [
        send(0, packet6({ ...BRIDGED, dst: '2001:db8::1', to: 0x0200_0000_0001, upper: echo6('request') })),
        counted('INPUT'),
      ],
    },
    {
      name: 'SET adds to sets of the packet’s family, once, and takes out of them',
      setUp: [
        ...ROUTER,
        'ipset create seen hash:ip family inet6',
        'ipset create nets hash:net family inet6',
        'ipset create pairs hash:ip,port family inet6',
        'ipset create four hash:ip',
        'ipset create ports bitmap:port range 1-100',
        'ipset create gone hash:ip family inet6',
        'ipset add gone 2001:db8:1::2',
        'ipset add gone 2001:db8:1::3',
        'ip6tables -A FORWARD -j SET --add-set seen src',
        'ip6tables -A FORWARD -j SET --add-set nets dst',
        'ip6tables -A FORWARD -j SET --add-set pairs src,dst',
        'ip6tables -A FORWARD -j SET --del-set gone src',
        'ip6tables -A FORWARD -m set --match-set gone src -j DROP',
        'ip6tables -A FORWARD -m set ! --match-set seen src -j DROP',
      ],
      steps: [
        through({}),
        through({}),
        through({ src: '2001:db8:1::3', upper: SYN }),
        ...['seen', 'nets', 'pairs', 'gone'].map((set) => show(`ipset list ${set}`, members)),
        command('ipset destroy seen'),
        command('ip6tables -A FORWARD -j SET --add-set four src'),
        command('ip6tables -A FORWARD -m set --match-set four src'),
        command('iptables -A FORWARD -j SET --add-set seen src'),
        command('iptables -A FORWARD -m set --match-set seen src'),
        command('ip6tables -A FORWARD -m set --match-set ports dst'),
      ],
    },
    {
      name: 'a set of networks has the longest that an address is in, but for those that are to be left out',
      setUp: [
        ...ROUTER,
        'ipset create nets hash:net family inet6',
        'ipset add nets 2001:db8:1::/48',
        'ipset add nets 2001:db8:1::3/128 nomatch',
        'ip6tables -A FORWARD -m set --match-set nets src -j DROP',
      ],
      steps: [through({}), through({ src: '2001:db8:1::3' })],
    },
    {
      name: 'conntrack knows addresses of the family that is asked for alone',
      setUp: [...ROUTER, 'ip6tables -A FORWARD -m conntrack --ctstate NEW'],
      steps: [
        through({}),
        command('conntrack -L -f ipv6 -s 10.0.0.1'),
        command('conntrack -L -f ipv4 -s 2001:db8:1::2'),
        command('conntrack -L -f ipv6 -s 2001:db8:1::2 -d 10.0.0.1'),
        command('conntrack -D -f ipv6 -s 2001:db8:1::2'),
        command('conntrack -D -f ipv6 -s 2001:db8:1::2'),
        flows,
      ],
    },
    {
      name: 'conntrack -F takes out all flows, whatever family is named',
      setUp: [...ROUTER, 'ip6tables -A FORWARD -m conntrack --ctstate NEW'],
      steps: [through({}), command('conntrack -F -f ipv4'), flows],
    },
  ],
};

/** Without what a kernel reckons of its own: sizes, hashes. */
function members(text: string): string {
  return trimmed(text.slice(text.indexOf('Members:')));
}
