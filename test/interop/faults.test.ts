import test from 'ava';
import { BAD_MESSAGES, provoke } from './bad-messages.ts';
import { freePort } from './free-port.ts';
import { startLab } from './start.ts';

const R1_AS = 65_100;
const OUR_AS = 65_001;

/** A loopback address that no lab's range has. */
function neighborAddress(number: number): string {
  return `127.200.0.${number + 2}`;
}

test('an emulated router answers every bad message as the RFCs have it', async (t) => {
  const port = await freePort('127.200.0.1');
  const neighbors = BAD_MESSAGES.map(
    (_, i) => `    e${i}: { kind: external, external: { address: ${neighborAddress(i)} } }`,
  );
  const { close } = await startLab(`
name: interop-faults
topology:
  kinds:
    external: { bgp: { as: ${OUR_AS} }, external: { listen: ${port}, local: 127.200.0.1 } }
  nodes:
    r1: { kind: router, bgp: { as: ${R1_AS}, session: { passive: true } } }
${neighbors.join('\n')}
segments:
  lan: { subnet: 10.0.0.0/24, nodes: all }
timers: { bgp: { holdTime: 3s, keepalive: 1s } }
`);
  t.teardown(close);
  const outcomes = await Promise.all(
    BAD_MESSAGES.map((bad, i) =>
      provoke({ address: '127.200.0.1', port, from: neighborAddress(i) }, OUR_AS, bad),
    ),
  );
  t.deepEqual(
    Object.fromEntries(BAD_MESSAGES.map(({ name }, i) => [name, outcomes[i]])),
    Object.fromEntries(BAD_MESSAGES.map(({ name, outcome }) => [name, outcome])),
  );
});
