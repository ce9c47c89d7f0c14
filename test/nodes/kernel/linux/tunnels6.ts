import { setU16, u16 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../../../protocols/ethernet.ts';
import {
  ETHERTYPE_TEB,
  type GreHeader,
  greLength,
  PROTO_GRE,
  PROTO_IPIP,
  PROTO_IPV6,
  writeGre,
} from '../../../../protocols/gre.ts';
import type { IpAddress } from '../../../../protocols/ip.ts';
import { lastHeader } from '../../../../protocols/ipv6-headers.ts';
import { settleFragmentId, settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show } from './case.ts';
import { icmpError as icmpError4, type Packet4, packet4 } from './frames4.ts';
import { destinationOptions, icmpError, type Packet6, packet6, udp6 } from './frames6.ts';
import { ROUTER } from './router4.ts';
import { rest, type Upper, udp } from './transport.ts';

const [LOCAL, REMOTE] = ['2001:db8:2::1', '2001:db8:2::2'];
const ENDS = `remote ${REMOTE} local ${LOCAL}`;
const [LOCAL4, REMOTE4] = ['10.0.2.1', '10.0.2.2'];
const ENDS4 = `remote ${REMOTE4} local ${LOCAL4}`;

/** A device with addresses of IPv6 that need not be claimed, and none of its own, on a host that forwards. */
const ipv6 = (dev: string, ...addresses: readonly string[]): string[] => [
  `sysctl -w ${['addr_gen_mode=1', 'disable_ipv6=0', 'forwarding=1'].map((value) => `net.ipv6.conf.${dev}.${value}`).join(' ')}`,
  ...addresses.map((address) => `ip -6 addr add ${address} dev ${dev} nodad`),
];

/** Of both families: senders are behind v0, the tunnel's other end behind w0. */
const BOTH = [
  ...ROUTER,
  'sysctl -w net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0',
  ...ipv6('v0', '2001:db8:1::1/64'),
  ...ipv6('w0', '2001:db8:2::1/64'),
  'ip -6 neigh add 2001:db8:1::2 lladdr 02:00:00:00:00:02 dev v0 nud permanent',
  ...[2, 3].map((n) => `ip -6 neigh add 2001:db8:2::${n} lladdr 02:00:00:00:00:02 dev w0 nud permanent`),
];

const FAR_MAC = 0x0200_0000_0012;
const TAP_MAC = 0x0200_0000_0050;

/** 10.2.0.0/16 and 2001:db8:20::/48 are beyond it. */
const tunnel = (type: string, ...others: readonly string[]): string[] => [
  ...BOTH,
  ...others,
  `ip link add t0 type ${type}`,
  ...ipv6('t0', 'fd00:7::1/64'),
  'ip addr add 192.168.7.1/24 dev t0',
  'ip link set t0 up',
  'ip route add 10.2.0.0/16 dev t0',
  'ip -6 route add 2001:db8:20::/48 dev t0',
];

const tap = (settings: string): string[] => [
  ...BOTH,
  `ip link add t0 address 02:00:00:00:00:50 type ip6gretap ${settings}`,
  ...ipv6('t0', 'fd00:7::1/64'),
  'ip addr add 192.168.7.1/24 dev t0',
  'ip link set t0 up',
  'ip neigh add 192.168.7.2 lladdr 02:00:00:00:00:12 dev t0 nud permanent',
  'ip -6 neigh add fd00:7::2 lladdr 02:00:00:00:00:12 dev t0 nud permanent',
  'ip route add 10.2.0.0/16 via 192.168.7.2 dev t0',
  'ip -6 route add 2001:db8:20::/48 via fd00:7::2 dev t0',
];

const INSIDE4 = { src: '10.0.1.2', dst: '10.2.0.5', upper: udp(1_000, 53) };
const INSIDE6 = { src: '2001:db8:1::2', dst: '2001:db8:20::5', upper: udp6(1_000, 53) };
const into4 = (packet: Partial<Packet4> = {}): CaseStep => send(0, packet4({ ...INSIDE4, ...packet }));
const into6 = (packet: Partial<Packet6> = {}): CaseStep => send(0, packet6({ ...INSIDE6, ...packet }));
const size = (bytes: number) => ({ upper: udp(1_000, 53, bytes) });
const size6 = (bytes: number) => ({ upper: udp6(1_000, 53, bytes) });
const limit = (value: number) => ({ headers: [destinationOptions(4, 1, value, 1, 1, 0)] });

/** Packets from beyond the tunnel, from their IP header on. */
const from4 = (packet: Partial<Packet4> = {}): Uint8Array =>
  packet4({ src: '10.2.0.5', dst: '10.0.1.2', upper: udp(53, 1_000), ...packet }).subarray(14);
const from6 = (packet: Partial<Packet6> = {}): Uint8Array =>
  packet6({ src: '2001:db8:20::5', dst: '2001:db8:1::2', upper: udp6(53, 1_000), ...packet }).subarray(14);

const ipip = (payload: Uint8Array) => rest(PROTO_IPIP, payload);
const ip6 = (payload: Uint8Array) => rest(PROTO_IPV6, payload);
function gre(payload: Uint8Array, header: Partial<GreHeader> = {}) {
  const whole = { etherType: ETHERTYPE_IPV6, checksum: false, key: null, sequence: null, ...header };
  const bytes = new Uint8Array(greLength(whole) + payload.length);
  bytes.set(payload, greLength(whole));
  writeGre(bytes, 0, whole);
  return rest(PROTO_GRE, bytes);
}
const outer = (upper: Upper<string>, packet: Partial<Packet6> = {}): CaseStep =>
  send(1, packet6({ src: REMOTE, dst: LOCAL, upper, ...packet }));
const outer4 = (upper: Upper<number>, packet: Partial<Packet4> = {}): CaseStep =>
  send(1, packet4({ src: REMOTE4, dst: LOCAL4, upper, ...packet }));

const [UNREACHABLE, TOO_BIG, EXCEEDED, PROBLEM] = [1, 2, 3, 4];
const LIMIT = [destinationOptions(4, 1, 4, 1, 1, 0)];

/** An error about what the tunnel made of a packet. */
const error = (type: number, code: number, upper: Upper<IpAddress>, extra = 0, headers = LIMIT): CaseStep =>
  outer(icmpError(type, code, packet6({ src: LOCAL, dst: REMOTE, upper, headers }), extra));
const error4 = (type: number, code: number, upper: Upper<IpAddress>, mtu = 0): CaseStep =>
  outer4(icmpError4(type, code, packet4({ src: LOCAL4, dst: REMOTE4, upper }), mtu));

const sent4 = (packet: Partial<Packet4> = {}) => from4({ ...INSIDE4, ttl: 63, ...packet });
const sent6 = (packet: Partial<Packet6> = {}) => from6({ ...INSIDE6, hopLimit: 63, ...packet });

const wayTo = (family: '-4' | '-6', dst: string) =>
  show(`ip ${family} route get ${dst}`, (text) =>
    text
      .replaceAll(/expires \d+sec/g, 'expires')
      .replaceAll(/ +$/gm, '')
      .replaceAll(/ uid 0/g, ''),
  );
const mtu = (name = 't0') => show(`ip link show ${name}`, (text) => /mtu \d+/.exec(text)?.[0] ?? text);

/** Without numbers of links, random addresses, and what the guest was built without. */
function ofTunnel(text: string): string {
  return text
    .replaceAll(/^\d+: | qdisc \S+| numrxqueues \d+| addrgenmode \S+| permaddr \S+| +$/gm, '')
    .replaceAll(/ +/g, ' ')
    .trim();
}

const GUEST: Pick<CaseGroup, 'kernel' | 'ports' | 'first' | 'settle'> = {
  kernel: 'guest',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  first: ['sysctl -qw net.ipv6.auto_flowlabels=0'],
  settle: (frame) => {
    settleIpId(frame);
    settleFragmentId(frame);
    settleGre(frame);
  },
};

/** GRE's checksum, which Linux leaves to the hardware. */
function settleGre(frame: Uint8Array): void {
  if (u16(frame, 12) !== ETHERTYPE_IPV6) return;
  const last = lastHeader(frame, ETH_HLEN, frame.length);
  if (last?.proto === PROTO_GRE && (frame[last.offset]! & 0x80) !== 0) setU16(frame, last.offset + 4, 0);
}

/** IP in IPv6. */
export const tunnel6Cases: CaseGroup = {
  ...GUEST,
  name: 'tunnels6',
  cases: [
    {
      name: 'packets of both families go in IPv6, with a limit of encapsulation; errors about them reach the senders of what is within',
      setUp: tunnel(`ip6tnl ${ENDS}`),
      steps: [
        into6(),
        into4(),
        into6({ trafficClass: 0xb9, hopLimit: 9 }),
        into4({ tos: 0xba, ttl: 9 }),
        ...[3, 1, 0].map((value) => into6(limit(value))),
        error(UNREACHABLE, 0, ip6(sent6())),
        error(UNREACHABLE, 4, ip6(sent6())),
        error(EXCEEDED, 0, ip6(sent6())),
        error(EXCEEDED, 1, ip6(sent6())),
        error(PROBLEM, 1, ip6(sent6()), 6),
        error(PROBLEM, 0, ip6(sent6()), 44, [destinationOptions(4, 1, 0, 1, 1, 0)]),
        error(UNREACHABLE, 0, ipip(sent4())),
        error(EXCEEDED, 0, ipip(sent4())),
        into6(),
        into4(),
        error(UNREACHABLE, 0, ip6(sent6().subarray(0, 39))),
      ],
    },
    {
      name: 'the outer header is as the tunnel has it',
      setUp: tunnel(`ip6tnl ${ENDS} encaplimit none hoplimit 9 tclass 0xb8 flowlabel 0x12345`),
      steps: [into6(), into4(), into6({ trafficClass: 3 }), into4({ tos: 1 })],
    },
    {
      name: 'the outer header has what is inherited',
      setUp: tunnel(`ip6tnl ${ENDS} encaplimit 7 hoplimit inherit tclass inherit flowlabel inherit`),
      steps: [
        into6({ trafficClass: 0xb9, hopLimit: 9 }),
        into6({ trafficClass: 3 }),
        into4({ tos: 0xba, ttl: 9 }),
      ],
    },
    {
      name: 'a tunnel carries the family that it is of',
      setUp: [...tunnel(`ip6tnl ${ENDS} mode ip6ip6`)],
      steps: [
        into6(),
        into4(),
        outer(ip6(from6())),
        outer(ipip(from4())),
        command('ip link del t0'),
        command(`ip link add t0 type ip6tnl ${ENDS} mode ipip6`),
        command('ip link set t0 up'),
        command('ip route add 10.2.0.0/16 dev t0'),
        into4(),
        outer(ip6(from6())),
        outer(ipip(from4())),
      ],
    },
    {
      name: 'packets come from the other end, with the right payload',
      setUp: tunnel(`ip6tnl ${ENDS}`),
      steps: [
        outer(ip6(from6({ trafficClass: 2 })), { trafficClass: 3 }),
        outer(ip6(from6()), { trafficClass: 3 }),
        outer(ipip(from4({ tos: 2 })), { trafficClass: 1 }),
        outer(ipip(from4()), { trafficClass: 3 }),
        outer(ip6(from6())),
        outer(ipip(from4())),
        outer(ip6(from6()), { headers: LIMIT }),
        outer(ip6(from6()), { src: '2001:db8:2::3' }),
        outer(ipip(from4()), { src: '2001:db8:2::3' }),
        outer(ip6(from6()), { dst: '2001:db8:1::1' }),
        outer(ip6(from6().subarray(0, 39))),
        outer(ipip(from4().subarray(0, 19))),
        outer(ip6(from6({ hopLimit: 1 }))),
        command('ip link set t0 down'),
        outer(ip6(from6())),
      ],
    },
    {
      name: 'of two tunnels that fit by half that with the local end takes it',
      setUp: [
        ...tunnel(`ip6tnl local ${LOCAL}`),
        `ip link add t1 type ip6tnl remote ${REMOTE}`,
        ...ipv6('t1'),
        'ip link set t1 up',
        'ip -6 rule add pref 100 iif t1 blackhole',
      ],
      steps: [
        outer(ip6(from6())),
        outer(ip6(from6()), { src: '2001:db8:2::3' }),
        command('ip link set t0 down'),
        outer(ip6(from6())),
        outer(ip6(from6()), { src: '2001:db8:2::3' }),
      ],
    },
    {
      name: 'a tunnel from an address that the host does not have, or to one that it has, sends nothing',
      setUp: [...tunnel(`ip6tnl remote ${REMOTE} local 2001:db8:2::9`)],
      steps: [
        into6(),
        into4(),
        command('ip -6 addr add 2001:db8:2::9/64 dev w0 nodad'),
        into6(),
        command(`ip -6 addr add ${REMOTE}/64 dev w0 nodad`),
        into6(),
      ],
    },
    {
      name: 'a tunnel without a remote end sends to the next hop',
      setUp: [
        ...tunnel(`ip6tnl local ${LOCAL}`),
        'ip -6 route replace 2001:db8:20::/48 via 2001:db8:3::9 dev t0 onlink',
        `ip -6 route add 2001:db8:3::/64 via ${REMOTE}`,
      ],
      steps: [into6(), into4(), into6({ dst: '2001:db8:20:1::5' })],
    },
    {
      name: 'a tunnel whose way is closed says so',
      setUp: tunnel(`ip6tnl remote 2001:db8:9::2 local ${LOCAL}`),
      steps: [
        into6(),
        into4(),
        command('ip -6 route add 2001:db8:9::/64 via 2001:db8:2::3'),
        into6(),
        into4(),
      ],
    },
    {
      name: 'what does not fit is told to its sender, whatever it says of fragments, and what the path takes at once and later',
      setUp: tunnel(`ip6tnl ${ENDS}`),
      steps: [
        mtu(),
        into6(size6(1_404)),
        into6(size6(1_405)),
        into4({ ...size(1_424), df: true }),
        into4({ ...size(1_425), df: true }),
        into4({ ...size(1_425), df: false }),
        into6(size6(1_300)),
        error(TOO_BIG, 0, ip6(sent6(size6(1_300))), 1_350),
        into6(size6(1_300)),
        into6(size6(1_254)),
        error(TOO_BIG, 0, ipip(sent4(size(1_300))), 1_340),
        into4({ ...size(1_300), df: true }),
        into4({ ...size(1_264), df: true }),
        wayTo('-6', '2001:db8:20::5'),
        wayTo('-4', '10.2.0.5'),
        error(TOO_BIG, 0, ip6(sent6(size6(1_232))), 1_280),
        into6(size6(1_232)),
        into6(size6(1_184)),
        into6(size6(1_185)),
        into4({ ...size(1_204), df: true }),
        into4({ ...size(1_205), df: true }),
        command('ip link set t0 mtu 1500'),
        into6(size6(1_405)),
        into4({ ...size(1_425), df: false }),
        into4({ ...size(1_425), df: true }),
      ],
    },
  ],
};

/** GRE over IPv6. */
export const gre6Cases: CaseGroup = {
  ...GUEST,
  name: 'gre6',
  cases: [
    {
      name: 'packets go in GRE over IPv6',
      setUp: tunnel(`ip6gre ${ENDS}`),
      steps: [
        into6({ trafficClass: 0xb9 }),
        into4({ tos: 0xb9 }),
        outer(gre(from6())),
        outer(gre(from4(), { etherType: ETHERTYPE_IPV4 })),
        outer(gre(from6()), { headers: LIMIT }),
        outer(gre(from6(), { key: 7 })),
        outer(gre(from6()), { src: '2001:db8:2::3' }),
        outer(gre(new Uint8Array(0))),
        outer(rest(PROTO_GRE, [0, 0, 0x86])),
        outer(rest(PROTO_GRE, [0, 1, 0x86, 0xdd, ...from6()])),
        outer(rest(PROTO_GRE, [0x40, 0, 0x86, 0xdd, 0, 0, 0, 0, ...from6()])),
      ],
    },
    {
      name: 'GRE over IPv6 has a key, a checksum and numbers where the tunnel has',
      setUp: tunnel(`ip6gre ${ENDS} key 7 csum seq encaplimit none hoplimit inherit tclass inherit`),
      steps: [
        into6({ trafficClass: 0xb9, hopLimit: 9 }),
        into4({ tos: 0xb9, ttl: 9 }),
        outer(gre(from6(), { key: 7, checksum: true, sequence: 9 })),
        outer(gre(from6(), { key: 7, checksum: true, sequence: 8 })),
        outer(gre(from6(), { key: 7, checksum: true })),
        outer(gre(from6(), { key: 7, sequence: 10 })),
        outer(gre(from6(), { key: 8, checksum: true, sequence: 10 })),
        outer(gre(from6(), { checksum: true, sequence: 10 })),
        mtu(),
      ],
    },
    {
      name: 'GRE over IPv6 tells of what does not fit, and after an error who sends the next one',
      setUp: tunnel(`ip6gre ${ENDS}`),
      steps: [
        mtu(),
        into6(size6(1_400)),
        into6(size6(1_401)),
        into4({ ...size(1_421), df: true }),
        error(UNREACHABLE, 0, gre(sent6())),
        error(UNREACHABLE, 4, gre(sent6())),
        error(EXCEEDED, 0, gre(sent6())),
        into6(),
        into4(),
        into6(),
        error(TOO_BIG, 0, gre(sent6(size6(1_300))), 1_350),
        into6(size6(1_300)),
        limitedInto(3),
        limitedInto(0),
      ],
    },
    {
      name: 'GRE over IPv6 without an end sends nothing',
      setUp: [
        ...tunnel(`ip6gre local ${LOCAL}`),
        'ip -6 route replace 2001:db8:20::/48 via 2001:db8:3::9 dev t0 onlink',
        `ip -6 route add 2001:db8:3::/64 via ${REMOTE}`,
      ],
      steps: [into6(), into4(), outer(gre(from6()))],
    },
    {
      name: 'frames go in GRE over IPv6',
      setUp: tap(ENDS),
      steps: [
        mtu(),
        into6({ trafficClass: 0xb9 }),
        into4({ tos: 0xb9 }),
        into6(size6(1_386)),
        into6(size6(1_387)),
        into4({ ...size(1_407), df: true }),
        outer(gre(framed(from6(), ETHERTYPE_IPV6), { etherType: ETHERTYPE_TEB })),
        outer(gre(framed(from4(), ETHERTYPE_IPV4), { etherType: ETHERTYPE_TEB })),
        outer(gre(framed(from4(), ETHERTYPE_IPV4).subarray(0, 10), { etherType: ETHERTYPE_TEB })),
        outer(gre(from6())),
        error(
          TOO_BIG,
          0,
          gre(framed(sent6(size6(1_300)), ETHERTYPE_IPV6), { etherType: ETHERTYPE_TEB }),
          1_370,
        ),
        into6(size6(1_257)),
        into6(size6(1_256)),
        into4({ ...size(1_300), df: true }),
      ],
    },
  ],
};

/** IPv6 in IPv4. */
export const sitCases: CaseGroup = {
  ...GUEST,
  name: 'sit',
  cases: [
    {
      name: 'IPv6 goes in IPv4, and IPv4 beside it',
      setUp: tunnel(`sit ${ENDS4}`),
      steps: [
        into6({ trafficClass: 0xb9, hopLimit: 9 }),
        into4({ tos: 0xb9 }),
        outer4(ip6(from6())),
        outer4(ipip(from4())),
        outer4(ip6(from6()), { src: '10.0.2.3' }),
        outer4(ip6(from6().subarray(0, 39))),
        outer4(ip6(from6()), { dst: '10.0.1.1' }),
        outer4(ip6(from6({ trafficClass: 2 })), { tos: 3 }),
        outer4(ip6(from6()), { tos: 3 }),
      ],
    },
    {
      name: 'a tunnel of IPv6 in IPv4 carries what it is for, with a TTL of its own',
      setUp: tunnel(`sit ${ENDS4} mode ip6ip ttl 9`),
      steps: [into6(), into4(), outer4(ip6(from6())), outer4(ipip(from4()))],
    },
    {
      name: 'IPv6 that does not fit into IPv4 is told so, and may be divided outside where it is as short as can be',
      setUp: tunnel(`sit ${ENDS4}`),
      steps: [
        mtu(),
        into6(size6(1_432)),
        into6(size6(1_433)),
        error4(3, 4, ip6(sent6(size6(1_400))), 1_400),
        into6(size6(1_400)),
        into6(size6(1_332)),
        error4(3, 4, ip6(sent6(size6(1_300))), 1_000),
        into6(size6(1_300)),
        into6(size6(1_232)),
        wayTo('-6', '2001:db8:20::5'),
      ],
    },
    {
      name: 'without a look at the path IPv6 is divided in IPv4',
      setUp: [...tunnel(`sit ${ENDS4} nopmtudisc`), 'ip link set w0 mtu 1300'],
      steps: [into6(size6(1_300)), into6()],
    },
    {
      name: 'errors of IPv4 about what carries IPv6 reach its senders',
      setUp: tunnel(`sit ${ENDS4} ttl 64`),
      steps: [
        error4(3, 1, ip6(sent6())),
        error4(11, 0, ip6(sent6())),
        into6(),
        error4(3, 1, ip6(sent6().subarray(0, 40))),
        into6(),
        into6(),
        error4(3, 1, ipip(sent4())),
        into4(),
      ],
    },
    {
      name: 'IPv6 in IPv4 without an end goes to the one that is in an address',
      setUp: [
        ...tunnel(`sit local ${LOCAL4}`),
        'ip -6 route add 2002::/16 dev t0',
        `ip -6 route add 2001:db8:21::/48 via ::${REMOTE4} dev t0 onlink`,
      ],
      steps: [
        into6({ dst: '2002:a00:202::1' }),
        into6({ dst: '2001:db8:21::5' }),
        into6(),
        outer4(ip6(from6())),
        outer4(ip6(from6({ src: '2002:a00:202::1' }))),
        outer4(ip6(from6({ src: '2002:a00:203::1' }))),
      ],
    },
  ],
};

/** Settings of all of them. */
export const tunnel6SettingCases: CaseGroup = {
  ...GUEST,
  name: 'tunnels6-settings',
  cases: [
    {
      name: '`ip -d link` of tunnels over IPv6, and of IPv6 over IPv4',
      setUp: [...BOTH],
      steps: [
        `ip6tnl ${ENDS} mode ip6ip6 encaplimit none hoplimit 9 tclass 0x10 flowlabel 0x12345`,
        'ip6tnl local 2001:db8:1::1 ttl inherit tclass inherit flowlabel inherit',
        'ip6tnl remote 2001:db8:2::3 mode ipip6 encaplimit 9',
        `ip6gre ${ENDS} key 7 csum seq`,
        'ip6gre local 2001:db8:1::1',
        `ip6gretap ${ENDS} key 1.2.3.4 encaplimit none`,
        `sit ${ENDS4} ttl 9`,
        'sit local 10.0.1.1 mode ip6ip nopmtudisc',
      ].flatMap((type, i) => [
        command(
          `ip link add t${i} address 02:00:00:00:00:50 type ${type}`.replace(
            / address \S+(?= type (?!ip6gretap))/,
            '',
          ),
        ),
        show(`ip -d link show t${i}`, ofTunnel),
      ]),
    },
    {
      name: 'tunnels between the same ends, of other families, or shorter than IPv6 may be are refused',
      setUp: [...BOTH, `ip link add t0 type ip6tnl ${ENDS}`, `ip link add t1 type sit ${ENDS4}`],
      steps: [
        `ip link add t2 type ip6tnl ${ENDS} mode ipip6`,
        'ip link add t2 type ip6tnl',
        'ip link add t2 type ip6gre',
        `ip link add t2 type ip6gre ${ENDS} key 7`,
        `ip link add t3 type ip6gre ${ENDS} key 7`,
        `ip link add t3 type ip6gretap ${ENDS} key 7`,
        `ip link add t4 type sit ${ENDS4}`,
        'ip link add t4 type sit',
        `ip link add t4 mtu 1279 type sit local ${LOCAL4}`,
        'ip link set t1 mtu 1279',
        'ip link set t0 mtu 1000',
        `ip link add t5 type ip6tnl local ${LOCAL} mode ip6ip6`,
        'ip link set t5 mtu 1279',
      ].map(command),
    },
    {
      name: 'a tunnel’s MTU is what is left of that of the device below',
      setUp: [...BOTH, 'ip link set w0 mtu 1400'],
      steps: [
        command(`ip link add t0 type ip6tnl ${ENDS}`),
        mtu('t0'),
        command(`ip link add t1 type ip6tnl local ${LOCAL}`),
        mtu('t1'),
        command(`ip link add t2 type ip6gre ${ENDS} key 7`),
        mtu('t2'),
        command(`ip link add t3 type ip6gretap ${ENDS}`),
        mtu('t3'),
        command(`ip link add t4 type sit ${ENDS4}`),
        mtu('t4'),
        command(`ip link add t5 mtu 1300 type ip6tnl remote 2001:db8:2::3 local ${LOCAL}`),
        mtu('t5'),
        command('ip link set w0 mtu 1300'),
        command(`ip link add t6 type ip6gre ${ENDS} key 8`),
        mtu('t6'),
        command('ip link add t7 type sit remote 10.0.2.3'),
        mtu('t7'),
      ],
    },
  ],
};

function limitedInto(value: number): CaseStep {
  return into6(limit(value));
}

function framed(packet: Uint8Array, type: number): Uint8Array {
  const frame = new Uint8Array(14 + packet.length);
  writeEthernet(frame, TAP_MAC, FAR_MAC, type);
  frame.set(packet, 14);
  return frame;
}
