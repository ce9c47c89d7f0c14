import test from 'ava';
import { OpenFlowUsageError, requestOf } from '../../../orchestrator/cli/openflow.ts';

test('words are requests', (t) => {
  const ask = (line: string, which: 'strict' | 'covered' = 'covered') => requestOf(line.split(' '), which);
  t.deepEqual(ask('switches'), { op: 'switches' });
  t.deepEqual(ask('role master'), { op: 'role', role: 'master' });
  t.deepEqual(ask('flows s1'), { op: 'flows', switch: 's1' });
  const flow = 'in_port=1,actions=output:2';
  t.deepEqual(ask(`add-flow s1 ${flow}`), { op: 'flow-mod', switch: 's1', command: 'add', flow });
  t.deepEqual(ask('del-flows s1'), { op: 'flow-mod', switch: 's1', command: 'delete', flow: '' });
  t.deepEqual(ask(`mod-flows s1 ${flow}`, 'strict'), {
    op: 'flow-mod',
    switch: 's1',
    command: 'modify_strict',
    flow,
  });
  const data = Uint8Array.of(0xff, 0x02);
  t.deepEqual(ask('packet-out s1 3 FLOOD fF02'), {
    op: 'packet-out',
    switch: 's1',
    inPort: 3,
    actions: 'FLOOD',
    data,
  });
  t.deepEqual(ask('packet-out s1 controller output:2 ff02'), {
    op: 'packet-out',
    switch: 's1',
    inPort: 0xffff_fffd,
    actions: 'output:2',
    data,
  });
});

test('words that are no request are told from those that lack something', (t) => {
  for (const [line, message] of [
    ['', /it is: switches/],
    ['role king', /it is: switches/],
    ['flows', /it is: switches/],
    ['flows s1 more', /it is: switches/],
    ['add-flow s1', /it is: switches/],
    ['add-flow s1 in_port=1', /'in_port=1' has no actions=/],
    ['packet-out s1 1 FLOOD', /packet-out SWITCH IN_PORT ACTIONS FRAME/],
    ['packet-out s1 eth FLOOD ff', /'eth' is no port/],
    ['packet-out s1 1 FLOOD fff', /'fff' is no frame/],
    ['packet-out s1 1 FLOOD zz', /'zz' is no frame/],
  ] as const)
    t.throws(() => requestOf(line.split(' '), 'covered'), { instanceOf: OpenFlowUsageError, message }, line);
});
