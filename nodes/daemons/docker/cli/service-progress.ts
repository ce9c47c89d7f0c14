import { ENDED, EXIT_INTERRUPTED, type RunningTool } from '../../../tools/tool.ts';
import type { DockerError } from '../error.ts';
import type { ServiceRow, TaskRow } from '../swarm/service-rows.ts';
import type { CliContext } from './command.ts';
import { daemonError } from './each.ts';
import type { Flags } from './flags.ts';

/** How long the tasks have to run for the client to call it converged, ms (`--update-monitor`). */
const STABLE = 5000;

const BAR = `[${'='.repeat(50)}>]`;

/**
 * Makes or changes a service and waits until all of its tasks run and have done so for a while, as the client does but with
 * `--detach`; what it shows of that is how it ends.
 */
export function converge(
  context: CliContext,
  flags: Flags,
  act: (done: (result: ServiceRow | DockerError) => void) => void,
): RunningTool {
  const { out } = context;
  let running: RunningTool = ENDED;
  let interrupted = false;
  act((result) => {
    if (interrupted) return;
    if (result instanceof Error) {
      out.stderr(`${daemonError(result)}\n`);
      out.exit(1);
    } else if (flags.has('detach')) out.exit(0);
    else running = waitConverged(context, [result.id], flags.has('quiet'), () => out.exit(0));
  });
  return {
    interrupt: () => {
      interrupted = true;
      if (running === ENDED) out.exit(EXIT_INTERRUPTED);
      else running.interrupt();
    },
  };
}

/** Waits for several services, one after the other. */
export function waitConverged(
  context: CliContext,
  ids: readonly string[],
  quiet: boolean,
  done: () => void,
): RunningTool {
  const { dockerd, out } = context;
  const [id, ...rest] = ids;
  if (id === undefined) {
    done();
    return ENDED;
  }
  let running: RunningTool | null = null;
  let stop = () => {};
  let since: number | null = null;
  const next = () => {
    stop();
    running = waitConverged(context, rest, quiet, done);
  };
  const look = () => {
    const service = dockerd.services.store.service(id);
    if (service === null) {
      next();
      return;
    }
    const { running: now, wanted } = dockerd.services.progress(service);
    const settled = now === wanted && service.updateStatus?.state !== 'updating';
    if (!settled) since = null;
    else if (since === null) {
      since = dockerd.now;
      dockerd.later(STABLE, look);
    } else if (dockerd.now >= since + STABLE) {
      since = Number.POSITIVE_INFINITY;
      if (!quiet) out.stdout(shown(context, service));
      next();
    }
  };
  stop = dockerd.services.watch(look);
  look();
  return {
    interrupt: () => {
      if (running !== null) {
        running.interrupt();
        return;
      }
      stop();
      // The service stays: it is the client alone that ends.
      if (since === null)
        out.stdout(
          `Operation continuing in background.\nUse \`docker service ps ${id}\` to check progress.\n`,
        );
      since = Number.POSITIVE_INFINITY;
      out.exit(0);
    },
  };
}

function shown({ dockerd }: CliContext, service: ServiceRow): string {
  const tasks = dockerd.services.store
    .tasksOf(service)
    .filter(({ desired }) => desired === 'running')
    .toSorted((a, b) => a.slot - b.slot || (a.nodeId < b.nodeId ? -1 : 1));
  const name = (task: TaskRow) =>
    service.mode === 'global' ? task.nodeId.slice(0, 12) : `${task.slot}/${service.replicas}`;
  const lines = tasks.map((task) => `${name(task)}: running   ${BAR} \n`);
  return `overall progress: ${tasks.length} out of ${tasks.length} tasks \n${lines.join('')}verify: Service converged \n`;
}
