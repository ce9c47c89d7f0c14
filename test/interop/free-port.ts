import { createServer } from 'node:net';

/** A port that was free a moment ago. */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
