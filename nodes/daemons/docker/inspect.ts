import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerPortBinding,
} from '../../events/docker.ts';
import { timestamp } from './cli/table.ts';
import { isUserDefined } from './create.ts';
import type { Dockerd } from './dockerd.ts';
import { plainAddress, prefixLength } from './sandbox.ts';
import { balancerName } from './swarm/load-balancers.ts';

/** The Engine API's answers to `inspect`, key by key in its order. */

const EMPTY_ENDPOINT = {
  IPAMConfig: null,
  Links: null,
  Aliases: null,
};

/** `docker network inspect` */
export function inspectNetwork(dockerd: Dockerd, network: DockerNetworkFacts): Record<string, unknown> {
  const containers = dockerd.ledger.containers
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .flatMap((container): [string, unknown][] => {
      const endpoint = container.endpoints.find(
        ({ networkId, endpointId }) => networkId === network.id && endpointId !== '',
      );
      if (endpoint === undefined) return [];
      const { endpointId, mac, address } = endpoint;
      return [
        [
          container.id,
          {
            Name: container.name,
            EndpointID: endpointId,
            MacAddress: mac,
            IPv4Address: address,
            IPv6Address: '',
          },
        ],
      ];
    });
  const balancer = dockerd.balancers.endpointIn(network.id);
  if (balancer !== null)
    containers.push([
      balancerName(network),
      {
        Name: `${network.name}-endpoint`,
        EndpointID: balancer.endpointId,
        MacAddress: balancer.mac,
        IPv4Address: balancer.address,
        IPv6Address: '',
      },
    ]);
  const peers = dockerd.swarm.peersOf(network);
  return {
    Name: network.name,
    Id: network.id,
    Created: timestamp(network.created),
    Scope: network.scope,
    Driver: network.driver,
    EnableIPv6: false,
    IPAM: {
      Driver: 'default',
      Options: isUserDefined(network.name) ? {} : null,
      Config: network.ipam.map(({ subnet, ipRange, gateway, auxAddress }) => ({
        Subnet: subnet,
        ...(ipRange === '' ? {} : { IPRange: ipRange }),
        ...(gateway === '' ? {} : { Gateway: gateway }),
        ...(Object.keys(auxAddress).length === 0 ? {} : { AuxiliaryAddresses: auxAddress }),
      })),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: Object.fromEntries(containers),
    Options: network.options,
    Labels: network.labels,
    ...(peers.length === 0
      ? {}
      : { Peers: peers.map(({ id, address }) => ({ Name: id.slice(0, 12), IP: address })) }),
  };
}

/** `docker inspect` of a container */
export function inspectContainer(dockerd: Dockerd, container: DockerContainerFacts): Record<string, unknown> {
  const { id, name, state, command, endpoints } = container;
  const folder = `/var/lib/docker/containers/${id}`;
  const running = state.status === 'running';
  const bridge = endpoints.find(({ network }) => network === 'bridge');
  const isContainerMode = container.networkMode.startsWith('container:');
  return {
    Id: id,
    Created: timestamp(container.created),
    Path: command[0] ?? '',
    Args: command.slice(1),
    State: {
      Status: stateName(state),
      Running: running || state.status === 'restarting',
      Paused: state.paused === true,
      Restarting: state.status === 'restarting',
      OOMKilled: false,
      Dead: false,
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: timestamp(state.startedAt),
      FinishedAt: timestamp(state.finishedAt),
    },
    ResolvConfPath: running ? `${folder}/resolv.conf` : '',
    HostnamePath: running ? `${folder}/hostname` : '',
    HostsPath: running ? `${folder}/hosts` : '',
    LogPath: `${folder}/${id}-json.log`,
    Name: `/${name}`,
    RestartCount: state.restartCount,
    Driver: 'overlay2',
    Platform: 'linux',
    HostConfig: {
      NetworkMode: container.networkMode,
      PortBindings: portMap(container.portBindings),
      RestartPolicy: {
        Name: container.restart.name,
        MaximumRetryCount: container.restart.maximumRetryCount,
      },
      AutoRemove: container.autoRemove,
      Dns: container.dns,
      DnsOptions: container.dnsOptions,
      DnsSearch: container.dnsSearch,
      ExtraHosts: container.extraHosts.length === 0 ? null : container.extraHosts,
      Links:
        container.links.length === 0
          ? null
          : container.links.map((link) => {
              const [target = '', alias = ''] = link.split(':');
              return `/${dockerd.ledger.containerById(target)?.name ?? target}:/${name}/${alias}`;
            }),
      PublishAllPorts: container.publishAll,
    },
    Config: {
      Hostname: isContainerMode ? '' : container.hostname,
      Domainname: '',
      User: '',
      AttachStdin: false,
      AttachStdout: false,
      AttachStderr: false,
      ExposedPorts: Object.fromEntries(container.exposed.map((port) => [port, {}])),
      Tty: container.tty,
      OpenStdin: container.openStdin,
      StdinOnce: false,
      Env: container.env,
      Cmd: command,
      Image: container.image,
      ...(container.macAddress === '' ? {} : { MacAddress: container.macAddress }),
      Labels: container.labels,
    },
    NetworkSettings: {
      Bridge: '',
      SandboxID: container.sandboxId,
      HairpinMode: false,
      LinkLocalIPv6Address: '',
      LinkLocalIPv6PrefixLen: 0,
      Ports: running ? portsNow(container) : {},
      SandboxKey:
        container.sandboxId === ''
          ? ''
          : `/var/run/docker/netns/${container.networkMode === 'host' ? 'default' : container.sandboxId.slice(0, 12)}`,
      SecondaryIPAddresses: null,
      SecondaryIPv6Addresses: null,
      EndpointID: bridge?.endpointId ?? '',
      Gateway: bridge?.gateway ?? '',
      GlobalIPv6Address: '',
      GlobalIPv6PrefixLen: 0,
      IPAddress: plainAddress(bridge),
      IPPrefixLen: bridge === undefined ? 0 : prefixLength(bridge),
      IPv6Gateway: '',
      MacAddress: bridge?.mac ?? '',
      Networks: Object.fromEntries(
        endpoints
          .toSorted((a, b) => (a.network < b.network ? -1 : 1))
          .map((endpoint) => [endpoint.network, endpointSettings(endpoint)]),
      ),
    },
  };
}

/** `paused` for one that runs and is frozen. */
export function stateName({ status, paused }: DockerContainerFacts['state']): string {
  return paused === true ? 'paused' : status;
}

function endpointSettings(endpoint: DockerEndpointFacts): Record<string, unknown> {
  const { requestedIp, links, aliases } = endpoint;
  return {
    ...EMPTY_ENDPOINT,
    IPAMConfig:
      requestedIp === '' ? (isUserDefined(endpoint.network) ? {} : null) : { IPv4Address: requestedIp },
    Links: links.length === 0 ? null : links,
    Aliases: aliases.length === 0 ? null : aliases,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: plainAddress(endpoint),
    IPPrefixLen: prefixLength(endpoint),
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    MacAddress: endpoint.mac,
    DriverOpts: null,
  };
}

function portMap(bindings: readonly DockerPortBinding[]): Record<string, unknown> {
  const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { port, proto, hostIp, hostPort } of bindings) {
    const key = `${port}/${proto}`;
    const entry = {
      HostIp: hostIp === '0.0.0.0' ? '' : hostIp,
      HostPort: hostPort === 0 ? '' : String(hostPort),
    };
    map[key] = [...(map[key] ?? []), entry];
  }
  return map;
}

/** What is exposed, and where each port is to be had. */
function portsNow({ exposed, published }: DockerContainerFacts): Record<string, unknown> {
  const map: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  for (const port of exposed) map[port] = null;
  for (const { port, proto, hostIp, hostPort } of published) {
    const key = `${port}/${proto}`;
    map[key] = [...(map[key] ?? []), { HostIp: hostIp, HostPort: String(hostPort) }];
  }
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
