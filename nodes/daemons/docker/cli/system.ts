import { stateName } from '../inspect.ts';
import { HEARTBEAT, MANAGER_PORT } from '../swarm/sessions.ts';
import type { CliCommand, CliContext } from './command.ts';
import { parseTemplate } from './template.ts';
import { API_VERSION, ENGINE_VERSION } from './version.ts';

const FORMAT = {
  name: 'format',
  short: 'f',
  type: 'string',
  help: 'Format the output using the given Go template',
} as const;

/** Network drivers, as `docker info` lists them. */
const DRIVERS = ['bridge', 'host', 'ipvlan', 'macvlan', 'null', 'overlay'];
const OS = 'reroute (an emulated host)';

function swarmInfo({ dockerd }: CliContext): Record<string, unknown> {
  const { member, members, tokens } = dockerd.swarm;
  if (member === null)
    return { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false };
  return {
    NodeID: member.id,
    NodeAddr: member.address,
    LocalNodeState: 'active',
    ControlAvailable: member.role === 'manager',
    RemoteManagers: members.managers.map(({ id, address }) => ({
      NodeID: id,
      Addr: `${address}:${MANAGER_PORT}`,
    })),
    ...(member.role === 'manager'
      ? {
          Nodes: members.all.length,
          Managers: members.managers.length,
          Cluster: {
            ID: tokens?.id ?? '',
            DefaultAddrPool: ['10.0.0.0/8'],
            SubnetSize: 24,
            DataPathPort: 4789,
          },
        }
      : {}),
  };
}

/** The Engine API's answer, as far as there is anything to say of an emulated host. */
function info(context: CliContext): Record<string, unknown> {
  const { dockerd } = context;
  const states = dockerd.ledger.containers.map(({ state }) => stateName(state));
  const count = (wanted: (state: string) => boolean) => states.filter(wanted).length;
  return {
    Containers: states.length,
    ContainersRunning: count((state) => state === 'running'),
    ContainersPaused: count((state) => state === 'paused'),
    ContainersStopped: count((state) => !['running', 'paused'].includes(state)),
    Images: new Set(dockerd.ledger.containers.map(({ image }) => image)).size,
    Plugins: { Network: DRIVERS },
    IPv4Forwarding: dockerd.forwards,
    BridgeNfIptables: dockerd.bridgeNfIptables,
    OperatingSystem: OS,
    OSType: 'linux',
    Name: dockerd.node,
    ServerVersion: ENGINE_VERSION,
    DockerRootDir: '/var/lib/docker',
    LiveRestoreEnabled: false,
    Swarm: swarmInfo(context),
  };
}

function swarmLines({ dockerd }: CliContext): string[] {
  const { member, members, tokens } = dockerd.swarm;
  if (member === null) return [' Swarm: inactive'];
  const manager = member.role === 'manager';
  return [
    ' Swarm: active',
    `  NodeID: ${member.id}`,
    `  Is Manager: ${manager}`,
    ...(manager
      ? [
          `  ClusterID: ${tokens?.id ?? ''}`,
          `  Managers: ${members.managers.length}`,
          `  Nodes: ${members.all.length}`,
          '  Default Address Pool: 10.0.0.0/8  ',
          '  SubnetSize: 24',
          '  Data Path Port: 4789',
          '  Orchestration:',
          '   Task History Retention Limit: 5',
          '  Raft:',
          '   Heartbeat Tick: 1',
          '   Election Tick: 10',
          '  Dispatcher:',
          `   Heartbeat Period: ${HEARTBEAT / 1000} seconds`,
        ]
      : []),
    `  Node Address: ${member.address}`,
    '  Manager Addresses:',
    ...members.managers.map(({ address }) => `   ${address}:${MANAGER_PORT}`),
  ];
}

export const infoCommand: CliCommand = {
  name: 'info',
  usage: '[OPTIONS]',
  help: 'Display system-wide information',
  flags: [FORMAT],
  args: { min: 0, max: 0 },
  run: (flags, context) => {
    const { dockerd, out } = context;
    const facts = info(context);
    const format = flags.text('format');
    if (format !== '') {
      out.stdout(`${parseTemplate(format === 'json' ? '{{json .}}' : format).execute(facts)}\n`);
      out.exit(0);
      return;
    }
    const lines = [
      'Client:',
      ' Context:    default',
      ' Debug Mode: false',
      '',
      'Server:',
      ` Containers: ${facts.Containers}`,
      `  Running: ${facts.ContainersRunning}`,
      `  Paused: ${facts.ContainersPaused}`,
      `  Stopped: ${facts.ContainersStopped}`,
      ` Images: ${facts.Images}`,
      ` Server Version: ${ENGINE_VERSION}`,
      ' Plugins:',
      `  Network: ${DRIVERS.join(' ')}`,
      ...swarmLines(context),
      ` Operating System: ${OS}`,
      ' OSType: linux',
      ` Name: ${dockerd.node}`,
      ' Docker Root Dir: /var/lib/docker',
      ' Debug Mode: false',
      ' Live Restore Enabled: false',
    ];
    out.stdout(`${lines.join('\n')}\n\n`);
    if (!dockerd.forwards) out.stderr('WARNING: IPv4 forwarding is disabled\n');
    if (!dockerd.bridgeNfIptables) out.stderr('WARNING: bridge-nf-call-iptables is disabled\n');
    out.exit(0);
  },
};

export const versionCommand: CliCommand = {
  name: 'version',
  usage: '[OPTIONS]',
  help: 'Show the Docker version information',
  flags: [FORMAT],
  args: { min: 0, max: 0 },
  run: (flags, { out }) => {
    const format = flags.text('format');
    const one = { Version: ENGINE_VERSION, ApiVersion: API_VERSION, Os: 'linux', Arch: 'amd64' };
    if (format !== '') {
      const facts = {
        Client: { Platform: { Name: 'reroute' }, ...one, DefaultAPIVersion: API_VERSION, Context: 'default' },
        Server: { Platform: { Name: 'reroute' }, ...one, MinAPIVersion: '1.12' },
      };
      out.stdout(`${parseTemplate(format === 'json' ? '{{json .}}' : format).execute(facts)}\n`);
    } else
      out.stdout(
        `Client: Docker Engine, emulated by reroute
 Version:           ${ENGINE_VERSION}
 API version:       ${API_VERSION}
 OS/Arch:           linux/amd64
 Context:           default

Server: Docker Engine, emulated by reroute
 Engine:
  Version:          ${ENGINE_VERSION}
  API version:      ${API_VERSION} (minimum version 1.12)
  OS/Arch:          linux/amd64
`,
      );
    out.exit(0);
  },
};
