import test from 'ava';
import { EmulatedPorts } from '../../support/router.ts';
import { run } from './support/run.ts';
import { ourWg, publicOf, recordedWg, WG_CASES } from './wg-cases.ts';

// What the real wg has answered: test/interop/linux/wg-tool.test.ts asks it again.
test('wg does as the real one, in one story', (t) => {
  const { root } = new EmulatedPorts([{ name: 'eth0' }]);
  for (const line of ['ip link add wg0 type wireguard', 'ip link set wg0 up'])
    t.is(run(line, root).code, 0, line);
  for (const held of WG_CASES) t.deepEqual(ourWg(root, 'wg0', held), recordedWg()[held.name], held.name);
});

test('endpoints of all interfaces name an interface once', (t) => {
  const { root } = new EmulatedPorts([{ name: 'eth0' }]);
  const [one, two] = [publicOf(1), publicOf(2)];
  for (const line of [
    'ip link add wg0 type wireguard',
    `wg set wg0 peer ${one} endpoint 192.0.2.1:1 peer ${two}`,
  ])
    t.is(run(line, root).code, 0, line);
  // test/interop/linux/wg-tool.test.ts has the real wg print two peers.
  t.is(run('wg show all endpoints', root).text, `wg0\t${one}\t192.0.2.1:1\n${two}\t(none)\n`);
});
