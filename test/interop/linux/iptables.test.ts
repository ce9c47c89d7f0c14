import fc from 'fast-check';
import { u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { ipDst, ipProto, ipSrc } from '../../../protocols/ipv4.ts';
import type { Out } from '../../support/router.ts';
import { type Drawn, drawnPacket, framesOf } from './packets.ts';
import { ruleSet } from './rules.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** 10.0.1.1/24 and 10.0.2.1/24, and the neighbours that packets go to. */
const SET_UP = [
  // How soon another redirect may be sent depends on the time that the test takes.
  ...['all', 'v0', 'w0'].map((dev) => `sysctl -w net.ipv4.conf.${dev}.send_redirects=0`),
  ...['v0', 'w0'].flatMap((dev, i) => [
    `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`,
    ...[...Array(14).keys()].map(
      (n) => `ip neigh add 10.0.${i + 1}.${n + 2} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ),
  ]),
  'ip route add blackhole 10.96.0.0/16',
];

const packet = drawnPacket({
  ports: 2,
  src: ['10.0.1.2', '10.0.1.3', '10.0.2.2'].map(ip),
  dst: ['10.0.2.2', '10.0.2.3', '10.96.0.10', '10.0.1.1', '10.0.2.1', '10.0.1.5'].map(ip),
}).map((drawn): Drawn => {
  // No two flows that NAT may lead to one another's place: which port is drawn then is Linux' own affair.
  const { src, dst, dstPort, srcPort, proto } = drawn;
  const spread = ((src & 0x3ff) * 7 + (dst & 0xffff) * 13 + dstPort * 3 + srcPort + proto) % 20_000;
  return { ...drawn, srcPort: 10_000 + spread, port: (src >>> 8) & 3 ? ((src >>> 8) & 3) - 1 : 0 };
});
const answer = fc.record({ flags: fc.nat(1_000), size: fc.constantFrom(0, 10), wrong: fc.nat(9) });
const step = fc.oneof(
  { weight: 3, arbitrary: packet.map((drawn) => ({ kind: 'packet' as const, drawn })) },
  { weight: 1, arbitrary: packet.map((drawn) => ({ kind: 'again' as const, drawn })) },
  { weight: 2, arbitrary: answer.map((given) => ({ kind: 'answer' as const, given })) },
);

/** What the other end says to a packet that came out. */
function answerTo({ port, frame }: Out, { flags, size }: { flags: number; size: number }): Drawn | null {
  const proto = ipProto(frame, ETH_HLEN);
  const first = u16(frame, ETH_HLEN + 20);
  if (proto === 1 && first !== 0x0800) return null;
  return {
    port,
    src: ipDst(frame, ETH_HLEN),
    dst: ipSrc(frame, ETH_HLEN),
    proto,
    srcPort: proto === 1 ? u16(frame, ETH_HLEN + 24) : u16(frame, ETH_HLEN + 22),
    dstPort: first,
    // Echo replies have the third place among the types.
    flags: proto === 1 ? 2 : flags,
    size,
    ttl: 64,
    tos: 0,
    df: true,
    fault: 'none',
    mtu: 0,
  };
}

const TABLES = ['raw', 'mangle', 'nat', 'filter'];

linuxTest('generated iptables rules do to packets what they do in Linux, and count alike', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      ruleSet('inet'),
      fc.array(step, { minLength: 5, maxLength: 25, size: 'max' }),
      async (rules, steps) => {
        const twin = await Twin.start([{ name: 'v0' }, { name: 'w0' }], SET_UP);
        try {
          await twin.all(rules);
          let last: Out | undefined;
          let before: Drawn | undefined;
          for (const given of steps) {
            let drawn: Drawn | null;
            if (given.kind === 'answer') drawn = last === undefined ? null : answerTo(last, given.given);
            else if (given.kind === 'again' && before !== undefined)
              drawn = { ...before, size: given.drawn.size, flags: given.drawn.flags };
            else drawn = given.drawn;
            if (drawn === null) continue;
            if (given.kind !== 'answer') before = drawn;
            const told = `${formatIp4(drawn.src)} > ${formatIp4(drawn.dst)} ${JSON.stringify(drawn)}`;
            for (const frame of framesOf(drawn)) last = (await twin.send(drawn.port, frame, told))[0] ?? last;
          }
          for (const table of TABLES) {
            await twin.same(`iptables-save -c -t ${table}`, (text) => text.replaceAll(/^#.*\n/gm, ''));
            await twin.same(`iptables -t ${table} -nvxL --line-numbers`);
          }
        } finally {
          twin.stop();
        }
      },
    ),
    runs(15, 6),
  );
  t.pass();
});
