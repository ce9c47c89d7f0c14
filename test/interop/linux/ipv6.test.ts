import fc from 'fast-check';
import { setU16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { formatIp6, type Ip6, isMulticastIp6, multicastMac, parseIp6 } from '../../../protocols/ip6.ts';
import { IPV6_HLEN } from '../../../protocols/ipv6.ts';
import { writeMac } from '../../../protocols/mac.ts';
import { ndpFrames, portOf } from './ndp-frames.ts';
import { drawnPacket6, framesOf6 } from './packets6.ts';
import { settleFragmentId } from './settle.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const ip = (text: string): Ip6 => parseIp6(text)!;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const DEVICES = ['v0', 'w0', 'x0'];

/** Nothing happens because of time alone; no flow labels. */
const LINUX_ALONE = [
  ...DEVICES.flatMap((dev) =>
    ['base_reachable_time_ms=3600000', 'retrans_time_ms=3600000', 'delay_first_probe_time=3600'].map(
      (value) => `sysctl -qw net.ipv6.neigh.${dev}.${value}`,
    ),
  ),
  'sysctl -qw net.ipv6.auto_flowlabels=0',
];

const SET_UP = [
  'sysctl -w net.ipv6.conf.all.forwarding=1',
  'sysctl -w net.ipv6.icmp.ratelimit=0',
  'sysctl -w net.ipv6.conf.lo.disable_ipv6=0',
  ...DEVICES.flatMap((dev, i) => [
    `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
    `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
    `sysctl -w net.ipv6.conf.${dev}.forwarding=1`,
    `ip -6 addr add 2001:db8:${i + 1}::1/64 dev ${dev} nodad`,
    `ip -6 addr add fe80::1/64 dev ${dev} nodad`,
  ]),
  'ip -6 addr add 2001:db8:1::77/64 dev v0 nodad',
  'ip link set x0 mtu 1300',
  'ip -6 route add 2001:db8:7::/48 via 2001:db8:2::9',
  'ip -6 route add 2001:db8:8::/48 via fe80::9 dev x0',
  'ip -6 route add blackhole 2001:db8:96::/48',
  'ip -6 route add unreachable 2001:db8:97::/48',
  'ip -6 route add prohibit 2001:db8:98::/48',
];

const DESTINATIONS = [
  ...['2001:db8:2::2', '2001:db8:2::3', '2001:db8:3::2', '2001:db8:7::1', '2001:db8:8::1', '2001:db8:1::9'],
  ...['2001:db8:1::1', '2001:db8:1::77', '2001:db8:2::1', 'fe80::1', '::1', '::', 'ff02::1'],
  ...['ff02::2', 'ff05::1', 'ff01::1', '2001:db8:96::1', '2001:db8:97::1', '2001:db8:98::1', '3fff::1'],
  '::ffff:10.0.0.1',
].map(ip);
const SOURCES = [
  ...['2001:db8:1::2', '2001:db8:1::2', '2001:db8:1::3', '2001:db8:7::1', 'fe80::2', '2001:db8:2::2'],
  ...['::', '::1', 'ff02::1', '2001:db8:1::1'],
].map(ip);

/** A header of options of a type that nobody knows, or a routing header, before what there is. */
const OPTIONS = [0x1e, 0x5e, 0x9e, 0xde, 0x05, 0xc2, 0x01] as const;
const header = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(one(0, 60), one(...OPTIONS), one(2, 2, 4, 0, 9))
      .map(([number, type, length]) => ({ number, bytes: Uint8Array.of(0, 0, type, length, 0, 0, 0, 0) })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(one(0, 2, 3, 4, 253), one(0, 1))
      .map(([type, left]) => ({ number: 43, bytes: Uint8Array.of(0, 0, type, left, 0, 0, 0, 0) })),
  },
  { weight: 1, arbitrary: fc.constant({ number: 59, bytes: new Uint8Array(8) }) },
);

const packets = fc
  .tuple(drawnPacket6({ ports: 2, src: SOURCES, dst: DESTINATIONS }), header, fc.nat(12))
  .map(([drawn, extra, group]) => {
    const frames = framesOf6(drawn).map((frame) => {
      const to = group === 0 ? 0x3333_0000_0001 : isMulticastIp6(drawn.dst) ? multicastMac(drawn.dst) : null;
      const copy = extra === null ? frame.slice() : withHeader(frame, extra.number, extra.bytes);
      if (to !== null) writeMac(copy, 0, to);
      return copy;
    });
    const { src, dst, ...rest } = drawn;
    const told = `${formatIp6(src)} > ${formatIp6(dst)} ${extra?.number ?? ''} ${JSON.stringify(rest)}`;
    return { port: portOf(src, drawn.port), told, frames };
  });

function withHeader(frame: Uint8Array, number: number, bytes: Uint8Array): Uint8Array {
  const at = ETH_HLEN + IPV6_HLEN;
  const out = Uint8Array.of(...frame.subarray(0, at), ...bytes, ...frame.subarray(at));
  out[at] = frame[ETH_HLEN + 6]!;
  out[ETH_HLEN + 6] = number;
  setU16(out, ETH_HLEN + 4, out.length - at);
  return out;
}

const command = one(
  'ip -6 neigh replace 2001:db8:1::2 lladdr 02:00:00:00:00:02 dev v0',
  'ip -6 neigh replace 2001:db8:2::2 lladdr 02:00:00:00:00:04 dev w0',
  'ip -6 neigh del 2001:db8:1::2 dev v0',
  'ip -6 neigh del 2001:db8:2::9 dev w0',
  'ip -6 route del 2001:db8:8::/48',
  'ip -6 route add default via fe80::9 dev w0',
);

const step = fc.oneof(
  { weight: 6, arbitrary: packets.map((given) => ({ kind: 'frames' as const, ...given })) },
  { weight: 5, arbitrary: ndpFrames.map((given) => ({ kind: 'frames' as const, ...given })) },
  { weight: 1, arbitrary: command.map((line) => ({ kind: 'command' as const, line })) },
);

linuxTest('IPv6 is forwarded, answered and refused, and neighbours are known, as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 25, size: 'max' }), async (steps) => {
      const twin = await Twin.start(
        DEVICES.map((name) => ({ name })),
        SET_UP,
      );
      twin.settle = settleFragmentId;
      try {
        await twin.linux.run([...LINUX_ALONE, 'sleep 0.05'].join('\n'));
        for (const given of steps) {
          if (given.kind === 'command') await twin.all([given.line]);
          else for (const frame of given.frames) await twin.send(given.port, frame, given.told);
          await twin.same('ip -6 neigh', neighbors);
        }
      } finally {
        twin.stop();
      }
    }),
    runs(8, 1),
  );
  t.pass();
});

/** Without who of them has said that it is a router. */
function neighbors(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/ router(?= )/, '').trimEnd())
    .sort()
    .join('\n');
}
