import test from 'ava';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { collectReports } from '../../orchestrator/observe/quiescence.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';

/** r1 and r3 speak to each other over r2, which is no speaker's neighbour. */
function line(near: string, far: string): string {
  return `
name: gtsm
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001, neighbors: [{ node: r3, localAddress: 10.0.0.0, address: 10.0.0.3, ${near} }] }, routes: [{ dst: 10.0.0.2/31, via: 10.0.0.1 }] }
    r2: { kind: router, bgp: { as: 65002, neighbors: [] } }
    r3: { kind: router, bgp: { as: 65003, neighbors: [{ node: r1, localAddress: 10.0.0.3, address: 10.0.0.0, ${far} }] }, routes: [{ dst: 10.0.0.0/31, via: 10.0.0.2 }] }
  links:
    - { endpoints: ["r1:eth1", "r2:eth1"], subnet: 10.0.0.0/31 }
    - { endpoints: ["r2:eth2", "r3:eth1"], subnet: 10.0.0.2/31 }
timers: { bgp: { connectRetry: 5s } }
`;
}

async function isUp(near: string, far: string): Promise<boolean> {
  const lab = new SimLab(compileLab(line(near, far), 'gtsm.yaml'));
  await lab.start();
  await lab.sleep(60_000);
  const r1 = (await collectReports(lab)).find(({ node }) => node === 'r1');
  return r1?.sessions[0]?.established ?? false;
}

test('RFC 5082: what has come further than the hops that are allowed is dropped, whoever else lets it pass', async (t) => {
  t.true(await isUp('ttl: 64', 'ttl: 64'), 'without it over any number of hops');
  t.true(await isUp('ttlSecurity: 2', 'ttlSecurity: 2'));
  t.false(await isUp('ttlSecurity: 1', 'ttlSecurity: 1'), 'r2 takes one off, and 254 is too little');
  t.false(await isUp('ttlSecurity: 2', 'ttl: 64'), 'who sends with less than 255 seems far away');
});
