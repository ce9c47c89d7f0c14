import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import type { ServiceRow } from '../../../nodes/daemons/docker/swarm/service-rows.ts';
import type { DockerPeerFacts } from '../../../nodes/events/docker.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { Shell } from '../../support/docker.ts';
import { verifies } from '../../support/lab.ts';
import { simulate, snapshotOf } from '../../support/sim.ts';

const LAB = `
name: swarm-random
topology:
  nodes:
    n1: { kind: host, docker: { swarm: manager, networks: ['-d overlay --attachable back'] } }
    n2: { kind: host, docker: { swarm: worker } }
    n3: { kind: host, docker: { swarm: worker } }
segments:
  lan: { subnet: 10.7.0.0/24, rangeStart: 10.7.0.11, nodes: all }
`;

const NODES = ['n1', 'n2', 'n3'] as const;
const SERVICES = ['a', 'b'] as const;

const step = fc.oneof(
  fc.record({
    type: fc.constant('create' as const),
    service: fc.constantFrom(...SERVICES),
    options: fc.constantFrom(
      '--replicas 3',
      '--mode global',
      '--replicas 2 -p 8080:80',
      '--endpoint-mode dnsrr',
    ),
  }),
  fc.record({
    type: fc.constant('scale' as const),
    service: fc.constantFrom(...SERVICES),
    replicas: fc.nat(4),
  }),
  fc.record({
    type: fc.constant('update' as const),
    service: fc.constantFrom(...SERVICES),
    options: fc.constantFrom(
      '--force',
      '--publish-add 9090:80',
      '--publish-rm 80',
      '--network-rm back',
      '--network-add back',
    ),
  }),
  fc.record({ type: fc.constant('rm' as const), service: fc.constantFrom(...SERVICES) }),
  fc.record({
    type: fc.constant('availability' as const),
    node: fc.constantFrom(...NODES),
    availability: fc.constantFrom('active', 'drain'),
  }),
  fc.record({
    type: fc.constant('kill' as const),
    node: fc.constantFrom(...NODES),
    how: fc.constantFrom('reset' as const, 'silent' as const),
  }),
  fc.record({ type: fc.constant('start' as const), node: fc.constantFrom(...NODES) }),
  fc.record({
    type: fc.constant('link' as const),
    node: fc.constantFrom('n2' as const, 'n3' as const),
    carrier: fc.constantFrom('up' as const, 'down' as const),
  }),
  fc.record({ type: fc.constant('container' as const), node: fc.constantFrom(...NODES) }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(20, 500, 4000, 17_000) }),
);

