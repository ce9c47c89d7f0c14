import test from 'ava';
import { eventId, eventSeq } from '../../../nodes/events/record.ts';
import { seededRandom } from '../../../nodes/random.ts';
import type { NodeView } from '../../../nodes/state/node-fold.ts';
import { churn } from '../../../orchestrator/chaos/churn.ts';
import { ORCHESTRATOR } from '../../../orchestrator/events.ts';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import {
  type LogSource,
  type Moment,
  MomentError,
  parseMoment,
  viewAt,
} from '../../../orchestrator/observe/time-travel.ts';
import { parseSelector } from '../../../orchestrator/selector.ts';
import type { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { calico, flannel, recordsOf, settle, simulate, snapshotOf } from '../../support/sim.ts';

function logOf(lab: SimLab, startedAt = 0): LogSource {
  return {
    records: (node) => lab.records(node),
    numberOf: (node) => {
      if (node === ORCHESTRATOR) return 0;
      const index = lab.nodeNames.indexOf(node);
      return index < 0 ? undefined : index + 1;
    },
    startedAt: async () => startedAt,
  };
}

interface Photo {
  readonly node: string;
  readonly at: number;
  readonly seq: number;
  readonly view: NodeView;
}

/** What every running node is at this moment. */
async function photograph(lab: SimLab): Promise<Photo[]> {
  const photos: Photo[] = [];
  for (const { name, state } of await lab.nodes()) {
    if (state === 'running') photos.push({ node: name, at: lab.now(), ...(await snapshotOf(lab, name)) });
  }
  return photos;
}

const labs: readonly (readonly [title: string, yaml: string])[] = [
  ['calico', calico()],
  ['flannel vxlan', flannel('vxlan')],
];

for (const [title, yaml] of labs) {
  test(`${title}: what the log says of a moment is what the nodes were in it`, async (t) => {
    const lab = await simulate(yaml);
    const album: Photo[] = [];
    // Nothing is due between round times, and nothing is done in the moment of a photo: it has one state.
    const shoot = async (after: number) => {
      await lab.sleep(after + 0.0137);
      album.push(...(await photograph(lab)));
      await lab.sleep(0.001);
    };
    await shoot(10);
    const pods = parseSelector('app=web');
    const churning = churn(lab, {
      pods,
      rate: 10,
      duration: 1_000,
      probes: 2,
      interval: 50,
      random: seededRandom(3),
    });
    for (let i = 0; i < 9; i++) await shoot(113);
    await churning;
    await lab.act({ type: 'kill', node: 'n2', how: 'reset' });
    await shoot(3);
    await lab.act({ type: 'start', node: 'n2' });
    for (let i = 0; i < 5; i++) await shoot(2);
    await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'down' });
    await shoot(100);
    await lab.act({ type: 'link', node: 'n1', device: 'eth0', carrier: 'up' });
    await settle(lab);
    await shoot(10);

    const source = logOf(lab);
    const distinct = new Set<string>();
    for (const { node, at, seq, view } of album) {
      const number = source.numberOf(node)!;
      const byEvent: Moment = { type: 'event', node, id: eventId(number, seq), at };
      t.deepEqual(await viewAt(source, node, byEvent), view, `${node}:${seq}`);
      t.deepEqual(await viewAt(source, node, { type: 'time', at }), view, `${node} at ${at}`);
      distinct.add(`${node} ${JSON.stringify(view)}`);
    }
    t.true(distinct.size > 5 * 3, `${distinct.size} of ${album.length} are different`);
  });
}

