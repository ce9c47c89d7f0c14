import fc from 'fast-check';
import { icmpEcho, packet4 } from '../../nodes/kernel/linux/frames4.ts';
import {
  BEHIND_0,
  BEHIND_1,
  Family,
  PARENT,
  PORTS,
  reply,
  request,
} from '../../nodes/kernel/linux/stacked.ts';
import { NEIGHBOR_MAC } from '../../support/router.ts';
import { guestTestWith, runs } from './suite.ts';
import { Twin } from './twin.ts';

const guestTest = guestTestWith();
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const [M0, M1, NOBODY] = [0x0200_0000_0010, 0x0200_0000_0011, 0x0200_0000_0099];
const BROADCAST = 0xffff_ffff_ffff;

interface Frame {
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** Of hosts on the wire, or of one behind p0 that a switch sends back. */
const sender = one(
  { ip: '10.0.0.2', mac: NEIGHBOR_MAC },
  { ip: '10.0.0.2', mac: NEIGHBOR_MAC },
  { ip: '10.0.0.3', mac: NEIGHBOR_MAC + 1 },
  { ip: '10.0.0.10', mac: M0 },
  { ip: '10.0.0.10', mac: PARENT },
  { ip: '10.0.0.11', mac: PARENT },
);
const target = one(
  '10.0.0.1',
  '10.0.0.10',
  '10.0.0.10',
  '10.0.0.11',
  '10.0.0.11',
  '10.0.0.12',
  '10.0.1.2',
  '10.0.2.2',
);
const onWire = fc
  .record({
    sender,
    target,
    to: one(M0, M1, PARENT, PARENT, NOBODY, BROADCAST, BROADCAST),
    what: one('ask', 'ask', 'answer', 'ping', 'ping', 'ping'),
  })
  .map(({ sender: { ip, mac }, target: dst, to, what }): Frame => {
    const arp = { spa: ip, tpa: dst, from: mac, to };
    const ping = { src: ip, dst, to, from: mac, upper: icmpEcho('request') };
    return { port: 0, bytes: what === 'ask' ? request(arp) : what === 'answer' ? reply(arp) : packet4(ping) };
  });
/** Of the stations behind m0 and m1. */
const behind = fc
  .record({ port: one(1, 2), dst: fc.oneof(target, one('10.0.0.2', '10.0.0.3', '10.8.0.1')) })
  .map(
    ({ port, dst }): Frame => ({
      port,
      bytes: packet4({
        ...{ src: `10.0.${port}.2`, dst, to: port === 1 ? BEHIND_0 : BEHIND_1 },
        upper: icmpEcho('request'),
      }),
    }),
  );

/** What is done to m0 or m1. */
type Setting = readonly [device: 0 | 1, words: string];
const setting = (...words: readonly string[]): fc.Arbitrary<Setting> =>
  fc.tuple(one<0 | 1>(0, 1), one('down', 'up', 'up', ...words));
const steps = (settings: fc.Arbitrary<Setting>) =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: onWire },
      { weight: 4, arbitrary: behind },
      { weight: 1, arbitrary: settings },
    ),
    { minLength: 40, maxLength: 60, size: 'max' },
  );

let families = 0;

function compares(title: string, types: readonly string[], settings: fc.Arbitrary<Setting>, seed: number) {
  guestTest(title, async (t, guest) => {
    t.timeout(600_000);
    await fc.assert(
      fc.asyncProperty(steps(settings), async (list) => {
        families += 1;
        const family = new Family(`s${families}`);
        const twin = await Twin.start(PORTS, family.routing(types), { guest });
        try {
          for (const step of list) {
            if ('bytes' in step) await twin.send(step.port, step.bytes);
            else await twin.all([`${[family.in0, family.in1][step[0]]} link set m${step[0]} ${step[1]}`]);
          }
        } finally {
          twin.stop();
        }
      }),
      runs(1, seed),
    );
    t.pass();
  });
}

compares(
  'macvlan devices reach each other, the host and the wire as in Linux',
  [0, 1].map((i) => `address 02:00:00:00:00:1${i} type macvlan mode bridge`),
  setting(...['private', 'vepa', 'bridge', 'bridge', 'passthru'].map((mode) => `type macvlan mode ${mode}`)),
  11,
);

compares(
  'ipvlan devices reach each other, the host and the wire as in Linux',
  [0, 1].map(() => 'type ipvlan mode l2'),
  setting(
    ...['l2', 'l2 private', 'l2 vepa', 'l3', 'l3', 'l3 private', 'l3s', 'l3s vepa'].map(
      (mode) => `type ipvlan mode ${mode}`,
    ),
  ),
  12,
);
