import test from 'ava';
import fc from 'fast-check';
import { verifyNode } from '../../../orchestrator/observe/verify.ts';
import { dockerHost } from '../../support/docker.ts';
import { snapshotOf } from '../../support/sim.ts';

const NAMES = ['c0', 'c1', 'c2', 'c3'];
const NETWORKS = ['net0', 'net1'];
const name = fc.constantFrom(...NAMES);
const network = fc.constantFrom(...NETWORKS);

/** Command lines as people type them, in any order and to whatever is there. */
const command = fc.oneof(
  fc
    .tuple(
      name,
      fc.constantFrom('bridge', 'host', 'none', ...NETWORKS, 'container:c0'),
      fc.constantFrom('', '-P', '-p 8080:80', '--rm', '--restart always', '--link c0'),
    )
    .map(([who, net, options]) => `docker run -d --name ${who} --net ${net} ${options} nginx`),
  fc
    .tuple(fc.constantFrom('stop', 'start', 'restart', 'kill', 'rm', 'rm -f'), name)
    .map(([verb, who]) => `docker ${verb} ${who}`),
  fc
    .tuple(fc.constantFrom('connect', 'disconnect'), fc.constantFrom('bridge', ...NETWORKS), name)
    .map(([verb, net, who]) => `docker network ${verb} ${net} ${who}`),
  fc
    .tuple(fc.constantFrom('create', 'create --internal', 'rm'), network)
    .map(([verb, net]) => `docker network ${verb} ${net}`),
  fc.constant('docker network prune -f'),
  fc.constant('POWER CUT'),
);

test('whatever is done to it, dockerd’s log folds to its state, and its rules, addresses and namespaces are those it needs', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 25 }), async (commands) => {
      const { lab, host } = await dockerHost(t);
      const bare = await host.out('iptables-save');
      for (const line of commands) {
        if (line === 'POWER CUT') {
          await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
          await lab.act({ type: 'start', node: 'n1' });
        } else await host.run(line);
      }
      const verdict = await verifyNode(lab, 'n1');
      t.deepEqual(verdict.differences, []);
      const { view } = await snapshotOf(lab, 'n1');
      const { containers } = view.docker;
      const addresses = containers
        .flatMap(({ endpoints }) => endpoints.map(({ networkId, address }) => `${networkId} ${address}`))
        .filter((text) => !text.endsWith(' '));
      t.is(new Set(addresses).size, addresses.length, 'no address twice');
      const live = containers.flatMap(({ sandboxId, networkMode, state }) =>
        state.status === 'running' && sandboxId !== '' && networkMode !== 'host'
          ? [sandboxId.slice(0, 12)]
          : [],
      );
      const namespaces = Object.keys(view.kernel.links).filter((ns) => ns !== '');
      for (const ns of live) t.true(namespaces.includes(ns), ns);
      // Those that share a namespace whose owner has gone keep it.
      const sharers = containers.filter(
        ({ networkMode, state }) => networkMode.startsWith('container:') && state.status === 'running',
      ).length;
      t.true(namespaces.length <= live.length + sharers, `${namespaces.length} namespaces`);

      // All of it taken away, nothing is left.
      for (const who of NAMES) await host.run(`docker rm -f ${who}`);
      for (const net of NETWORKS) await host.run(`docker network rm ${net}`);
      const end = await snapshotOf(lab, 'n1');
      t.deepEqual(Object.keys(end.view.kernel.links), ['']);
      t.deepEqual(
        end.view.kernel.links['']?.map((link) => link.name),
        ['lo', 'eth0', 'docker0'],
      );
      t.deepEqual(end.view.docker.containers, []);
      t.deepEqual(Object.keys(end.view.files), ['']);
      t.is(rules(await host.out('iptables-save')), rules(bare));
    }),
    { numRuns: 25 },
  );
});

function rules(saved: string): string {
  return saved.replace(/^#.*\n/gm, '').replace(/ \[\d+:\d+\]$/gm, '');
}
