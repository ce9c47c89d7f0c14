import test from 'ava';
import { Shell } from '../support/docker.ts';
import { SEED_LAB, walkTranscript } from '../support/docker-transcript.ts';
import { launch, verifies } from '../support/lab.ts';

test('the Docker chapter of the seed document runs as it is printed there, in real processes', async (t) => {
  const { lab } = await launch(t, SEED_LAB);
  await walkTranscript(t, new Shell(t, lab, 'bogon'), new Shell(t, lab, 'client'));
  await verifies(t, lab);
});
