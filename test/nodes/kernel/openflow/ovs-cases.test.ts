import test from 'ava';
import { texts } from '../../../interop/openflow/messages.ts';
import { OurSwitch } from '../../../interop/openflow/ours.ts';
import { OVS_CASES, OVS_PORTS, ovsSteps, recordedOvs } from './ovs-cases.ts';

// What once differed from Open vSwitch, with what it answered: test/interop/openflow/packets.test.ts asks it again.
for (const held of OVS_CASES)
  test(held.name, (t) => {
    const ours = new OurSwitch(OVS_PORTS);
    t.deepEqual(
      ovsSteps(held).map((bodies) => texts(ours.send(bodies))),
      recordedOvs()[held.name],
    );
  });
