import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import {
  normal,
  OFCTL_CASES,
  OFCTL_RECORD,
  type OfctlAnswers,
  recordedOfctl,
} from '../../nodes/kernel/openflow/ofctl-cases.ts';
import { OVS_PORTS } from '../../nodes/kernel/openflow/ovs-cases.ts';
import { needing } from '../../support/needs.ts';
import { OurSwitch } from './ours.ts';
import { OpenVswitch, ofctl } from './ovs.ts';

const testWithOvs = needing('ovs-vsctl', 'openvswitch-switch');

/** Gives the same commands to Open vSwitch, by the real ovs-ofctl to a switch of ours, and by our ovs-ofctl to another one of ours. */
async function compare(t: ExecutionContext, lines: readonly string[]): Promise<OfctlAnswers> {
  const ovs = await OpenVswitch.start(OVS_PORTS);
  const served = new OurSwitch(OVS_PORTS);
  const own = new OurSwitch(OVS_PORTS);
  const real: Record<string, readonly string[]> = {};
  const onOurs: Record<string, readonly string[]> = {};
  const ours: Record<string, readonly string[]> = {};
  try {
    const port = await served.listen();
    for (const [i, line] of lines.entries()) {
      const words = line.split(' ');
      const target = words.map((word) => (word === 'br0' ? `tcp:127.0.0.1:${port}` : word));
      const name = `${i} ${line}`;
      const [fromReal, fromOurs] = await Promise.all([ovs.ofctl(words), ofctl(target, ovs.folder)]);
      real[name] = normal(fromReal);
      onOurs[name] = normal(fromOurs);
      ours[name] = normal(own.ofctl(words));
    }
  } finally {
    served.close();
    await ovs.stop();
  }
  const differing = (shown: typeof real) =>
    Object.keys(real).filter((name) => shown[name]?.join('\n') !== real[name]?.join('\n'));
  const only = (shown: typeof real, names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, shown[name]]));
  t.deepEqual(
    only(onOurs, differing(onOurs)),
    only(real, differing(onOurs)),
    'what the real ovs-ofctl shows of our switch',
  );
  t.deepEqual(
    only(ours, differing(ours)),
    only(real, differing(ours)),
    'what our ovs-ofctl shows of our switch',
  );
  return real;
}

for (const [title, lines] of Object.entries(OFCTL_CASES))
  testWithOvs(title, async (t) => {
    const real = await compare(t, lines);
    if (process.env.RECORD === '1') {
      const recorded = existsSync(OFCTL_RECORD) ? recordedOfctl() : {};
      mkdirSync(new URL('.', OFCTL_RECORD), { recursive: true });
      writeFileSync(OFCTL_RECORD, `${JSON.stringify({ ...recorded, [title]: real }, null, 1)}\n`);
    }
    t.deepEqual(real, recordedOfctl()[title]);
  });

testWithOvs(
  'ports, features and packets of our switch are the same to the real ovs-ofctl and to ours',
  async (t) => {
    const served = new OurSwitch(OVS_PORTS);
    const own = new OurSwitch(OVS_PORTS);
    t.teardown(() => served.close());
    const port = await served.listen();
    const frame = `ffffffffffff0200000000010806${'00'.repeat(46)}`;
    for (const line of [
      'show br0',
      'mod-port br0 1 down',
      'mod-port br0 2 no-forward',
      'mod-port br0 9 down',
      'dump-ports-desc br0',
      'mod-port br0 2 forward',
      'mod-port br0 1 up',
      'show br0',
      `packet-out br0 in_port=controller,packet=${frame},actions=flood`,
      `packet-out br0 in_port=2,packet=${frame},actions=1,3,local`,
      'dump-ports br0',
      'dump-ports br0 1',
      'queue-stats br0',
      'dump-desc br0',
      'dump-group-features br0',
      'meter-features br0',
      'dump-tables br0',
      'get-frags br0',
    ]) {
      const words = line.split(' ');
      const target = words.map((word) => (word === 'br0' ? `tcp:127.0.0.1:${port}` : word));
      t.deepEqual(normal(own.ofctl(words)), normal(await ofctl(target, '/nonexistent')), line);
    }
  },
);
