import { DockerError } from '../error.ts';
import { findImage } from '../images.ts';
import type { ServiceNetwork, ServicePort, ServiceSpec, TaskTemplate } from '../swarm/service-rows.ts';
import { type CliCommand, CliError } from './command.ts';
import { lookedUp, refuseWorkers } from './each.ts';
import type { Flag, Flags } from './flags.ts';
import { updatePolicy, withShared } from './service-create.ts';
import {
  count,
  endpointMode,
  parseHost,
  parseNetwork,
  parsePort,
  parseServer,
  placeholder,
  SHARED_FLAGS,
} from './service-flags.ts';
import { converge } from './service-progress.ts';

const NAME = 'service update';

/** `--x-add` and `--x-rm` of what there may be several of. */
function pair(name: string, what: string): Flag[] {
  return [
    { name: `${name}-add`, type: 'list', help: `Add or update ${what}` },
    { name: `${name}-rm`, type: 'list', help: `Remove ${what}` },
  ];
}

const UPDATE_FLAGS: readonly Flag[] = [
  ...SHARED_FLAGS,
  { name: 'args', type: 'string', help: 'Service command args' },
  ...pair('constraint', 'a placement constraint'),
  ...pair('container-label', 'a container label'),
  ...pair('dns', 'a custom DNS server'),
  ...pair('dns-option', 'a DNS option'),
  ...pair('dns-search', 'a custom DNS search domain'),
  ...pair('env', 'an environment variable'),
  { name: 'force', type: 'bool', help: 'Force update even if no changes require it' },
  ...pair('host', 'a custom host-to-IP mapping (host:ip)'),
  { name: 'image', type: 'string', help: 'Service image tag' },
  ...pair('label', 'a service label'),
  ...pair('network', 'a network'),
  ...pair('publish', 'a published port'),
  { name: 'rollback', type: 'bool', help: 'Rollback to previous specification' },
];

/** A list with what is to go gone, and what is to come put in the place of what it stands for. */
function changed(
  before: readonly string[],
  flags: Flags,
  name: string,
  keyOf: (entry: string) => string = (entry) => entry,
): string[] {
  const added = flags.list(`${name}-add`);
  const gone = new Set([...flags.list(`${name}-rm`), ...added.map(keyOf)]);
  const kept = before.filter((entry) => !gone.has(keyOf(entry)) && !gone.has(entry));
  return [...kept, ...added];
}

function changedMap(
  before: Readonly<Record<string, string>>,
  flags: Flags,
  name: string,
): Record<string, string> {
  const pairs = Object.entries(before).map(([key, value]) => `${key}=${value}`);
  const after = changed(pairs, flags, name, beforeEquals);
  return Object.fromEntries(
    after.map((text) => {
      const key = beforeEquals(text);
      return [key, text.slice(key.length + 1)];
    }),
  );
}

function beforeEquals(text: string): string {
  const equals = text.indexOf('=');
  return equals < 0 ? text : text.slice(0, equals);
}

function beforeColon(text: string): string {
  return text.slice(0, Math.max(0, text.indexOf(':')));
}

/** `--publish-rm` names the container's port: `80`, `80/udp`, or a whole `8080:80`. */
function changedPorts(before: readonly ServicePort[], flags: Flags): ServicePort[] {
  const added = flags.list('publish-add').map((text) => parsePort(NAME, '--publish-add', text));
  const gone = flags.list('publish-rm').map((text) => parsePort(NAME, '--publish-rm', text));
  const kept = before.filter(
    (port) =>
      !gone.some(({ target, proto }) => target === port.target && proto === port.proto) &&
      !added.some(({ published, proto }) => published === port.published && proto === port.proto),
  );
  return [...kept, ...added];
}