test('whatever is done to a swarm, every log folds to its state and balancers know the tasks that run', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 18 }), async (steps) => {
      const lab = await simulate(LAB);
      await lab.sleep(200);
      const shells = new Map(NODES.map((node) => [node as string, new Shell(t, lab, node)]));
      const n1 = shells.get('n1')!;
      const down = new Set<string>();
      let containers = 0;
      const onN1 = async (line: string) => void (down.has('n1') || (await n1.run(line)));
      await onN1('docker service create -d --name a --replicas 3 --network back -p 8000:80 nginx');
      await lab.sleep(500);
      for (const each of steps) {
        switch (each.type) {
          case 'create':
            await onN1(
              `docker service create -d --name ${each.service} --network back ${each.options} nginx`,
            );
            break;
          case 'scale':
            await onN1(`docker service scale -d ${each.service}=${each.replicas}`);
            break;
          case 'update':
            await onN1(`docker service update -d ${each.options} ${each.service}`);
            break;
          case 'rm':
            await onN1(`docker service rm ${each.service}`);
            break;
          case 'availability':
            await onN1(`docker node update --availability ${each.availability} ${each.node}`);
            break;
          case 'kill':
            if (down.has(each.node)) break;
            down.add(each.node);
            await lab.act({ type: 'kill', node: each.node, how: each.how });
            break;
          case 'start':
            if (down.delete(each.node)) await lab.act({ type: 'start', node: each.node });
            break;
          case 'link':
            await lab.act({ type: 'link', node: each.node, device: 'eth0', carrier: each.carrier });
            break;
          case 'container':
            if (!down.has(each.node))
              await shells
                .get(each.node)!
                .run(`docker run -d --name c${++containers} --net back --restart always nginx`);
            break;
          default:
            await lab.sleep(each.ms);
        }
      }
      // All is mended, and comes to rest.
      for (const node of ['n2', 'n3']) await lab.act({ type: 'link', node, device: 'eth0', carrier: 'up' });
      for (const node of down) await lab.act({ type: 'start', node });
      await lab.sleep(90_000);
      for (const node of NODES) await n1.run(`docker node update --availability active ${node}`);
      await lab.sleep(30_000);
      await verifies(t, lab);

      const views = new Map(
        await Promise.all(NODES.map(async (node) => [node, (await snapshotOf(lab, node)).view] as const)),
      );
      const all = [...views.values()].flatMap(({ docker }) => docker.containers);
      const running = all.filter(({ state }) => state.status === 'running');
      for (const line of (await n1.out("docker service ls --format '{{.Name}} {{.Replicas}}'"))
        .trim()
        .split('\n')) {
        const [name = '', replicas = ''] = line.split(' ');
        if (name === '') continue;
        const [now, wanted] = replicas.split('/');
        assert.equal(now, wanted, `${name} ${replicas}`);
        const own = running.filter(({ labels }) => labels['com.docker.swarm.service.name'] === name);
        assert.equal(own.length, Number(wanted), `containers of ${name}`);
      }
      // No address twice.
      const addresses = running.flatMap(({ endpoints }) =>
        endpoints.flatMap(({ network, address }) =>
          network === 'back' || network === 'ingress' ? [address] : [],
        ),
      );
      assert.equal(new Set(addresses).size, addresses.length);
      // What is given out is what somebody has: endpoints, virtual addresses, gateways.
      const peers = (await lab.list('docker.peer.>')).map(({ value }) => value.peer as DockerPeerFacts);
      const services = (await lab.list('docker.service.>')).map(({ value }) => value as ServiceRow);
      for (const { key, value } of await lab.list('docker.addresses.>')) {
        const id = key.split('.')[2]!;
        const gateway = [...views.values()][0]!.docker.networks.find((network) => network.id === id)?.ipam[0]
          ?.gateway;
        const held = [
          gateway,
          ...peers.flatMap(({ networkId, address }) => (networkId === id ? [address] : [])),
          ...services.flatMap(({ virtualIps }) =>
            virtualIps.flatMap(({ networkId, address }) => (networkId === id ? [address.split('/')[0]] : [])),
          ),
        ];
        assert.deepEqual((value.taken as number[]).map(formatIp4).sort(), held.toSorted());
      }
      for (const [node, view] of views) {
        const namespaces = Object.keys(view.kernel.links);
        const inBack = view.docker.containers.some(
          ({ endpoints, state }) =>
            state.status === 'running' && endpoints.some(({ network }) => network === 'back'),
        );
        assert.equal(
          namespaces.filter((ns) => ns.startsWith('lb_')).length,
          inBack ? 1 : 0,
          `${node}: ${namespaces}`,
        );
        for (const ns of namespaces.filter((name) => name.startsWith('lb_') || name === 'ingress_sbox')) {
          const network = ns === 'ingress_sbox' ? 'ingress' : 'back';
          const expected = running
            .flatMap(({ endpoints }) => endpoints)
            .flatMap((endpoint) =>
              endpoint.network === network && (endpoint.service?.vip ?? '') !== ''
                ? [endpoint.address.split('/')[0]]
                : [],
            )
            .sort();
          const balanced = (view.kernel.ipvs[ns] ?? [])
            .flatMap(({ destinations }) => destinations)
            .map(({ destination, weight }) => (weight === 1 ? destination.split(':')[0] : 'draining'))
            .sort();
          assert.deepEqual(balanced, expected, `${node} ${ns}`);
        }
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 8), endOnFailure: process.env.SHRINK !== '1' },
  );
});
