import type { DockerContainerFacts } from '../../../events/docker.ts';
import { DockerError } from '../error.ts';
import { stateName } from '../inspect.ts';
import type { CliCommand } from './command.ts';
import { filtered, filterParts, hasLabel, printColumns } from './listing.ts';
import { humanDuration, timestamp } from './table.ts';

function statusText({ state }: DockerContainerFacts, now: number): string {
  const ran = humanDuration(now - (state.startedAt ?? now));
  const ended = humanDuration(now - (state.finishedAt ?? now));
  switch (state.status) {
    case 'created':
      return 'Created';
    case 'running':
      return `Up ${ran}${state.paused === true ? ' (Paused)' : ''}`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${ended} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${ended} ago`;
  }
}

/** `0.0.0.0:8080->80/tcp, 443/tcp` */
function portsText({ exposed, published, state }: DockerContainerFacts): string {
  if (state.status !== 'running') return '';
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
    State: stateName(container.state),
    Ports: portsText(container),
    Names: container.name,
    Networks: container.endpoints.map(({ network }) => network).join(','),
    Labels: Object.entries(container.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  };
}

function matches(container: DockerContainerFacts, filter: string): boolean {
  const [key, value] = filterParts(filter);
  switch (key) {
    case 'name':
      return new RegExp(value.replace(/[.+?()[\]{}|\\]/g, '\\$&')).test(container.name);
    case 'id':
      return container.id.startsWith(value);
    case 'status':
      return stateName(container.state) === value;
    case 'label':
      return hasLabel(container.labels, value);
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
      ({ state }) => all || state.status === 'running' || state.status === 'restarting',
    );
    const trunc = !flags.has('no-trunc');
    const rows = (last > 0 ? shown.slice(0, last) : shown).map((container) =>
      psRow(container, dockerd.now, trunc),
    );
    printColumns(flags, out, rows, PS_COLUMNS, PS_HEADERS);
    out.exit(0);
  },
};
