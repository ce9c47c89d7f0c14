import type { ExecutionContext } from 'ava';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import { verifyNode } from '../../orchestrator/observe/verify.ts';
import { QUICK_TIMERS, run, until } from '../support/lab.ts';
import type { Driver } from './driver.ts';
import { interopTest, missingForIpv6 } from './harness.ts';
import { foldOf } from './observe.ts';
import { difference, expectedRoutes, onlyGenerated, routeGroups, routeOfRow } from './routes.ts';
import { sharedLab } from './start.ts';

const PLAIN_NODE = (kind: string) =>
  `    plain: { kind: ${kind}, bgp: { as: 65030, networks: [${PLAIN4}], session: { extendedNextHop: false } } }`;

const ROUTES = 2_000;
const SOURCE_AS = 65_010;

const OWN4 = '192.0.2.0/24';
const OWN6 = '2001:db8:1::/48';
const FAR4 = '198.51.100.0/24';
const FAR6 = '2001:db8:10::/48';
const PLAIN4 = '203.0.113.0/24';

/**
 * Sessions that are real TCP over IPv6, with both families: r1, an emulated router, between two of the daemons, which have
 * one each. What one tells the other has to be heard with IPv6 next hops all the way; by a third, which takes none for IPv4,
 * with IPv4 ones.
 */
