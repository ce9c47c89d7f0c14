import test from 'ava';
import fc from 'fast-check';
import type { CniConfig } from '../../../nodes/config.ts';
import { checkAlways, checkSettled } from './invariants.ts';
import { calico, flannel, Lab } from './lab.ts';

type Step =
  | { readonly do: 'create' | 'remove' | 'replace'; readonly node: number; readonly pod: number }
  | { readonly do: 'kill' | 'boot'; readonly node: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'store'; readonly fault: 'none' | 'refused' | 'answer-lost' };

const NODES = 3;
const node = fc.nat({ max: NODES - 1 });
const pod = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('create' as const), node, pod }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), node, pod }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('replace' as const), node, pod }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), node }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('boot' as const), node }) },
  // Fractions of a round trip to the store, so that steps fall into the midst of what the daemons are doing.
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(0, 0.1, 0.4, 0.7, 2, 50, 1500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('store' as const),
      fault: fc.constantFrom('none', 'refused', 'answer-lost'),
    }),
  },
);

function run(lab: Lab, steps: readonly Step[], check: () => void): Set<string> {
  const wanted = new Set<string>();
  for (const one of steps) {
    switch (one.do) {
      case 'wait':
        lab.advance(one.ms);
        break;
      case 'store':
        lab.storeFault = () => one.fault;
        break;
      case 'kill':
        if (lab.nodes[one.node]!.up) lab.nodes[one.node]!.kill();
        break;
      case 'boot':
        if (!lab.nodes[one.node]!.up) lab.nodes[one.node]!.boot();
        break;
      default: {
        const key = `${one.node}/${one.pod}`;
        const target = lab.nodes[one.node]!;
        if (one.do === 'remove') {
          if (wanted.delete(key)) lab.removePod(target, `pod-${one.pod}`);
        } else if (wanted.has(key) === (one.do === 'replace')) {
          wanted.add(key);
          lab.pod(target, `pod-${one.pod}`);
        }
      }
    }
    check();
  }
  return wanted;
}

/** How many of the wanted pods there are addresses for: 16 in the tight pool, 5 on a node in the small subnets. */
function capacity(cni: CniConfig, wanted: ReadonlySet<string>): number {
  if (cni.type === 'calico') return cni.pool.endsWith('/28') ? Math.min(wanted.size, 16) : wanted.size;
  if (cni.subnetLen === 24) return wanted.size;
  const perNode = Array.from(
    { length: NODES },
    (_, i) => [...wanted].filter((key) => key.startsWith(`${i}/`)).length,
  );
  return perNode.reduce((sum, count) => sum + Math.min(count, 5), 0);
}

const networks: readonly (readonly [string, CniConfig])[] = [
  ['calico with room', { ...calico, blockSize: 30 }],
  // 16 addresses for up to 18 pods: blocks run out, addresses are borrowed, and some pods have to wait.
  ['calico in a tight pool', { ...calico, pool: '10.244.0.0/28', blockSize: 30 }],
  ['flannel vxlan', flannel({ type: 'vxlan', vni: 1, port: 8472, directRouting: false })],
  [
    'flannel host-gw in small subnets',
    { ...flannel({ type: 'host-gw' }), network: '10.244.0.0/26', subnetLen: 29 },
  ],
];

for (const [name, cni] of networks) {
  test(`${name}: whatever happens, the log folds to the state, no address is held twice, none leaks`, (t) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50, size: 'max' }), fc.nat(), (steps, seed) => {
        const lab = new Lab(cni, { seed });
        for (let i = 0; i < NODES; i++) lab.addNode(`n${i + 1}`);
        const wanted = run(lab, steps, () => checkAlways(t, lab));
        lab.storeFault = () => 'none';
        for (const one of lab.nodes) if (!one.up) one.boot();
        lab.settle();
        // Failed pods run as soon as there is an address for them.
        lab.advance(70_000);
        lab.settle();
        checkSettled(t, lab);
        const running = lab.nodes.flatMap((one, i) =>
          one.daemons!.snapshot().sandboxes.map((sandbox) => `${i}/${sandbox.pod.slice(4)}`),
        );
        const statuses = lab.store.list('podstatus.>').map((entry) => entry.value);
        t.is(statuses.length, wanted.size);
        t.is(running.length, capacity(cni, wanted));
        t.true(running.every((key) => wanted.has(key)));
        t.is(statuses.filter((status) => status.phase === 'Running').length, running.length);
      }),
      { numRuns: 60 },
    );
  });
}
