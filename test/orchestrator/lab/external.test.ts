import { once } from 'node:events';
import { createServer } from 'node:net';
import test from 'ava';
import { bird } from '../../../orchestrator/external/bird.ts';
import { frr } from '../../../orchestrator/external/frr.ts';
import { placeLab } from '../../../orchestrator/external/loopback.ts';
import { daemonConfig } from '../../../orchestrator/external/program.ts';
import { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';
import { compile, neighborsOf, nodeOf, problemsOf, sessionsOf } from './support.ts';

const LAB = `
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    r2: { kind: router, bgp: { as: 65002 } }
    d:
      kind: bird
      bgp: { as: 65100, networks: [198.51.100.0/24] }
      daemon: { config: "# mine" }
  links:
    - { endpoints: ["r1:eth1", "d:eth1"], subnet: 10.0.0.0/31 }
    - { endpoints: ["r2:eth1", "d:eth2"], subnet: 10.0.1.0/31 }
`;

test('a daemon has sessions as a router has, and both ends know where the other really is', async (t) => {
  const { lab, release } = await placeLab(compile(LAB));
  t.teardown(release);
  t.deepEqual(sessionsOf(lab, 'd'), ['r1@10.0.0.0 65001', 'r2@10.0.1.0 65002']);
  t.deepEqual(sessionsOf(lab, 'r1'), ['d@10.0.0.1 65100']);
  t.like(nodeOf(lab, 'd'), { role: 'bird', daemonConfig: '# mine' });

  const addresses = new Set<string>();
  for (const name of ['r1', 'r2']) {
    const ours = neighborsOf(lab, name)[0]?.external;
    const theirs = neighborsOf(lab, 'd').find((neighbor) => neighbor.name === name)?.external;
    t.is(ours?.remote?.address, theirs?.local);
    t.is(theirs?.remote?.address, ours?.local);
    t.true(typeof ours?.listen === 'number' && ours.listen > 1023);
    for (const port of [ours?.remote?.port, theirs?.remote?.port, theirs?.listen])
      t.is(port, ours?.listen ?? 0);
    for (const address of [ours?.local, theirs?.local]) {
      t.regex(address ?? '', /^127\.\d+\.\d+\.\d+$/);
      addresses.add(address ?? '');
    }
  }
  t.is(addresses.size, 3, "the daemon's own, and one for each of its neighbours");
});

test('labs at the same time have no address in common', async (t) => {
  const labs = await Promise.all([LAB, LAB, LAB].map((text) => placeLab(compile(text))));
  for (const { release } of labs) t.teardown(release);
  const all = labs.flatMap(({ lab }) => neighborsOf(lab, 'd').map(({ external }) => external?.local));
  t.is(new Set(all).size, 3);
});

test.serial('a lab keeps clear of what nodes of a lab without an orchestrator still have', async (t) => {
  const before = await placeLab(compile(LAB));
  const { local = '', listen = 0 } = neighborsOf(before.lab, 'r2')[0]?.external ?? {};
  before.release();
  const left = createServer().listen({ host: local, port: listen ?? 0, exclusive: true });
  t.teardown(() => void left.close());
  await once(left, 'listening');
  const { lab, release } = await placeLab(compile(LAB));
  t.teardown(release);
  t.not(neighborsOf(lab, 'r2')[0]?.external?.local, local);
});

test('kind external says itself where it is; without an address it is the one that connects', (t) => {
  const lab = compile(`
name: x
topology:
  kinds:
    router: { bgp: { as: 65001 } }
  nodes:
    r1: { kind: router }
    r2: { kind: router }
    far:
      kind: external
      bgp: { as: 65100 }
      external: { address: 192.0.2.1, sessions: { r2: { local: 127.0.0.2, listen: 1790, port: 1179 } } }
    shy: { kind: external, bgp: { as: 65101 }, external: { listen: 1791 } }
segments:
  lan: { subnet: 10.0.0.0/24, nodes: [r1, r2, far, shy] }
`);
  const [toFar, toShy] = ['far', 'shy'].map((name) =>
    neighborsOf(lab, 'r1').find((each) => each.name === name),
  );
  t.like(toFar?.external, { remote: { address: '192.0.2.1', port: 179 }, local: '', listen: null });
  t.false(toFar?.passive);
  t.like(toShy?.external, { remote: null, listen: 1791 });
  t.true(toShy?.passive);
  const far2 = neighborsOf(lab, 'r2').find(({ name }) => name === 'far');
  t.like(far2?.external, { remote: { address: '192.0.2.1', port: 1179 }, local: '127.0.0.2', listen: 1790 });
  t.deepEqual(
    sessionsOf(lab, 'far'),
    ['r1@10.0.0.1 65001', 'r2@10.0.0.2 65001'],
    'none with the other daemon',
  );
});

test('what cannot be is told with its place and its mend', (t) => {
  t.deepEqual(
    problemsOf(`
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 }, daemon: { config: "" } }
    e1: { kind: external, bgp: { as: 65002 } }
    d1: { kind: frr, bgp: { as: 65003, damping: {}, session: { allowAsIn: 1 } }, gateway: 10.0.0.1 }
    d2: { kind: gobgp, bgp: { as: 65004, neighbors: [{ node: d1 }, { node: r1 }], session: { extendedMessages: true } } }
    d3: { kind: bird, bgp: {}, external: { address: 127.0.0.1 } }
segments:
  lan: { subnet: 10.0.0.0/24, nodes: all }
`),
    [
      'lab.yaml:5:45: topology.nodes.r1.daemon: reroute starts no daemon for r1; set kind: bird, frr or gobgp',
      'lab.yaml:6:5: topology.nodes.e1.external: where is the daemon e1?; add external: {address: 127.0.0.2, port: 1790}, or listen: for one that connects itself',
      "lab.yaml:7:22: topology.nodes.d1.bgp: damping is not written into the configuration of a real daemon; say it in daemon.config, in frr's own words",
      "lab.yaml:7:22: topology.nodes.d1.bgp: allowAsIn is not written into the configuration of a real daemon; say it in daemon.config, in frr's own words",
      'lab.yaml:7:82: topology.nodes.d1.gateway: d1 is a real daemon: it has no kernel in the lab; remove it',
      "lab.yaml:8:24: topology.nodes.d2.bgp: extendedMessages is not written into the configuration of a real daemon; say it in daemon.config, in gobgp's own words",
      'lab.yaml:8:53: topology.nodes.d2.bgp.neighbors: d2 and d1 are both real daemons, and nobody would see their session; put a router between them',
      'lab.yaml:9:23: topology.nodes.d3.bgp.as: missing AS; give the router its AS, as: 65001 for instance',
      'lab.yaml:9:32: topology.nodes.d3.external: d3 runs nowhere else; set kind: external, or remove it',
    ],
  );
});

test('what the real connection would have to carry and does not is no option', (t) => {
  t.deepEqual(
    problemsOf(`
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, peers: { f: { bfd: true }, g: { bfd: true } } } }
    r2: { kind: router, bgp: { as: 65002, peers: { d: { ttlSecurity: 1 } } } }
    d: { kind: bird, bgp: { as: 65003 } }
    f: { kind: frr, bgp: { as: 65004, peers: { r1: { bfd: true } } } }
    g: { kind: gobgp, bgp: { as: 65005, peers: { r1: { bfd: true } } } }
segments:
  lan: { subnet: 10.0.0.0/24, nodes: all }
`),
    [
      `lab.yaml:5:25: topology.nodes.r1.bgp: r1 cannot have bfd with f: ${NO_BFD.frr}`,
      `lab.yaml:5:25: topology.nodes.r1.bgp: r1 cannot have bfd with g: ${NO_BFD.gobgp}`,
      'lab.yaml:6:25: topology.nodes.r2.bgp: r2 cannot have ttlSecurity with d: the real connection does not go over the hops of the lab; set it for other sessions alone, in bgp.peers or bgp.groups',
      `lab.yaml:8:21: topology.nodes.f.bgp: f cannot have bfd with r1: ${NO_BFD.frr}`,
      `lab.yaml:9:23: topology.nodes.g.bgp: g cannot have bfd with r1: ${NO_BFD.gobgp}`,
    ],
  );
});

const NO_BFD = {
  frr: "its bgpd is told of BFD by zebra alone, which would change the host's own routes and is not run; set it for other sessions alone, in bgp.peers or bgp.groups",
  gobgp: 'GoBGP has no BFD; set it for other sessions alone, in bgp.peers or bgp.groups',
};

test('BFD runs between the real addresses of a session, and is written into the configuration of BIRD', (t) => {
  const lab = compile(`
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, session: { bfd: true } } }
    d: { kind: bird, bgp: { as: 65003, session: { bfd: { minTx: 50ms, minRx: 80ms, multiplier: 5 } } } }
    e: { kind: external, bgp: { as: 65004 }, external: { address: 192.0.2.10, local: 192.0.2.1, bfd: single-hop } }
  links:
    - { endpoints: ["r1:eth1", "d:eth1"] }
    - { endpoints: ["r1:eth2", "e:eth1"] }
timers: { scale: 0.1 }
`);
  const [d, e] = lab.nodes.find(({ name }) => name === 'r1')!.bgp!.neighbors;
  t.is(d?.external?.bfd, 'multihop');
  t.is(e?.external?.bfd, 'single-hop');
  const config = daemonConfig(lab.nodes.find(({ name }) => name === 'd')!);
  t.deepEqual(config.sessions[0]?.bfd, { minTx: 5, minRx: 8, multiplier: 5, idleTx: 100 });
  const text = bird.files(config)['bird.conf'] ?? '';
  t.true(text.includes('protocol bfd { strict bind yes; }\n'));
  t.true(
    text.includes(
      '  bfd yes;\n  bfd {\n    min tx interval 5 ms;\n    min rx interval 8 ms;\n    idle tx interval 100 ms;\n    multiplier 5;\n  };\n',
    ),
  );
});

test('FRR has the times of graceful restart once, whoever says them', (t) => {
  const lines = (bgp: string) => {
    const lab = compile(`
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    d: { kind: frr, bgp: { as: 65003, ${bgp} } }
  links:
    - { endpoints: ["r1:eth1", "d:eth1"] }
`);
    const text = frr.files(daemonConfig(nodeOf(lab, 'd')))['bgpd.conf'] ?? '';
    return text.split('\n').flatMap((line) => (line.includes('graceful') ? [line.trim()] : []));
  };
  const restart = '{ restartTime: 1500ms, stalePathTime: 90s, longLivedTime: 600s }';
  const times = [
    'bgp graceful-restart preserve-fw-state',
    'bgp graceful-restart restart-time 2',
    'bgp graceful-restart stalepath-time 90',
    'bgp long-lived-graceful-restart stale-time 600',
  ];
  t.deepEqual(lines(`gracefulRestart: ${restart}`), ['bgp graceful-restart', ...times]);
  const session = lines(`session: { gracefulRestart: ${restart} }`);
  t.deepEqual(session.slice(0, 4), times);
  t.regex(session[4] ?? '', /^neighbor \S+ graceful-restart$/);
  t.deepEqual(lines('maximumPaths: 1'), []);
});

test('vtysh has a configuration beside the daemon’s, and needs not read the host’s', (t) => {
  const lab = compile(LAB.replace('kind: bird', 'kind: frr').replace('daemon: { config: "# mine" }', ''));
  const config = daemonConfig(nodeOf(lab, 'd'));
  t.is(frr.files(config)['vtysh.conf'], '');
  for (const argv of [frr.probe(config), frr.tool(config, 'vtysh', ['-c', 'show bgp summary'])])
    t.deepEqual(argv.slice(0, 3), ['vtysh', '--config_dir', '.']);
});

test('BFD with a daemon that runs elsewhere needs both addresses', (t) => {
  const problem = (node: string, mend: string) =>
    `lab.yaml:6:${node}: topology.nodes.e.external: r1 has BFD with e: between which addresses?; ${mend}`;
  for (const external of [
    '{ address: 192.0.2.10 }',
    '{ local: 192.0.2.1, listen: 1790 }',
    '{ address: host.example, local: 192.0.2.1 }',
  ])
    t.deepEqual(
      problemsOf(`
name: x
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, session: { bfd: true } } }
    e: { kind: external, bgp: { as: 65004 }, external: ${external} }
  links:
    - { endpoints: ["r1:eth1", "e:eth1"] }
`),
      [problem('46', 'set external.address and external.local to IP addresses')],
      external,
    );
});

test('the simulator has no real time to offer', (t) => {
  const error = t.throws(() => new SimLab(compile(LAB)));
  t.is(
    error?.message,
    'd is a real daemon (kind: bird) and cannot follow a virtual clock; run the lab without --simulate, or make it kind: router',
  );
});
