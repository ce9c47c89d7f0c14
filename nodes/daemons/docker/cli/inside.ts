import type { DockerPortBinding } from '../../../events/docker.ts';
import { ENDED } from '../../../tools/tool.ts';
import { DockerError } from '../error.ts';
import { type CliCommand, CliError, EXIT_CANNOT_RUN } from './command.ts';
import { inspected } from './each.ts';

const ANY = Number.POSITIVE_INFINITY;

export const execCommand: CliCommand = {
  name: 'exec',
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  help: 'Run a command in a running container',
  flags: [
    { name: 'detach', short: 'd', type: 'bool', help: 'Detached mode: run command in the background' },
    { name: 'env', short: 'e', type: 'list', help: 'Set environment variables' },
    { name: 'interactive', short: 'i', type: 'bool', help: 'Keep STDIN open even if not attached' },
    { name: 'privileged', type: 'bool', help: 'Give extended privileges to the command' },
    { name: 'tty', short: 't', type: 'bool', help: 'Allocate a pseudo-TTY' },
    { name: 'user', short: 'u', type: 'string', help: 'Username or UID (format: <name|uid>[:<group|gid>])' },
    { name: 'workdir', short: 'w', type: 'string', help: 'Working directory inside the container' },
  ],
  args: { min: 2, max: ANY },
  order: 'stop-at-argument',
  run: (flags, { dockerd, out, stdin }) => {
    const [ref = '', ...argv] = flags.args;
    inspected(dockerd, ref);
    const detached = flags.has('detach');
    try {
      const stream = detached ? { stdout: () => {}, stderr: () => {}, exit: () => {} } : out;
      const interactive = flags.has('interactive');
      const input = !interactive
        ? 'at-end'
        : detached
          ? 'open'
          : stdin === undefined
            ? 'at-end'
            : { text: stdin };
      const tool = dockerd.containers.exec(ref, argv, input, stream);
      if (!detached) return tool;
      out.exit(0);
    } catch (error) {
      if (!(error instanceof DockerError) || error.kind !== 'not-found') throw error;
      out.stderr(`OCI runtime exec failed: exec failed: container_linux.go:380: ${error.message}\n`);
      out.exit(EXIT_CANNOT_RUN);
    }
    return ENDED;
  },
};

export const portCommand: CliCommand = {
  name: 'port',
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  help: 'List port mappings or a specific mapping for the container',
  flags: [],
  args: { min: 1, max: 2 },
  run: (flags, { dockerd, out }) => {
    const [ref = '', wanted] = flags.args;
    const { published } = inspected(dockerd, ref);
    if (wanted === undefined) {
      const rows = published.map((binding) => `${binding.port}/${binding.proto} -> ${hostEnd(binding)}\n`);
      out.stdout(rows.sort().join(''));
      out.exit(0);
      return;
    }
    const [port = '', proto = 'tcp'] = wanted.split('/');
    const found = published.filter((binding) => `${binding.port}/${binding.proto}` === `${port}/${proto}`);
    if (found.length === 0)
      throw new CliError(`Error: No public port '${port}/${proto}' published for ${ref}`);
    out.stdout(found.map((binding) => `${hostEnd(binding)}\n`).join(''));
    out.exit(0);
  },
};

function hostEnd({ hostIp, hostPort }: DockerPortBinding): string {
  return `${hostIp}:${hostPort}`;
}

export const logsCommand: CliCommand = {
  name: 'logs',
  usage: '[OPTIONS] CONTAINER',
  help: 'Fetch the logs of a container',
  flags: [
    {
      name: 'tail',
      short: 'n',
      type: 'string',
      help: 'Number of lines to show from the end of the logs (default "all")',
    },
  ],
  args: { min: 1, max: 1 },
  run: (flags, { dockerd, out }) => {
    const { id } = inspected(dockerd, flags.args[0]!);
    const lines = dockerd.containers.logs(id).split(/(?<=\n)/);
    const tail = flags.text('tail');
    out.stdout((/^\d+$/.test(tail) ? lines.slice(Math.max(0, lines.length - Number(tail))) : lines).join(''));
    out.exit(0);
  },
};
