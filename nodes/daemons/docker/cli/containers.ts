import type { DockerContainerFacts, DockerPortBinding } from '../../../events/docker.ts';
import { ENDED } from '../../../tools/tool.ts';
import type { Dockerd } from '../dockerd.ts';
import { DockerError } from '../error.ts';
import { type CliCommand, type CliContext, CliError, EXIT_CANNOT_RUN } from './command.ts';
import { attached } from './run.ts';
import { humanDuration, table, timestamp } from './table.ts';
import { parseTemplate } from './template.ts';

const ANY = Number.POSITIVE_INFINITY;

/** Does something to each of several, and tells on stderr of those that it cannot be done to; these it returns. */
function forEach(
  refs: readonly string[],
  { out }: CliContext,
  act: (ref: string) => void,
): readonly string[] {
  return refs.filter((ref) => {
    try {
      act(ref);
      out.stdout(`${ref}\n`);
      return false;
    } catch (error) {
      if (!(error instanceof DockerError || error instanceof CliError)) throw error;
      out.stderr(`${error instanceof DockerError ? daemonError(error) : error.message}\n`);
      return true;
    }
  });
}

export function daemonError({ message }: DockerError): string {
  return `Error response from daemon: ${message}`;
}

/** A container that the client has looked at first: one that is not there it tells of in its own words. @throws CliError */
function inspected({ ledger }: Dockerd, ref: string): DockerContainerFacts {
  try {
    return ledger.container(ref);
  } catch (error) {
    if (!(error instanceof DockerError)) throw error;
    throw new CliError(message(error));
  }
}

function message(error: DockerError): string {
  return error.message.startsWith('No such') ? `Error: ${error.message}` : daemonError(error);
}

export function statusText({ state }: DockerContainerFacts, now: number): string {
  const ran = humanDuration(now - (state.startedAt ?? now));
  const ended = humanDuration(now - (state.finishedAt ?? now));
  switch (state.status) {
    case 'created':
      return 'Created';
    case 'running':
      return `Up ${ran}`;
    case 'paused':
      return `Up ${ran} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${ended} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${ended} ago`;
  }
}

/** `0.0.0.0:8080->80/tcp, 443/tcp` */
export function portsText({ exposed, published, state }: DockerContainerFacts): string {
  if (state.status !== 'running' && state.status !== 'paused') return '';
  const shown = published.map(({ hostIp, hostPort, port, proto }) => ({
    key: port,
    text: `${hostIp}:${hostPort}->${port}/${proto}`,
  }));
  const bare = exposed
    .filter((text) => !published.some(({ port, proto }) => `${port}/${proto}` === text))
    .map((text) => ({ key: Number.parseInt(text, 10), text }));
  return [...bare, ...shown]
    .sort((a, b) => a.key - b.key)
    .map(({ text }) => text)
    .join(', ');
}

interface PsRow {
  readonly ID: string;
  readonly Image: string;
  readonly Command: string;
  readonly CreatedAt: string;
  readonly RunningFor: string;
  readonly Status: string;
  readonly State: string;
  readonly Ports: string;
  readonly Names: string;
  readonly Networks: string;
  readonly Labels: string;
}

const PS_HEADERS: Readonly<Record<keyof PsRow, string>> = {
  ID: 'CONTAINER ID',
  Image: 'IMAGE',
  Command: 'COMMAND',
  CreatedAt: 'CREATED AT',
  RunningFor: 'CREATED',
  Status: 'STATUS',
  State: 'STATE',
  Ports: 'PORTS',
  Names: 'NAMES',
  Networks: 'NETWORKS',
  Labels: 'LABELS',
};

const PS_COLUMNS: readonly (keyof PsRow)[] = [
  'ID',
  'Image',
  'Command',
  'RunningFor',
  'Status',
  'Ports',
  'Names',
];

