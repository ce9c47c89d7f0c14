import { stripVTControlCharacters } from 'node:util';
import test from 'ava';
import { waitText } from '../../../orchestrator/cli/wait.ts';
import type { Convergence } from '../../../orchestrator/observe/quiescence.ts';

const at: Convergence = {
  converged: true,
  after: 12,
  lastNode: 'r1',
  fibChanges: 2,
  updatesSent: 3,
  updatesReceived: 3,
  waited: 59.34,
  reasons: [],
  sessionsDown: [],
};
const told = (result: Partial<Convergence>) =>
  stripVTControlCharacters(waitText({ ...at, ...result }, 5_000));

test('a lab at rest is one line', (t) => {
  t.is(told({}), 'converged after 59.3 ms\n');
});

test('sessions that are not established are named', (t) => {
  t.is(
    told({ sessionsDown: ['r2 -> d', 'r1 -> r2'] }),
    'converged after 59.3 ms, with BGP sessions that are not established:\n  r2 -> d\n  r1 -> r2\n',
  );
});

test('what keeps a lab from it is told, a line each', (t) => {
  t.is(
    told({ converged: false, reasons: ['n1: no answer', 'n2 -> n3: session not yet tried'] }),
    'not converged within 5.00 s:\n  n1: no answer\n  n2 -> n3: session not yet tried\n',
  );
});
