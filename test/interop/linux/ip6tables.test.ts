import fc from 'fast-check';
import { u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { encodeIcmpv6Error, sealIcmpv6 } from '../../../protocols/icmpv6.ts';
import { formatIp6, type Ip6, parseIp6, readIp6 } from '../../../protocols/ip6.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, PROTO_ICMPV6, writeIpv6Header } from '../../../protocols/ipv6.ts';
import { lastHeader } from '../../../protocols/ipv6-headers.ts';
import { NEIGHBOR_MAC, type Out, ROUTER_MAC } from '../../support/router.ts';
import { type Drawn6, drawnPacket6, framesOf6, ICMPV6_TYPES } from './packets6.ts';
import { ruleSet } from './rules.ts';
import { settleFragmentId } from './settle.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const ip = (text: string): Ip6 => parseIp6(text)!;

/** 2001:db8:1::1/64 and 2001:db8:2::1/64, and the neighbours that packets go to. Nothing is claimed, and nobody speaks of himself. */
const SET_UP = [
  'sysctl -w net.ipv6.conf.all.forwarding=1',
  'sysctl -w net.ipv6.icmp.ratelimit=0',
  'sysctl -w net.ipv6.conf.lo.disable_ipv6=0',
  ...['v0', 'w0'].flatMap((dev, i) => [
    `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
    `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
    `sysctl -w net.ipv6.conf.${dev}.forwarding=1`,
    `ip -6 addr add 2001:db8:${i + 1}::1/64 dev ${dev} nodad`,
    ...[
      ...Array(14).keys(),
      0x6e,
      0x6f,
      0x70,
      0x71,
      0x72,
      0x73,
      0x74,
      0x75,
      0x76,
      0x77,
      0x78,
      0x79,
      0x7a,
      0x7b,
      0x7c,
      0x7d,
    ].map(
      (n) =>
        `ip -6 neigh add 2001:db8:${i + 1}::${(n + 2).toString(16)} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ),
  ]),
  'ip -6 route add blackhole 2001:db8:96::/48',
];
/** Without flow labels, and once multicast listeners have reported themselves. */
const LINUX_ALONE = 'sysctl -qw net.ipv6.auto_flowlabels=0; sleep 0.05';

const packet = drawnPacket6({
  ports: 2,
  src: ['2001:db8:1::2', '2001:db8:1::3', '2001:db8:2::2'].map(ip),
  dst: [
    '2001:db8:2::2',
    '2001:db8:2::3',
    '2001:db8:96::12',
    '2001:db8:1::1',
    '2001:db8:2::1',
    '2001:db8:1::5',
  ].map(ip),
}).map((drawn): Drawn6 => {
  // No two flows that NAT may lead to one another's place: which port is drawn then is Linux' own affair.
  const { src, dst, dstPort, srcPort, proto } = drawn;
  const net = src.charCodeAt(5);
  const number = (addr: Ip6) => addr.charCodeAt(5) * 256 + addr.charCodeAt(15);
  const spread = (number(src) * 7 + number(dst) * 13 + dstPort * 3 + srcPort + proto) % 20_000;
  return { ...drawn, srcPort: 10_000 + spread, port: net - 1 };
});
const answer = fc.record({ flags: fc.nat(1_000), size: fc.constantFrom(0, 10) });
const error = fc.record({
  kind: fc.constantFrom([1, 4], [1, 0], [2, 0], [3, 0], [4, 1], [137, 0]),
  quote: fc.constantFrom(48, 60, 1_200),
  near: fc.boolean(),
});
type ErrorGiven = typeof error extends fc.Arbitrary<infer E> ? E : never;
const step = fc.oneof(
  { weight: 3, arbitrary: packet.map((drawn) => ({ kind: 'packet' as const, drawn })) },
  { weight: 1, arbitrary: packet.map((drawn) => ({ kind: 'again' as const, drawn })) },
  { weight: 2, arbitrary: answer.map((given) => ({ kind: 'answer' as const, given })) },
  { weight: 1, arbitrary: error.map((given) => ({ kind: 'error' as const, given })) },
);

/** What the other end says to a packet that came out. */
function answerTo({ port, frame }: Out, { flags, size }: { flags: number; size: number }): Drawn6 | null {
  const found = lastHeader(frame, ETH_HLEN, frame.length);
  if (found === null || found.fragment !== 0 || frame.length < found.offset + 8) return null;
  const { proto, offset: at } = found;
  const icmp = proto === PROTO_ICMPV6;
  if (icmp && frame[at] !== 0x80) return null;
  return {
    port,
    src: readIp6(frame, ETH_HLEN + IP6_DST),
    dst: readIp6(frame, ETH_HLEN + IP6_SRC),
    proto,
    srcPort: u16(frame, icmp ? at + 4 : at + 2),
    dstPort: u16(frame, at),
    flags: icmp ? ICMPV6_TYPES.indexOf(0x8100) : flags,
    size,
    hopLimit: 64,
    trafficClass: 0,
    headers: [],
    fault: 'none',
    part: 0,
  };
}

/** An error about a packet that came out, from its destination or from a router before it. */
function errorAbout({ frame }: Out, { kind: [type = 1, code = 0], quote, near }: ErrorGiven): Uint8Array {
  const dst = readIp6(frame, ETH_HLEN + IP6_SRC);
  const to = readIp6(frame, ETH_HLEN + IP6_DST);
  const src = near ? `${to.slice(0, 15)}\x07` : to;
  const at = ETH_HLEN + IPV6_HLEN;
  const quoted = frame.subarray(ETH_HLEN, Math.min(frame.length, ETH_HLEN + quote));
  const message = encodeIcmpv6Error(type, code, type === 2 ? 1_300 : 0, quoted, at);
  sealIcmpv6(message, at, message.length - at, src, dst);
  writeEthernet(message, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV6);
  const header = { src, dst, nextHeader: PROTO_ICMPV6, hopLimit: 64, payloadLength: message.length - at };
  writeIpv6Header(message, ETH_HLEN, header);
  return message;
}

const TABLES = ['raw', 'mangle', 'nat', 'filter'];

/** Flows without the time that they have left. */
function flows(listing: string): string {
  return listing
    .split('\n')
    .filter((line) => line.startsWith('tcp') || /^\w+ +\d+ \d+ /.test(line))
    .map((line) => line.replace(/^(\w+ +\d+) \d+ /, '$1 '))
    .sort()
    .join('\n');
}

linuxTest('generated ip6tables rules do to packets what they do in Linux, and count alike', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      ruleSet('inet6'),
      fc.array(step, { minLength: 5, maxLength: 25, size: 'max' }),
      async (rules, steps) => {
        const twin = await Twin.start([{ name: 'v0' }, { name: 'w0' }], SET_UP);
        twin.settle = settleFragmentId;
        try {
          await twin.linux.run(LINUX_ALONE);
          // Linux drops datagrams for itself of more than 76 bytes whose header is changed after conntrack has summed them up: it
          // takes its own sum, which the header was part of, for right (`csum_complete_sw` in udp6_csum_init).
          const changesHeader = rules.some((rule) => / -j (DSCP|TOS|HL) /.test(rule));
          if (changesHeader) await twin.all(['sysctl -w net.netfilter.nf_conntrack_checksum=0']);
          await twin.all(rules);
          let last: Out | undefined;
          let before: Drawn6 | undefined;
          for (const given of steps) {
            if (given.kind === 'error') {
              if (last !== undefined && last.frame.length > ETH_HLEN + IPV6_HLEN)
                await twin.send(
                  last.port,
                  errorAbout(last, given.given),
                  `error ${given.given.kind.join('/')}`,
                );
              continue;
            }
            let drawn: Drawn6 | null;
            if (given.kind === 'answer') drawn = last === undefined ? null : answerTo(last, given.given);
            else if (given.kind === 'again' && before !== undefined)
              drawn = { ...before, size: given.drawn.size, flags: given.drawn.flags };
            else drawn = given.drawn;
            if (drawn === null) continue;
            if (given.kind !== 'answer') before = drawn;
            const { src, dst, ...rest } = drawn;
            const told = `${formatIp6(src)} > ${formatIp6(dst)} ${JSON.stringify(rest)}`;
            for (const frame of framesOf6(drawn))
              last = (await twin.send(drawn.port, frame, told))[0] ?? last;
          }
          for (const table of TABLES) {
            await twin.same(`ip6tables-save -c -t ${table}`, (text) => text.replaceAll(/^#.*\n/gm, ''));
            await twin.same(`ip6tables -t ${table} -nvxL --line-numbers`);
          }
          await twin.same('conntrack -L -f ipv6', flows);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(15, 6),
  );
  t.pass();
});
