import { readFileSync } from 'node:fs';
import test from 'ava';
import type { BgpRequest } from '../../nodes/commands.ts';
import { run } from '../support/lab.ts';
import { settle, simulate } from '../support/sim.ts';

/** examples/peering.yaml in the simulator: a lab as it stands, with a line changed, or with one command given. */

const LAB = readFileSync('examples/peering.yaml', 'utf8');
const C = '203.0.113.0/24';
const OF_P1 = '198.51.100.0/24';

/** The AS path of a node's best path to a prefix; null without one. */
async function bestOf(
  text: string,
  node: string,
  prefix: string,
  command: readonly [string, BgpRequest] | null,
) {
  const lab = await simulate(text);
  if (command !== null) {
    await lab.act({ type: 'bgp', node: command[0], request: command[1] });
    await settle(lab);
  }
  const { output } = await run(lab, node, `birdc show why ${prefix}`);
  return /^\* .*\n +AS path ([\d ]+|empty)/m.exec(output)?.[1]?.trim() ?? null;
}

test('as it stands everybody uses the way that is paid for', async (t) => {
  t.is(await bestOf(LAB, 'p2', OF_P1, null), '65000 65001');
  t.is(await bestOf(LAB, 't', C, null), '65001 65010');
});

test('a leak: one command, or one line', async (t) => {
  const leak = { op: 'policy', peer: 'p2', direction: 'export', names: [] } as const;
  t.is(await bestOf(LAB, 'p2', OF_P1, ['c', leak]), '65010 65001');
  const line = LAB.replace('p2: { export: own }', 'p2: { export: [] }');
  t.not(line, LAB);
  t.is(await bestOf(line, 'p2', OF_P1, null), '65010 65001');
});

test('a hijack: who is nearer believes it', async (t) => {
  const line = LAB.replace('as: 65066', `as: 65066, networks: [${C}]`);
  t.not(line, LAB);
  for (const [text, command] of [
    [LAB, ['x', { op: 'announce', prefix: C }]],
    [line, null],
  ] as const) {
    t.is(await bestOf(text, 't', C, command), '65066');
    t.is(await bestOf(text, 'p2', C, command), '65010', 'the customer’s own providers do not');
  }
});

test('a more-specific: everybody believes it', async (t) => {
  const part = '203.0.113.0/25';
  const line = LAB.replace('as: 65066', `as: 65066, networks: [${part}]`);
  for (const [text, command] of [
    [LAB, ['x', { op: 'announce', prefix: part }]],
    [line, null],
  ] as const)
    t.is(await bestOf(text, 'p2', part, command), '65000 65066');
});
