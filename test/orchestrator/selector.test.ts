import test from 'ava';
import fc from 'fast-check';
import { findPod, listPods, type Pod, podName, runningPods, selectPods } from '../../orchestrator/pods.ts';
import type { RunningLab } from '../../orchestrator/running-lab.ts';
import { matches, parseSelector, SelectorError } from '../../orchestrator/selector.ts';
import { calico, simulate } from '../support/sim.ts';

const WEB = { app: 'web', tier: 'front', 'example.com/zone': 'a', empty: '' };

const table: readonly (readonly [selector: string, matches: boolean])[] = [
  ['app=web', true],
  ['app==web', true],
  ['app=db', false],
  ['app!=db', true],
  ['app!=web', false],
  ['app', true],
  ['!app', false],
  ['canary', false],
  ['!canary', true],
  // As kubectl: what has no such label has not this value either.
  ['canary!=yes', true],
  ['canary=yes', false],
  ['empty=', true],
  ['empty', true],
  ['app=', false],
  ['example.com/zone=a', true],
  ['app=web,tier=front', true],
  ['app=web,tier=back', false],
  ['app=web,!tier', false],
  ['app = web , tier != back, !canary', true],
  ['! canary', true],
  // What every object has, and no label of it.
  ['constructor', false],
  ['!toString', true],
  ['valueOf!=x', true],
];

for (const [selector, expected] of table) {
  test(`'${selector}' ${expected ? 'matches' : 'does not match'}`, (t) => {
    t.is(matches(parseSelector(selector), WEB), expected);
  });
}

const WRONG = [
  '',
  ',',
  'app=web,',
  '=web',
  '!',
  '!=web',
  'app=web=x',
  '!app=web',
  'app=a b',
  'app in (a,b)',
  '-app',
  'app=web;',
];

for (const text of WRONG) {
  test(`'${text}' is no selector`, (t) => {
    const error = t.throws(() => parseSelector(text), { instanceOf: SelectorError });
    t.regex(error.message, /^'.*' is no label requirement; write it as key=value, key!=value, key or !key$/);
  });
}

test('a selector matches when each of its requirements does', (t) => {
  const word = fc.constantFrom('a', 'b', 'c');
  const requirement = fc.record({
    key: word,
    value: word,
    op: fc.constantFrom('=', '==', '!=', 'has', 'not'),
  });
  const labels = fc.dictionary(word, word);
  fc.assert(
    fc.property(fc.array(requirement, { minLength: 1, maxLength: 4 }), labels, (requirements, given) => {
      const text = requirements.map(({ key, value, op }) => {
        if (op === 'has') return key;
        return op === 'not' ? `!${key}` : `${key}${op}${value}`;
      });
      const has = new Map(Object.entries(given));
      const expected = requirements.every(({ key, value, op }) => {
        if (op === 'has') return has.has(key);
        if (op === 'not') return !has.has(key);
        return (has.get(key) === value) === (op !== '!=');
      });
      t.is(matches(parseSelector(text.join(',')), given), expected, text.join(','));
    }),
  );
});

function pod(namespace: string, name: string, labels: Readonly<Record<string, string>> = {}): Pod {
  return { spec: { namespace, name, node: 'n1', uid: `${namespace}-${name}`, labels }, status: null };
}

test('a pod is found by its whole name, by its name alone, and by default among several', (t) => {
  const pods = [
    pod('default', 'web'),
    pod('tools', 'web'),
    pod('tools', 'eye'),
    pod('a', 'twin'),
    pod('b', 'twin'),
  ];
  const found = (name: string) => {
    const one = findPod(pods, name);
    return one === undefined ? undefined : podName(one);
  };
  t.is(found('tools/web'), 'tools/web');
  t.is(found('eye'), 'tools/eye');
  t.is(found('web'), 'default/web');
  t.is(found('twin'), undefined, 'neither is the one that is meant');
  t.is(found('b/twin'), 'b/twin');
  t.is(found('nobody'), undefined);
});

test('pods are chosen by their labels', (t) => {
  const pods = [
    pod('default', 'web', { app: 'web' }),
    pod('default', 'db', { app: 'db' }),
    pod('default', 'bare'),
  ];
  const chosen = (text: string) => selectPods(pods, parseSelector(text)).map(({ spec }) => spec.name);
  t.deepEqual(chosen('app=web'), ['web']);
  t.deepEqual(chosen('app'), ['web', 'db']);
  t.deepEqual(chosen('!app'), ['bare']);
  t.deepEqual(chosen('app!=web'), ['db', 'bare']);
});

test('pods are listed as people count, each with what its own kubelet says of it', async (t) => {
  const lab = await simulate(calico({ nodes: 2, pods: 11 }));
  const names = (await listPods(lab)).map(({ spec }) => spec.name);
  t.deepEqual(
    names,
    ['n1', 'n2'].flatMap((node) => Array.from({ length: 11 }, (_, i) => `web-${node}-${i + 1}`)),
  );
  t.true((await listPods(lab)).every(({ spec, status }) => status?.uid === spec.uid));
  // Made anew under its old name: the status that is there is the old one's, for a moment.
  await lab.act({ type: 'pod.delete', namespace: 'default', name: 'web-n1-1', node: 'n1' });
  await lab.act({ type: 'pod.create', namespace: 'default', name: 'web-n1-1', node: 'n1', labels: {} });
  t.is((await listPods(lab))[0]?.status, null);
  t.is((await lab.list('podstatus.n1.default.web-n1-1')).length, 1);
});

test('a pod does not run on a node that does not', async (t) => {
  const lab = await simulate(calico({ nodes: 2, pods: 1 }));
  const running = async (of: RunningLab) => (await runningPods(of)).map(({ spec }) => spec.name);
  t.deepEqual(await running(lab), ['web-n1-1', 'web-n2-1']);
  await lab.act({ type: 'kill', node: 'n1', how: 'silent' });
  t.is((await listPods(lab))[0]?.status?.phase, 'Running', 'as the store has it');
  t.deepEqual(await running(lab), ['web-n2-1']);
});
