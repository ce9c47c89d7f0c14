import { DockerError } from '../error.ts';
import { taggedName } from '../images.ts';
import { stateOf } from '../swarm/plan.ts';
import type { ServicePort, ServiceRow, TaskRow } from '../swarm/service-rows.ts';
import type { CliCommand, CliContext } from './command.ts';
import type { Flags } from './flags.ts';
import { capital, filtered, filterParts, printRows } from './listing.ts';
import { humanDuration } from './table.ts';

function portText({ published, target, proto }: ServicePort): string {
  return `*:${published}->${target}/${proto}`;
}

/** The ports that are published in that mode. */
export function portsText(ports: readonly ServicePort[], mode: ServicePort['mode']): string {
  return ports
    .filter((port) => port.mode === mode)
    .toSorted((a, b) => a.published - b.published)
    .map(portText)
    .join(mode === 'ingress' ? ', ' : ',');
}

const PS_FORMAT =
  'table {{.ID}}\\t{{.Name}}\\t{{.Image}}\\t{{.Node}}\\t{{.DesiredState}}\\t{{.CurrentState}}\\t{{.Error}}\\t{{.Ports}}';
const PS_HEADERS = {
  ID: 'ID',
  Name: 'NAME',
  Image: 'IMAGE',
  Node: 'NODE',
  DesiredState: 'DESIRED STATE',
  CurrentState: 'CURRENT STATE',
  Error: 'ERROR',
  Ports: 'PORTS',
};
/** What is shown of an error. */
const ERROR_LENGTH = 30;

interface ShownTask {
  readonly task: TaskRow;
  readonly name: string;
}

/** Tasks as `service ps` and `node ps` list them: by name, the newest of a slot first and the others below it. */
function taskRows(
  { dockerd }: CliContext,
  tasks: readonly ShownTask[],
  cut: 'cut' | 'whole',
): { readonly ID: string }[] {
  const sorted = tasks.toSorted(
    (a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }) || b.task.created - a.task.created,
  );
  const { store } = dockerd.services;
  return sorted.map(({ task, name }, i) => {
    const status = store.statusOf(task.id);
    const error = status?.error || task.problem;
    const shown =
      cut === 'whole' || error.length <= ERROR_LENGTH ? error : `${error.slice(0, ERROR_LENGTH - 1)}…`;
    const since = humanDuration(dockerd.now - (status?.at ?? task.created)).toLowerCase();
    return {
      ID: cut === 'whole' ? task.id : task.id.slice(0, 12),
      Name: sorted[i - 1]?.name === name ? ` \\_ ${name}` : name,
      Image: taggedName(task.template.image),
      Node: task.node,
      DesiredState: capital(task.desired),
      CurrentState: `${capital(stateOf(task, status))} ${since} ago`,
      Error: error === '' ? '' : `"${shown}"`,
      Ports: status?.state === 'running' ? portsText(task.ports, 'host') : '',
    };
  });
}

/** `web.1`; of a global service `web.` and the node's id. */
export function shownName({ slot, nodeId }: TaskRow, { name }: ServiceRow): string {
  return `${name}.${slot === 0 ? nodeId : slot}`;
}

export const PS_FLAGS: CliCommand['flags'] = [
  { name: 'filter', short: 'f', type: 'filter', help: 'Filter output based on conditions provided' },
  { name: 'format', type: 'string', help: 'Pretty-print tasks using a Go template' },
  { name: 'no-resolve', type: 'bool', help: 'Do not map IDs to Names' },
  { name: 'no-trunc', type: 'bool', help: 'Do not truncate output' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'Only display task IDs' },
];

/** Prints tasks by the flags of PS_FLAGS. */
export function printTasks(flags: Flags, context: CliContext, shown: readonly ShownTask[]): void {
  const kept = filtered(shown, flags.list('filter'), ({ task, name }, filter) => {
    const [key, value] = filterParts(filter);
    if (key === 'node') return task.node === value || task.nodeId.startsWith(value);
    if (key === 'id') return task.id.startsWith(value);
    if (key === 'name') return name.startsWith(value);
    if (key === 'desired-state') return task.desired === (value === 'accepted' ? 'ready' : value);
    throw new DockerError(`Invalid filter '${key}'`);
  });
  const rows = taskRows(context, kept, flags.has('no-trunc') ? 'whole' : 'cut');
  printRows(flags, context.out, rows, PS_FORMAT, PS_HEADERS);
}

/** The tasks of each of several; of those that are not there, what is to be said. */
export function tasksOfAll(
  refs: readonly string[],
  find: (ref: string) => readonly ShownTask[],
  missing: (ref: string) => string,
): { readonly shown: readonly ShownTask[]; readonly missing: readonly string[] } {
  const said: string[] = [];
  const shown = refs.flatMap((ref) => {
    try {
      return find(ref);
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
      said.push(missing(ref));
      return [];
    }
  });
  return { shown, missing: said };
}
