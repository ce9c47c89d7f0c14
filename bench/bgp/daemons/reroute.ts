import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BusServer } from '../../../bus/server.ts';
import { ensureNatsServer } from '../../../orchestrator/setup/nats-server.mjs';
import { Child } from '../process.ts';
import type { TargetBoot, TargetMessage } from '../target.ts';
import type { Daemon, RunningDaemon, StartOptions } from './daemon.ts';

/**
 * The speaker of protocols/bgp, bundled and started as a node's process is. 'recorded' sends every event to the log on a NATS
 * server of its own, as a node does.
 */
function reroute(name: string, events: 'dropped' | 'recorded'): Daemon {
  return {
    name,
    counting: 'counters',
    version: () => {
      const { version } = JSON.parse(readFileSync(join(process.cwd(), 'package.json'), 'utf8'));
      return `${version} on Node ${process.versions.node}`;
    },
    async start({ folder, port, injectors, build, nodeOptions }: StartOptions): Promise<RunningDaemon> {
      const server =
        events === 'recorded'
          ? await BusServer.start({ program: ensureNatsServer(process.cwd()), folder: join(folder, 'nats') })
          : null;
      const log = server === null ? null : { url: server.url, token: server.token };
      const boot: TargetBoot = { port, injectors, log };
      const child = new Child(process.execPath, [...nodeOptions, join(build, 'node.cjs')], {
        folder,
        channel: 'ipc',
        env: { REROUTE_BENCH_TARGET: JSON.stringify(boot) },
      });
      await child.next<TargetMessage>();
      return {
        child,
        async paths() {
          const answer = child.next<TargetMessage>();
          child.process.send('paths');
          const message = await answer;
          return message.type === 'paths' ? message.paths : 0;
        },
        async stop() {
          await child.stop();
          await server?.stop();
        },
      };
    },
  };
}

export const rerouteAlone = reroute('reroute', 'dropped');
export const rerouteRecorded = reroute('reroute-recorded', 'recorded');
