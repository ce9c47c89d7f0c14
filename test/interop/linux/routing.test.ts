import fc from 'fast-check';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { PROTO_UDP } from '../../../protocols/ipv4.ts';
import { type Drawn, drawnPacket, framesOf } from './packets.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((text) => text !== '').join(' '));

const DEVICES = ['v0', 'w0', 'x0'];

/** 10.0.1.1/24, 10.0.2.1/24 and 10.0.3.1/24; senders are in 10.9.0.0/16, behind 10.0.1.2. */
const SET_UP = [
  ...DEVICES.flatMap((dev, i) => [
    `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`,
    ...[2, 3, 4, 5].map(
      (n) => `ip neigh add 10.0.${i + 1}.${n} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ),
  ]),
  'sysctl -w net.ipv6.conf.w0.addr_gen_mode=1',
  'sysctl -w net.ipv6.conf.w0.disable_ipv6=0',
  'ip -6 neigh add fe80::9 lladdr 02:00:00:00:00:09 dev w0 nud permanent',
  'ip link set x0 mtu 700',
  'ip addr add 10.0.2.77/32 dev w0',
];

const prefix = one(
  '10.9.0.0/16',
  '172.16.0.0/12',
  '172.16.1.0/24',
  '172.16.1.128/25',
  '172.16.1.130',
  'default',
  '10.0.2.0/25',
);
const gateway = one(
  'via 10.0.1.2',
  'via 10.0.2.2',
  'via 10.0.3.2',
  'via 10.0.3.3 dev x0',
  'via 10.0.2.3 src 10.0.2.77',
  'via 172.16.9.9',
  'via inet6 fe80::9 dev w0',
  'via inet6 fe80::9 dev x0',
  'via inet6 2001:db8::9',
);
const table = one('', '', '', 'table 100', 'table 200');
const route = join(
  one('ip route add', 'ip route add', 'ip route replace', 'ip route append', 'ip route prepend'),
  fc.oneof(
    { weight: 5, arbitrary: join(prefix, gateway) },
    {
      weight: 2,
      arbitrary: join(one('blackhole', 'unreachable', 'prohibit', 'throw'), prefix),
    },
  ),
  one('', '', 'metric 5', 'metric 100'),
  table,
);
const rule = join(
  one('ip rule add'),
  one('pref 100', 'pref 200', 'pref 300'),
  one('', 'from 10.9.0.0/17', 'from 10.0.0.0/8', 'not from 10.9.0.0/17'),
  one('', '', 'to 172.16.1.0/24'),
  one('', '', 'iif v0', 'iif w0'),
  one('', '', 'tos 0x10'),
  one('', '', '', 'ipproto udp'),
  one(
    'table 100',
    'table 200',
    'table main',
    'blackhole',
    'prohibit',
    'unreachable',
    'table 100 suppress_prefixlength 0',
  ),
);
const filter = join(
  one('sysctl -w'),
  fc
    .tuple(one('v0', 'w0', 'all'), one('0', '1', '2'))
    .map(([dev, mode]) => `net.ipv4.conf.${dev}.rp_filter=${mode}`),
);
const commands = fc
  .tuple(
    fc.array(route, { minLength: 2, maxLength: 12, size: 'max' }),
    fc.array(rule, { maxLength: 4 }),
    fc.array(filter, { maxLength: 2 }),
  )
  .map((lists) => lists.flat());

const destination = [
  '172.16.1.130',
  '172.16.1.1',
  '172.20.0.1',
  '8.8.8.8',
  '10.0.2.2',
  '10.0.1.1',
  '10.0.2.255',
  '10.0.3.4',
];
const packet = fc
  .tuple(
    drawnPacket({
      ports: 3,
      src: [ip('10.9.0.0')],
      dst: [...destination, '255.255.255.255', '127.0.0.1', '0.0.0.1', '240.0.0.1'].map(ip),
    }),
    fc.integer({ min: 1, max: 65_534 }),
    fc.oneof(
      { weight: 8, arbitrary: fc.constant(0) },
      {
        weight: 1,
        arbitrary: one(...['10.0.1.3', '10.0.2.1', '127.0.0.1', '224.0.0.1', '0.0.0.7', '0.0.0.0'].map(ip)),
      },
    ),
  )
  // Linux tells one sender so many times a second that there is no route, which no namespace can set: each sends once.
  .map(
    ([drawn, host, other]): Drawn => ({
      ...drawn,
      src: other === 0 ? drawn.src + host : other,
      // Not more than the MTU of x0, which a veth does not take.
      size: drawn.port === 2 ? Math.min(drawn.size, 600) : drawn.size,
    }),
  );
const asked = join(
  one('ip route get'),
  one(...destination),
  one('', '', 'tos 0x10', 'mark 1', 'from 10.9.3.4 iif v0', 'from 10.0.2.77', 'oif v0', 'oif w0', 'oif lo'),
);

linuxTest('generated routes and rules take packets, and answer `ip route get`, as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      commands,
      fc.array(packet, { minLength: 5, maxLength: 15, size: 'max' }),
      fc.array(asked, { minLength: 2, maxLength: 6, size: 'max' }),
      async (made, packets, questions) => {
        const twin = await Twin.start(
          DEVICES.map((name) => ({ name })),
          SET_UP,
        );
        try {
          await twin.all(made);
          await twin.same('ip route show table all', (text) => text.replaceAll(/^.* table local .*\n/gm, ''));
          await twin.same('ip rule');
          for (const question of questions)
            await twin.same(question, (text) => text.replaceAll(/ +\n/g, '\n'));
          const seen = new Set<number>();
          for (const drawn of packets) {
            if (seen.has(drawn.src)) continue;
            seen.add(drawn.src);
            const told = `${formatIp4(drawn.src)} > ${formatIp4(drawn.dst)}`;
            for (const frame of framesOf(drawn)) await twin.send(drawn.port, frame, told);
          }
        } finally {
          twin.stop();
        }
      },
    ),
    runs(15, 1),
  );
  t.pass();
});

/** A datagram for port 53 from behind v0. */
function udpFrame(ends: Pick<Drawn, 'src' | 'dst' | 'ttl'>): Uint8Array {
  const drawn: Drawn = {
    ...{ port: 0, proto: PROTO_UDP, srcPort: 1_000, dstPort: 53, flags: 0, size: 20, tos: 0, df: false },
    ...{ fault: 'none', mtu: 0 },
    ...ends,
  };
  return framesOf(drawn)[0]!;
}

linuxTest(
  'a router of IPv6 next hops alone forwards IPv4, and errs from the address that Linux has',
  async (t) => {
    const on = (dev: string) => [
      `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
      `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
      `ip -6 neigh add fe80::9 lladdr 02:00:00:00:00:09 dev ${dev} nud permanent`,
    ];
    const twin = await Twin.start(
      [{ name: 'v0' }, { name: 'w0' }],
      [
        ...['v0', 'w0'].flatMap(on),
        'ip route add 10.9.0.0/16 via inet6 fe80::9 dev v0',
        'ip route add 172.16.0.0/12 via inet6 fe80::9 dev w0',
        'ip route add unreachable 172.31.0.0/16',
      ],
    );
    try {
      const came: number[] = [];
      const sent = [
        { dst: '172.16.1.1', ttl: 64 },
        { dst: '172.16.1.1', ttl: 1 },
        { dst: '172.31.0.1', ttl: 64 },
        { dst: '8.8.8.8', ttl: 64 },
      ];
      for (const [i, { dst, ttl }] of sent.entries()) {
        const frame = udpFrame({ src: ip(`10.9.0.${i + 1}`), dst: ip(dst), ttl });
        came.push((await twin.send(0, frame, `${dst} ttl ${ttl}`)).length);
      }
      t.deepEqual(came, [1, 1, 1, 1]);
      await twin.all(['ip addr add 192.0.2.1/32 dev lo']);
      t.is((await twin.send(0, udpFrame({ src: ip('10.9.0.9'), dst: ip('172.16.1.1'), ttl: 1 }))).length, 1);
    } finally {
      twin.stop();
    }
  },
);

linuxTest('an address of another device is looked for at the link by who is bound to a device', async (t) => {
  const inet6 = ['v0', 'w0'].flatMap((dev, i) => [
    `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
    `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
    `ip -6 addr add 2001:db8:${i + 1}::1/64 dev ${dev} nodad`,
    `ip -6 addr add fe80::${i + 1}/64 dev ${dev} nodad`,
  ]);
  const twin = await Twin.start(
    ['v0', 'w0'].map((name) => ({ name })),
    [
      'sysctl -w net.ipv6.conf.lo.disable_ipv6=0',
      ...['v0', 'w0'].map((dev, i) => `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`),
      ...inet6,
    ],
  );
  try {
    const to = ['10.0.1.1', '10.0.2.1', '10.0.2.2', '10.0.2.255', '127.0.0.1', '172.16.0.1'];
    const to6 = ['2001:db8:1::1', '2001:db8:2::1', '2001:db8:2::9', '::1', 'fe80::1', 'fe80::2', '3fff::1'];
    for (const dev of ['v0', 'w0', 'lo'])
      for (const address of to)
        await twin.same(`ip route get ${address} oif ${dev}`, (text) => text.replaceAll(/ +\n/g, '\n'));
    for (const dev of ['v0', 'w0'])
      for (const address of to6)
        await twin.same(`ip -6 route get ${address} oif ${dev}`, (text) => text.replaceAll(/ +\n/g, '\n'));
  } finally {
    twin.stop();
  }
  t.pass();
});