function changedNetworks(
  before: readonly ServiceNetwork[],
  flags: Flags,
  find: (text: string) => ServiceNetwork,
): ServiceNetwork[] {
  const added = flags.list('network-add').map(find);
  const gone = new Set(flags.list('network-rm').map((text) => find(text).name));
  for (const { name } of added)
    if (before.some((other) => other.name === name) && !gone.has(name))
      throw new DockerError(`service is already attached to network ${name}`);
  return [...before.filter(({ name }) => !gone.has(name)), ...added];
}

export const serviceUpdateCommand: CliCommand = {
  name: NAME,
  usage: '[OPTIONS] SERVICE',
  help: 'Update a service',
  flags: UPDATE_FLAGS,
  args: { min: 1, max: 1 },
  run: (flags, context) => {
    const { dockerd, out } = context;
    const [ref = ''] = flags.args;
    refuseWorkers(context);
    lookedUp('service', ref, () => dockerd.services.find(ref));
    if (flags.has('rollback')) return rollback(ref, flags, context);
    const change = (before: ServiceSpec): ServiceSpec => {
      const { template } = before;
      const image = flags.text('image') || template.image;
      findImage(image);
      const replicas = flags.text('replicas');
      if (replicas !== '' && before.mode === 'global')
        throw new CliError('replicas can only be used with replicated or replicated-job mode');
      for (const text of flags.list('host-add')) parseHost(NAME, '--host-add', text);
      for (const text of flags.list('dns-add')) parseServer(NAME, '--dns-add', text);
      const next: TaskTemplate = {
        ...withShared(NAME, flags, template),
        image,
        command: flags.given('args')
          ? flags
              .text('args')
              .split(/\s+/)
              .filter((word) => word !== '')
          : template.command,
        env: changed(template.env, flags, 'env', beforeEquals).map(placeholder),
        hosts: changed(template.hosts, flags, 'host', beforeColon),
        dns: changed(template.dns, flags, 'dns'),
        dnsSearch: changed(template.dnsSearch, flags, 'dns-search'),
        dnsOptions: changed(template.dnsOptions, flags, 'dns-option'),
        containerLabels: changedMap(template.containerLabels, flags, 'container-label'),
        networks: changedNetworks(template.networks, flags, (text) => parseNetwork(dockerd, text)),
        constraints: changed(template.constraints, flags, 'constraint'),
        forceUpdate: template.forceUpdate + (flags.has('force') ? 1 : 0),
      };
      return {
        ...before,
        labels: changedMap(before.labels, flags, 'label'),
        replicas: replicas === '' ? before.replicas : count(NAME, 'replicas', replicas),
        template: next,
        endpointMode: endpointMode(flags, before.endpointMode),
        ports: changedPorts(before.ports, flags),
        update: updatePolicy(NAME, flags, before.update),
      };
    };
    return converge(context, flags, (done) =>
      dockerd.services.update(ref, change, (result) => {
        if (!(result instanceof Error)) out.stdout(`${ref}\n`);
        done(result);
      }),
    );
  },
};

function rollback(ref: string, flags: Flags, context: Parameters<CliCommand['run']>[1]) {
  const { dockerd, out } = context;
  return converge(context, flags, (done) => {
    const { previous } = lookedUp('service', ref, () => dockerd.services.find(ref));
    if (previous === null)
      throw new DockerError(
        'rpc error: code = FailedPrecondition desc = service does not have a previous spec',
      );
    dockerd.services.update(
      ref,
      () => previous,
      (result) => {
        if (!(result instanceof Error)) out.stdout(`${ref}\n`);
        done(result);
      },
    );
  });
}

export const serviceRollbackCommand: CliCommand = {
  name: 'service rollback',
  usage: '[OPTIONS] SERVICE',
  help: "Revert changes to a service's configuration",
  flags: SHARED_FLAGS.filter(({ name }) => name === 'detach' || name === 'quiet'),
  args: { min: 1, max: 1 },
  run: (flags, context) => {
    refuseWorkers(context);
    return rollback(flags.args[0] ?? '', flags, context);
  },
};
