import fc from 'fast-check';
import { fragment4, icmpEcho, type Packet4, piece4 } from '../../nodes/kernel/linux/frames4.ts';
import { ROUTER } from '../../nodes/kernel/linux/router4.ts';
import { udp } from '../../nodes/kernel/linux/transport.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

/** 72 bytes above IP, of which most often the pieces are such that they come to a whole. */
const SIZE = 64;
const CUTS = [0, 8, 16, 24, 40, 72];

const settings = one(
  'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
  'iptables -t nat -A PREROUTING -d 10.0.2.3 -p udp -j DNAT --to-destination 10.0.2.2:99',
  'iptables -t nat -A POSTROUTING -o w0 -j MASQUERADE',
  'ip link set w0 mtu 68',
);

const piece = fc
  .record({
    id: one(7, 7, 7, 8),
    dst: one('10.0.1.1', '10.0.1.1', '10.0.2.2', '10.0.2.3'),
    upper: one(icmpEcho('request', SIZE), udp(1_000, 53, SIZE)),
    at: fc.nat(CUTS.length - 2),
    pieces: one(1, 1, 1, 2, 3),
    odd: fc.oneof({ weight: 15, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: one(1, 3, 8) }),
    last: fc.oneof(
      { weight: 20, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    tos: one(0, 0, 0, 0, 0, 0, 2, 3),
    df: one(false, false, false, true),
  })
  .map(({ at, pieces, odd, last, ...packet }) => {
    const [start, end] = [CUTS[at]!, CUTS[Math.min(at + pieces, CUTS.length - 1)]! - odd];
    const whole: Packet4 = { src: '10.0.1.2', ...packet };
    const told = `${packet.dst} ${packet.id} ${start}-${end} ${last}`;
    const frame = last
      ? piece4(whole, new Uint8Array(end - start), { offset: start, more: false })
      : fragment4(whole, start, end);
    return { told, frame };
  });
/** Or all the pieces of one in some order, some twice. */
const set = fc
  .record({
    dst: one('10.0.1.1', '10.0.2.2'),
    id: one(20, 21),
    order: fc.shuffledSubarray([0, 1, 2, 3, 4, 0, 2], { minLength: 5 }),
  })
  .map(({ dst, id, order }) =>
    order.map((i) => {
      const packet = { src: '10.0.1.2', dst, id, upper: udp(1_000, 53, SIZE) };
      return { told: `${dst} ${id} ${CUTS[i]}-`, frame: fragment4(packet, CUTS[i]!, CUTS[i + 1]!) };
    }),
  );
const steps = fc.array(
  fc.oneof({ weight: 4, arbitrary: piece.map((each) => [each]) }, { weight: 1, arbitrary: set }),
  {
    minLength: 15,
    maxLength: 40,
    size: 'max',
  },
);

linuxTest(
  'fragments that come in any order, twice, over one another or not at all are put together as in Linux',
  async (t) => {
    t.timeout(600_000);
    await fc.assert(
      fc.asyncProperty(fc.array(settings, { maxLength: 3 }), steps, fc.nat(3), async (made, given, waits) => {
        const twin = await Twin.start([{ name: 'v0' }, { name: 'w0' }], ROUTER);
        try {
          await twin.all([...made, `sysctl -w net.ipv4.ipfrag_time=${waits === 0 ? 2 : 300}`]);
          for (const { told, frame } of given.flat()) await twin.send(0, frame, told);
          if (waits === 0) await twin.later(2_400);
        } finally {
          twin.stop();
        }
      }),
      runs(10, 1),
    );
    t.pass();
  },
);
