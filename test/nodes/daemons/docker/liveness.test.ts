import test from 'ava';
import { Liveness } from '../../../../nodes/daemons/docker/swarm/liveness.ts';
import type { NodeRow, NodeStatusRow } from '../../../../nodes/daemons/docker/swarm/rows.ts';
import { FakeWorld } from '../../../support/runtime.ts';

/** ms without a heartbeat that make a node one that is down. */
const DOWN = 15_000;

function row(hostname: string, role: NodeRow['role']): NodeRow {
  return { id: hostname, hostname, address: '10.0.0.1', role, availability: 'active', labels: {} };
}

/** n1 leads n2, of which it heard at a time. */
function leader(heardAt: number) {
  const world = new FakeWorld();
  const rt = world.runtime();
  const all = [row('n1', 'manager'), row('n2', 'worker')];
  const states = new Map<string, NodeStatusRow['state']>();
  const asked = { times: 0 };
  const downAt: number[] = [];
  const liveness = new Liveness(rt, {
    node: 'n1',
    role: () => 'manager',
    members: {
      all,
      managers: all.slice(0, 1),
      leader: 'n1',
      get: (hostname) => all.find((each) => each.hostname === hostname) ?? null,
      lead: () => {},
      setStatus: ({ hostname }, state) => {
        states.set(hostname, state);
      },
      statusOf: ({ id, hostname }) => ({ id, state: states.get(hostname) ?? 'ready', at: 0, message: '' }),
    },
    sessions: {
      heard: () => {
        if (++asked.times > 1_000) throw new Error('it looks again and again');
        return heardAt;
      },
    },
    onDown: () => downAt.push(world.now),
    onChanged: () => {},
  });
  return { world, liveness, downAt };
}

test('who is silent is down after three periods, once', (t) => {
  const { world, liveness, downAt } = leader(0);
  liveness.look();
  world.advance(DOWN - 1);
  t.deepEqual(downAt, []);
  world.advance(60_000);
  t.deepEqual(downAt, [DOWN]);
});

test('the time that is left may be less than the clock can tell', (t) => {
  // At the deadline, which is rounded, a little of the time is left that does not move the clock.
  const heardAt = Array.from({ length: 10_000 }, (_, i) => i / 7).find((heard) => {
    const deadline = heard + DOWN;
    const left = DOWN - (deadline - heard);
    return left > 0 && deadline + left === deadline;
  });
  t.not(heardAt, undefined);
  const { world, liveness, downAt } = leader(heardAt!);
  world.advance(heardAt!);
  liveness.look();
  world.advance(60_000);
  t.deepEqual(downAt, [heardAt! + DOWN]);
});