function psRow(container: DockerContainerFacts, now: number, trunc: boolean): PsRow {
  const command = JSON.stringify(container.command.join(' '));
  return {
    ID: trunc ? container.id.slice(0, 12) : container.id,
    Image: container.image,
    Command: trunc && command.length > 22 ? `${command.slice(0, 20)}…"` : command,
    CreatedAt: `${timestamp(container.created).slice(0, 19).replace('T', ' ')} +0000 UTC`,
    RunningFor: `${humanDuration(now - container.created)} ago`,
    Status: statusText(container, now),
    State: container.state.status,
    Ports: portsText(container),
    Names: container.name,
    Networks: container.endpoints.map(({ network }) => network).join(','),
    Labels: Object.entries(container.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  };
}

/** Rows by a `--format`: a template for each, with headers where it begins with `table`. */
export function formatRows<T extends object>(
  format: string,
  rows: readonly T[],
  headers: Readonly<Record<string, string>>,
): string {
  const isTable = /^table(\s|$)/.test(format);
  const text = (isTable ? format.slice(5).trimStart() : format)
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n');
  const template = parseTemplate(text);
  const lines = rows.map((row) => template.execute(row));
  if (!isTable) return lines.map((line) => `${line}\n`).join('');
  return table([template.execute(headers), ...lines].map((line) => line.split('\t')));
}

function matches(container: DockerContainerFacts, filter: string): boolean {
  const equals = filter.indexOf('=');
  const key = filter.slice(0, equals);
  const value = filter.slice(equals + 1);
  switch (key) {
    case 'name':
      return new RegExp(value.replace(/[.+?()[\]{}|\\]/g, '\\$&')).test(container.name);
    case 'id':
      return container.id.startsWith(value);
    case 'status':
      return container.state.status === value;
    case 'label': {
      const [label = '', wanted] = value.split('=');
      return (
        Object.hasOwn(container.labels, label) && (wanted === undefined || container.labels[label] === wanted)
      );
    }
    case 'ancestor':
      return container.image === value || container.image.split(':')[0] === value;
    case 'network':
      return container.endpoints.some(
        ({ network, networkId }) => network === value || networkId.startsWith(value),
      );
    case 'exited':
      return container.state.status === 'exited' && container.state.exitCode === Number(value);
    case 'publish':
    case 'expose': {
      const [port = '', proto = 'tcp'] = value.split('/');
      const bound = container.published.map((it) => `${it.hostPort}/${it.proto}`);
      return (key === 'publish' ? bound : container.exposed).includes(`${port}/${proto}`);
    }
    default:
      throw new DockerError(`Invalid filter '${key}'`);
  }
}

/** Filters of one key are alternatives, those of several are all to be met. */
export function filtered<T>(
  items: readonly T[],
  filters: readonly string[],
  match: (item: T, filter: string) => boolean,
): T[] {
  const byKey = new Map<string, string[]>();
  for (const filter of filters) {
    const key = filter.slice(0, filter.indexOf('='));
    byKey.set(key, [...(byKey.get(key) ?? []), filter]);
  }
  return items.filter((item) =>
    [...byKey.values()].every((group) => group.some((filter) => match(item, filter))),
  );
}

export const psCommand: CliCommand = {
  name: 'ps',
  usage: '[OPTIONS]',
  help: 'List containers',
  flags: [
    { name: 'all', short: 'a', type: 'bool', help: 'Show all containers (default shows just running)' },
    { name: 'filter', short: 'f', type: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', type: 'string', help: 'Pretty-print containers using a Go template' },
    {
      name: 'last',
      short: 'n',
      type: 'int',
      help: 'Show n last created containers (includes all states) (default -1)',
    },
    {
      name: 'latest',
      short: 'l',
      type: 'bool',
      help: 'Show the latest created container (includes all states)',
    },
    { name: 'no-trunc', type: 'bool', help: "Don't truncate output" },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only display container IDs' },
  ],
  args: { min: 0, max: 0 },
  run: (flags, { dockerd, out }) => {
    const filters = flags.list('filter');
    const last = flags.has('latest') ? 1 : flags.given('last') ? Number(flags.text('last')) : -1;
    const all = flags.has('all') || last > 0 || filters.some((filter) => /^(status|exited)=/.test(filter));
    const newest = dockerd.ledger.containers.toReversed();
    const shown = filtered(newest, filters, matches).filter(
      ({ state }) =>
        all || state.status === 'running' || state.status === 'paused' || state.status === 'restarting',
    );
    const trunc = !flags.has('no-trunc');
    const rows = (last > 0 ? shown.slice(0, last) : shown).map((container) =>
      psRow(container, dockerd.now, trunc),
    );
    const format = flags.text('format');
    if (format !== '') out.stdout(formatRows(format, rows, PS_HEADERS));
    else if (flags.has('quiet')) out.stdout(rows.map(({ ID }) => `${ID}\n`).join(''));
    else
      out.stdout(
        table([
          PS_COLUMNS.map((key) => PS_HEADERS[key]),
          ...rows.map((row) => PS_COLUMNS.map((key) => row[key])),
        ]),
      );
    out.exit(0);
  },
};

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

/**
 * Does something that takes time to several, all at once, and tells of it in the order in which they were named; `summary`
 * goes to stderr for those that it could not be done to.
 */
export function inParallel(
  refs: readonly string[],
  { out }: CliContext,
  act: (ref: string, done: (error: DockerError | null) => void) => void,
  summary: (failed: readonly string[]) => string = () => '',
): void {
  const problems: (string | null)[] = refs.map(() => null);
  let left = refs.length;
  const finish = (i: number, problem: string | null) => {
    problems[i] = problem;
    if (--left > 0) return;
    for (const [k, text] of problems.entries()) {
      if (text === null) out.stdout(`${refs[k]}\n`);
      else out.stderr(`${text}\n`);
    }
    const failed = refs.filter((_, k) => problems[k] !== null);
    if (failed.length > 0) out.stderr(summary(failed));
    out.exit(failed.length === 0 ? 0 : 1);
  };
  for (const [i, ref] of refs.entries()) {
    try {
      act(ref, (error) => finish(i, error === null ? null : daemonError(error)));
    } catch (error) {
      if (error instanceof DockerError) finish(i, daemonError(error));
      else if (error instanceof CliError) finish(i, error.message);
      else throw error;
    }
  }
}

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
  run: (flags, { dockerd, out }) => {
    const [ref = '', ...argv] = flags.args;
    const { id } = inspected(dockerd, ref);
    const detached = flags.has('detach');
    try {
      const stream = detached ? { stdout: () => {}, stderr: () => {}, exit: () => {} } : out;
      const tool = dockerd.containers.exec(
        id,
        argv,
        detached && flags.has('interactive') ? 'open' : 'at-end',
        stream,
      );
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
