import { randomBytes } from 'node:crypto';
import test from 'ava';
import { CommandClient, serveCommands } from '../../bus/commands.ts';
import { connectTo, startServer } from '../support/nats.ts';

test('an answer longer than any message comes in one piece, and those around it in order', async (t) => {
  const server = await startServer(t);
  const [asking, answering] = [await connectTo(t, server), await connectTo(t, server)];
  const long = randomBytes(20 * 1024 * 1024);
  serveCommands(answering, 'lab', 'n1', (_command, reply) => {
    reply('first');
    reply(long);
    reply('last');
  });
  await answering.flush();
  const parts: unknown[] = [];
  const client = new CommandClient(asking, 'lab');
  const last = await client.request('n1', 'say', {
    isFinal: (part) => part === 'last',
    onPart: (part) => parts.push(part),
    timeout: 20_000,
  });
  t.is(last, 'last');
  t.is(parts.length, 3);
  t.true(long.equals(parts[1] as Uint8Array));
});
