import { ENDED } from '../../../tools/tool.ts';
import { DockerError } from '../error.ts';
import { ANY, type CliCommand, CliError } from './command.ts';
import { daemonError, forEach, inParallel, inspected } from './each.ts';
import { attached } from './run.ts';

const TIME = {
  name: 'time',
  short: 't',
  type: 'int',
  help: 'Seconds to wait for stop before killing it (default 10)',
} as const;

/** How long a container has after SIGTERM, ms. */
function grace(text: string): number {
  return (text === '' ? 10 : Number(text)) * 1000;
}

export const startCommand: CliCommand = {
  name: 'start',
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  help: 'Start one or more stopped containers',
  flags: [
    { name: 'attach', short: 'a', type: 'bool', help: 'Attach STDOUT/STDERR and forward signals' },
    { name: 'interactive', short: 'i', type: 'bool', help: "Attach container's STDIN" },
  ],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    if (flags.has('attach') || flags.has('interactive')) {
      if (flags.args.length > 1)
        throw new CliError('you cannot start and attach multiple containers at once');
      return attached(inspected(dockerd, flags.args[0]!).id, context, (error) => {
        out.stderr(`${daemonError(error)}\n`);
        out.exit(1);
      });
    }
    inParallel(
      flags.args,
      context,
      (ref, done) => dockerd.containers.start(ref, null, done),
      (failed) => `Error: failed to start containers: ${failed.join(', ')}\n`,
    );
    return ENDED;
  },
};

export const stopCommand: CliCommand = {
  name: 'stop',
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  help: 'Stop one or more running containers',
  flags: [TIME],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const wait = grace(flags.text('time'));
    inParallel(flags.args, context, (ref, done) =>
      context.dockerd.containers.stop(ref, wait, () => done(null)),
    );
  },
};

export const restartCommand: CliCommand = {
  name: 'restart',
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  help: 'Restart one or more containers',
  flags: [TIME],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const wait = grace(flags.text('time'));
    inParallel(flags.args, context, (ref, done) => context.dockerd.containers.restart(ref, wait, done));
  },
};

export const killCommand: CliCommand = {
  name: 'kill',
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  help: 'Kill one or more running containers',
  flags: [
    { name: 'signal', short: 's', type: 'string', help: 'Signal to send to the container (default "KILL")' },
  ],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const text = flags.text('signal').toUpperCase().replace(/^SIG/, '') || 'KILL';
    const signal = {
      KILL: 'SIGKILL',
      9: 'SIGKILL',
      TERM: 'SIGTERM',
      15: 'SIGTERM',
      INT: 'SIGINT',
      2: 'SIGINT',
    }[text];
    const failed = forEach(flags.args, context, (ref) => {
      if (signal !== 'SIGKILL' && signal !== 'SIGTERM' && signal !== 'SIGINT')
        throw new DockerError(`Invalid signal: ${flags.text('signal')}; KILL, TERM and INT can be sent here`);
      context.dockerd.containers.kill(ref, signal);
    });
    context.out.exit(failed.length === 0 ? 0 : 1);
  },
};

function freezing(name: 'pause' | 'unpause', help: string): CliCommand {
  return {
    name,
    usage: 'CONTAINER [CONTAINER...]',
    help,
    flags: [],
    args: { min: 1, max: ANY },
    run: (flags, context) => {
      const failed = forEach(flags.args, context, (ref) => context.dockerd.containers[name](ref));
      context.out.exit(failed.length === 0 ? 0 : 1);
    },
  };
}

export const pauseCommand = freezing('pause', 'Pause all processes within one or more containers');
export const unpauseCommand = freezing('unpause', 'Unpause all processes within one or more containers');

export const rmCommand: CliCommand = {
  name: 'rm',
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  help: 'Remove one or more containers',
  flags: [
    {
      name: 'force',
      short: 'f',
      type: 'bool',
      help: 'Force the removal of a running container (uses SIGKILL)',
    },
    {
      name: 'volumes',
      short: 'v',
      type: 'bool',
      help: 'Remove anonymous volumes associated with the container',
    },
  ],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    const failed = forEach(flags.args, context, (ref) =>
      dockerd.containers.remove(inspected(dockerd, ref).id, flags.has('force')),
    );
    out.exit(failed.length === 0 ? 0 : 1);
  },
};

export const renameCommand: CliCommand = {
  name: 'rename',
  usage: 'CONTAINER NEW_NAME',
  help: 'Rename a container',
  flags: [],
  args: { min: 2, max: 2 },
  run: (flags, { dockerd, out }) => {
    dockerd.rename(flags.args[0]!, flags.args[1]!);
    out.exit(0);
  },
};

export const waitCommand: CliCommand = {
  name: 'wait',
  usage: 'CONTAINER [CONTAINER...]',
  help: 'Block until one or more containers stop, then print their exit codes',
  flags: [],
  args: { min: 1, max: ANY },
  run: (flags, { dockerd, out }) => {
    const ids = flags.args.map((ref) => dockerd.ledger.container(ref).id);
    const next = (i: number): void => {
      const id = ids[i];
      if (id === undefined) out.exit(0);
      else
        dockerd.containers.onExit(id, (code) => {
          out.stdout(`${code}\n`);
          next(i + 1);
        });
    };
    next(0);
  },
};

export const pruneCommand: CliCommand = {
  name: 'container prune',
  usage: '[OPTIONS]',
  help: 'Remove all stopped containers',
  flags: [{ name: 'force', short: 'f', type: 'bool', help: 'Do not prompt for confirmation' }],
  args: { min: 0, max: 0 },
  run: (_flags, { dockerd, out }) => {
    const gone = dockerd.ledger.containers.filter(
      ({ state }) => state.status === 'exited' || state.status === 'created',
    );
    for (const { id } of gone) dockerd.containers.remove(id, false);
    const list =
      gone.length === 0 ? '' : `Deleted Containers:\n${gone.map(({ id }) => `${id}\n`).join('')}\n`;
    out.stdout(`${list}Total reclaimed space: 0B\n`);
    out.exit(0);
  },
};
