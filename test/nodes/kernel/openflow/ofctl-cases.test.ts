import test from 'ava';
import { OurSwitch } from '../../../interop/openflow/ours.ts';
import { normal, OFCTL_CASES, type OfctlAnswers, recordedOfctl } from './ofctl-cases.ts';
import { OVS_PORTS } from './ovs-cases.ts';

// What Open vSwitch has answered: test/interop/openflow/ofctl.test.ts asks it again.
for (const [title, lines] of Object.entries(OFCTL_CASES))
  test(title, (t) => {
    const ours = new OurSwitch(OVS_PORTS);
    const answers = lines.map((line, i) => [`${i} ${line}`, normal(ours.ofctl(line.split(' ')))] as const);
    t.deepEqual(Object.fromEntries(answers) satisfies OfctlAnswers, recordedOfctl()[title]);
  });
