import type { ExecutionContext } from 'ava';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import { waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { WITHIN } from '../support/eventually.ts';
import { QUICK_TIMERS, reportOf, until } from '../support/lab.ts';
import { BAD_MESSAGES, type Outcome } from './bad-messages.ts';
import type { Driver } from './driver.ts';
import { outcomesOf } from './faults.ts';
import { interopTest } from './harness.ts';
import { capabilitiesOf, foldOf, messages } from './observe.ts';
import { difference, expectedRoutes, onlyGenerated, routeGroups, routeOfRow } from './routes.ts';
import { sharedLab } from './start.ts';

const ROUTES = 10_000;
const SOURCE_AS = 65_010;
const OUR_AS = 65_001;
const SINK_AS = 65_020;
const ROUTE_REFRESH = 5;

/** Announced by r1 itself; its own loopback is another. */
const OWN = '192.0.2.0/24';

/**
 * What is asked of every daemon, in one lab: `source` announces 10,000 routes to r1, an emulated router, and r1 tells
 * them to `sink`, another instance of the same daemon.
 */
export function interopSuite(driver: Driver): void {
  const { kind } = driver;
  const test = interopTest(kind);
  const groups = routeGroups(ROUTES);
  const shared = sharedLab(`
name: interop-${kind}
topology:
  nodes:
    r1: { kind: router, bgp: { as: ${OUR_AS}, networks: [${OWN}], session: ${JSON.stringify(driver.session)} } }
    source:
      kind: ${kind}
      bgp: { as: ${SOURCE_AS} }
      daemon: { config: ${JSON.stringify(driver.config(groups, SOURCE_AS))} }
    sink: { kind: ${kind}, bgp: { as: ${SINK_AS} } }
  links:
    - { endpoints: ["r1:eth1", "source:eth1"], subnet: 10.0.0.0/31 }
    - { endpoints: ["r1:eth2", "sink:eth1"], subnet: 10.0.1.0/31 }
${QUICK_TIMERS}`);

  /** Routes of the groups at r1 and at the sink are these and no others. */
  const holds = async (t: ExecutionContext, lab: BusLab, left = groups): Promise<void> => {
    const { bgp } = await foldOf(lab, 'r1');
    const atR1 = expectedRoutes(left, [SOURCE_AS], '10.0.0.1', driver.med);
    t.is(
      difference(onlyGenerated((bgp.adjRibIn.source ?? []).map(routeOfRow)), atR1),
      '',
      'Adj-RIB-In of r1',
    );
    const atSink = expectedRoutes(left, [OUR_AS, SOURCE_AS], '10.0.1.0', 'dropped');
    t.is(difference(onlyGenerated(await driver.routes(lab, 'sink')), atSink), '', 'table of the sink');
  };

  test(`${kind}: the session is up with the capabilities that both ends say they have`, async (t) => {
    const lab = await shared.lab();
    for (const node of ['source', 'sink']) {
      const { ours, theirs, holdTime } = await capabilitiesOf(lab, 'r1', node);
      const said = await driver.capabilities(lab, node, 'r1');
      const known = (names: readonly string[]) => names.filter((name) => driver.shows.includes(name));
      t.deepEqual(said.remote, known(ours), `${node} of r1`);
      t.deepEqual(said.local, known(theirs), `r1 of ${node}`);
      t.is(said.holdTime ?? holdTime, holdTime);
      for (const name of ['multiprotocol ipv4', 'four-octet-as', 'route-refresh']) {
        t.true(ours.includes(name) && theirs.includes(name), name);
      }
    }
  });

  test(`${kind}: 10,000 routes come and go with all their attributes`, async (t) => {
    const lab = await shared.lab();
    await driver.load(lab, 'source', groups, SOURCE_AS);
    await until(lab, 'r1 has all routes', async () => (await reportOf(lab, 'r1')).routes >= ROUTES);
    await quiet(t, lab);
    await holds(t, lab);
    const own = (await driver.routes(lab, 'sink')).find(({ prefix }) => prefix === OWN);
    t.is(own?.path, String(OUR_AS));
    t.is(own?.nextHop, '10.0.1.0');
    const verdict = await verifyNode(lab, 'r1');
    t.is(verdict.state, 'verified');
    t.deepEqual(verdict.differences, []);
  });

  test(`${kind}: bad messages get the notifications that are known of it`, async (t) => {
    const expected = BAD_MESSAGES.map(({ name, outcome }) => [name, driver.deviations[name] ?? outcome]);
    t.deepEqual(await faults(t, driver), Object.fromEntries(expected));
  });

  const { refresh } = driver;
  if (refresh !== null) {
    test(`${kind}: route refresh, asked by it`, async (t) => {
      const lab = await shared.lab();
      const before = await reportOf(lab, 'r1');
      await refresh(lab, 'sink', 'r1');
      await until(lab, 'r1 is asked', async () =>
        (await messages(lab, 'r1', 'sink', ROUTE_REFRESH)).some(({ direction }) => direction === 'received'),
      );
      await quiet(t, lab);
      const after = await reportOf(lab, 'r1');
      t.true(after.updatesSent >= before.updatesSent + groups.length, 'r1 tells all again');
      await holds(t, lab);
    });
  }

  test(`${kind}: route refresh, asked by us`, async (t) => {
    const lab = await shared.lab();
    const before = await reportOf(lab, 'r1');
    await lab.act({ type: 'bgp', node: 'r1', request: { op: 'refresh', peer: 'source', family: 'ipv4' } });
    await until(lab, 'the source tells all again', async () => {
      const { updatesReceived } = await reportOf(lab, 'r1');
      return updatesReceived >= before.updatesReceived + groups.length;
    });
    await quiet(t, lab);
    await holds(t, lab);
    const { ours, theirs } = await capabilitiesOf(lab, 'r1', 'source');
    const enhanced = [ours, theirs].every((names) => names.includes('enhanced-route-refresh'));
    t.deepEqual(await refreshMarks(lab), enhanced ? ['begin', 'end'] : []);
  });

  test(`${kind}: what is withdrawn goes, at either end`, async (t) => {
    const lab = await shared.lab();
    const left = await driver.withdraw(lab, 'source', groups, SOURCE_AS);
    const count = left.reduce((sum, { prefixes }) => sum + prefixes.length, 0);
    await until(lab, 'r1 has lost routes', async () => (await reportOf(lab, 'r1')).routes < count + 100);
    await quiet(t, lab);
    await holds(t, lab, [...left]);

    await lab.act({ type: 'bgp', node: 'r1', request: { op: 'withdraw', prefix: OWN } });
    await until(lab, 'the sink has lost it', async () => !(await sinkHas(OWN)));
    await lab.act({ type: 'bgp', node: 'r1', request: { op: 'announce', prefix: OWN } });
    await until(lab, 'the sink has it again', () => sinkHas(OWN));
    t.pass();

    async function sinkHas(prefix: string): Promise<boolean> {
      return (await driver.routes(lab, 'sink')).some((route) => route.prefix === prefix);
    }
  });
}

/** What the source has sent around its answer, RFC 7313 §4. */
async function refreshMarks(lab: BusLab): Promise<string[]> {
  const received = (await messages(lab, 'r1', 'source', ROUTE_REFRESH)).filter(
    ({ direction }) => direction === 'received',
  );
  return received.map(({ message }) => ['request', 'begin', 'end'][message[21] ?? 0] ?? 'unknown');
}

/** Bad messages and what the daemon makes of them; those that end it are sent to one of its own. */
async function faults(t: ExecutionContext, { kind, deviations }: Driver): Promise<Record<string, Outcome>> {
  const fatal = BAD_MESSAGES.filter(({ name }) => deviations[name] === 'crashes');
  const others = BAD_MESSAGES.filter((bad) => !fatal.includes(bad));
  const found = await Promise.all(
    [others, ...fatal.map((bad) => [bad])].map((cases) => outcomesOf(t, kind, cases)),
  );
  return Object.assign({}, ...found);
}

async function quiet(t: ExecutionContext, lab: BusLab): Promise<void> {
  const since = { at: lab.now(), reports: [] };
  const result = await waitConverged(lab, { within: WITHIN, since });
  t.true(result.converged, result.reasons.join('; '));
}
