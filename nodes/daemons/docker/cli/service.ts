import type { DockerPortBinding } from '../../../events/docker.ts';
import { findImage, taggedName } from '../images.ts';
import type { ServiceRow, TaskRow } from '../swarm/rows.ts';
import { type CliCommand, type CliContext, CliError } from './command.ts';
import { humanDuration, table } from './table.ts';

const ANY = Number.POSITIVE_INFINITY;

function count(text: string): number {
  if (!/^\d+$/.test(text))
    throw new CliError(
      `invalid replicas value ${text}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  return Number(text);
}

/** `published=8080,target=80,mode=host`. @throws CliError */
function publishOf(text: string): DockerPortBinding {
  const fields = new Map(text.split(',').map((field) => field.split('=', 2) as [string, string]));
  if (fields.get('mode') !== 'host')
    throw new CliError(
      `--publish ${text}: ports of the routing mesh wait for IPVS, which is not emulated here so far; write published=8080,target=80,mode=host`,
    );
  const proto = fields.get('protocol') ?? 'tcp';
  const target = Number(fields.get('target') ?? fields.get('dst'));
  const published = Number(fields.get('published') ?? fields.get('src') ?? 0);
  if (!Number.isInteger(target) || !Number.isInteger(published) || (proto !== 'tcp' && proto !== 'udp'))
    throw new CliError(`invalid argument ${JSON.stringify(text)} for "-p, --publish" flag: invalid port`);
  return { port: target, proto, hostIp: '0.0.0.0', hostPort: published };
}

const createCommand: CliCommand = {
  name: 'service create',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  help: 'Create a new service',
  flags: [
    {
      name: 'detach',
      short: 'd',
      type: 'bool',
      help: 'Exit immediately instead of waiting for the service to converge',
    },
    { name: 'endpoint-mode', type: 'string', help: 'Endpoint mode (vip or dnsrr) (default "vip")' },
    { name: 'env', short: 'e', type: 'list', help: 'Set environment variables' },
    { name: 'mode', type: 'string', help: 'Service mode (replicated or global) (default "replicated")' },
    { name: 'name', type: 'string', help: 'Service name' },
    { name: 'network', type: 'network', help: 'Network attachments' },
    { name: 'publish', short: 'p', type: 'list', help: 'Publish a port as a node port' },
    { name: 'replicas', type: 'string', help: 'Number of tasks' },
  ],
  args: { min: 1, max: ANY },
  order: 'stop-at-argument',
  run: (flags, { dockerd, out }) => {
    const [image = '', ...command] = flags.args;
    findImage(image);
    const mode = flags.text('mode') || 'replicated';
    if (mode !== 'replicated' && mode !== 'global')
      throw new CliError(`Unknown mode: ${mode}, only replicated and global supported`);
    const endpoint = flags.text('endpoint-mode') || 'vip';
    if (endpoint !== 'vip' && endpoint !== 'dnsrr')
      throw new CliError(`invalid endpoint mode ${JSON.stringify(endpoint)}`);
    if (mode === 'global' && flags.given('replicas'))
      throw new CliError('replicas can only be used with replicated or replicated-job mode');
    if (endpoint === 'vip' && flags.text('network') !== '')
      out.stderr(
        'WARNING: virtual addresses wait for IPVS, which is not emulated here so far: the name of the service is resolved to its tasks, as with --endpoint-mode dnsrr\n',
      );
    const spec = {
      name: flags.text('name') || `svc-${image.replace(/[^a-z0-9]+/g, '-')}`,
      image,
      command,
      env: flags.list('env'),
      replicas: count(flags.text('replicas') || '1'),
      mode,
      network: flags.text('network'),
      publish: flags.list('publish').map(publishOf),
    } as const;
    dockerd.services.create(spec, (id) => {
      out.stdout(`${id}\n`);
      out.exit(0);
    });
  },
};

/** Tasks that run, of those that there are to be, as this node knows it: by the rows that their hosts have told. */
function replicas({ dockerd }: CliContext, service: ServiceRow): string {
  const tasks = dockerd.services.tasksOf(service);
  return `${tasks.filter((task) => dockerd.runsTask(service, task)).length}/${service.mode === 'global' ? tasks.length : service.replicas}`;
}

const lsCommand: CliCommand = {
  name: 'service ls',
  usage: '[OPTIONS]',
  help: 'List services',
  flags: [{ name: 'quiet', short: 'q', type: 'bool', help: 'Only display IDs' }],
  args: { min: 0, max: 0 },
  run: (flags, context) => {
    const { dockerd, out } = context;
    const refusal = dockerd.swarm.refuseManager();
    if (refusal !== null) throw refusal;
    const { services } = dockerd.services;
    if (flags.has('quiet')) out.stdout(services.map(({ id }) => `${id.slice(0, 12)}\n`).join(''));
    else
      out.stdout(
        table([
          ['ID', 'NAME', 'MODE', 'REPLICAS', 'IMAGE', 'PORTS'],
          ...services.map((service) => [
            service.id.slice(0, 12),
            service.name,
            service.mode,
            replicas(context, service),
            taggedName(service.image),
            '',
          ]),
        ]),
      );
    out.exit(0);
  },
};

const psCommand: CliCommand = {
  name: 'service ps',
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  help: 'List the tasks of one or more services',
  flags: [{ name: 'no-trunc', type: 'bool', help: 'Do not truncate output' }],
  args: { min: 1, max: ANY },
  run: (flags, { dockerd, out }) => {
    const rows = flags.args.flatMap((ref) => {
      const service = dockerd.services.find(ref);
      const row = (task: TaskRow) => [
        flags.has('no-trunc') ? task.id : task.id.slice(0, 12),
        `${service.name}.${task.slot}`,
        taggedName(service.image),
        task.node,
        'Running',
        `${dockerd.runsTask(service, task) ? 'Running' : 'Pending'} ${humanDuration(dockerd.now - task.created).toLowerCase()} ago`,
        '',
        ports(service),
      ];
      return dockerd.services.tasksOf(service).map(row);
    });
    out.stdout(
      table([['ID', 'NAME', 'IMAGE', 'NODE', 'DESIRED STATE', 'CURRENT STATE', 'ERROR', 'PORTS'], ...rows]),
    );
    out.exit(0);
  },
};

function ports({ publish }: ServiceRow): string {
  return publish.map(({ hostPort, port, proto }) => `*:${hostPort}->${port}/${proto}`).join(',');
}

const scaleCommand: CliCommand = {
  name: 'service scale',
  usage: 'SERVICE=REPLICAS [SERVICE=REPLICAS...]',
  help: 'Scale one or multiple replicated services',
  flags: [],
  args: { min: 1, max: ANY },
  run: (flags, { dockerd, out }) => {
    let left = flags.args.length;
    for (const text of flags.args) {
      const [name = '', number = ''] = text.split('=');
      if (number === '') throw new CliError(`invalid scale specifier '${text}'`);
      dockerd.services.scale(name, count(number), () => {
        out.stdout(`${name} scaled to ${number}\n`);
        if (--left === 0) out.exit(0);
      });
    }
  },
};

const rmCommand: CliCommand = {
  name: 'service rm',
  usage: 'SERVICE [SERVICE...]',
  help: 'Remove one or more services',
  flags: [],
  args: { min: 1, max: ANY },
  run: (flags, { dockerd, out }) => {
    let left = flags.args.length;
    for (const name of flags.args)
      dockerd.services.remove(name, () => {
        out.stdout(`${name}\n`);
        if (--left === 0) out.exit(0);
      });
  },
};

export const serviceCommands: readonly CliCommand[] = [
  createCommand,
  lsCommand,
  psCommand,
  rmCommand,
  scaleCommand,
];
