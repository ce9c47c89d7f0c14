import fc from 'fast-check';
import { setU16, setU32, u16 } from '../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, etherType } from '../../protocols/ethernet.ts';
import { formatIp, type IpAddress, parseIp } from '../../protocols/ip.ts';
import { formatIp6, readIp6 } from '../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipSrc, PROTO_TCP } from '../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN } from '../../protocols/ipv6.ts';
import { packet6 } from '../nodes/kernel/linux/frames6.ts';
import { rest } from '../nodes/kernel/linux/transport.ts';
import { frameOf, type Out } from '../support/router.ts';
import { AWAIT_ADDRESSES } from './linux/command.ts';
import { PACKET_ID, settleIpId } from './linux/settle.ts';
import { linuxTest, runs } from './linux/suite.ts';
import { Twin } from './linux/twin.ts';

const CLIENT_SIDE = 0;

/** Where a connection is made to, and by whom, in one family. */
interface Family {
  readonly name: string;
  readonly client: string;
  readonly service: string;
  readonly server: string;
  /** The router's address at the server's side. */
  readonly router: string;
  readonly setUp: readonly string[];
}

const TIMEOUT = 'sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close=1000';

const IPV4: Family = {
  name: 'IPv4',
  client: '10.0.1.2',
  service: '10.96.0.10',
  server: '10.0.2.2',
  router: '10.0.2.1',
  setUp: [
    'ip addr add 10.0.1.1/24 dev v0',
    'ip addr add 10.0.2.1/24 dev w0',
    'ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent',
    'ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:02 dev w0 nud permanent',
    'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
    'iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 10.0.2.2:8080',
    'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
    // Linux limits how often it says that there is no route, by buckets that a namespace cannot set.
    'ip route add blackhole 10.96.0.0/16',
    TIMEOUT,
  ],
};

