import { setU16, setU32 } from '../../../../protocols/bytes.ts';
import { internetChecksum } from '../../../../protocols/checksum.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, type LinuxCase, send, show, trimmed, wait } from './case.ts';
import { fragments4, icmpEcho, type Packet4, packet4 } from './frames4.ts';
import { echo6, type Packet6, packet6 } from './frames6.ts';
import { ROUTER, SYN, through } from './router4.ts';
import { sctpCases } from './sctp.ts';
import { rest, tcp, type Upper, udp } from './transport.ts';

/** The same in IPv6: 2001:db8:1::1/64 at v0 and 2001:db8:2::1/64 at w0. */
const ROUTER6: readonly string[] = [
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

type Chunk = readonly [type: number, flags: number, ...value: readonly number[]];

/** A packet of SCTP (RFC 9260 §3) whose checksum is 0. */
function sctp(...chunks: readonly Chunk[]): Upper {
  const bytes = chunks.flatMap(([type, flags, ...value]) => {
    const length = 4 + value.length;
    return [
      type,
      flags,
      length >> 8,
      length & 0xff,
      ...value,
      ...new Array<number>((4 - (length % 4)) % 4).fill(0),
    ];
  });
  const head = new Uint8Array(12);
  setU16(head, 0, 1_000);
  setU16(head, 2, 9_000);
  return rest(132, [...head, ...bytes]);
}

function esp(spi: number): Upper {
  const bytes = new Uint8Array(24);
  setU32(bytes, 0, spi);
  return rest(50, bytes);
}

/** An authentication header with nothing behind it (RFC 4302 §2). */
function ah(spi: number): Uint8Array {
  const bytes = new Uint8Array(24);
  bytes[0] = 59;
  bytes[1] = 4;
  setU32(bytes, 4, spi);
  return bytes;
}

/** An ICMP message of type 13 (RFC 792). */
function timestampRequest(): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes[0] = 13;
  setU16(bytes, 2, internetChecksum(bytes, 0, bytes.length));
  return bytes;
}

const [INIT, DATA, SACK, ABORT] = [
  [1, 0],
  [0, 0x03],
  [3, 0],
  [6, 1],
] as const satisfies readonly Chunk[];

const through6 = (packet: Partial<Packet6>): CaseStep =>
  send(0, packet6({ src: '2001:db8:1::2', dst: '2001:db8:2::2', upper: udp(1_000, 53), ...packet }));

/** From a neighbour of port 0. */
const from = (src: string, packet: Partial<Packet4> = {}): CaseStep => through({ src, ...packet });

const counts = (table: string, program = 'iptables') =>
  show(`${program} -t ${table} -nvxL`, (text) =>
    text
      .split('\n')
      .filter((line) => /^ +\d/.test(line))
      .join('\n'),
  );

/** Flows without the time that they have left. */
function flowLines(text: string): string {
  return trimmed(text)
    .split('\n')
    .filter((line) => /^\w+ +\d+ \d+ /.test(line))
    .map((line) => line.replace(/^(\w+ +\d+) \d+ /, '$1 '))
    .join('\n');
}

const countedFlows = show('conntrack -L', flowLines);

/** Packets that go through the router past rules that count, each with one match. */
function counting(
  name: string,
  matches: readonly string[],
  packets: readonly CaseStep[],
  where = '-A FORWARD',
): LinuxCase {
  const table = where.includes('PREROUTING') ? 'raw' : 'filter';
  return {
    name,
    setUp: [...ROUTER, ...matches.map((match) => `iptables -t ${table} ${where} ${match}`)],
    steps: [...packets, counts(table)],
  };
}

function counting6(name: string, matches: readonly string[], packets: readonly CaseStep[]): LinuxCase {
  return {
    name,
    setUp: [...ROUTER6, ...matches.map((match) => `ip6tables ${match}`)],
    steps: [...packets, counts('raw', 'ip6tables'), counts('filter', 'ip6tables')],
  };
}

