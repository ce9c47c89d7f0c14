import { ENDED } from '../../../tools/tool.ts';
import { DockerError } from '../error.ts';
import { taggedName } from '../images.ts';
import { inspectService } from '../swarm/inspect-service.ts';
import { stateOf } from '../swarm/plan.ts';
import type { ServicePort, ServiceRow, TaskRow } from '../swarm/service-rows.ts';
import type { specOf } from '../swarm/services.ts';
import { ANY, type CliCommand, type CliContext, CliError } from './command.ts';
import { daemonError, lookedUp, refuseWorkers } from './each.ts';
import { inspectAll } from './inspect.ts';
import { filtered, filterParts, formatRows, hasLabel } from './listing.ts';
import { serviceCreateCommand } from './service-create.ts';
import { count, SHARED_FLAGS } from './service-flags.ts';
import { waitConverged } from './service-progress.ts';
import { serviceRollbackCommand, serviceUpdateCommand } from './service-update.ts';
import { humanDuration } from './table.ts';

const DETACH = SHARED_FLAGS.filter(({ name }) => name === 'detach');

function portText({ published, target, proto }: ServicePort): string {
  return `*:${published}->${target}/${proto}`;
}

function portsText(ports: readonly ServicePort[], mode: ServicePort['mode']): string {
  return ports
    .filter((port) => port.mode === mode)
    .toSorted((a, b) => a.published - b.published)
    .map(portText)
    .join(mode === 'ingress' ? ', ' : ',');
}

const LS_FORMAT = 'table {{.ID}}\\t{{.Name}}\\t{{.Mode}}\\t{{.Replicas}}\\t{{.Image}}\\t{{.Ports}}';
const LS_HEADERS = {
  ID: 'ID',
  Name: 'NAME',
  Mode: 'MODE',
  Replicas: 'REPLICAS',
  Image: 'IMAGE',
  Ports: 'PORTS',
};

const lsCommand: CliCommand = {
  name: 'service ls',
  usage: '[OPTIONS]',
  help: 'List services',
  flags: [
    { name: 'filter', short: 'f', type: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', type: 'string', help: 'Pretty-print services using a Go template' },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only display IDs' },
  ],
  args: { min: 0, max: 0 },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const services = filtered(dockerd.services.store.services, flags.list('filter'), (service, filter) => {
      const [key, value] = filterParts(filter);
      if (key === 'name') return service.name.startsWith(value);
      if (key === 'id') return service.id.startsWith(value);
      if (key === 'mode') return service.mode === value;
      if (key === 'label') return hasLabel(service.labels, value);
      throw new DockerError(`Invalid filter '${key}'`);
    });
    if (flags.has('quiet')) out.stdout(services.map(({ id }) => `${id.slice(0, 12)}\n`).join(''));
    else
      out.stdout(
        formatRows(
          flags.text('format') || LS_FORMAT,
          services.map((service) => {
            const { running, wanted } = dockerd.services.progress(service);
            const most = service.template.maxReplicasPerNode;
            return {
              ID: service.id.slice(0, 12),
              Name: service.name,
              Mode: service.mode,
              Replicas: `${running}/${wanted}${most === 0 ? '' : ` (max ${most} per node)`}`,
              Image: taggedName(service.template.image),
              Ports: portsText(service.ports, 'ingress'),
            };
          }),
          LS_HEADERS,
        ),
      );
    out.exit(0);
  },
};

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

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

interface ShownTask {
  readonly task: TaskRow;
  readonly name: string;
}

/** Tasks as `service ps` and `node ps` list them: by name, the newest of a slot first and the others below it. */
export function taskRows(
  { dockerd }: CliContext,
  tasks: readonly ShownTask[],
  cut: 'cut' | 'whole',
): Record<string, string>[] {
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
export function printTasks(
  flags: Parameters<CliCommand['run']>[0],
  context: CliContext,
  shown: readonly ShownTask[],
): void {
  const kept = filtered(shown, flags.list('filter'), ({ task, name }, filter) => {
    const [key, value] = filterParts(filter);
    if (key === 'node') return task.node === value || task.nodeId.startsWith(value);
    if (key === 'id') return task.id.startsWith(value);
    if (key === 'name') return name.startsWith(value);
    if (key === 'desired-state') return task.desired === (value === 'accepted' ? 'ready' : value);
    throw new DockerError(`Invalid filter '${key}'`);
  });
  const rows = taskRows(context, kept, flags.has('no-trunc') ? 'whole' : 'cut');
  if (flags.has('quiet')) context.out.stdout(rows.map(({ ID }) => `${ID}\n`).join(''));
  else context.out.stdout(formatRows(flags.text('format') || PS_FORMAT, rows, PS_HEADERS));
}

const psCommand: CliCommand = {
  name: 'service ps',
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  help: 'List the tasks of one or more services',
  flags: PS_FLAGS,
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const missing: string[] = [];
    const shown = flags.args.flatMap((ref) => {
      try {
        const service = dockerd.services.find(ref);
        return dockerd.services.store
          .tasksOf(service)
          .map((task) => ({ task, name: shownName(task, service) }));
      } catch (error) {
        if (!(error instanceof DockerError)) throw error;
        missing.push(`no such service: ${ref}`);
        return [];
      }
    });
    if (missing.length < flags.args.length) printTasks(flags, context, shown);
    for (const line of missing) out.stderr(`${line}\n`);
    out.exit(missing.length === 0 ? 0 : 1);
  },
};