test('the routes of a leaf before, in and after the time without a cable', async (t) => {
  const lab = await simulate(await loadLab('examples/two-racks.yaml'));
  const source = logOf(lab);
  const devices = async (moment: Moment) => {
    const { routes } = (await viewAt(source, 'leaf1', moment)).kernel;
    return routes['']?.find(({ dst }) => dst === '10.1.2.0/24')?.nexthops.map(({ dev }) => dev) ?? [];
  };
  const down = await lab.act({ type: 'link', node: 'leaf1', device: 'eth1', carrier: 'down' });
  const pulled = lab.now();
  await settle(lab);
  await lab.act({ type: 'link', node: 'leaf1', device: 'eth1', carrier: 'up' });
  const plugged = lab.now();
  await settle(lab);

  t.deepEqual(await devices({ type: 'time', at: 0 }), [], 'there is nothing in the beginning');
  t.deepEqual(await devices({ type: 'time', at: pulled - 0.001 }), ['eth1', 'eth2']);
  t.deepEqual(await devices({ type: 'time', at: plugged }), ['eth2']);
  t.deepEqual(await devices({ type: 'time', at: lab.now() }), ['eth1', 'eth2']);
  // The very event that took the second next hop away, and the one before it.
  const loss = (await recordsOf(lab, 'leaf1')).find(
    ({ at, event }) =>
      at >= pulled &&
      event.type === 'route.changed' &&
      event.changes.some((change) => change.dst === '10.1.2.0/24'),
  )!;
  const before = await parseMoment(source, `leaf1:${eventSeq(loss.id) - 1}`);
  t.deepEqual(await devices(before), ['eth1', 'eth2']);
  t.deepEqual(await devices(await parseMoment(source, `leaf1:${eventSeq(loss.id)}`)), ['eth2']);
  t.deepEqual(await devices({ type: 'time', at: loss.at }), ['eth2'], 'a time is the end of its moment');
  // An event of the orchestrator is a moment for every node.
  const fault = await parseMoment(source, `${ORCHESTRATOR}:${eventSeq(down)}`);
  t.is(fault.type === 'event' ? fault.node : '', ORCHESTRATOR);
  t.true(fault.at <= pulled);
});

test('a moment is written as an event, as a time since the start, or as a time of day', async (t) => {
  const lab = await simulate(flannel('host-gw'));
  const begin = Date.parse('2026-01-02T03:04:05Z');
  const source = logOf(lab, begin);
  t.deepEqual(await parseMoment(source, '+2.5s'), { type: 'time', at: begin + 2_500 });
  t.deepEqual(await parseMoment(source, '+1m30s'), { type: 'time', at: begin + 90_000 });
  t.deepEqual(await parseMoment(source, '+0'), { type: 'time', at: begin });
  t.deepEqual(await parseMoment(source, '2026-01-02T03:04:07.250Z'), { type: 'time', at: begin + 2_250 });
  t.deepEqual(await parseMoment(source, '2026-01-02T04:04:05+01:00'), { type: 'time', at: begin });
  const [first] = await recordsOf(lab, 'n2');
  t.deepEqual(await parseMoment(source, 'n2:1'), { type: 'event', node: 'n2', id: first!.id, at: first!.at });
});

test('what is no moment is refused, with what would be one', async (t) => {
  const lab = await simulate(flannel('host-gw'));
  const source = logOf(lab);
  const refused: readonly (readonly [text: string, message: RegExp])[] = [
    ['n9:4', /--at n9:4: no node n9 in this lab/],
    ['n1:999999', /no such event in n1's log; reroute log --node n1 lists them/],
    ['n1:0', /no such event in n1's log/],
    ['+soon', /--at \+soon: 'soon' is no duration; write a number and a unit/],
    ['+5', /--at \+5: '5' is no duration/],
    // All of which Date.parse takes for a day.
    ['5', /--at 5: give an event \(n1:42\), a time since the start \(\+2\.5s\) or an ISO time/],
    ['+-1s', /is no duration/],
    ['event 12', /give an event/],
    ['2026', /give an event/],
    ['yesterday', /give an event/],
    ['2026-13-01T00:00:00Z', /give an event/],
    ['', /give an event/],
  ];
  for (const [text, message] of refused)
    await t.throwsAsync(parseMoment(source, text), { instanceOf: MomentError, message }, text);
});
