import test from 'ava';
import { compile, nodeOf, problemsOf } from './support.ts';

const LAB = `
name: x
topology:
  kinds:
    router:
      bgp: { ebgpRequiresPolicy: false, gracefulRestart: { restartTime: 30s } }
  nodes:
    r1:
      kind: router
      bgp:
        as: 65001
        networks: [10.1.0.0/16, "2001:db8::/32"]
        loopAvoidance: sender-side-loop-detection
        damping: { halfLife: 1m }
        session: { families: [ipv4, ipv6], localPref: 50, extendedMessages: false }
        groups:
          transit: { localPref: 80, maximumPrefixes: { limit: 10, restartAfter: 1m } }
        peers:
          r2: { group: transit, med: 7, gracefulRestart: false }
          r3: { addPath: both, asOverride: true }
        dynamicNeighbors:
          - { prefix: 10.9.0.0/24, as: [65010, 65011], group: transit }
    r2: { kind: router, bgp: { as: 65002 } }
    r3: { kind: router, bgp: { as: 65003 } }
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
    - endpoints: ["r1:eth2", "r3:eth1"]
`;

test('options of all sessions, of a group and of a peer come together, the nearest one winning', (t) => {
  const bgp = nodeOf(compile(LAB), 'r1').bgp!;
  t.deepEqual(bgp.networks, ['10.255.0.1/32', '10.1.0.0/16', '2001:db8::/32']);
  t.like(bgp, {
    loopAvoidance: 'sender-side-loop-detection',
    ebgpRequiresPolicy: 'off',
    damping: { halfLife: 60_000 },
    gracefulRestart: { restartTime: 30_000 },
  });
  const [r2, r3] = bgp.neighbors;
  t.like(r2, {
    name: 'r2',
    families: ['ipv4', 'ipv6'],
    localPref: 80,
    med: 7,
    extendedMessages: 'off',
    gracefulRestart: 'off',
    maximumPrefixes: { limit: 10, restartAfter: 60_000 },
    ttl: 1,
  });
  t.like(r3, { name: 'r3', localPref: 50, addPath: 'both', asOverride: 'on' });
  t.false('maximumPrefixes' in r3!);
  t.like(bgp.dynamicNeighbors?.[0], {
    prefix: '10.9.0.0/24',
    remoteAs: [65010, 65011],
    localPref: 80,
    families: ['ipv4', 'ipv6'],
    passive: true,
  });
});

test('a peer without a session and a group that is not there are named, with what was meant', (t) => {
  const text = LAB.replace('r2: { group: transit', 'r22: { group: transit')
    .replace('as: [65010, 65011], group: transit', 'as: [65010]')
    .replace('r3: { addPath', 'r3: { group: transitt, addPath');
  const problems = problemsOf(text);
  t.is(problems.length, 2);
  t.regex(problems.join('\n'), /bgp\.peers\.r22.*no session with 'r22'; did you mean 'r2'/);
  t.regex(problems.join('\n'), /no group 'transitt'; did you mean 'transit'/);
});

test('an option that is none, and a value that cannot be, are named with their line', (t) => {
  const problems = problemsOf(LAB.replace('addPath: both', 'addPath: all').replace('med: 7', 'mid: 7'));
  t.is(problems.length, 2);
  t.regex(problems.join('\n'), /lab\.yaml:\d+:\d+.*addPath/);
  t.regex(problems.join('\n'), /lab\.yaml:\d+:\d+.*mid.*med/);
});

test('an option that takes two is warned of where one end alone has it', (t) => {
  const lab = (near: string, far: string) => `
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, session: ${near} } }
    r2: { kind: router, bgp: { as: 65002, session: ${far} } }
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
`;
  t.deepEqual(compile(lab('{ ttlSecurity: 1, bfd: true }', '{ ttlSecurity: 1, bfd: true }')).warnings, []);
  t.deepEqual(compile(lab('{ ttlSecurity: 1, bfd: true }', '{}')).warnings, [
    'lab.yaml:5:30: topology.nodes.r1.bgp: r1 has ttlSecurity with r2, which has none: its packets come with a TTL that is taken for far away, and the session stays down; set it for r2 too',
    'lab.yaml:5:30: topology.nodes.r1.bgp: r1 has bfd with r2, which has none: BFD never comes up, and only the hold timer sees the neighbour go; set it for r2 too',
  ]);
});

test('damping that could never suppress, or never use again, is refused', (t) => {
  const damped = (damping: string) =>
    problemsOf(
      `name: x\ntopology:\n  nodes:\n    r1: { kind: router, bgp: { as: 1, damping: ${damping} } }\n`,
    );
  for (const right of ['{}', '{ halfLife: 1m }', '{ suppress: 3000, reuse: 1000 }'])
    t.deepEqual(damped(right), []);
  const at = 'lab.yaml:4:48: topology.nodes.r1.bgp.damping:';
  t.deepEqual(damped('{ halfLife: 60m }'), [
    `${at} nothing is ever suppressed: no penalty is above 1500 (reuse × 2^(maxSuppress / halfLife)), and suppress is 6000; give a longer maxSuppress or a shorter halfLife`,
  ]);
  t.deepEqual(damped('{ suppress: 12000 }').length, 1);
  t.deepEqual(damped('{ reuse: 6000 }'), [
    `${at} a route that is suppressed above 6000 cannot be used again below 6000; give a suppress above reuse`,
  ]);
});
