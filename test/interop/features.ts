import type { ExecutionContext } from 'ava';
import type { LabEvent } from '../../nodes/events/index.ts';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { launch, QUICK_TIMERS, run, until } from '../support/lab.ts';
import type { Driver } from './driver.ts';
import { interopTest } from './harness.ts';
import { foldOf, tool } from './observe.ts';
import { sharedLab } from './start.ts';

/** Announced by two neighbours of `mid`, so that it has two paths. */
const TWICE = '203.0.113.0/24';
const MID4 = '198.51.100.0/24';
const MID6 = '2001:db8:10::/48';
const R4 = '192.0.2.0/24';
const R6 = '2001:db8:1::/48';
const LLGR_STALE = '65535:6';

/**
 * What goes beyond routes of one family and one session: IPv6, several paths to a prefix, restarts, reflection. `mid` and
 * `sink` are the daemon, r1 between them an emulated router.
 */
export function featureSuite(driver: Driver): void {
  const { kind } = driver;
  const test = interopTest(kind);
  const shared = sharedLab(`
name: interop-features-${kind}
topology:
  nodes:
    r1:
      kind: router
      bgp:
        as: 65001
        networks: [${R4}, "${R6}"]
        session: { families: [ipv4, ipv6], gracefulRestart: { restartTime: 60s } }
        peers:
          mid: { addPath: receive, nextHop6: "2001:db8:a::1" }
          sink: { addPath: send, nextHop6: "2001:db8:b::1" }
    r2: { kind: router, bgp: { as: 65002, networks: [${TWICE}] } }
    r3: { kind: router, bgp: { as: 65003, networks: [${TWICE}] } }
    mid:
      kind: ${kind}
      bgp:
        as: 65010
        networks: [${MID4}, "${MID6}"]
        gracefulRestart: { restartTime: 60s }
        peers: { r1: { families: [ipv4, ipv6], addPath: send, nextHop6: "2001:db8:a::2" } }
    sink:
      kind: ${kind}
      bgp:
        as: 65020
        gracefulRestart: { restartTime: 60s }
        peers: { r1: { families: [ipv4, ipv6], addPath: receive, nextHop6: "2001:db8:b::2" } }
  links:
    - { endpoints: ["r1:eth1", "mid:eth1"], subnet: 10.0.0.0/31 }
    - { endpoints: ["r1:eth2", "sink:eth1"], subnet: 10.0.1.0/31 }
    - { endpoints: ["r2:eth1", "mid:eth2"], subnet: 10.0.2.0/31 }
    - { endpoints: ["r3:eth1", "mid:eth3"], subnet: 10.0.3.0/31 }
${QUICK_TIMERS}`);

  /** What r1 has of the daemon, and what the two daemons have of r1. */
  const tables = async (lab: BusLab) => {
    const [atR1, atSink4, atSink6, atSinkOwn, atMid6] = await Promise.all([
      receivedOf(lab, 'r1', 'mid'),
      driver.paths(lab, 'sink', TWICE),
      driver.paths(lab, 'sink', MID6),
      driver.paths(lab, 'sink', R4),
      driver.paths(lab, 'mid', R6),
    ]);
    const plain = (paths: readonly { path: string; nextHop: string }[]) => {
      const words = paths.map(({ path, nextHop }) => `${path} via ${nextHop}`).toSorted();
      return driver.forgets.includes('stale path') ? [...new Set(words)] : words;
    };
    return {
      r1: [TWICE, MID4, MID6].map((prefix) => plain(atR1.filter((row) => row.prefix === prefix))),
      sink: [atSink4, atSink6, atSinkOwn].map(plain),
      mid: plain(atMid6),
    };
  };
  const complete = async (t: ExecutionContext, lab: BusLab) => {
    const wanted = JSON.stringify(COMPLETE);
    await until(lab, 'all routes are there', async () => JSON.stringify(await tables(lab)) === wanted).catch(
      async () => t.deepEqual(await tables(lab), COMPLETE),
    );
  };
  const COMPLETE = {
    r1: [
      ['65010 65002 via 10.0.0.1', '65010 65003 via 10.0.0.1'],
      ['65010 via 10.0.0.1'],
      ['65010 via 2001:db8:a::2'],
    ],
    sink: [
      ['65001 65010 65002 via 10.0.1.0', '65001 65010 65003 via 10.0.1.0'],
      ['65001 65010 via 2001:db8:b::1'],
      ['65001 via 10.0.1.0'],
    ],
    mid: ['65001 via 2001:db8:a::1'],
  };

  test(`${kind}: IPv6 routes with their next hops, and two paths to a prefix, both ways`, async (t) => {
    const lab = await shared.lab();
    await complete(t, lab);
    const { bgp } = await foldOf(lab, 'r1');
    const ids = (bgp.adjRibIn.mid ?? []).filter(({ prefix }) => prefix === TWICE).map(({ pathId }) => pathId);
    t.is(new Set(ids).size, 2, 'by path identifiers');
    t.false(ids.includes(undefined));
    t.deepEqual((await verifyNode(lab, 'r1')).differences, []);
  });

  if (kind !== 'bird') {
    test(`${kind}: asked for BFD it says why it has none`, async (t) => {
      const asked = tool(await shared.lab(), 'mid', ['birdc', 'show', 'bfd', 'sessions']);
      await t.throwsAsync(asked, { message: /^birdc show bfd sessions: mid has no BFD: / });
    });
  }

  test(`${kind}: while it restarts its routes stay in use, and are told anew`, async (t) => {
    const lab = await shared.lab();
    const before = lab.now();
    await lab.act({ type: 'kill', node: 'mid', how: 'reset' });
    await until(lab, 'r1 keeps its routes as stale', async () =>
      (await staleEvents(lab, before)).includes('ipv6 retained'),
    );
    t.regex((await run(lab, 'r1', 'ip route')).output, /^198\.51\.100\.0\/24 via 10\.0\.0\.1 dev eth1/m);
    t.regex((await run(lab, 'r1', `birdc show why ${MID4}`)).output, /from mid .*, stale$/m);
    await lab.act({ type: 'start', node: 'mid' });
    await until(lab, 'it is back', async () => (await staleEvents(lab, before)).includes('established'));
    const seen = await staleEvents(lab, before);
    t.deepEqual(seen.slice(0, seen.indexOf('established')), ['ipv4 retained', 'ipv6 retained']);
    await until(lab, 'what it does not tell again is gone', async () => {
      const { output } = await run(lab, 'r1', 'birdc show neighbors mid');
      return / \(0 stale\)/.test(output);
    });
    await complete(t, lab);
    // What it learned is never gone; nor what it originates, unless it forgets that.
    const lost = (await losses(lab, before)).filter(
      (prefix) => !driver.forgets.includes('own') || prefix === TWICE,
    );
    t.deepEqual(lost, []);
  });

  test(`${kind}: while we restart it keeps our routes, and hears them anew`, async (t) => {
    const lab = await shared.lab();
    const before = lab.now();
    await lab.act({ type: 'bgp', node: 'r1', request: { op: 'restart' } });
    // As soon as its session is gone, and for as long as it is: the table of the sink is looked at all the time.
    const lost: string[] = [];
    await until(lab, 'both sessions are back', async () => {
      const own = await driver.paths(lab, 'sink', R4);
      if (own.length === 0) lost.push(R4);
      const { bgp } = await foldOf(lab, 'r1');
      return bgp.sessions.every(({ state }) => state === 'Established');
    });
    t.deepEqual(lost, []);
    await complete(t, lab);
    t.true((await staleEvents(lab, before)).length > 0);
    t.deepEqual((await verifyNode(lab, 'r1')).differences, []);
  });

  test(`${kind}: reflects for emulated clients, and is a client of an emulated reflector`, async (t) => {
    const node = (name: string, k: string, net: string, more = '') =>
      `    ${name}: { kind: ${k}, bgp: { as: 65000, networks: [${net}]${more} } }`;
    const { lab } = await launch(
      t,
      `
name: interop-reflect-${kind}
topology:
  nodes:
${node('e1', 'router', '10.1.1.0/24')}
${node('e2', 'router', '10.1.2.0/24')}
    rd: { kind: ${kind}, bgp: { as: 65000, clusterId: 10.9.9.9, neighbors: [{ node: e1, routeReflectorClient: true }, { node: e2, routeReflectorClient: true }] } }
${node('d1', kind, '10.2.1.0/24')}
${node('d2', kind, '10.2.2.0/24')}
    re: { kind: router, bgp: { as: 65000, clusterId: 10.8.8.8, neighbors: [{ node: d1, routeReflectorClient: true, nextHopSelf: false }, { node: d2, routeReflectorClient: true, nextHopSelf: false }] } }
  links:
    - { endpoints: ["e1:eth1", "rd:eth1"], subnet: 10.0.0.0/31 }
    - { endpoints: ["e2:eth1", "rd:eth2"], subnet: 10.0.0.2/31 }
    - { endpoints: ["d1:eth1", "re:eth1"], subnet: 10.0.0.4/31 }
    - { endpoints: ["d2:eth1", "re:eth2"], subnet: 10.0.0.6/31 }
${QUICK_TIMERS}`,
    );
    const [atE1] = (await receivedOf(lab, 'e1', 'rd')).filter(({ prefix }) => prefix === '10.1.2.0/24');
    const e2 = await routerIdOf(lab, 'e2');
    t.like(atE1, { path: '', originatorId: e2, clusterList: ['10.9.9.9'] });
    const [atD1] = await driver.paths(lab, 'd1', '10.2.2.0/24');
    t.like(atD1, { path: '', nextHop: '10.0.0.6' });
    const told = ((await foldOf(lab, 're')).bgp.adjRibOut.d1 ?? []).find(
      ({ prefix }) => prefix === '10.2.2.0/24',
    );
    t.deepEqual(told?.attributes.clusterList, ['10.8.8.8']);
    // FRR tells a client even its own route.
    const own = (await foldOf(lab, 'e1')).bgp.locRib.find(({ prefix }) => prefix === '10.1.1.0/24');
    t.is(own?.peer, '');
  });

  test(`${kind}: long-lived stale routes, of ours with it and of its own with us`, async (t) => {
    const restart = 'gracefulRestart: { restartTime: 1s, longLivedTime: 600s }';
    const { lab } = await launch(
      t,
      `
name: interop-llgr-${kind}
topology:
  nodes:
    r4: { kind: router, bgp: { as: 65001, networks: [${R4}], ${restart} } }
    l1: { kind: ${kind}, bgp: { as: 65010, networks: [${MID4}], ${restart} } }
    l2: { kind: ${kind}, bgp: { as: 65020, ${restart} } }
  links:
    - { endpoints: ["r4:eth1", "l1:eth1"], subnet: 10.0.0.0/31 }
    - { endpoints: ["r4:eth2", "l2:eth1"], subnet: 10.0.1.0/31 }
${QUICK_TIMERS}`,
    );
    const isStaleAt = async (node: string, prefix: string) =>
      (await driver.paths(lab, node, prefix)).some(({ communities }) => communities.includes(LLGR_STALE));
    await lab.act({ type: 'kill', node: 'r4', how: 'reset' });
    await until(lab, 'it keeps ours', () => isStaleAt('l2', R4));
    await lab.act({ type: 'start', node: 'r4' });
    await until(lab, 'it has ours anew', async () => !(await isStaleAt('l2', R4)));
    // What l2 keeps of before has the community: until it is gone, r4 need not have heard of l1 yet.
    await until(lab, 'and its own', async () => {
      const paths = await driver.paths(lab, 'l2', MID4);
      return paths.length > 0 && paths.every(({ communities }) => !communities.includes(LLGR_STALE));
    });

    await lab.act({ type: 'kill', node: 'l1', how: 'reset' });
    await until(lab, 'its own goes on as long-lived stale', () => isStaleAt('l2', MID4));
    t.regex((await run(lab, 'r4', `birdc show why ${MID4}`)).output, /from l1 .*, long-lived stale$/m);
    t.regex((await run(lab, 'r4', 'ip route')).output, /^198\.51\.100\.0\/24 via 10\.0\.0\.1/m);
  });
}

