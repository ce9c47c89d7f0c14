import type { Activity } from '../activity.ts';
import type { Attachment } from '../containers.ts';
import { DockerError } from '../error.ts';
import { type CliCommand, CliError } from './command.ts';
import { inspected } from './each.ts';
import { filtered, filterParts, hasLabel } from './listing.ts';
import { timestamp } from './table.ts';
import { parseTemplate } from './template.ts';

/** Ends with a signal, and says so by its code. */
const EXIT_SIGNAL = 130;

export const attachCommand: CliCommand = {
  name: 'attach',
  usage: '[OPTIONS] CONTAINER',
  help: 'Attach local standard input, output, and error streams to a running container',
  flags: [
    { name: 'detach-keys', type: 'string', help: 'Override the key sequence for detaching a container' },
    { name: 'no-stdin', type: 'bool', help: 'Do not attach STDIN' },
    { name: 'sig-proxy', type: 'bool', help: 'Proxy all received signals to the process (default true)' },
  ],
  args: { min: 1, max: 1 },
  run: (flags, { dockerd, out }) => {
    const { id } = inspected(dockerd, flags.args[0]!);
    const stream: Attachment = {
      stdout: (text) => out.stdout(text),
      stderr: (text) => out.stderr(text),
      exit: () => {},
    };
    let detach: () => void;
    try {
      detach = dockerd.containers.attach(id, stream);
    } catch (error) {
      if (error instanceof DockerError) throw new CliError(error.message);
      throw error;
    }
    dockerd.containers.onExit(id, (code) => out.exit(code));
    const proxied = flags.text('sig-proxy') !== 'false';
    return {
      interrupt: () => {
        if (proxied) {
          dockerd.containers.interrupt(id);
          return;
        }
        detach();
        out.exit(EXIT_SIGNAL);
      },
    };
  },
};

/** As `docker events` prints one. */
function line({ at, type, action, id, attributes }: Activity): string {
  const shown = Object.entries(attributes).map(([key, value]) => `${key}=${value}`);
  const [whole = '', fraction = ''] = timestamp(at).replace('Z', '').split('.');
  return `${whole}.${fraction.padEnd(9, '0')}Z ${type} ${action} ${id} (${shown.join(', ')})\n`;
}

function matches({ type, action, id, attributes }: Activity, filter: string): boolean {
  const [key, value] = filterParts(filter);
  switch (key) {
    case 'type':
      return type === value;
    case 'event':
      return action === value;
    case 'container':
      return (
        (type === 'container' && (id.startsWith(value) || attributes.name === value)) ||
        attributes.container?.startsWith(value) === true
      );
    case 'network':
      return type === 'network' && (id.startsWith(value) || attributes.name === value);
    case 'image':
      return attributes.image === value;
    case 'label':
      return hasLabel(attributes, value);
    default:
      throw new DockerError(`Invalid filter '${key}'`);
  }
}

/** A moment as `--since` has it, ms: seconds since 1970, a time, or a duration before now. @throws DockerError */
function moment(text: string, now: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    let sum = 0;
    for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
      sum += Number(value) * units[unit as keyof typeof units];
    return now - sum;
  }
  const parsed = Date.parse(text);
  if (Number.isNaN(parsed)) throw new DockerError(`invalid value for "since": ${JSON.stringify(text)}`);
  return parsed;
}

export const eventsCommand: CliCommand = {
  name: 'events',
  usage: '[OPTIONS]',
  help: 'Get real time events from the server',
  flags: [
    { name: 'filter', short: 'f', type: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', type: 'string', help: 'Format the output using the given Go template' },
    { name: 'since', type: 'string', help: 'Show all events created since timestamp' },
    { name: 'until', type: 'string', help: 'Stream events until this timestamp' },
  ],
  args: { min: 0, max: 0 },
  run: (flags, { dockerd, out }) => {
    const filters = flags.list('filter');
    const format = flags.text('format');
    const template = format === '' ? null : parseTemplate(format === 'json' ? '{{json .}}' : format);
    const since = flags.given('since') ? moment(flags.text('since'), dockerd.now) : null;
    const until = flags.given('until') ? moment(flags.text('until'), dockerd.now) : null;
    const show = (activity: Activity) => {
      if (filtered([activity], filters, matches).length === 0) return;
      const { type, action, id, attributes, at } = activity;
      const item = {
        ID: id,
        Status: action,
        Type: type,
        Action: action,
        Actor: { ID: id, Attributes: attributes },
        Scope: 'local',
        Time: Math.floor(at / 1000),
      };
      out.stdout(template === null ? line(activity) : `${template.execute(item)}\n`);
    };
    const { activity } = dockerd.ledger;
    if (since !== null)
      for (const one of activity.kept) if (one.at >= since && (until === null || one.at <= until)) show(one);
    if (until !== null && until <= dockerd.now) {
      out.exit(0);
      return;
    }
    const stop = activity.listen(show);
    let ended = false;
    const end = (code: number) => {
      if (ended) return;
      ended = true;
      stop();
      out.exit(code);
    };
    if (until !== null) dockerd.later(until - dockerd.now, () => end(0));
    return { interrupt: () => end(EXIT_SIGNAL) };
  },
};

/** Columns of text/tabwriter, as `docker top` has them. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(20, ...rows.map((row) => (row[i] ?? '').length + 3)));
  return rows
    .map(
      (row) =>
        `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('')}\n`,
    )
    .join('');
}

export const topCommand: CliCommand = {
  name: 'top',
  usage: 'CONTAINER [ps OPTIONS]',
  help: 'Display the running processes of a container',
  flags: [],
  args: { min: 1, max: 1 },
  run: (flags, { dockerd, out }) => {
    const container = dockerd.ledger.container(flags.args[0]!);
    const { id, state, command } = container;
    if (state.status !== 'running') throw new DockerError(`Container ${id} is not running`);
    const started = timestamp(state.startedAt).slice(11, 16);
    // Each has an id of its own; there is no more to them here than what they run.
    const processes = [command, ...dockerd.containers.execs(id)];
    out.stdout(
      columns([
        ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
        ...processes.map((argv, i) => [
          'root',
          String(state.pid + i),
          '1',
          '0',
          started,
          container.tty ? 'pts/0' : '?',
          '00:00:00',
          argv.join(' '),
        ]),
      ]),
    );
    out.exit(0);
  },
};

export const statsCommand: CliCommand = {
  name: 'stats',
  usage: '[OPTIONS] [CONTAINER...]',
  help: 'Display a live stream of container(s) resource usage statistics',
  flags: [],
  args: { min: 0, max: Number.POSITIVE_INFINITY },
  run: (flags, { dockerd }) => {
    for (const ref of flags.args) inspected(dockerd, ref);
    throw new CliError(
      "docker stats: an emulated container has no CPU or memory of its own to measure; its interfaces' counters: docker exec CONTAINER ip -s link",
    );
  },
};
