import test from 'ava';
import type { NodeReport, SessionCount } from '../../../nodes/machine-io.ts';
import { judge } from '../../../orchestrator/observe/quiescence.ts';
import { report, session } from './reports.ts';

const pair = (left: Partial<SessionCount>, right: Partial<SessionCount>): NodeReport[] => [
  report('n1', { sessions: [session('n2', left)] }),
  report('n2', { sessions: [session('n1', right)] }),
];
const down = { established: false, key: '' };

const cases: readonly (readonly [
  title: string,
  reports: readonly NodeReport[],
  reasons: readonly RegExp[],
])[] = [
  ['both ends agree', pair({ sent: 5, received: 3 }, { sent: 3, received: 5 }), []],
  ['a message is under way', pair({ sent: 5 }, { received: 4 }), [/n1 -> n2: 5 messages sent, 4 received/]],
  ['a node has not answered', [report('n1')], [/n2: no answer/]],
  [
    'a node has work left',
    [report('n1', { work: 2, workOf: { bgp: 2, cluster: 0 } }), report('n2')],
    [/n1: 2 pieces of work left \(BGP 2/],
  ],
  [
    'a watch is behind',
    [report('n1', { storeRevision: 8 }), report('n2')],
    [/n1: has seen revision 8 of the store, others 9/],
  ],
  ['a node without a watch is not behind', [report('n1', { storeRevision: 0 }), report('n2')], []],
  [
    'the other end has let go, and this one does not know yet',
    pair({}, { ...down, settled: true }),
    [/n1 -> n2: established here, not at the other end/],
  ],
  [
    'one end speaks of an older connection',
    pair({}, { key: 'c:3-d:4' }),
    [/n1 -> n2: established here/, /n2 -> n1: established here/],
  ],
  [
    'tried in vain by both',
    pair({ ...down, openedAt: 10, triedAt: 20 }, { ...down, openedAt: 10, triedAt: 20 }),
    [],
  ],
  [
    'not yet tried',
    pair({ ...down, settled: false }, { ...down, openedAt: 0, triedAt: 20 }),
    [/n1 -> n2: session not yet tried/],
  ],
  [
    'a daemon turns it away, which may be for a moment',
    [
      report('n1', {
        sessions: [session('n2', { ...down, farEnd: 'external', settled: false, turnedAway: 'yes' })],
      }),
      report('n2', { sessions: [session('n1', { farEnd: 'external', key: '' })] }),
    ],
    [
      /^n1 -> n2: session not established: the other end closes the connections, and may wait after an error$/,
    ],
  ],
  [
    'tried in vain before the other end was ready',
    pair({ ...down, openedAt: 10, triedAt: 20 }, { ...down, openedAt: 30, triedAt: 40 }),
    [/n1 -> n2: session not tried again since/],
  ],
  [
    'the far end is a real daemon, whose counts nobody knows',
    [report('n1', { sessions: [session('n2', { farEnd: 'external', sent: 9 })] }), report('n2')],
    [],
  ],
  [
    'the far end is a real daemon that is down without a word',
    [report('n1', { sessions: [session('n3', { farEnd: 'external' })] }), report('n2')],
    [/^n1 -> n3: established here, and the other end is down; its hold timer decides$/],
  ],
  [
    'the near end is a real daemon, whose neighbour is down',
    [report('n1', { sessions: [session('n3', { farEnd: 'external', key: '' })] }), report('n2')],
    [],
  ],
  [
    'everything at once',
    [
      report('n1', { work: 1, workOf: { bgp: 0, cluster: 1 }, sessions: [session('n2', { sent: 5 })] }),
      report('n2', { storeRevision: 2, sessions: [session('n1', { sent: 1 })] }),
    ],
    [
      /^n1: 1 pieces of work left \(BGP 0, pods and store 1\)$/,
      /^n1 -> n2: 5 messages sent, 4 received$/,
      /^n2 -> n1: 1 messages sent, 4 received$/,
      /^n2: has seen revision 2 of the store, others 9$/,
    ],
  ],
  [
    'several sessions with one node are told apart by their connections',
    [
      report('n1', {
        sessions: [session('n2', { key: 'x' }), session('n2:eth1', { key: 'y', sent: 7, received: 8 })],
      }),
      report('n2', {
        sessions: [session('n1', { key: 'x' }), session('n1:eth1', { key: 'y', sent: 8, received: 7 })],
      }),
    ],
    [],
  ],
];

for (const [title, reports, reasons] of cases) {
  test(title, (t) => {
    const verdict = judge(reports, ['n1', 'n2']);
    t.is(verdict.reasons.length, reasons.length, verdict.reasons.join('; '));
    for (const [i, reason] of reasons.entries()) t.regex(verdict.reasons[i]!, reason);
  });
}

test('a session with a node that is down is not waited for', (t) => {
  const alone = [report('n1', { sessions: [session('n2', { ...down, settled: false })] })];
  t.deepEqual(judge(alone, ['n1']).reasons, []);
});

test('a lab that comes up waits for what was tried in vain, too', (t) => {
  const vain = pair({ ...down, openedAt: 10, triedAt: 20 }, { ...down, openedAt: 10, triedAt: 20 });
  t.is(judge(vain, ['n1', 'n2'], 'established').reasons.length, 2);
});

test('the fingerprint changes with whatever moves', (t) => {
  const base = judge(pair({}, {}), ['n1', 'n2']).fingerprint;
  t.is(judge(pair({}, {}), ['n1', 'n2']).fingerprint, base);
  t.not(judge(pair({ sent: 5 }, {}), ['n1', 'n2']).fingerprint, base);
  t.not(judge(pair({}, { key: 'z' }), ['n1', 'n2']).fingerprint, base);
  for (const change of [{ boot: 2 }, { fibChanges: 4 }, { storeRevision: 10 }]) {
    const [n1, n2] = pair({}, {}) as [NodeReport, NodeReport];
    t.not(judge([n1, { ...n2, ...change }], ['n1', 'n2']).fingerprint, base);
  }
});

test('ends that know each other by address alone are held against each other by their connection', (t) => {
  const ends = (received: number) => [
    report('n1', { sessions: [session('10.0.0.2', { key: 'k' })] }),
    report('n2', { sessions: [session('10.0.0.1', { key: 'k', received })] }),
    report('n3', { sessions: [session('10.0.0.9', { key: 'other' })] }),
  ];
  t.deepEqual(judge(ends(4).slice(0, 2), ['n1', 'n2']).reasons, []);
  t.deepEqual(judge(ends(3).slice(0, 2), ['n1', 'n2']).reasons, [
    'n1 -> 10.0.0.2: 4 messages sent, 3 received',
  ]);
  t.deepEqual(judge(ends(4), ['n1', 'n2', 'n3']).reasons, [
    'n3 -> 10.0.0.9: established here, not at the other end; its hold timer decides',
  ]);
});