const IPV6: Family = {
  name: 'IPv6',
  client: '2001:db8:1::2',
  service: '2001:db8:96::10',
  server: '2001:db8:2::2',
  router: '2001:db8:2::1',
  setUp: [
    'sysctl -w net.ipv6.conf.all.forwarding=1',
    ...['v0', 'w0'].flatMap((dev, i) => [
      `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
      `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
      `ip -6 addr add 2001:db8:${i + 1}::1/64 dev ${dev} nodad`,
      `ip -6 neigh add 2001:db8:${i + 1}::2 lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ]),
    'ip6tables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
    'ip6tables -t nat -A PREROUTING -d 2001:db8:96::10 -p tcp --dport 80 -j DNAT --to-destination [2001:db8:2::2]:8080',
    'ip6tables -t nat -A POSTROUTING -d 2001:db8:2::/64 -j MASQUERADE',
    'ip -6 route add blackhole 2001:db8:96::/48',
    TIMEOUT,
  ],
};

interface Ends {
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number;
  readonly dstPort: number;
}

interface Segment {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly size: number;
  readonly options: Uint8Array;
}

function tcpFrame({ src, dst, srcPort, dstPort }: Ends, segment: Segment): Uint8Array {
  const { flags, seq, ack, window, size, options } = segment;
  const [from, to] = [addressOf(src), addressOf(dst)];
  const tcp = new Uint8Array(20 + options.length + size).fill(0x61);
  setU16(tcp, 0, srcPort);
  setU16(tcp, 2, dstPort);
  setU32(tcp, 4, seq);
  setU32(tcp, 8, ack);
  tcp[12] = ((20 + options.length) / 4) << 4;
  tcp[13] = flags;
  setU16(tcp, 14, window);
  setU16(tcp, 16, 0);
  setU16(tcp, 18, 0);
  tcp.set(options, 20);
  const sum = pseudoHeaderSum(from, to, PROTO_TCP, tcp.length);
  setU16(tcp, 16, internetChecksum(tcp, 0, tcp.length, sum));
  if (typeof from === 'number' && typeof to === 'number') return frameOf(from, to, PROTO_TCP, tcp, PACKET_ID);
  return packet6({ src, dst, upper: rest(PROTO_TCP, tcp) });
}

function addressOf(text: string): IpAddress {
  const address = parseIp(text);
  if (address === null) throw new Error(`no address: ${text}`);
  return address;
}

/** Who a packet that came out would be answered by, and to whom. */
function answerTo({ frame }: Out): Ends {
  const six = etherType(frame) === ETHERTYPE_IPV6;
  const at = ETH_HLEN + (six ? IPV6_HLEN : IPV4_HLEN);
  const ports = { srcPort: u16(frame, at + 2), dstPort: u16(frame, at) };
  if (six) {
    const [src, dst] = [readIp6(frame, ETH_HLEN + IP6_DST), readIp6(frame, ETH_HLEN + IP6_SRC)];
    return { src: formatIp6(src), dst: formatIp6(dst), ...ports };
  }
  return { src: formatIp(ipDst(frame, ETH_HLEN)), dst: formatIp(ipSrc(frame, ETH_HLEN)), ...ports };
}

const FLOW = /^(\S+ +\d+) (\d+) (.*?)(?: use=\d+)?$/m;

/** The flow of a listing, without the time that it has left, which may differ by as much as the test takes. */
function flow(listing: string): string {
  const [, proto = '', , rest = ''] = FLOW.exec(listing) ?? [];
  return `${proto} ${rest}`;
}

function secondsLeft(listing: string): number {
  return Number(FLOW.exec(listing)?.[2] ?? 0);
}

const FIN = 1;
const SYN = 2;
const RST = 4;
const PSH = 8;
const ACK = 16;
const SCALE = Uint8Array.of(2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2);
const PLAIN = Uint8Array.of(2, 4, 5, 0xb4);
const NONE = new Uint8Array(0);

const step = fc.record({
  from: fc.constantFrom<0 | 1>(0, 1),
  flags: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(ACK, ACK, PSH | ACK, FIN | ACK, SYN, SYN | ACK, RST, RST | ACK) },
    { weight: 1, arbitrary: fc.constantFrom(0, FIN, SYN | FIN, SYN | RST, FIN | RST, 32 | ACK, 63) },
  ),
  seqOff: fc.oneof(
    { weight: 10, arbitrary: fc.constant<number>(0) },
    { weight: 2, arbitrary: fc.constantFrom<number>(-1, 1, -100, 100, 1_000, -66_001, 66_001, 0x4000_0000) },
  ),
  ackOff: fc.oneof(
    { weight: 10, arbitrary: fc.constant<number>(0) },
    { weight: 2, arbitrary: fc.constantFrom<number>(-1, 1, -100, 5_000, -70_000, 70_000) },
  ),
  window: fc.constantFrom<number>(65_535, 1_000, 1, 0),
  size: fc.constantFrom<number>(0, 0, 1, 500, 1_400),
  options: fc.constantFrom(SCALE, PLAIN, NONE),
});
/** Most connections begin well: where they go from there is what is drawn. */
const opening = fc.constantFrom<Opening>('none', 'syn', 'both', 'open', 'closing');
type Opening = 'none' | 'syn' | 'both' | 'open' | 'closing';
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function prologue(kind: Opening): Step[] {
  const base = { seqOff: 0, ackOff: 0, window: 65_535, size: 0, options: NONE };
  const first: Step = { ...base, from: 0, flags: SYN, options: SCALE };
  if (kind === 'both') return [first, { ...first, from: 1 }];
  const steps: Step[] = [
    first,
    { ...base, from: 1, flags: SYN | ACK, options: SCALE },
    { ...base, from: 0, flags: ACK },
    { ...base, from: 0, flags: PSH | ACK, size: 100 },
    { ...base, from: 1, flags: ACK },
    { ...base, from: 1, flags: FIN | ACK },
    { ...base, from: 0, flags: ACK },
  ];
  return steps.slice(0, { none: 0, syn: 1, open: 5, closing: 7 }[kind]);
}

for (const family of [IPV4, IPV6])
  linuxTest(`TCP over ${family.name}: states, windows, NAT and checksums as Linux has them`, async (t) => {
    t.timeout(900_000);
    const { client: src, service, server: to, router, setUp } = family;
    const twin = await Twin.start([{ name: 'v0' }, { name: 'w0' }], setUp);
    twin.settle = settleIpId;
    let srcPort = 20_000;
    try {
      await twin.linux.run(`sysctl -qw net.ipv6.auto_flowlabels=0; ${AWAIT_ADDRESSES}`);
      await fc.assert(
        fc.asyncProperty(opening, fc.array(step, { minLength: 1, maxLength: 8 }), async (kind, steps) => {
          srcPort++;
          const client: Ends = { src, dst: service, srcPort, dstPort: 80 };
          let server: Ends = { src: to, dst: router, srcPort: 8080, dstPort: srcPort };
          const next: [number, number] = [0xffff_ff00, 1_000];
          for (const { from, flags, seqOff, ackOff, window, size, options } of [
            ...prologue(kind),
            ...steps,
          ]) {
            const seq = (next[from] + seqOff) >>> 0;
            const ack = (next[from === 0 ? 1 : 0] + ackOff) >>> 0;
            const held = (flags & SYN) !== 0 ? options : NONE;
            const segment = { flags, seq, ack: (flags & ACK) !== 0 ? ack : 0, window, size, options: held };
            if (seqOff === 0) next[from] = (seq + size + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0)) >>> 0;
            const frame = tcpFrame(from === 0 ? client : server, segment);
            const told = `flags ${flags} seq ${seq | 0} ack ${segment.ack | 0} size ${size} win ${window} ${held.length}`;
            const said = await twin.send(from, frame, told);
            if (from === CLIENT_SIDE && said[0] !== undefined) server = answerTo(said[0]);
            const [mine, theirs] = await twin.same(
              `conntrack -L -f ${family.name.toLowerCase()} -p tcp --sport ${srcPort}`,
              flow,
            );
            const spent = secondsLeft(mine) - secondsLeft(theirs);
            t.true(spent >= 0 && spent <= 20, `${mine}\n${theirs}`);
          }
        }),
        runs(25, 20),
      );
    } finally {
      twin.stop();
    }
  });