export function ipv6Suite(driver: Driver): void {
  const { kind } = driver;
  const groups = routeGroups(ROUTES);
  // GoBGP always takes them.
  const hasPlain = kind !== 'gobgp';
  const test = interopTest(kind, missingForIpv6());
  const shared = sharedLab(`
name: interop-ipv6-${kind}
topology:
  nodes:
    r1:
      kind: router
      bgp:
        as: 65001
        transport: ipv6
        networks: [${OWN4}, "${OWN6}"]
${hasPlain ? '        peers: { plain: { extendedNextHop: false } }' : ''}
    source:
      kind: ${kind}
      bgp: { as: ${SOURCE_AS}, networks: [${FAR4}, "${FAR6}"] }
      daemon: { config: ${JSON.stringify(driver.config(groups, SOURCE_AS))} }
    sink: { kind: ${kind}, bgp: { as: 65020 } }
${hasPlain ? PLAIN_NODE(kind) : ''}
  links:
    - { endpoints: ["r1:eth1", "source:eth1"], subnet: 10.0.0.0/31, subnet6: "2001:db8:a::/127" }
    - { endpoints: ["r1:eth2", "sink:eth1"], subnet: 10.0.1.0/31, subnet6: "2001:db8:b::/127" }
${hasPlain ? '    - { endpoints: ["r1:eth3", "plain:eth1"], subnet: 10.0.2.0/31, subnet6: "2001:db8:c::/127" }' : ''}
${QUICK_TIMERS}`);

  const tables = async (lab: BusLab) => {
    const { bgp } = await foldOf(lab, 'r1');
    const heard = (bgp.adjRibIn.source ?? []).filter(({ prefix }) => prefix === FAR4 || prefix === FAR6);
    const told = await Promise.all(
      [FAR4, FAR6, OWN4, OWN6].map(async (prefix) =>
        (await driver.paths(lab, 'sink', prefix)).map(
          ({ path, nextHop }) => `${prefix} ${path} via ${nextHop}`,
        ),
      ),
    );
    return {
      r1: heard.map(({ prefix, attributes }) => `${prefix} ${attributes.asPath} via ${attributes.nexthop}`),
      sink: told.flat(),
    };
  };
  const COMPLETE = {
    r1: [`${FAR4} 65010 via 2001:db8:a::1`, `${FAR6} 65010 via 2001:db8:a::1`],
    sink: [
      `${FAR4} 65001 65010 via 2001:db8:b::`,
      `${FAR6} 65001 65010 via 2001:db8:b::`,
      `${OWN4} 65001 via 2001:db8:b::`,
      `${OWN6} 65001 via 2001:db8:b::`,
    ],
  };
  const complete = async (t: ExecutionContext, lab: BusLab) => {
    const wanted = JSON.stringify(COMPLETE);
    await until(lab, 'all routes are there', async () => JSON.stringify(await tables(lab)) === wanted).catch(
      async () => t.deepEqual(await tables(lab), COMPLETE),
    );
  };

  test(`${kind}: both families over IPv6, next hops and all, both ways`, async (t) => {
    const lab = await shared.lab();
    await complete(t, lab);
    const { bgp } = await foldOf(lab, 'r1');
    t.deepEqual(
      bgp.sessions.map(({ peer, state }) => `${peer} ${state}`),
      [...(hasPlain ? ['plain Established'] : []), 'sink Established', 'source Established'],
    );
    const agreed = (await run(lab, 'r1', 'birdc show neighbors source')).output;
    t.regex(agreed, /\(RFC 8950\): yes/);
    t.regex(agreed, /2001:db8:a::1, remote AS 65010/);
    const routes = (await run(lab, 'r1', 'ip route')).output;
    t.regex(routes, /^198\.51\.100\.0\/24 via inet6 2001:db8:a::1 dev eth1 proto bird/m);
    t.regex(
      (await run(lab, 'r1', 'ip -6 route')).output,
      /^2001:db8:10::\/48 via 2001:db8:a::1 dev eth1 proto bird/m,
    );
    t.deepEqual((await verifyNode(lab, 'r1')).differences, []);
  });

  test(`${kind}: ${ROUTES} routes of IPv4 with all their attributes, by IPv6 next hops both ways`, async (t) => {
    const lab = await shared.lab();
    await driver.load(lab, 'source', groups, SOURCE_AS);
    const atSink = async () => onlyGenerated(await driver.routes(lab, 'sink'));
    await until(lab, 'the sink has all', async () => (await atSink()).length === ROUTES);
    const { bgp } = await foldOf(lab, 'r1');
    t.is(
      difference(
        onlyGenerated((bgp.adjRibIn.source ?? []).map(routeOfRow)),
        expectedRoutes(groups, [SOURCE_AS], '2001:db8:a::1', driver.med),
      ),
      '',
      'Adj-RIB-In of r1',
    );
    const wanted = expectedRoutes(groups, [65_001, SOURCE_AS], '2001:db8:b::', 'dropped');
    t.is(difference(await atSink(), wanted), '', 'table of the sink');
  });

  if (hasPlain) {
    test(`${kind}: over IPv6 without RFC 8950, IPv4 has next hops of its own`, async (t) => {
      const lab = await shared.lab();
      await complete(t, lab);
      const { bgp } = await foldOf(lab, 'r1');
      const heard = (bgp.adjRibIn.plain ?? []).map(({ prefix, attributes }) => [prefix, attributes.nexthop]);
      t.deepEqual(
        heard.filter(([prefix]) => prefix === PLAIN4),
        [[PLAIN4, '10.0.2.1']],
      );
      const told = await Promise.all([FAR4, FAR6].map((prefix) => driver.paths(lab, 'plain', prefix)));
      t.deepEqual(
        told.flat().map(({ nextHop }) => nextHop),
        ['10.0.2.0', '2001:db8:c::'],
      );
      t.regex((await run(lab, 'r1', 'birdc show neighbors plain')).output, /\(RFC 8950\): no/);
      t.regex((await run(lab, 'r1', 'ip route')).output, /^203\.0\.113\.0\/24 via 10\.0\.2\.1 dev eth3/m);
    });
  }

  test(`${kind}: over IPv6 what is withdrawn goes, and a session that was lost comes back`, async (t) => {
    const lab = await shared.lab();
    await lab.act({ type: 'bgp', node: 'r1', request: { op: 'withdraw', prefix: OWN4 } });
    await until(
      lab,
      'the sink has lost it',
      async () => (await driver.paths(lab, 'sink', OWN4)).length === 0,
    );
    await lab.act({ type: 'bgp', node: 'r1', request: { op: 'announce', prefix: OWN4 } });
    await lab.act({ type: 'kill', node: 'source', how: 'reset' });
    await until(lab, 'its routes are gone at both', async () => {
      const { r1, sink } = await tables(lab);
      return r1.length === 0 && sink.length === 2;
    });
    await lab.act({ type: 'start', node: 'source' });
    await complete(t, lab);
    t.deepEqual((await verifyNode(lab, 'r1')).differences, []);
  });
}
