import { timestamp } from '../cli/table.ts';
import { DockerError } from '../error.ts';
import { taggedName } from '../images.ts';
import { stateOf } from './plan.ts';
import type { ServicePort, ServiceRow, ServiceSpec, TaskTemplate } from './service-rows.ts';
import { specOf } from './services.ts';
import type { TaskStore } from './task-store.ts';

/** ns of a ms. */
const NANO = 1_000_000;

/** `docker service inspect`, key by key in the Engine API's order. */
export function inspectService(row: ServiceRow): Record<string, unknown> {
  const { id, created, updated, version, endpointMode, ports, virtualIps, previous, updateStatus } = row;
  const published = ports.map(portOf);
  return {
    ID: id,
    Version: { Index: version },
    CreatedAt: timestamp(created),
    UpdatedAt: timestamp(updated),
    Spec: specJson(specOf(row)),
    ...(previous === null ? {} : { PreviousSpec: specJson(previous) }),
    Endpoint: {
      Spec: { Mode: endpointMode, ...(published.length === 0 ? {} : { Ports: published }) },
      ...(published.length === 0 ? {} : { Ports: published }),
      ...(virtualIps.length === 0
        ? {}
        : {
            VirtualIPs: virtualIps.map(({ networkId, address }) => ({ NetworkID: networkId, Addr: address })),
          }),
    },
    ...(updateStatus === null
      ? {}
      : {
          UpdateStatus: {
            State: updateStatus.state,
            StartedAt: timestamp(updateStatus.startedAt),
            ...(updateStatus.completedAt === null
              ? {}
              : { CompletedAt: timestamp(updateStatus.completedAt) }),
            Message: updateStatus.state === 'completed' ? 'update completed' : 'update in progress',
          },
        }),
  };
}

/** `docker inspect` of a task, by its id or the beginning of it. @throws DockerError */
export function inspectTask(store: TaskStore, ref: string): Record<string, unknown> {
  const found = store.tasks.filter(({ id }) => id.startsWith(ref));
  const [task] = found;
  if (task === undefined || found.length > 1) throw new DockerError(`No such task: ${ref}`);
  const status = store.statusOf(task.id);
  return {
    ID: task.id,
    Version: { Index: task.version },
    CreatedAt: timestamp(task.created),
    UpdatedAt: timestamp(status?.at ?? task.created),
    Labels: {},
    Spec: templateJson(task.template),
    ServiceID: task.serviceId,
    ...(task.slot === 0 ? {} : { Slot: task.slot }),
    ...(task.nodeId === '' ? {} : { NodeID: task.nodeId }),
    Status: {
      Timestamp: timestamp(status?.at ?? task.created),
      State: stateOf(task, status),
      Message:
        task.problem === '' ? (status?.state === 'running' ? 'started' : '') : 'pending task scheduling',
      ...(status?.error || task.problem ? { Err: status?.error || task.problem } : {}),
      ...(status === null || status.containerId === ''
        ? {}
        : { ContainerStatus: { ContainerID: status.containerId } }),
      PortStatus: {},
    },
    DesiredState: task.desired,
  };
}

function portOf({ proto, target, published, mode }: ServicePort): Record<string, unknown> {
  return {
    Protocol: proto,
    TargetPort: target,
    ...(published === 0 ? {} : { PublishedPort: published }),
    PublishMode: mode,
  };
}

function filled(key: string, values: readonly unknown[]): Record<string, unknown> {
  return values.length === 0 ? {} : { [key]: values };
}

function specJson({
  name,
  labels,
  mode,
  replicas,
  template,
  endpointMode,
  ports,
  update,
}: ServiceSpec): Record<string, unknown> {
  const policy = {
    Parallelism: update.parallelism,
    ...(update.delay === 0 ? {} : { Delay: update.delay * NANO }),
    FailureAction: 'pause',
    Monitor: 5000 * NANO,
    MaxFailureRatio: 0,
    Order: 'stop-first',
  };
  return {
    Name: name,
    Labels: labels,
    TaskTemplate: templateJson(template),
    Mode: mode === 'global' ? { Global: {} } : { Replicated: { Replicas: replicas } },
    UpdateConfig: policy,
    RollbackConfig: { ...policy, Parallelism: 1 },
    EndpointSpec: { Mode: endpointMode, ...filled('Ports', ports.map(portOf)) },
  };
}

function templateJson(template: TaskTemplate): Record<string, unknown> {
  const { restart } = template;
  return {
    ContainerSpec: {
      Image: taggedName(template.image),
      ...(Object.keys(template.containerLabels).length === 0 ? {} : { Labels: template.containerLabels }),
      ...filled('Args', template.command),
      ...(template.hostname === '' ? {} : { Hostname: template.hostname }),
      ...filled('Env', template.env),
      Init: false,
      StopGracePeriod: 10_000 * NANO,
      // `address name`, as hosts(5) has it.
      ...filled(
        'Hosts',
        template.hosts.map((text) => {
          const colon = text.indexOf(':');
          return `${text.slice(colon + 1)} ${text.slice(0, colon)}`;
        }),
      ),
      DNSConfig: {
        ...filled('Nameservers', template.dns),
        ...filled('Search', template.dnsSearch),
        ...filled('Options', template.dnsOptions),
      },
      Isolation: 'default',
    },
    Resources: { Limits: {}, Reservations: {} },
    RestartPolicy: {
      Condition: restart.condition,
      Delay: restart.delay * NANO,
      MaxAttempts: restart.maxAttempts,
    },
    Placement: {
      ...filled('Constraints', template.constraints),
      ...(template.maxReplicasPerNode === 0 ? {} : { MaxReplicas: template.maxReplicasPerNode }),
      Platforms: [{ Architecture: 'amd64', OS: 'linux' }],
    },
    ...filled(
      'Networks',
      template.networks.map(({ id, name: network, aliases }) => ({
        Target: id || network,
        ...filled('Aliases', aliases),
      })),
    ),
    ForceUpdate: template.forceUpdate,
    Runtime: 'container',
  };
}