const inspectCommand: CliCommand = {
  name: 'service inspect',
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  help: 'Display detailed information on one or more services',
  flags: [
    { name: 'format', short: 'f', type: 'string', help: 'Format the output using the given Go template' },
  ],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const find = (ref: string) => inspectService(dockerd.services.find(ref));
    out.exit(
      inspectAll(flags.args, flags.text('format'), out, find, (ref) => `Error: no such service: ${ref}`),
    );
  },
};

const scaleCommand: CliCommand = {
  name: 'service scale',
  usage: 'SERVICE=REPLICAS [SERVICE=REPLICAS...]',
  help: 'Scale one or multiple replicated services',
  flags: DETACH,
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    const wanted = flags.args.map((text) => {
      const [name = '', number] = text.split('=');
      if (number === undefined || name === '')
        throw new CliError(
          `Invalid scale specifier '${text}'.\nSee 'docker service scale --help'.\n\nUsage:  docker service scale SERVICE=REPLICAS [SERVICE=REPLICAS...]\n\nScale one or multiple replicated services`,
        );
      if (!/^\d+$/.test(number))
        throw new CliError(
          `${name}: invalid replicas value ${number}: strconv.ParseUint: parsing ${JSON.stringify(number)}: invalid syntax`,
        );
      return { name, replicas: count('service scale', 'replicas', number) };
    });
    refuseWorkers(context);
    const errors: string[] = [];
    const scaled: string[] = [];
    let left = wanted.length;
    let running = ENDED;
    const finish = (): void => {
      if (--left > 0) return;
      for (const line of errors) out.stderr(`${line}\n`);
      const end = () => out.exit(errors.length === 0 ? 0 : 1);
      if (flags.has('detach')) end();
      else running = waitConverged(context, scaled, false, end);
    };
    for (const { name, replicas } of wanted) {
      try {
        const change = (spec: ReturnType<typeof specOf>) => {
          if (spec.mode === 'global')
            throw new CliError('scale can only be used with replicated or replicated-job mode');
          return { ...spec, replicas };
        };
        lookedUp('service', name, () => dockerd.services.find(name));
        dockerd.services.update(name, change, (result) => {
          if (result instanceof Error) errors.push(`${name}: ${daemonError(result)}`);
          else {
            out.stdout(`${name} scaled to ${replicas}\n`);
            scaled.push(result.id);
          }
          finish();
        });
      } catch (error) {
        if (!(error instanceof DockerError || error instanceof CliError)) throw error;
        errors.push(`${name}: ${error instanceof CliError ? error.message : daemonError(error)}`);
        finish();
      }
    }
    return { interrupt: () => running.interrupt() };
  },
};

const rmCommand: CliCommand = {
  name: 'service rm',
  usage: 'SERVICE [SERVICE...]',
  help: 'Remove one or more services',
  flags: [],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const missing: string[] = [];
    let left = flags.args.length;
    const finish = () => {
      if (--left > 0) return;
      for (const line of missing) out.stderr(`${line}\n`);
      out.exit(missing.length === 0 ? 0 : 1);
    };
    for (const ref of flags.args) {
      try {
        dockerd.services.remove(ref, () => {
          out.stdout(`${ref}\n`);
          finish();
        });
      } catch (error) {
        if (!(error instanceof DockerError)) throw error;
        missing.push(`Error: No such service: ${ref}`);
        finish();
      }
    }
  },
};

const logsCommand: CliCommand = {
  name: 'service logs',
  usage: '[OPTIONS] SERVICE|TASK',
  help: 'Fetch the logs of a service or task',
  flags: [],
  args: { min: 1, max: 1 },
  run: (flags, context) => {
    refuseWorkers(context);
    context.dockerd.services.find(flags.args[0] ?? '');
    throw new CliError(
      'docker service logs: logs are not gathered from other nodes here; ask the node of a task (docker service ps): docker logs CONTAINER',
    );
  },
};

export const serviceCommands: readonly CliCommand[] = [
  serviceCreateCommand,
  inspectCommand,
  logsCommand,
  lsCommand,
  psCommand,
  rmCommand,
  serviceRollbackCommand,
  scaleCommand,
  serviceUpdateCommand,
];
