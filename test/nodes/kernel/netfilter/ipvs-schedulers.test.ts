import test from 'ava';
import fc from 'fast-check';
import { SCHEDULERS, type SchedulerName } from '../../../../nodes/kernel/netfilter/ipvs/schedulers.ts';
import { DEFAULT_SERVICE, Destination, Service } from '../../../../nodes/kernel/netfilter/ipvs/service.ts';

interface State {
  readonly weight: number;
  readonly active: number;
  readonly inactive: number;
  readonly overloaded: boolean;
}

/** A service whose destinations stand in the order given, the first the newest. */
function service(scheduler: SchedulerName, states: readonly State[], flags: readonly string[] = []): Service {
  const made = new Service({ proto: 6, addr: 1, port: 80 }, spec(scheduler, flags), 0);
  for (const [i, state] of [...states.entries()].reverse()) {
    const server = new Destination(
      made,
      { addr: 100 + i, port: 80, forward: 'Masq', weight: state.weight, upper: 0, lower: 0 },
      0,
    );
    Object.assign(server, state);
    made.destinations.unshift(server);
    made.scheduler.changed(null);
  }
  return made;
}

function spec(scheduler: SchedulerName, flags: readonly string[] = []) {
  return {
    ...DEFAULT_SERVICE,
    scheduler,
    shFallback: flags.includes('sh-fallback'),
    shPort: flags.includes('sh-port'),
  };
}

const idle = (weight: number): State => ({ weight, active: 0, inactive: 0, overloaded: false });
const packet = (src = 1, srcPort = 1, dst = 1) => ({ src, dst, srcPort });

function picks(of: Service, count: number): string {
  return Array.from({ length: count }, () => {
    const chosen = of.scheduler.schedule(packet());
    return chosen === null ? '-' : 'abcdefgh'[chosen.addr - 100];
  }).join('');
}

const states = fc.array(
  fc.record({
    weight: fc.integer({ min: 0, max: 9 }),
    active: fc.integer({ min: 0, max: 4 }),
    inactive: fc.integer({ min: 0, max: 600 }),
    overloaded: fc.boolean(),
  }),
  { maxLength: 8 },
);

test('rr: one after the other, but those of weight 0', (t) => {
  t.is(picks(service('rr', [idle(1), idle(5), idle(1)]), 7), 'abcabca');
  t.is(picks(service('rr', [idle(1), idle(0), idle(1)]), 4), 'acac');
  t.is(picks(service('rr', [idle(0), idle(0)]), 2), '--');
  t.is(picks(service('rr', []), 1), '-');
});

test('rr: goes on from the one before where the last one chosen is taken out', (t) => {
  const rr = service('rr', [idle(1), idle(1), idle(1)]);
  t.is(picks(rr, 2), 'ab');
  const [destination] = rr.destinations.splice(1, 1);
  rr.scheduler.changed({ destination: destination!, before: rr.destinations[0]! });
  t.is(picks(rr, 3), 'cac');
});

/**
 * The sequence that the IPVS documents have for weights 4, 3 and 2 is AABABCABC. A service that has got its servers one by one
 * begins in the last pass, of all: `ip_vs_wrr_dest_changed` leaves the weight asked for at what the first one had.
 */
test('wrr: the heaviest first, all of them by their weights in a round', (t) => {
  t.is(picks(service('wrr', [idle(4), idle(3), idle(2)]), 18), 'abcaababcabcaababc');
  t.is(picks(service('wrr', [idle(2), idle(4)]), 6), 'abbabb');
  t.is(picks(service('wrr', [idle(0), idle(0)]), 2), '--');
});

test('wrr: in a round each gets as many as its weight by the common divisor of all', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 6 }), (weights) => {
      const wrr = service('wrr', weights.map(idle));
      const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
      const divisor = weights.reduce(gcd, 0);
      const round = divisor === 0 ? 0 : weights.reduce((sum, weight) => sum + weight / divisor, 0);
      for (let n = 0; n < 2; n++) {
        const chosen = picks(wrr, round);
        t.deepEqual(
          weights.map((_, i) => chosen.split('abcdefgh'[i]!).length - 1),
          weights.map((weight) => (divisor === 0 ? 0 : weight / divisor)),
        );
      }
    }),
  );
});

