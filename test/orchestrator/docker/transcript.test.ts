import test from 'ava';
import { Shell } from '../../support/docker.ts';
import { SEED_LAB, walkTranscript } from '../../support/docker-transcript.ts';
import { verifies } from '../../support/lab.ts';
import { simulate } from '../../support/sim.ts';

test('the Docker chapter of the seed document runs as it is printed there, in the simulator', async (t) => {
  const lab = await simulate(SEED_LAB);
  await walkTranscript(t, new Shell(t, lab, 'bogon'), new Shell(t, lab, 'client'));
  await verifies(t, lab);
});
