import { ARP_REQUEST } from '../../../../protocols/arp.ts';
import { setU16 } from '../../../../protocols/bytes.ts';
import { internetChecksum } from '../../../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, etherType } from '../../../../protocols/ethernet.ts';
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_REDIRECT,
  ICMP_TIMESTAMP,
  ICMP_TIMESTAMP_REPLY,
  UNREACH_FRAG_NEEDED,
} from '../../../../protocols/icmp.ts';
import { IPV4_HLEN, PROTO_ICMP } from '../../../../protocols/ipv4.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC } from '../../../support/router.ts';
import { type CaseGroup, type CaseStep, command, send, show, trimmed, wait } from './case.ts';
import { icmpEcho, icmpError, ip, packet4 } from './frames4.ts';
import { ROUTER, SYN, through } from './router4.ts';
import { rest, tcp, type Upper, udp } from './transport.ts';
import { arp } from './vxlan-frames.ts';

/** A host that forwards nothing, 10.0.1.1/24, and the routers .2, .3 and .4, of which the first leads to 10.9.0.0/16. */
const HOST = [
  'ip addr add 10.0.1.1/24 dev v0',
  ...[2, 3, 4].map((n) => `ip neigh add 10.0.1.${n} lladdr 02:00:00:00:00:02 dev v0 nud permanent`),
  'ip route add 10.9.0.0/16 via 10.0.1.2',
  'sysctl -w net.ipv4.ip_forward=0',
];

/** Seconds pass as they will. */
const asked = (question: string) =>
  show(`ip route get ${question}`, (text) =>
    text.replaceAll(/expires \d+sec/g, 'expires').replaceAll(/ +\n/g, '\n'),
  );

interface Redirect {
  readonly about?: string;
  /** Who sent the packet that it is about, and what was above IP in it. */
  readonly from?: string;
  readonly upper?: Upper<number>;
  readonly router?: string;
  readonly gateway?: string;
  readonly code?: number;
}

/** About an echo that this host has answered, which needs no socket. */
function redirect(of: Redirect): CaseStep {
  const { about = '10.9.0.1', from = '10.0.1.1', upper = icmpEcho('reply'), code = 1 } = of;
  const { router = '10.0.1.2', gateway = '10.0.1.3' } = of;
  const sent = packet4({ src: from, dst: about, upper });
  const message = icmpError(ICMP_REDIRECT, code, sent, ip(gateway));
  return send(0, packet4({ src: router, dst: '10.0.1.1', upper: message }));
}

/** The same redirect about one address after another, and whether it was heeded. */
const redirects = (net: number, list: readonly Redirect[]): CaseStep[] =>
  list.flatMap((of, i) => {
    const about = `10.9.${net}.${i + 1}`;
    return [redirect({ about, ...of }), asked(about)];
  });

const conf = (...settings: readonly string[]) =>
  settings.map((setting) => command(`sysctl -w net.ipv4.conf.${setting}`));

function timestamp(to: string, code: number, length: number): CaseStep {
  const data = Array.from({ length }, (_, i) => i + 1);
  const message = Uint8Array.of(ICMP_TIMESTAMP, code, 0, 0, 0, 7, 0, 1, ...data);
  setU16(message, 2, internetChecksum(message, 0, message.length));
  return send(0, packet4({ src: '10.0.1.2', dst: to, upper: rest(PROTO_ICMP, message) }));
}

/** Takes the times that a host tells out, too, and the checksum over them. */
function settle(frame: Uint8Array): void {
  settleIpId(frame);
  const at = ETH_HLEN + IPV4_HLEN;
  if (frame.length < at + 20 || etherType(frame) !== ETHERTYPE_IPV4 || frame[ETH_HLEN + 9] !== PROTO_ICMP)
    return;
  if (frame[at] !== ICMP_TIMESTAMP_REPLY) return;
  frame.fill(0, at + 2, at + 4);
  frame.fill(0, at + 12, at + 20);
}

/** IPv6 on a device, without an address, and a neighbour. */
const next6 = (dev: string) => [
  `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
  `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
  `ip -6 neigh add fe80::9 lladdr 02:00:00:00:00:09 dev ${dev} nud permanent`,
];
/** IPv6 next hops lead to 10.9.0.0/16 by v0 and to 172.16.0.0/12 by w0, and there is no address of IPv4. */
const BY_IPV6 = [
  ...['v0', 'w0'].flatMap(next6),
  'ip route add 10.9.0.0/16 via inet6 fe80::9 dev v0',
  'ip route add 172.16.0.0/12 via inet6 fe80::9 dev w0',
];
const from10 = (host: number, dst: string, ttl = 64) =>
  send(0, packet4({ src: `10.9.0.${host}`, dst, ttl, upper: udp(1_000, 53, 20) }));

