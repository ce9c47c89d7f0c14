import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { BusServer } from '../../bus/server.ts';

/** Frames a second that a publisher and a subscriber with the package of that name bring through the server, one a message. */
export async function rawRate(
  server: BusServer,
  build: string,
  size: number,
  count: number,
): Promise<number> {
  const start = (role: string) =>
    fork(join(build, 'raw.cjs'), [role, server.url, server.token, String(size), String(count)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  const next = (child: ReturnType<typeof fork>) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Record<string, unknown>));
      child.once('exit', (code) => reject(new Error(`a process of the raw measurement has ended (${code})`)));
    });
  const subscriber = start('subscribe');
  await next(subscriber);
  const done = next(subscriber);
  const publisher = start('publish');
  const { took } = await done;
  publisher.kill();
  subscriber.kill();
  return (count / Number(took)) * 1000;
}
