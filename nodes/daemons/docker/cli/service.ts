import { ENDED } from '../../../tools/tool.ts';
import { DockerError } from '../error.ts';
import { taggedName } from '../images.ts';
import { inspectService } from '../swarm/inspect-service.ts';
import type { specOf } from '../swarm/services.ts';
import { ANY, type CliCommand, CliError } from './command.ts';
import { daemonError, lookedUp, refuseWorkers } from './each.ts';
import { FORMAT_FLAG, inspectAll } from './inspect.ts';
import { filtered, filterParts, hasLabel, listFlags, printRows } from './listing.ts';
import { serviceCreateCommand } from './service-create.ts';
import { count, SHARED_FLAGS } from './service-flags.ts';
import { waitConverged } from './service-progress.ts';
import { serviceRollbackCommand, serviceUpdateCommand } from './service-update.ts';
import { PS_FLAGS, portsText, printTasks, shownName, tasksOfAll } from './tasks.ts';

const DETACH = SHARED_FLAGS.filter(({ name }) => name === 'detach');

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
  flags: listFlags('services'),
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
    const rows = services.map((service) => {
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
    });
    printRows(flags, out, rows, LS_FORMAT, LS_HEADERS);
    out.exit(0);
  },
};

const psCommand: CliCommand = {
  name: 'service ps',
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  help: 'List the tasks of one or more services',
  flags: PS_FLAGS,
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const find = (ref: string) => {
      const service = dockerd.services.find(ref);
      return dockerd.services.store
        .tasksOf(service)
        .map((task) => ({ task, name: shownName(task, service) }));
    };
    const { shown, missing } = tasksOfAll(flags.args, find, (ref) => `no such service: ${ref}`);
    if (missing.length < flags.args.length) printTasks(flags, context, shown);
    for (const line of missing) out.stderr(`${line}\n`);
    out.exit(missing.length === 0 ? 0 : 1);
  },
};

const inspectCommand: CliCommand = {
  name: 'service inspect',
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  help: 'Display detailed information on one or more services',
  flags: [FORMAT_FLAG],
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