/** A veth whose carrier goes with its other end, b0, beside v0. */
const VETH = [
  'ip link add a0 address 02:00:00:00:00:0a type veth peer name b0 address 02:00:00:00:00:0b',
  'ip link set a0 up',
  'ip link set b0 up',
  'ip addr add 10.0.1.1/24 dev v0',
  'ip addr add 10.5.0.1/24 dev a0',
];
const FAR_DOWN = command('ip link set b0 down');
const ROUTES = show('ip route', trimmed);
const linkdown = (dev: string, value: number) =>
  command(`sysctl -w net.ipv4.conf.${dev}.ignore_routes_with_linkdown=${value}`);

/** Rows of the tests' own, of both families. */
const added = (line: string) =>
  show(line, (text) =>
    trimmed(text)
      .split('\n')
      .filter((row) => /^(unreachable )?(10\.8|2001:db8:8)/.test(row))
      .join('\n'),
  );

/** What once differed from Linux in routes, rules, redirects and what a host says of itself. */
export const routingCases: CaseGroup = {
  name: 'routing',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle,
  cases: [
    {
      name: 'a redirect is heeded from the router that packets go to, and from nobody else',
      setUp: HOST,
      steps: [
        redirect({ router: '10.0.1.3', gateway: '10.0.1.4' }),
        asked('10.9.0.1'),
        redirect({}),
        asked('10.9.0.1'),
        asked('10.9.0.2'),
        redirect({ gateway: '10.0.1.4' }),
        asked('10.9.0.1'),
        redirect({ router: '10.0.1.3', gateway: '10.0.1.4' }),
        asked('10.9.0.1'),
      ],
    },
    {
      name: 'a packet goes by the router that its sender was redirected to',
      setUp: [...HOST, 'ip neigh replace 10.0.1.3 lladdr 02:00:00:00:00:03 dev v0 nud permanent'],
      steps: [0, 1].flatMap(() => [
        send(0, packet4({ src: '10.9.0.1', dst: '10.0.1.1', upper: icmpEcho('request') })),
        redirect({}),
      ]),
    },
    {
      name: 'a redirect for a network or a type of service is one for a host, with other codes it is none',
      setUp: HOST,
      steps: redirects(
        1,
        [0, 1, 2, 3, 4, 7, 9].map((code) => ({ code })),
      ),
    },
    {
      name: 'a redirect to its sender, to the host or to many is not heeded',
      setUp: HOST,
      steps: redirects(
        2,
        ['10.0.1.2', '10.0.1.1', '10.0.1.255', '224.0.0.1', '255.255.255.255', '0.0.0.0', '127.0.0.1'].map(
          (gateway) => ({ gateway }),
        ),
      ),
    },
    {
      name: 'a redirect about a neighbour is not heeded',
      setUp: HOST,
      steps: [
        redirect({ about: '10.0.1.9' }),
        asked('10.0.1.9'),
        redirect({ about: '10.0.1.9', router: '10.0.1.9' }),
        asked('10.0.1.9'),
      ],
    },
    {
      name: 'a redirect is heeded about what the kernel sent of itself, not of a socket that is not there',
      setUp: HOST,
      steps: redirects(3, [
        { upper: icmpEcho('reply') },
        { upper: icmpEcho('request') },
        { upper: udp(1_000, 53) },
        { upper: tcp({ srcPort: 1_000, dstPort: 80, flags: ['ack'] }) },
        { upper: rest(200, new Uint8Array(8)) },
      ]),
    },
    {
      name: 'the first redirect to a router that is not known has it asked for, and no more',
      setUp: HOST,
      steps: [
        redirect({ gateway: '10.0.1.9' }),
        asked('10.9.0.1'),
        command('ip neigh replace 10.0.1.9 lladdr 02:00:00:00:00:02 dev v0 nud permanent'),
        redirect({ gateway: '10.0.1.9' }),
        asked('10.9.0.1'),
      ],
    },
    {
      name: 'a redirect to who is not on the link is heeded where others may be on its media',
      setUp: [...HOST, 'ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:02 dev v0 nud permanent'],
      steps: [
        ...redirects(4, [{ gateway: '10.77.0.1' }]),
        ...conf('all.shared_media=0', 'v0.shared_media=0', 'all.secure_redirects=0', 'v0.secure_redirects=0'),
        ...redirects(5, [{ gateway: '10.77.0.1' }, { gateway: '10.0.1.3' }]),
      ],
    },
    {
      name: 'a redirect is secure if it is to a default gateway',
      setUp: [
        ...HOST,
        'sysctl -w net.ipv4.conf.all.shared_media=0',
        'sysctl -w net.ipv4.conf.v0.shared_media=0',
      ],
      steps: [
        ...redirects(6, [{}]),
        command('ip route add default via 10.0.1.3'),
        ...redirects(7, [{}, { gateway: '10.0.1.4' }]),
        ...conf('all.secure_redirects=0'),
        ...redirects(8, [{ gateway: '10.0.1.4' }]),
        ...conf('v0.secure_redirects=0'),
        ...redirects(9, [{ gateway: '10.0.1.4' }]),
      ],
    },
    {
      name: 'a host heeds redirects that all or its device may, a router those that both may',
      setUp: HOST,
      steps: [
        ...conf('v0.accept_redirects=0'),
        ...redirects(10, [{}]),
        ...conf('all.accept_redirects=0'),
        ...redirects(11, [{}]),
        ...conf('v0.accept_redirects=1'),
        ...redirects(12, [{}]),
        command('sysctl -w net.ipv4.ip_forward=1'),
        ...redirects(13, [{}]),
        ...conf('all.accept_redirects=1'),
        ...redirects(14, [{}]),
        ...conf('v0.accept_redirects=1'),
        ...redirects(15, [{}]),
      ],
    },
    {
      name: 'a redirect is forgotten with the next hop that it was about, and as the cache is flushed',
      setUp: HOST,
      steps: [
        redirect({}),
        command('ip route flush cache'),
        asked('10.9.0.1'),
        redirect({}),
        command('ip route replace 10.9.0.0/16 via 10.0.1.4'),
        asked('10.9.0.1'),
        command('ip route replace 10.9.0.0/16 via 10.0.1.2'),
        asked('10.9.0.1'),
      ],
    },
    {
      name: 'a redirect stays while another route has the next hop that it was about',
      setUp: [...HOST, 'ip route add 10.8.0.0/16 via 10.0.1.2'],
      steps: [
        redirect({}),
        command('ip route replace 10.9.0.0/16 via 10.0.1.4'),
        asked('10.9.0.1'),
        command('ip route replace 10.9.0.0/16 via 10.0.1.2'),
        asked('10.9.0.1'),
      ],
    },
    {
      name: 'a host tells the time as it is asked, but not all hosts do',
      setUp: HOST,
      steps: [
        timestamp('10.0.1.1', 0, 12),
        timestamp('10.0.1.1', 5, 12),
        timestamp('10.0.1.1', 0, 20),
        timestamp('10.0.1.1', 0, 4),
        timestamp('10.0.1.1', 0, 0),
        timestamp('10.0.1.255', 0, 12),
        command('sysctl -w net.ipv4.icmp_echo_ignore_broadcasts=0'),
        timestamp('10.0.1.255', 0, 12),
      ],
    },
    {
      name: 'TCP that came to a group of the link is not answered',
      setUp: ROUTER,
      steps: [
        through({ dst: '10.0.1.1', upper: SYN, to: BROADCAST_MAC }),
        through({ dst: '10.0.1.1', upper: SYN, to: 0x0100_5e00_0001 }),
        through({ dst: '10.0.1.1', upper: SYN }),
      ],
    },
    {
      name: 'an ICMP error is no longer than its way takes',
      setUp: [...ROUTER, 'ip link set v0 mtu 300'],
      steps: [
        send(1, packet4({ src: '10.0.1.2', dst: '10.0.2.3', ttl: 1, upper: udp(1_000, 53, 700) })),
        send(1, packet4({ src: '10.0.2.2', dst: '10.0.1.3', ttl: 1, upper: udp(1_000, 53, 700) })),
      ],
    },
    {
      name: 'an ICMP error is no longer than its way is known to take',
      setUp: ROUTER,
      steps: [
        through({ dst: '10.0.2.3', ttl: 1, upper: udp(1_000, 53, 700) }),
        through({
          dst: '10.0.1.1',
          upper: icmpError(
            ICMP_DEST_UNREACHABLE,
            UNREACH_FRAG_NEEDED,
            packet4({ src: '10.0.1.1', dst: '10.0.1.2', upper: icmpEcho('reply') }),
            560,
          ),
        }),
        through({ dst: '10.0.2.3', ttl: 1, upper: udp(1_000, 53, 700) }),
      ],
    },
    {
      name: 'a question for a route is one of UDP unless it says another protocol',
      setUp: [
        ...ROUTER,
        'ip route add default via 10.0.1.2',
        'ip route add default via 10.0.2.2 table 100',
        'ip rule add pref 100 ipproto udp table 100',
      ],
      steps: [asked('8.8.8.8'), asked('8.8.8.8 ipproto tcp'), asked('8.8.8.8 from 10.0.1.9 iif v0')],
    },
    {
      name: 'a gateway that is the very destination is told of',
      setUp: [...ROUTER, 'ip route add 10.8.0.1 via 10.8.0.1 dev v0 onlink'],
      steps: [asked('10.8.0.1'), asked('10.0.1.2')],
    },
    {
      name: 'a rule is there already where one has all that it asks for',
      setUp: ['ip rule add pref 100 from 10.8.0.0/16 to 10.9.0.0/16 tos 0x10 table 100'],
      steps: [
        'pref 100 table 100',
        'pref 100 from 10.8.0.0/16 table 100',
        'pref 100 from 10.8.0.0/24 table 100',
        'pref 100 to 10.9.0.0/16 table 100',
        'pref 100 tos 0x10 table 100',
        'pref 100 tos 0x08 table 100',
        'pref 100 ipproto udp table 100',
        'pref 100 iif v0 table 100',
        'pref 100 table 200',
        'pref 101 table 100',
        'pref 100 blackhole',
      ]
        .map((rule) => command(`ip rule add ${rule}`))
        .concat(show('ip rule')),
    },
    {
      name: 'all tables are those of both families, to show and to flush',
      setUp: [
        ...ROUTER,
        ...next6('v0'),
        'ip -6 addr add 2001:db8:1::1/64 dev v0 nodad',
        'ip route add 10.8.0.0/16 via 10.0.1.2 proto static',
        'ip route add unreachable 10.8.1.0/24 proto static table 100',
        'ip route add 10.8.2.0/24 via 10.0.1.2',
        'ip -6 route add 2001:db8:8::/64 via 2001:db8:1::2 proto static',
        'ip -6 route add 2001:db8:8:1::/64 via 2001:db8:1::2 proto static table 100',
      ],
      steps: [
        added('ip route show table all'),
        added('ip -4 route show table all'),
        added('ip -6 route show table all'),
        added('ip route show table 100'),
        command('ip route flush table all proto static'),
        added('ip route show table all'),
      ],
    },
    {
      name: 'a route by a neighbour of IPv6 is refused where there can be none',
      setUp: [...ROUTER, ...next6('v0')],
      steps: [
        'ip route add 10.8.0.0/16 via inet6 fe80::9',
        'ip route add 10.8.0.0/16 via inet6 fe80::9 dev w0',
        'ip route add 10.8.0.0/16 via inet6 2001:db8::9',
        'ip route add 10.8.0.0/16 via inet6 ff02::9 dev v0',
        'ip route add 10.8.0.0/16 via inet6 fe80::9 dev lo',
        'ip route add 10.8.0.0/16 via inet6 fe80::9 dev v0',
      ].map((line) => show(line)),
    },
    {
      name: 'a router of IPv6 neighbours alone errs from 192.0.0.8, or from an address that it has anywhere',
      setUp: [...BY_IPV6, 'ip route add unreachable 172.31.0.0/16'],
      steps: [
        from10(1, '172.16.1.1'),
        from10(2, '172.16.1.1', 1),
        from10(3, '172.31.0.1'),
        from10(4, '8.8.8.8'),
        command('ip addr add 192.0.2.1/32 dev lo'),
        from10(5, '172.16.1.1', 1),
      ],
    },
    {
      name: 'a sender is not attached that an IPv6 neighbour leads to, so is not redirected',
      setUp: [
        ...BY_IPV6,
        'ip addr add 10.0.1.1/24 dev v0',
        'ip route add 10.8.0.0/16 via inet6 fe80::9 dev v0',
      ],
      steps: [
        from10(1, '10.8.0.1'),
        send(0, packet4({ src: '10.0.1.2', dst: '10.8.0.1', upper: udp(1_000, 53) })),
      ],
    },
    {
      name: 'a route by a link without carrier is taken all the same',
      setUp: [...VETH, 'ip route add 10.8.0.0/16 via 10.5.0.2'],
      steps: [
        FAR_DOWN,
        wait(50),
        ROUTES,
        show('ip route show table local dev a0', trimmed),
        asked('10.8.0.1'),
        asked('10.5.0.9'),
        asked('10.5.0.255'),
      ],
    },
    {
      name: 'a route by a link without carrier is passed over where such are to be ignored',
      setUp: [
        ...VETH,
        'ip route add 10.8.0.0/16 via 10.5.0.2',
        'ip route add 10.8.0.0/16 via 10.0.1.2 metric 9',
        'ip route add 10.7.0.0/16 nexthop via 10.5.0.2 nexthop via 10.0.1.2',
      ],
      steps: [
        FAR_DOWN,
        wait(50),
        asked('10.8.0.1'),
        linkdown('a0', 1),
        ROUTES,
        asked('10.8.0.1'),
        asked('10.7.0.1'),
        asked('10.5.0.1'),
        asked('10.5.0.9'),
        linkdown('a0', 0),
        asked('10.8.0.1'),
        linkdown('all', 1),
        asked('10.8.0.1'),
        command('ip link set b0 up'),
        wait(50),
        ROUTES,
        asked('10.8.0.1'),
      ],
    },
    {
      name: 'a route of IPv6 by a link without carrier is taken, unless its device is to ignore it',
      setUp: [
        ...VETH,
        ...next6('a0'),
        'ip -6 addr add 2001:db8:5::1/64 dev a0 nodad',
        'ip -6 route add 2001:db8:8::/64 via 2001:db8:5::2',
      ],
      steps: [
        FAR_DOWN,
        wait(50),
        added('ip -6 route'),
        asked('2001:db8:8::1'),
        command('sysctl -w net.ipv6.conf.a0.ignore_routes_with_linkdown=1'),
        added('ip -6 route'),
        asked('2001:db8:8::1'),
      ],
    },
    {
      name: 'a route stays while one of its ways is up, and goes with the last',
      setUp: [
        ...VETH,
        'ip route add 10.8.0.0/16 nexthop via 10.5.0.2 nexthop via 10.0.1.2',
        'ip route add 10.7.0.0/16 via 10.5.0.2',
      ],
      steps: [
        command('ip link set a0 down'),
        ROUTES,
        command('ip link set a0 up'),
        wait(50),
        ROUTES,
        command('ip link set v0 down'),
        command('ip link set a0 down'),
        ROUTES,
      ],
    },
    {
      name: 'a route goes with a device that is taken away, whatever other way it has',
      setUp: [...VETH, 'ip route add 10.8.0.0/16 nexthop via 10.5.0.2 nexthop via 10.0.1.2'],
      steps: [command('ip link del a0'), ROUTES],
    },
    {
      name: 'neighbours that were not set for good go with the carrier of their link, unless they are to stay',
      setUp: [
        'ip link add name br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0',
        'ip link set v0 master br0',
        'ip link set br0 up',
        'ip addr add 10.0.1.1/24 dev br0',
        'ip neigh add 10.0.1.3 lladdr 02:00:00:00:00:03 dev br0 nud permanent',
        'sysctl -w net.ipv4.conf.br0.arp_evict_nocarrier=0',
      ],
      steps: [
        send(0, arp({ op: ARP_REQUEST, from: NEIGHBOR_MAC, spa: '10.0.1.2', tpa: '10.0.1.1' })),
        command('ip link set v0 down'),
        // A bridge hears of it a second later.
        wait(1_500),
        show('ip neigh', trimmed),
        command('ip link set v0 up'),
        command('sysctl -w net.ipv4.conf.br0.arp_evict_nocarrier=1'),
        wait(1_500),
        command('ip link set v0 down'),
        wait(1_500),
        show('ip neigh', trimmed),
      ],
    },
    {
      name: 'a rule of IPv4 looks at four bits of a type of service, one of IPv6 at six, and neither at ECN',
      setUp: next6('v0'),
      steps: [
        ...['0x1c', '10', '0x11', '0x20', '0x31', 'EF', 'zz', '0x1ff'].map((tos) =>
          command(`ip rule add pref 100 tos ${tos} table 100`),
        ),
        ...['0x28', 'EF', '0xf0', '0x29', 'AF44'].map((tos) =>
          command(`ip -6 rule add pref 100 tos ${tos} table 100`),
        ),
        show('ip rule'),
        show('ip -6 rule'),
        command('ip -6 rule del tos AF11'),
        show('ip -6 rule'),
      ],
    },
    {
      name: 'a question for a route has its type of service in hexadecimal',
      setUp: [
        ...ROUTER,
        'ip route add default via 10.0.1.2',
        'ip route add default via 10.0.2.2 table 100',
        'ip rule add pref 100 tos 0x10 table 100',
      ],
      steps: ['tos 10', 'tos 0x10', 'tos 16', 'tos 0x11', 'tos zz'].map((tos) => asked(`8.8.8.8 ${tos}`)),
    },
  ],
};