interface Received {
  readonly prefix: string;
  readonly path: string;
  readonly nextHop: string;
  readonly originatorId: string;
  readonly clusterList: readonly string[];
}

/** Adj-RIB-In of a node, by its log. */
async function receivedOf(lab: BusLab, node: string, peer: string): Promise<Received[]> {
  const { bgp } = await foldOf(lab, node);
  return (bgp.adjRibIn[peer] ?? []).map(({ prefix, attributes }) => ({
    prefix,
    path: attributes.asPath,
    nextHop: attributes.nexthop,
    originatorId: attributes.originatorId,
    clusterList: attributes.clusterList,
  }));
}

async function routerIdOf(lab: BusLab, node: string): Promise<string> {
  return /router identifier (\S+),/.exec((await run(lab, node, 'birdc show summary')).output)?.[1] ?? '';
}

/** What r1 has made of the routes of its peer `mid` since then, and when the session came up again. */
async function staleEvents(lab: BusLab, since: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const record of lab.records('r1')) {
    const event = record.event as LabEvent;
    if (record.at < since) continue;
    if (event.type === 'bgp.stale' && event.peer === 'mid') seen.push(`${event.family} ${event.what}`);
    if (event.type === 'bgp.session' && event.peer === 'mid' && event.to === 'Established')
      seen.push('established');
  }
  return seen;
}

/** Prefixes that r1 has had no path to since then. */
async function losses(lab: BusLab, since: number): Promise<string[]> {
  const found: string[] = [];
  for await (const record of lab.records('r1')) {
    const event = record.event as LabEvent;
    if (record.at < since || event.type !== 'bgp.best') continue;
    for (const { op, prefix } of event.changes) if (op === 'del') found.push(prefix);
  }
  return found;
}
