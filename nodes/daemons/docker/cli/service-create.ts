import { findImage } from '../images.ts';
import { randomName } from '../names.ts';
import { DEFAULT_TEMPLATE, type ServiceSpec, type TaskTemplate } from '../swarm/service-rows.ts';
import { ANY, type CliCommand, CliError } from './command.ts';
import type { Flag, Flags } from './flags.ts';
import {
  count,
  duration,
  endpointMode,
  parseHost,
  parseNetwork,
  parsePort,
  parseServer,
  placeholder,
  SHARED_FLAGS,
} from './service-flags.ts';
import { converge } from './service-progress.ts';

const CREATE_FLAGS: readonly Flag[] = [
  ...SHARED_FLAGS,
  { name: 'constraint', type: 'list', help: 'Placement constraints' },
  { name: 'container-label', type: 'map', help: 'Container labels' },
  { name: 'dns', type: 'list', help: 'Set custom DNS servers' },
  { name: 'dns-option', type: 'list', help: 'Set DNS options' },
  { name: 'dns-search', type: 'list', help: 'Set custom DNS search domains' },
  { name: 'env', short: 'e', type: 'list', help: 'Set environment variables' },
  { name: 'host', type: 'list', help: 'Set one or more custom host-to-IP mappings (host:ip)' },
  { name: 'label', short: 'l', type: 'map', help: 'Service labels' },
  { name: 'mode', type: 'string', help: 'Service mode (replicated or global) (default "replicated")' },
  { name: 'name', type: 'string', help: 'Service name' },
  { name: 'network', type: 'networks', help: 'Network attachments' },
  { name: 'publish', short: 'p', type: 'list', help: 'Publish a port as a node port' },
];

/** What of a template the shared options say, on top of what was. @throws CliError */
export function withShared(command: string, flags: Flags, before: TaskTemplate): TaskTemplate {
  const { restart } = before;
  const condition = flags.text('restart-condition') || restart.condition;
  if (condition !== 'none' && condition !== 'on-failure' && condition !== 'any')
    throw new CliError(`invalid restart condition: ${condition}`);
  const delay = flags.text('restart-delay');
  const attempts = flags.text('restart-max-attempts');
  const most = flags.text('replicas-max-per-node');
  return {
    ...before,
    hostname: flags.given('hostname') ? placeholder(flags.text('hostname')) : before.hostname,
    maxReplicasPerNode:
      most === '' ? before.maxReplicasPerNode : count(command, 'replicas-max-per-node', most),
    restart: {
      condition,
      delay: delay === '' ? restart.delay : duration(command, 'restart-delay', delay),
      maxAttempts: attempts === '' ? restart.maxAttempts : count(command, 'restart-max-attempts', attempts),
    },
  };
}

/** @throws CliError */
export function updatePolicy(
  command: string,
  flags: Flags,
  before: ServiceSpec['update'],
): ServiceSpec['update'] {
  const parallelism = flags.text('update-parallelism');
  const delay = flags.text('update-delay');
  return {
    parallelism: parallelism === '' ? before.parallelism : count(command, 'update-parallelism', parallelism),
    delay: delay === '' ? before.delay : duration(command, 'update-delay', delay),
  };
}

const NAME = 'service create';

export const serviceCreateCommand: CliCommand = {
  name: NAME,
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  help: 'Create a new service',
  flags: CREATE_FLAGS,
  args: { min: 1, max: ANY },
  order: 'stop-at-argument',
  run: (flags, context) => {
    const { dockerd, out } = context;
    const [image = '', ...command] = flags.args;
    const mode = flags.text('mode') || 'replicated';
    if (mode !== 'replicated' && mode !== 'global')
      throw new CliError(
        `Unknown mode: ${mode}, only replicated and global supported here (jobs are not emulated)`,
      );
    if (mode === 'global' && flags.given('replicas'))
      throw new CliError('replicas can only be used with replicated or replicated-job mode');
    if (mode === 'global' && flags.given('replicas-max-per-node'))
      throw new CliError('replicas-max-per-node can only be used with replicated or replicated-job mode');
    const ports = flags.list('publish').map((text) => parsePort(NAME, '-p, --publish', text));
    const refusal = dockerd.swarm.refuseManager();
    if (refusal !== null) throw refusal;
    findImage(image);
    const template: TaskTemplate = {
      ...withShared(NAME, flags, DEFAULT_TEMPLATE),
      image,
      command,
      env: flags.list('env').map(placeholder),
      hosts: flags.list('host').map((text) => parseHost(NAME, '--host', text)),
      dns: flags.list('dns').map((text) => parseServer(NAME, '--dns', text)),
      dnsSearch: flags.list('dns-search'),
      dnsOptions: flags.list('dns-option'),
      containerLabels: flags.map('container-label'),
      networks: flags.list('network').map((text) => parseNetwork(dockerd, text)),
      constraints: flags.list('constraint'),
    };
    const spec: ServiceSpec = {
      name: flags.text('name') || dockerd.serviceName(randomName),
      labels: flags.map('label'),
      mode,
      replicas: mode === 'global' ? 0 : count(NAME, 'replicas', flags.text('replicas') || '1'),
      template,
      endpointMode: endpointMode(flags, 'vip'),
      ports,
      update: updatePolicy(NAME, flags, { parallelism: 1, delay: 0 }),
    };
    return converge(context, flags, (done) =>
      dockerd.services.create(spec, (result) => {
        if (!(result instanceof Error)) out.stdout(`${result.id}\n`);
        done(result);
      }),
    );
  },
};