/** By the words of ipvsadm(8), with exact fractions. */
function naive(name: 'lc' | 'wlc' | 'sed' | 'nq', all: readonly State[]): number | null {
  const usable = [...all.entries()].filter(([, { weight, overloaded }]) => weight > 0 && !overloaded);
  if (name === 'nq') {
    const free = usable.find(([, { active }]) => active === 0);
    if (free !== undefined) return free[0];
  }
  const cost = ({ active, inactive, weight }: State): bigint => {
    // All weights up to 9 divide 2520.
    if (name === 'lc') return BigInt(active * 256 + inactive);
    const scaled = BigInt(2520 / weight);
    return scaled * BigInt(name === 'wlc' ? active * 256 + inactive : active + 1);
  };
  let best: readonly [number, State] | null = null;
  for (const each of usable) if (best === null || cost(each[1]) < cost(best[1])) best = each;
  return best === null ? null : best[0];
}

for (const name of ['lc', 'wlc', 'sed', 'nq'] as const)
  test(`${name}: the first with the least cost`, (t) => {
    fc.assert(
      fc.property(states, (all) => {
        const chosen = service(name, all).scheduler.schedule(packet());
        t.is(chosen === null ? null : chosen.addr - 100, naive(name, all));
      }),
    );
  });

/** hash_32(10.0.1.2, 8) by linux/hash.h, worked out by hand in 64-bit arithmetic. */
function hash32(value: bigint): number {
  return Number(((value * 0x61c88647n) & 0xffffffffn) >> 24n);
}

test('sh: by the source alone, 256 buckets by weight; a dead server gets nothing, or its clients go on', (t) => {
  const weights = [3, 1, 2];
  const table = Array.from({ length: 256 }, (_, i) => [0, 0, 0, 1, 2, 2][i % 6]!);
  const sh = service('sh', weights.map(idle));
  const port = service('sh', weights.map(idle), ['sh-port']);
  const fallback = service('sh', [idle(1), idle(0), idle(1)], ['sh-fallback']);
  const plain = service('sh', [idle(1), idle(0), idle(1)]);
  fc.assert(
    fc.property(fc.nat({ max: 0xffffffff }), fc.nat({ max: 65_535 }), (src, srcPort) => {
      const at = hash32(BigInt(src));
      const index = (chosen: Destination | null) => (chosen === null ? null : chosen.addr - 100);
      t.is(index(sh.scheduler.schedule(packet(src, srcPort))), table[at]!);
      t.is(index(port.scheduler.schedule(packet(src, srcPort))), table[hash32(BigInt(src + srcPort))]!);
      const dead = at % 3 === 1;
      t.is(index(plain.scheduler.schedule(packet(src))), dead ? null : at % 3);
      t.not(index(fallback.scheduler.schedule(packet(src))), 1);
      t.not(index(fallback.scheduler.schedule(packet(src))), null);
    }),
  );
});

test('dh: by the destination, in turns whatever the weight', (t) => {
  const dh = service('dh', [idle(5), idle(1), idle(1)]);
  fc.assert(
    fc.property(fc.nat({ max: 0xffffffff }), (dst) => {
      t.is(dh.scheduler.schedule(packet(1, 1, dst))?.addr, 100 + (hash32(BigInt(dst)) % 3));
    }),
  );
});

test('none chooses what is not to be chosen, whatever comes and goes', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...SCHEDULERS.filter((name) => name !== 'none')),
      states,
      fc.array(fc.nat()),
      (name, all, steps) => {
        const made = service(name, all);
        for (const step of steps) {
          const chosen = made.scheduler.schedule(packet(step, step & 0xffff, step));
          if (chosen !== null) {
            t.true(made.destinations.includes(chosen));
            t.true(chosen.weight > 0 && !chosen.overloaded);
            chosen.active++;
          } else if (name !== 'sh' && name !== 'dh')
            t.false(made.destinations.some((each) => each.weight > 0 && !each.overloaded));
          const at = step % Math.max(made.destinations.length, 1);
          const destination = made.destinations[at];
          if (destination === undefined) continue;
          if (step % 3 === 0) {
            made.destinations.splice(at, 1);
            made.scheduler.changed({ destination, before: made.destinations[at - 1] ?? null });
          } else {
            destination.weight = step % 4;
            made.scheduler.changed(null);
          }
        }
      },
    ),
  );
});
