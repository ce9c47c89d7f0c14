import fc from 'fast-check';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { fragments4, icmpEcho, packet4 } from '../../nodes/kernel/linux/frames4.ts';
import { tcp, type Upper, udp } from '../../nodes/kernel/linux/transport.ts';
import { OUR_TIME, settleTimes } from './ip-options.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const DEVICES = ['v0', 'w0'];
const SET_UP = [
  ...['all', ...DEVICES].map((dev) => `sysctl -w net.ipv4.conf.${dev}.send_redirects=0`),
  ...DEVICES.flatMap((dev, i) => [
    `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`,
    ...[2, 3, 9].map(
      (host) => `ip neigh add 10.0.${i + 1}.${host} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ),
  ]),
  'ip addr add 10.0.1.77/24 dev v0',
  'ip addr add 10.9.9.9/32 dev lo',
  'ip route add 10.7.0.0/16 via 10.0.2.9',
  'ip route add 10.8.0.0/16 via 10.0.1.9 src 10.9.9.9',
  'ip route add blackhole 10.6.0.0/16',
];

const settings = one(
  ...['all', 'v0', 'w0'].map((dev) => `sysctl -w net.ipv4.conf.${dev}.accept_source_route=1`),
  'sysctl -w net.ipv4.conf.all.accept_source_route=1',
  'sysctl -w net.ipv4.conf.all.accept_source_route=1',
  'sysctl -w net.ipv4.conf.v0.accept_source_route=0',
  'sysctl -w net.ipv4.conf.v0.rp_filter=1',
  'sysctl -w net.ipv4.conf.v0.forwarding=0',
  'ip link set w0 mtu 600',
  'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
  'iptables -A FORWARD -p udp -j REJECT',
  'iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset',
  'iptables -t nat -A POSTROUTING -o w0 -j MASQUERADE',
);

const ADDRESSES = [
  ...['10.0.2.2', '10.0.2.2', '10.0.2.3', '10.0.1.3', '10.0.1.1', '10.0.1.77', '10.0.2.1', '10.9.9.9'],
  ...['10.7.1.1', '10.8.1.1', '10.6.1.1', '10.0.1.255', '127.0.0.1', '224.0.0.5', '0.0.0.0', '10.0.1.2'],
];
const bytesOf = (text: string): number[] => {
  const addr = parseIp4(text) ?? 0;
  return [addr >>> 24, (addr >>> 16) & 0xff, (addr >>> 8) & 0xff, addr & 0xff];
};
/** Nothing is sent to groups. */
const address = one(...ADDRESSES.filter((text) => text !== '224.0.0.5')).map(bytesOf);
const filled = (room: number) =>
  fc
    .array(address, { maxLength: 3 })
    .map((rows) => [...rows.flat(), ...Array(room)].slice(0, room).map((byte) => byte ?? 0));

/** One with a pointer, most often to one of its places. */
const pointed = (kind: fc.Arbitrary<number>, places: readonly number[], extra: readonly number[] = []) =>
  fc
    .record({
      kind,
      count: fc.integer({ min: 0, max: 5 }),
      at: fc.nat(6),
      off: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: one(-4, -1, 1, 2, 3) }),
      cut: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: one(1, 2, 3) }),
      extra: one(...(extra.length === 0 ? [-1] : extra)),
    })
    .chain(({ kind, count, at, off, cut, extra }) =>
      filled(count * 4).map((rows) => {
        const head = extra < 0 ? [kind, 0, 0] : [kind, 0, 0, extra];
        const body = [...head, ...rows].slice(0, head.length + rows.length - Math.min(cut, rows.length));
        const step = places[at % places.length]!;
        return Object.assign(body, {
          1: body.length,
          2: Math.max(0, head.length + 1 + (at % (count + 1)) * step + off),
        });
      }),
    );

const option = fc.oneof(
  { weight: 4, arbitrary: pointed(one(7), [4]) },
  { weight: 4, arbitrary: pointed(one(68), [4, 8], [0x00, 0x01, 0x03, 0x01, 0x10, 0xf0, 0xf1, 0xf3, 0x02]) },
  { weight: 4, arbitrary: pointed(one(131, 131, 137), [4]) },
  { weight: 2, arbitrary: one([148, 4, 0, 0], [148, 4, 0, 1], [148, 2], [148, 3, 0]) },
  { weight: 1, arbitrary: one([1], [1, 1, 1], [0], [0, 7, 7]) },
  { weight: 1, arbitrary: one([130, 3, 9], [136, 4, 1, 2], [25, 2], [0x5e, 6, 1, 2, 3, 4], [30]) },
  {
    weight: 1,
    arbitrary: fc.tuple(one(7, 68, 131, 137, 148, 99), one(0, 1, 2, 3, 41)).map((pair) => [...pair]),
  },
);
const options = fc.array(option, { minLength: 1, maxLength: 3 }).map((rows) => rows.flat().slice(0, 40));

const step = fc
  .record({
    port: one(0, 0, 0, 1),
    host: one(2, 2, 3),
    dst: one(...ADDRESSES),
    options,
    upper: one<(sender: number) => Upper<number>>(
      (sender) => icmpEcho('request', 4, sender),
      (sender) => icmpEcho('request', 600, sender),
      (sender) => udp(sender, 53, 4),
      (sender) => udp(sender, 53, 900),
      (sender) => tcp({ srcPort: sender, dstPort: 80, flags: ['syn'] }),
    ),
    ttl: one(64, 64, 64, 64, 64, 1),
    tos: one(0, 0, 0x10),
    df: one(true, false),
    part: one(0, 0, 0, 0, 304),
    all: fc.nat(12),
  })
  .map(({ port, host, part, all, upper, ...rest }) => {
    const packet = {
      src: `10.0.${port + 1}.${host}`,
      ...rest,
      // No two senders have a port in common: of two behind one address the other's would be drawn at random.
      upper: upper(1_000 + port * 10 + host),
      ...(all === 0 ? { to: 0xffff_ffff_ffff } : {}),
    };
    const frames = part === 0 ? [packet4(packet)] : fragments4({ ...packet, df: false }, part);
    return { port, told: `${packet.src} > ${packet.dst} [${rest.options}]`, frames };
  });

linuxTest('IPv4 options are read, written, refused, sent on and answered as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      fc.array(settings, { maxLength: 4 }),
      fc.array(step, { minLength: 10, maxLength: 30, size: 'max' }),
      async (made, steps) => {
        const twin = await Twin.start(
          DEVICES.map((name) => ({ name })),
          SET_UP,
        );
        twin.settle = settleTimes;
        twin.ours.world.advance(OUR_TIME);
        try {
          await twin.all(made);
          for (const { port, told, frames } of steps)
            for (const frame of frames) await twin.send(port, frame, told);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(10, 1),
  );
  t.pass();
});
