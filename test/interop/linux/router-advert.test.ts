import fc from 'fast-check';
import { setU16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { sealIcmpv6 } from '../../../protocols/icmpv6.ts';
import { IPV6_HLEN } from '../../../protocols/ipv6.ts';
import type { NdpMessage, PrefixInformation, RouterPreference } from '../../../protocols/ndp.ts';
import { echo6, ip6, ndp, packet6 } from '../../nodes/kernel/linux/frames6.ts';
import { settleFragmentId } from './settle.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const DEVICES = ['v0', 'w0'];
const AT = ETH_HLEN + IPV6_HLEN;

/** Two links of a host, on which nothing is claimed and nobody asks for routers. */
const SET_UP = [
  'sysctl -w net.ipv6.icmp.ratelimit=0',
  ...DEVICES.flatMap((dev, i) => [
    `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
    `sysctl -w net.ipv6.conf.${dev}.accept_dad=0`,
    `sysctl -w net.ipv6.conf.${dev}.dad_transmits=0`,
    `sysctl -w net.ipv6.conf.${dev}.router_solicitations=0`,
    `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
    `ip -6 addr add fe80::1/64 dev ${dev} nodad`,
    `ip -6 addr add 2001:db8:${i + 1}::1/64 dev ${dev} nodad`,
  ]),
];

const LINUX_ALONE = [
  ...DEVICES.flatMap((dev) =>
    ['base_reachable_time_ms=3600000', 'retrans_time_ms=3600000', 'delay_first_probe_time=3600'].map(
      (value) => `sysctl -qw net.ipv6.neigh.${dev}.${value}`,
    ),
  ),
  'sysctl -qw net.ipv6.auto_flowlabels=0',
];

/** Until addresses that need no claim are good in Linux too, which its workers see to. */
const CLAIMED =
  'for i in $(seq 50); do ip -6 addr show tentative | grep -q inet6 || break; sleep 0.002; done';

/** So long, and so far from each other, that the time of the test makes no difference. */
const LIFETIMES = [0, 0, 50, 650, 1_850, 7_250, 90_050, 0xffff_ffff] as const;

const prefix: fc.Arbitrary<PrefixInformation> = fc.record({
  prefix: one(
    '2001:db8:5::',
    '2001:db8:6::',
    '2001:db8:6::7',
    '2001:db8:1::',
    'fe80::',
    'ff02::',
    '3fff:5::',
  ).map(ip6),
  len: one(64, 64, 64, 64, 48, 80),
  onLink: fc.boolean(),
  autonomous: fc.boolean(),
  validLifetime: one(...LIFETIMES),
  preferredLifetime: one(...LIFETIMES),
});

const advert = fc.record({
  port: fc.nat(1),
  src: one('fe80::9', 'fe80::9', 'fe80::8', 'fe80::7', 'fe80::1', '2001:db8:1::9', '::'),
  dst: one('ff02::1', 'ff02::1', 'fe80::1'),
  hopLimit: one(0, 0, 33, 255, 64),
  preference: one<RouterPreference>('low', 'medium', 'high'),
  routerLifetime: one(0, 650, 1_850, 9_050),
  sourceMac: fc.option(one(0x0200_0000_0002, 0x0200_0000_0003), { nil: undefined }),
  mtu: fc.option(one(1_279, 1_280, 1_400, 1_500, 1_501, 0), { nil: undefined }),
  prefixes: fc.array(prefix, { maxLength: 3 }),
  rdnss: fc.boolean(),
  wrong: one(
    'none',
    'none',
    'none',
    'none',
    'none',
    'none',
    'hops',
    'checksum',
    'code',
    'option',
    'cut',
    'short',
  ),
});
type Advert = typeof advert extends fc.Arbitrary<infer A> ? A : never;

function frameOf(given: Advert): Uint8Array {
  const { src, dst, sourceMac, mtu, prefixes, rdnss, wrong, hopLimit, preference, routerLifetime } = given;
  const message: NdpMessage = {
    type: 'router-advert',
    ...{ hopLimit, preference, routerLifetime },
    managed: false,
    otherConfig: false,
    reachableTime: 0,
    retransTimer: 0,
    options: {
      ...(sourceMac === undefined ? {} : { sourceMac }),
      ...(mtu === undefined ? {} : { mtu }),
      prefixes,
      ...(rdnss ? { rdnss: [{ lifetime: 600, servers: [ip6('2001:db8::53')] }] } : {}),
    },
  };
  const whole = ndp(message, { src, dst, hopLimit: wrong === 'hops' ? 254 : 255 });
  const cut = { cut: whole.length - 4, short: AT + 12 }[wrong as string] ?? whole.length;
  const frame = whole.slice(0, cut);
  const length = frame.length - AT;
  setU16(frame, ETH_HLEN + 4, length);
  if (wrong === 'code') frame[AT + 1] = 1;
  if (wrong === 'option' && length > 18) frame[AT + 17] = 0;
  sealIcmpv6(frame, AT, length, ip6(src), ip6(dst));
  if (wrong === 'checksum') setU16(frame, AT + 2, 0x1234);
  return frame;
}

const command = fc.oneof(
  fc
    .tuple(
      one(
        'accept_ra',
        'accept_ra_defrtr',
        'accept_ra_pinfo',
        'accept_ra_mtu',
        'accept_ra_rtr_pref',
        'accept_ra_from_local',
        'autoconf',
        'forwarding',
      ),
      one(...DEVICES),
      one(0, 1, 1, 2),
    )
    .map(([name, dev, value]) => `sysctl -w net.ipv6.conf.${dev}.${name}=${value}`),
  one(0, 1, 40).map((value) => `sysctl -w net.ipv6.conf.v0.accept_ra_min_hop_limit=${value}`),
  one(
    'sysctl -w net.ipv6.conf.all.forwarding=1',
    'sysctl -w net.ipv6.conf.all.forwarding=0',
    'ip -6 route add default via fe80::9 dev v0',
    'ip -6 route del default',
    'ip -6 addr add 2001:db8:5::1/64 dev v0 nodad',
    'ip -6 addr del 2001:db8:5::1/64 dev v0',
    'ip -6 addr del 2001:db8:5::ff:fe00:1/64 dev v0',
    'ip -6 route del 2001:db8:5::/64 dev v0',
    'ip -6 neigh flush dev v0',
  ),
);

/** What shows the default router, the MTU and the hop limit at work. */
const probe = one<readonly [string, string, number]>(
  ['fe80::2', 'fe80::1', 1_200],
  ['fe80::2', 'fe80::1', 1_452],
  ['2001:db8:1::2', '2001:db8:1::1', 1_360],
  ['3fff::1', '2001:db8:1::1', 10],
  ['2001:db8:5::2', '2001:db8:5::ff:fe00:1', 10],
  ['2001:db8:1::2', '3fff::1', 10],
).map(([src, dst, size]) => packet6({ src, dst, upper: echo6('request', 7, size) }));

const step = fc.oneof(
  { weight: 6, arbitrary: advert.map((given) => ({ kind: 'advert' as const, given })) },
  { weight: 2, arbitrary: command.map((line) => ({ kind: 'command' as const, line })) },
  { weight: 1, arbitrary: probe.map((frame) => ({ kind: 'probe' as const, frame })) },
);

linuxTest('routers, prefixes, addresses and MTUs are taken from advertisements as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 15, size: 'max' }), async (steps) => {
      const twin = await Twin.start(
        DEVICES.map((name) => ({ name })),
        SET_UP,
      );
      twin.settle = settleFragmentId;
      try {
        await twin.linux.run([...LINUX_ALONE, 'sleep 0.02'].join('\n'));
        for (const given of steps) {
          if (given.kind === 'command') await twin.all([given.line]);
          else if (given.kind === 'probe') await twin.send(0, given.frame, 'probe');
          else await twin.send(given.given.port, frameOf(given.given), told(given.given));
          await twin.linux.run(CLAIMED);
          await twin.same('ip -6 route show', settled);
          await twin.same('ip -6 addr show', addresses);
          await twin.same('ip -6 neigh', neighbors);
          for (const dev of DEVICES) {
            await twin.same(`sysctl net.ipv6.conf.${dev}.hop_limit`);
            await twin.same(`ip -6 route get 3fff::1 oif ${dev}`, way);
          }
          await twin.same('ip -6 route get 2001:db8:5::9', way);
        }
      } finally {
        twin.stop();
      }
    }),
    runs(8, 3),
  );
  t.pass();
});

function told(given: Advert): string {
  return JSON.stringify(given, (key, value) =>
    key === 'prefix' ? Buffer.from(value, 'latin1').toString('hex') : value,
  );
}

/** Without the seconds that the test itself takes. */
function settled(text: string): string {
  return text.replaceAll(/(\d+)sec/g, (_, seconds) => `${Math.ceil(Number(seconds) / 50) * 50}sec`);
}

/** A way that was taken before keeps what its route said then. */
function way(text: string): string {
  return settled(text).replaceAll(/ (pref|mtu|hoplimit) \w+/g, '');
}

/** Linux marks those that are deprecated a little later. */
function addresses(text: string): string {
  return settled(text)
    .split('\n')
    .filter((line) => /^ +(inet6|valid)/.test(line))
    .map((line) => line.replace(' deprecated', '').trimEnd())
    .join('\n');
}

function neighbors(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/ router(?= )/, '').trimEnd())
    .sort()
    .join('\n');
}
