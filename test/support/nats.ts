import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { NatsConnection } from 'nats';
import { connectBus } from '../../bus/connection.ts';
import { BusServer } from '../../bus/server.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';

/** A folder that goes when the test ends. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reroute-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** A NATS server that stops when the test ends. */
export async function startServer(t: ExecutionContext): Promise<BusServer> {
  const folder = temporaryFolder(t);
  const server = await BusServer.start({ program: ensureNatsServer(process.cwd()), folder });
  t.teardown(() => server.stop());
  return server;
}

export async function connectTo(
  t: ExecutionContext,
  server: BusServer,
  echo: 'on' | 'off' = 'on',
): Promise<NatsConnection> {
  const nc = await connectBus({ url: server.url, token: server.token, name: 'test', echo });
  t.teardown(() => nc.close());
  return nc;
}