const RPFILTER = ['', '--loose', '--accept-local', '--loose --accept-local', '--validmark', '--invert'].map(
  (options) => `-m rpfilter ${options}`.trim(),
);

const mark = (value: number) => `iptables -t raw -A PREROUTING -j MARK --set-mark ${value}`;
const opening = (srcPort: number) => tcp({ srcPort, dstPort: 80, flags: ['syn'] });

/** What a connection says from its opening to its end. */
const CONNECTION: readonly CaseStep[] = [
  through({ upper: tcp({ srcPort: 1_000, dstPort: 80, flags: ['syn'], seq: 99 }) }),
  send(
    1,
    packet4({
      src: '10.0.2.2',
      dst: '10.0.1.2',
      upper: tcp({ srcPort: 80, dstPort: 1_000, flags: ['syn', 'ack'], seq: 999, ack: 100 }),
    }),
  ),
  through({ upper: tcp({ srcPort: 1_000, dstPort: 80, flags: ['ack'], seq: 100, ack: 1_000, size: 40 }) }),
];

/** Matches and targets that rule sets of Calico, Istio and strongSwan use, beside those of every day. */
export const extensionCases: CaseGroup = {
  name: 'extensions',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  ipv6: 'on',
  cases: [
    counting(
      'rpfilter asks whether the way back goes by where the packet came in, or by any, for own addresses only if told so',
      RPFILTER,
      [
        from('10.0.1.2'),
        from('10.0.2.3'),
        from('192.0.2.1'),
        from('10.0.1.1'),
        from('10.0.2.1'),
        from('10.0.1.255'),
        from('127.0.0.1'),
        from('0.0.0.0', { dst: '255.255.255.255', to: 0xffff_ffff_ffff }),
        from('0.0.0.0'),
      ],
      '-A PREROUTING',
    ),
    {
      name: 'rpfilter finds a way back among several, behind a router and by default, but none that is refused',
      setUp: [
        ...ROUTER,
        'ip route add 192.0.2.0/24 nexthop via 10.0.2.2 nexthop via 10.0.1.2',
        'ip route add 198.51.100.0/24 via 10.0.2.2',
        'ip route add blackhole 203.0.113.0/24',
        'ip route add default via 10.0.1.3',
        ...RPFILTER.map((match) => `iptables -t mangle -A PREROUTING ${match}`),
      ],
      steps: [
        ...['192.0.2.1', '198.51.100.1', '203.0.113.1', '8.8.8.8'].map((src) => from(src)),
        counts('mangle'),
      ],
    },
    {
      name: 'rpfilter goes by the mark of a packet only if told so',
      setUp: [
        ...ROUTER,
        'ip route add 192.0.2.0/24 via 10.0.1.2',
        'ip route add 192.0.2.0/24 via 10.0.2.2 table 100',
        'ip rule add fwmark 1 lookup 100',
        mark(1),
        'iptables -t raw -A PREROUTING -m rpfilter',
        'iptables -t raw -A PREROUTING -m rpfilter --validmark',
      ],
      steps: [from('192.0.2.1'), counts('raw')],
    },
    counting(
      'rpfilter lets who has no address yet ask all, and nobody else of 0.0.0.0/8',
      ['-m rpfilter'],
      [
        ...['0.0.0.0', '0.1.2.3', '10.0.1.2', '192.0.2.1'].flatMap((src) =>
          ['255.255.255.255', '224.0.0.5', '0.1.2.3'].map((dst) => from(src, { dst })),
        ),
      ],
      '-A PREROUTING',
    ),
    {
      name: 'addrtype knows what was put into the local table by hand, and with a device what is of that one alone',
      setUp: [
        ...ROUTER,
        'ip route add local 10.9.0.0/24 dev lo',
        'ip route add local 10.9.1.0/24 dev v0',
        'ip route add local 10.9.2.0/24 dev w0',
        'ip route add broadcast 10.9.3.255 dev v0 table local',
        'ip route add unreachable 10.9.4.0/24 table local',
        ...['', '--limit-iface-in'].flatMap((limit) =>
          ['LOCAL', 'BROADCAST', 'UNICAST'].map((type) =>
            `iptables -t raw -A PREROUTING -m addrtype --dst-type ${type} ${limit}`.trim(),
          ),
        ),
      ],
      steps: [
        ...['10.0.1.1', '10.0.2.1', '10.0.1.255', '10.0.2.255', '127.0.0.1', '127.9.9.9', '0.1.2.3'],
        ...['10.9.0.5', '10.9.1.5', '10.9.2.5', '10.9.3.255', '10.9.4.5'],
      ].flatMap((dst) => [from('10.0.1.2', { dst, upper: icmpEcho('reply') }), counts('raw')]),
    },
    {
      name: 'rpfilter has its place before routing, in raw and mangle',
      setUp: ROUTER,
      steps: [
        'raw -A PREROUTING',
        'mangle -A PREROUTING',
        'nat -A PREROUTING',
        'mangle -A INPUT',
        'raw -A OUTPUT',
      ].map((where) => command(`iptables -t ${where} -m rpfilter`)),
    },
    counting6(
      'rpfilter of IPv6 asks the same',
      RPFILTER.map((match) => `-t raw -A PREROUTING ${match}`),
      [
        through6({}),
        through6({ src: '2001:db8:2::3' }),
        through6({ src: '2001:db8:9::1' }),
        through6({ src: '2001:db8:1::1' }),
        through6({ src: '2001:db8:2::1' }),
        through6({ src: 'fe80::2' }),
        through6({ src: '::' }),
      ],
    ),
    counting(
      'sctp tells ports and chunks, all, any or only those, and flags of theirs',
      [
        '-p sctp',
        '-p sctp --dport 9000',
        '-p sctp ! --sport 1000:2000',
        '-p sctp --chunk-types any DATA,INIT',
        '-p sctp --chunk-types all DATA,SACK',
        '-p sctp --chunk-types only DATA,SACK',
        '-p sctp ! --chunk-types any SACK',
        '-p sctp --chunk-types any DATA:Be',
        '-p sctp --chunk-types any DATA:e',
        '-p sctp --chunk-types all ABORT:t',
        '-p sctp --chunk-types only ABORT:T',
        '-p sctp --chunk-types any ALL',
        '-p sctp --chunk-types only ALL',
        '-p sctp --chunk-types all NONE',
        '-p sctp --chunk-types only NONE',
        '-p sctp -m multiport --dports 1,9000',
      ],
      [
        [INIT],
        [DATA],
        [SACK, DATA],
        [DATA, SACK, DATA],
        [SACK, [0, 0x06, 1, 2, 3]],
        [ABORT],
        [[200, 0]],
        [],
      ].map((chunks) => through({ upper: sctp(...(chunks as readonly Chunk[])) })),
    ),
    counting(
      'sctp lets no packet pass that is cut off, or has a chunk without a length',
      ['-p sctp --chunk-types any INIT', '-p sctp --dport 9000'],
      [
        through({ upper: rest(132, [1, 2, 3, 4]) }),
        through({ upper: rest(132, [...new Array<number>(12).fill(0), 3, 0, 0, 0]) }),
        through({ upper: rest(132, [...new Array<number>(12).fill(0), 3, 0]) }),
      ],
    ),
    counting(
      'dccp tells ports, types and options, and drops what is cut off before those',
      [
        '-p dccp',
        '-p dccp --sport 1:3 ! --dport 9',
        '-p dccp --dccp-types REQUEST,DATA',
        '-p dccp ! --dccp-types INVALID',
        '-p dccp --dccp-option 37',
        '-p dccp ! --dccp-option 37',
      ],
      [
        // Data offset in words, type and X, then what is behind the sequence number.
        [3, 2, 0],
        [4, 0, 0, 0, 0, 0, 0],
        [5, 0, 0, 0, 0, 0, 0, 37, 3, 0, 0],
        [6, 2, 1, 0, 0, 0, 0, 1, 0, 37, 2, 1, 1, 1, 1],
        [5, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [7, 7, 1, ...new Array<number>(16).fill(0)],
        [4, 2, 0, 5, 1, 37, 2],
        [4, 11, 0, 0, 0, 0, 0],
        [9, 2, 0, 1, 1, 1, 1],
      ].map(([offset = 0, type = 0, extended = 0, ...more]) =>
        through({ upper: rest(33, [0, 2, 0, 7, offset, 0, 0, 0, (type << 1) | extended, 0, 0, 0, ...more]) }),
      ),
    ),
    counting(
      'dccp drops a packet without its whole header',
      ['-p dccp --dport 7'],
      [through({ upper: rest(33, [0, 2, 0, 7, 3, 0, 0, 0]) })],
    ),
    counting6(
      'sctp, esp and ah of IPv6 are found, ah among the extension headers',
      [
        '-p sctp --chunk-types any INIT',
        '-p esp --espspi 5:9',
        '-m ah --ahspi 7',
        '-m ah ! --ahspi 7 --ahres',
        '-m ah --ahlen 24',
        '-m ah ! --ahlen 24',
      ].map((match) => `-A FORWARD ${match}`),
      [
        through6({ upper: sctp(INIT) }),
        through6({ upper: esp(7) }),
        through6({ headers: [{ number: 51, bytes: ah(7) }] }),
        through6({ headers: [{ number: 51, bytes: ah(8) }] }),
      ],
    ),
    counting(
      'esp and ah tell the SPI, and drop what is cut off before it',
      [
        '-p esp --espspi 256',
        '-p esp ! --espspi 1:255',
        '-p esp --espspi 9:1',
        '-p ah --ahspi 7',
        '-p ah ! --ahspi 7',
      ],
      [
        through({ upper: esp(256) }),
        through({ upper: esp(5) }),
        through({ upper: esp(0x8000_0000) }),
        through({ upper: rest(50, [0, 0, 1, 0]) }),
        through({ upper: rest(51, ah(7)) }),
        through({ upper: rest(51, ah(0xffff_ffff)) }),
      ],
    ),
    counting(
      'tcpmss finds the MSS among other options, and drops what has its header cut off',
      [
        '-p tcp -m tcpmss --mss 1000:1460',
        '-p tcp -m tcpmss ! --mss 1000:1460',
        '-p tcp -m tcpmss --mss 0:65535',
      ],
      [
        through({ upper: tcp({ srcPort: 1, dstPort: 2, flags: ['syn'], mss: 1_460 }) }),
        through({ upper: tcp({ srcPort: 1, dstPort: 2, flags: ['syn'], mss: 500 }) }),
        through({ upper: SYN }),
        through({
          upper: tcp({ srcPort: 1, dstPort: 2, flags: ['syn'], options: [1, 1, 1, 0, 2, 4, 4, 0] }),
        }),
        through({
          upper: tcp({ srcPort: 1, dstPort: 2, flags: ['syn'], options: [1, 2, 3, 0, 8, 4, 2, 2] }),
        }),
        through({ upper: rest(6, [0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0, 9, 0, 0, 0, 0]) }),
        through({ upper: rest(6, [0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x40, 2, 0, 9, 0, 0, 0, 0]) }),
      ],
    ),
    counting(
      'ecn tells what the headers of IP and TCP say',
      [
        '-m ecn --ecn-ip-ect 2',
        '-m ecn ! --ecn-ip-ect 0',
        '-p tcp -m ecn --ecn-tcp-ece',
        '-p tcp -m ecn ! --ecn-tcp-cwr --ecn-ip-ect 3',
      ],
      [
        through({ tos: 2 }),
        through({ tos: 0xb9 }),
        through({ tos: 3, upper: SYN }),
        through({ upper: rest(6, [0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0xc2, 0, 9, 0, 0, 0, 0]) }),
        through({
          tos: 3,
          upper: rest(6, [0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x42, 0, 9, 0, 0, 0, 0]),
        }),
        through({ tos: 3, upper: rest(6, [0, 1, 0, 2]) }),
      ],
    ),
    {
      name: 'ECN changes the headers of IP and TCP, and their checksums',
      setUp: [
        ...ROUTER,
        'iptables -t mangle -A FORWARD -p tcp --dport 1 -j ECN --ecn-tcp-remove',
        'iptables -t mangle -A FORWARD -p tcp --dport 2 -j ECN --ecn-tcp-ece 1',
        'iptables -t mangle -A FORWARD -p tcp --dport 3 -j ECN --ecn-tcp-cwr 0 --ecn-ip-ect 1',
        'iptables -t mangle -A FORWARD -p udp -j ECN --ecn-ip-ect 0',
      ],
      steps: [
        ...[1, 2, 3, 4].map((dstPort) =>
          through({
            upper: rest(6, [0, 1, 0, dstPort, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0xc2, 0, 9, 0x12, 0x34, 0, 0]),
          }),
        ),
        through({ tos: 0xbb }),
        through({ tos: 0x10 }),
      ],
    },
    counting(
      'string finds a text in one place or anywhere, whole, in capitals or not',
      [
        '-m string --algo bm --string "<=>?"',
        '-m string --algo kmp --hex-string "|1f|!"',
        '-m string --algo bm ! --string "nowhere"',
        '-m string --algo bm --icase --string "ABCDEF"',
        '-m string --algo kmp --string "ABCDEF" --to 94',
        '-m string --algo kmp --string "ABCDEF" --to 93',
        '-m string --algo kmp --string "ABCDEF" --from 85',
        '-m string --algo kmp --string "ABCDEF" --from 86',
        '-m string --algo bm --icase --hex-string "|e9|"',
        '-m string --algo bm --string "xy" --from 10 --to 11',
      ],
      [
        through({ upper: udp(1_000, 53, 100) }),
        through({ upper: udp(1_000, 53, 20) }),
        through({ upper: udp(1_000, 53, 300) }),
        through({
          upper: rest(
            200,
            [...'abcdef'].map((letter) => letter.charCodeAt(0)),
          ),
        }),
        through({ upper: rest(200, [0xc9, 0x41]) }),
        through({ upper: icmpEcho('request') }),
      ],
    ),
    counting(
      'u32 reads words from anywhere in a packet, and finds none beyond its end',
      [
        '-m u32 --u32 "0>>22&0x3C@0>>16=1000"',
        '-m u32 --u32 "0>>22&0x3C@0&0xffff=50:60,80"',
        '-m u32 --u32 "6&0xff=17&&4&0x3fff=0"',
        '-m u32 ! --u32 "6&0xff=17"',
        '-m u32 --u32 "0<<16>>16=0:40"',
        '-m u32 --u32 "24=0:0xffffffff"',
        '-m u32 --u32 "25=0:0xffffffff"',
        '-m u32 --u32 "0>>22&0x3C@4=0:0xffffffff"',
        '-m u32 --u32 "0>>22&0x3C@9=0:0xffffffff"',
        '-m u32 --u32 "0@0=0"',
      ],
      [
        through({}),
        through({ upper: SYN }),
        through({ upper: icmpEcho('request', 100) }),
        through({ options: [1, 1, 1, 1] }),
        ...fragments4({ src: '10.0.1.2', dst: '10.0.2.2', upper: udp(1_000, 53, 40) }, 24).map((frame) =>
          send(0, frame),
        ),
      ],
    ),
    counting(
      'quota counts down the bytes of packets that fit, and is over with the first that does not',
      ['-m quota --quota 100', '-m quota ! --quota 60', '-p tcp -m quota --quota 44'],
      [
        through({}),
        through({ upper: udp(1, 2, 80) }),
        through({}),
        through({ upper: SYN }),
        through({ upper: SYN }),
      ],
    ),
    counting(
      'helper finds no flow where there is no helper',
      ['-m helper --helper ftp', '-m helper ! --helper ftp', '-m helper --helper ""'],
      [through({}), through({ upper: SYN })],
    ),
    {
      name: 'connbytes has flows counted from their beginning on, each way, whatever the packets meet later',
      setUp: [
        ...ROUTER,
        'iptables -A FORWARD -p tcp -m connbytes --connbytes 2 --connbytes-mode packets --connbytes-dir both',
        'iptables -A FORWARD -p tcp -m connbytes ! --connbytes 41:60 --connbytes-mode avgpkt --connbytes-dir original',
        'iptables -A FORWARD -p tcp -m connbytes --connbytes 100: --connbytes-mode bytes --connbytes-dir both',
        'iptables -A FORWARD -p tcp -m connbytes --connbytes :1 --connbytes-mode packets --connbytes-dir reply',
        'iptables -A FORWARD -p tcp -m connbytes --connbytes 3: --connbytes-mode packets --connbytes-dir original -j DROP',
      ],
      steps: [
        show('sysctl net.netfilter.nf_conntrack_acct'),
        ...CONNECTION,
        // One that is out of the window is none of the flow's.
        through({ upper: tcp({ srcPort: 1_000, dstPort: 80, flags: ['ack'], seq: 9_000_000, ack: 1_000 }) }),
        through({ upper: tcp({ srcPort: 1_000, dstPort: 80, flags: ['ack'], seq: 140, ack: 1_000 }) }),
        counts('filter'),
        countedFlows,
      ],
    },
    {
      name: 'a flow that began before it was asked for has no counters',
      setUp: [...ROUTER, 'iptables -A FORWARD -m conntrack --ctstate NEW'],
      steps: [
        through({}),
        command('sysctl -w net.netfilter.nf_conntrack_acct=1'),
        through({}),
        through({ upper: udp(1_001, 53, 7) }),
        countedFlows,
        command('sysctl -w net.netfilter.nf_conntrack_acct=2'),
      ],
    },
    {
      name: 'the nat table by itself tracks no flow, a rule that changes addresses does',
      setUp: [...ROUTER, 'iptables -t nat -A POSTROUTING -j RETURN'],
      steps: [
        through({}),
        show('conntrack -L', flowLines),
        command('iptables -t nat -A POSTROUTING -o lo -j MASQUERADE'),
        through({}),
        show('conntrack -L', flowLines),
      ],
    },
    {
      name: 'connlimit counts flows of an address, or of all that have a mask in common',
      setUp: [
        ...ROUTER,
        'iptables -A FORWARD -p tcp --syn -m connlimit --connlimit-above 2 -j REJECT --reject-with tcp-reset',
        'iptables -A FORWARD -p tcp -m connlimit --connlimit-upto 1 --connlimit-mask 24',
        'iptables -A FORWARD -p tcp -m connlimit --connlimit-above 2 --connlimit-daddr',
      ],
      steps: [
        ...[1_000, 1_001].flatMap((port) => [through({ upper: opening(port) }), wait(20)]),
        from('10.0.1.3', { upper: opening(1_000) }),
        wait(20),
        through({ upper: opening(1_002) }),
        wait(20),
        counts('filter'),
        command('conntrack -D -p tcp --sport 1001'),
        wait(20),
        through({ upper: opening(1_003) }),
        wait(20),
        counts('filter'),
      ],
    },
    {
      name: 'connlimit does not count a connection that has ended',
      setUp: [...ROUTER, 'iptables -A FORWARD -p tcp -m connlimit --connlimit-above 1'],
      steps: [
        ...CONNECTION.flatMap((step) => [step, wait(20)]),
        through({ upper: tcp({ srcPort: 1_000, dstPort: 80, flags: ['rst'], seq: 140 }) }),
        wait(20),
        through({ upper: opening(1_001) }),
        wait(20),
        counts('filter'),
      ],
    },
    {
      name: 'what quota, limit, statistic and connlimit have counted is forgotten as their table is changed, and no other',
      setUp: [
        ...ROUTER,
        'iptables -A FORWARD -m quota --quota 60',
        'iptables -A FORWARD -m limit --limit 1/hour --limit-burst 2',
        'iptables -A FORWARD -m statistic --mode nth --every 2 --packet 0',
        'iptables -A FORWARD -p tcp -m connlimit --connlimit-above 1',
        'iptables -A FORWARD -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 2 --hashlimit-name h --hashlimit-mode srcip',
        'iptables -A FORWARD -m recent --set --name r',
      ],
      steps: [
        'iptables -A INPUT -s 192.0.2.1',
        'iptables -t mangle -A INPUT -s 192.0.2.1',
        'iptables -Z INPUT',
        'iptables -P INPUT ACCEPT',
        'iptables -N other',
        'iptables -E other another',
      ].flatMap((line, i) => [
        ...[1_000, 1_001].map((port) => from('10.0.1.3', { upper: opening(port + i) })),
        through(),
        counts('filter'),
        command(line),
      ]),
    },
    {
      name: 'CLASSIFY, CHECKSUM and NFLOG let a packet go on as it is, each in its place',
      setUp: [
        ...ROUTER,
        'iptables -t mangle -A POSTROUTING -j CLASSIFY --set-class 1:10',
        'iptables -t mangle -A POSTROUTING -j CHECKSUM --checksum-fill',
        'iptables -A FORWARD -j NFLOG --nflog-group 5 --nflog-prefix "told "',
        'iptables -A FORWARD -j ACCEPT',
      ],
      steps: [
        through({}),
        through({ upper: SYN }),
        counts('mangle'),
        counts('filter'),
        command('iptables -t mangle -A PREROUTING -j CLASSIFY --set-class 1:10'),
        command('iptables -A FORWARD -j CHECKSUM --checksum-fill'),
      ],
    },
    {
      name: 'REJECT does not tell the kernel of answers that it gives itself, to an echo or a time stamp',
      setUp: [
        ...ROUTER,
        ...ROUTER6,
        'iptables -A OUTPUT -o v0 -j REJECT',
        'ip6tables -A OUTPUT -o v0 -p icmpv6 --icmpv6-type echo-reply -j REJECT',
        'iptables -A OUTPUT -o lo',
        'ip6tables -A OUTPUT -o lo',
      ],
      steps: [
        from('10.0.1.2', { dst: '10.0.1.1', upper: icmpEcho('request') }),
        from('10.0.1.2', { dst: '10.0.1.1', upper: rest(1, timestampRequest()) }),
        through6({ dst: '2001:db8:1::1', upper: echo6('request') }),
        counts('filter'),
        counts('filter', 'ip6tables'),
        // What a socket sends is told of.
        from('10.0.1.2', { dst: '10.0.1.1', upper: udp(1_000, 9) }),
        counts('filter'),
      ],
    },
    {
      name: 'an error about a packet that no protocol takes is of its flow, and goes back through NAT, tracked or not',
      setUp: [
        ...ROUTER,
        'iptables -t nat -A INPUT -j SNAT --to-source 10.0.1.7',
        'iptables -t raw -A OUTPUT -j NOTRACK',
      ],
      steps: [
        from('10.0.1.2', { dst: '10.0.1.1', upper: rest(200, [1, 2, 3, 4]) }),
        from('10.0.1.2', { dst: '10.0.1.1', upper: udp(1_000, 9) }),
      ],
    },
    counting(
      'policy finds no IPsec where there is none',
      ['-m policy --dir in --pol none', '-m policy --dir in --pol ipsec', '-m policy --dir out --pol none'],
      [through({}), through({ upper: SYN })],
    ),
    ...sctpCases,
  ],
};
