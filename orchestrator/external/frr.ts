import { type DaemonConfig, type DaemonProgram, type DaemonSession, nextHopOf } from './program.ts';

const CONFIG = 'bgpd.conf';
/** The host's own configuration of vtysh is for root and a group: whoever may not read it would be told so before each answer. */
const VTYSH = ['--config_dir', '.', '--vty_socket', '.', '-d', 'bgpd'] as const;

/** bgpd of FRRouting 8, without zebra: it takes every next hop as reachable and installs nothing. */
export const frr: DaemonProgram = {
  title: 'FRR',
  executable: 'bgpd',
  debianPackage: 'frr',
  tools: ['vtysh'],
  files: (node) => ({ [CONFIG]: frrConfig(node), 'vtysh.conf': '' }),
  args: ({ transport, addresses }) => [
    '--no_zebra',
    '--skip_runas',
    '--config_file',
    CONFIG,
    ...addresses.flatMap((address) => ['--listenon', address]),
    '--bgp_port',
    String(transport.port),
    '--vty_port',
    '0',
    '--vty_socket',
    '.',
    '--pid_file',
    'bgpd.pid',
    '--log',
    'stdout',
  ],
  tool: (_node, tool, args) => [tool, ...VTYSH, ...args],
  probe: () => ['vtysh', ...VTYSH, '-c', 'show version'],
  afterStart: () => [],
  show: (words) => {
    const [what = 'protocols', ...rest] = words;
    const line = (text: string) => ['vtysh', '-c', text];
    if (what === 'protocols' || what === 'summary') return line('show bgp summary');
    if (what === 'neighbors') return line('show bgp neighbors');
    if (what === 'why' || what === 'route') return line(['show bgp ipv4 unicast', ...rest].join(' '));
    return line(['show bgp', what, ...rest].join(' '));
  },
};

/** Route-maps stand first: a neighbour that names one which is not there yet gets nothing until a timer of 5 s is over. */
function frrConfig(node: DaemonConfig): string {
  const { asn, routerId, clusterId, sessions } = node;
  return [
    `! Written by reroute for node ${node.name}.`,
    `hostname ${node.name}`,
    ...sessions.flatMap(routeMaps),
    `router bgp ${asn}`,
    ` bgp router-id ${routerId}`,
    ' bgp log-neighbor-changes',
    ' no bgp ebgp-requires-policy',
    ' no bgp network import-check',
    ' no bgp default ipv4-unicast',
    ...(clusterId === null ? [] : [` bgp cluster-id ${clusterId}`]),
    ...gracefulRestart(node),
    ...sessions.flatMap(neighbor),
    ...family(node, 'ipv4', node.networks4),
    ...family(node, 'ipv6', node.networks6),
    'exit',
    node.extra,
    '',
  ].join('\n');
}

function mapName({ neighbor }: DaemonSession, name: 'ipv4' | 'ipv6'): string {
  return `to-${neighbor.name}-${name}`;
}

/** Its own address in the lab as the next hop: of everything for an external neighbour, of what it originates for an internal one. */
function routeMaps(session: DaemonSession): string[] {
  return session.families.flatMap((name) => {
    const nextHop = nextHopOf(session, name);
    const set = nextHop.includes(':')
      ? ` set ipv6 next-hop global ${nextHop}`
      : ` set ip next-hop ${nextHop}`;
    const map = `route-map ${mapName(session, name)}`;
    if (session.nextHopSelf) return [`${map} permit 10`, set, 'exit'];
    return [`${map} permit 10`, ' match peer local', set, 'exit', `${map} permit 20`, 'exit'];
  });
}

function neighbor(session: DaemonSession): string[] {
  const { remote, neighbor: far } = session;
  const restart = far.gracefulRestart;
  const lines = [
    `remote-as ${far.remoteAs}`,
    `description ${far.name}`,
    `port ${remote.port}`,
    `update-source ${session.local}`,
    ...(session.extendedNextHop === 'yes' ? ['capability extended-nexthop'] : []),
    ...(session.kind === 'external' ? ['ebgp-multihop 255', 'disable-connected-check'] : []),
    `timers ${session.keepalive} ${session.holdTime}`,
    `timers connect ${session.connectRetry}`,
    ...(far.passive ? ['passive'] : []),
    ...(restart === undefined ? [] : [restart === 'off' ? 'graceful-restart-disable' : 'graceful-restart']),
  ];
  return lines.map((line) => ` neighbor ${remote.address} ${line}`);
}

function family(node: DaemonConfig, name: 'ipv4' | 'ipv6', networks: readonly string[]): string[] {
  const sessions = node.sessions.filter(({ families }) => families.includes(name));
  const { maximumPaths } = node;
  const lines = [
    ...networks.map((network) => `network ${network}`),
    ...(maximumPaths > 1 ? [`maximum-paths ${maximumPaths}`, `maximum-paths ibgp ${maximumPaths}`] : []),
    ...sessions.flatMap((session) => {
      const { neighbor: far, remote } = session;
      const sends = far.addPath === 'send' || far.addPath === 'both';
      const receives = far.addPath === undefined || far.addPath === 'receive' || far.addPath === 'both';
      return [
        'activate',
        `route-map ${mapName(session, name)} out`,
        'send-community all',
        ...(session.kind === 'internal' && session.nextHopSelf ? ['next-hop-self'] : []),
        ...(far.routeReflectorClient ? ['route-reflector-client'] : []),
        ...(sends ? ['addpath-tx-all-paths'] : []),
        ...(receives ? [] : ['disable-addpath-rx']),
      ].map((line) => `neighbor ${remote.address} ${line}`);
    }),
  ];
  if (lines.length === 0) return [];
  return [` address-family ${name} unicast`, ...lines.map((line) => `  ${line}`), ' exit-address-family'];
}

/** Times are the speaker's: those of one session stand for all, where the speaker has none. */
function gracefulRestart({ gracefulRestart: all, sessions }: DaemonConfig): string[] {
  const [one] = sessions.flatMap(({ neighbor: { gracefulRestart: own } }) =>
    own === undefined || own === 'off' ? [] : [own],
  );
  const restart = all ?? one;
  if (restart === undefined) return [];
  const seconds = (ms: number) => Math.ceil(ms / 1000);
  const { restartTime, stalePathTime, longLivedTime = 0 } = restart;
  return [
    ...(all === null || all === undefined ? [] : [' bgp graceful-restart']),
    // Without it a restarted bgpd says that its forwarding state is lost, and its peers drop its routes as it comes back.
    ' bgp graceful-restart preserve-fw-state',
    ` bgp graceful-restart restart-time ${seconds(restartTime)}`,
    ...(stalePathTime === undefined
      ? []
      : [` bgp graceful-restart stalepath-time ${seconds(stalePathTime)}`]),
    ...(longLivedTime === 0 ? [] : [` bgp long-lived-graceful-restart stale-time ${seconds(longLivedTime)}`]),
  ];
}
