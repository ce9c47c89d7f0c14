import { type DaemonConfig, type DaemonProgram, type DaemonSession, nextHopOf } from './program.ts';

const CONFIG = 'gobgpd.toml';
/** The gRPC API that the command line speaks is so far above the port of BGP, on the same address. */
const API_OFFSET = 40_000;
/** Paths of a prefix to send with ADD-PATH where the lab says not how many. */
const SEND_MAX = 8;

/** GoBGP 3. */
export const gobgp: DaemonProgram = {
  title: 'GoBGP',
  executable: 'gobgpd',
  debianPackage: 'gobgpd',
  tools: ['gobgp'],
  files: (node) => ({ [CONFIG]: gobgpConfig(node) }),
  args: (node, start) => {
    const restarts = start === 'restarted' && node.gracefulRestart !== null;
    const { address, port } = node.transport;
    const api = `${address.includes(':') ? `[${address}]` : address}:${port + API_OFFSET}`;
    const fixed = ['-f', CONFIG, '--log-plain', '--pprof-disable', '--api-hosts', api];
    return restarts ? [...fixed, '--graceful-restart'] : fixed;
  },
  tool: command,
  probe: (node) => command(node, 'gobgp', ['global']),
  // Its configuration file has no place for them.
  afterStart: (node) => [
    ...node.networks4.map((prefix) => command(node, 'gobgp', ['global', 'rib', 'add', prefix])),
    ...node.networks6.map((prefix) => command(node, 'gobgp', ['global', 'rib', 'add', '-a', 'ipv6', prefix])),
  ],
  show: (words) => {
    const [what = 'protocols', ...rest] = words;
    if (what === 'protocols' || what === 'summary') return ['gobgp', 'neighbor'];
    if (what === 'neighbors') return ['gobgp', 'neighbor'];
    if (what === 'why' || what === 'route') return ['gobgp', 'global', 'rib', ...rest];
    return ['gobgp', what, ...rest];
  },
};

function command({ transport }: DaemonConfig, tool: string, args: readonly string[]): string[] {
  return [tool, '--host', transport.address, '--port', String(transport.port + API_OFFSET), ...args];
}

function gobgpConfig(node: DaemonConfig): string {
  const { transport, sessions } = node;
  const names = sessions.map((session) => policyName(session));
  return [
    `# Written by reroute for node ${node.name}.`,
    '[global.config]',
    `as = ${node.asn}`,
    `router-id = "${node.routerId}"`,
    `port = ${transport.port}`,
    `local-address-list = [${node.addresses.map((address) => `"${address}"`).join(', ')}]`,
    '[global.apply-policy.config]',
    `export-policy-list = [${names.map((name) => `"${name}"`).join(', ')}]`,
    'default-export-policy = "accept-route"',
    ...(node.maximumPaths > 1 ? ['[global.use-multiple-paths.config]', 'enabled = true'] : []),
    ...sessions.flatMap((session) => neighbor(node, session)),
    ...sessions.flatMap(nextHopPolicy),
    node.extra,
    '',
  ].join('\n');
}

function neighbor(node: DaemonConfig, session: DaemonSession): string[] {
  const { remote, neighbor: far } = session;
  const restart = far.gracefulRestart ?? node.gracefulRestart;
  const { clusterId, routerId } = node;
  return [
    '[[neighbors]]',
    '[neighbors.config]',
    `neighbor-address = "${remote.address}"`,
    `peer-as = ${far.remoteAs}`,
    `description = "${far.name}"`,
    '[neighbors.transport.config]',
    `local-address = "${session.local}"`,
    `remote-port = ${remote.port}`,
    ...(far.passive ? ['passive-mode = true'] : []),
    ...(session.kind === 'external'
      ? ['[neighbors.ebgp-multihop.config]', 'enabled = true', 'multihop-ttl = 255']
      : []),
    '[neighbors.timers.config]',
    `hold-time = ${session.holdTime}`,
    `keepalive-interval = ${session.keepalive}`,
    `connect-retry = ${session.connectRetry}`,
    `idle-hold-time-after-reset = ${session.idleHold}`,
    ...(far.routeReflectorClient
      ? [
          '[neighbors.route-reflector.config]',
          'route-reflector-client = true',
          `route-reflector-cluster-id = "${clusterId ?? routerId}"`,
        ]
      : []),
    ...(restart === null || restart === undefined || restart === 'off'
      ? []
      : [
          '[neighbors.graceful-restart.config]',
          'enabled = true',
          `restart-time = ${Math.ceil(restart.restartTime / 1000)}`,
          ...((restart.longLivedTime ?? 0) > 0 ? ['long-lived-enabled = true'] : []),
        ]),
    ...session.families.flatMap((name) => family(node, session, name)),
  ];
}

function family(node: DaemonConfig, { neighbor: far }: DaemonSession, name: 'ipv4' | 'ipv6'): string[] {
  const restart = far.gracefulRestart ?? node.gracefulRestart;
  const restarts = restart !== null && restart !== undefined && restart !== 'off';
  const longLived = restarts ? Math.ceil((restart.longLivedTime ?? 0) / 1000) : 0;
  const mode = far.addPath ?? 'off';
  return [
    '[[neighbors.afi-safis]]',
    '[neighbors.afi-safis.config]',
    `afi-safi-name = "${name}-unicast"`,
    ...(restarts ? ['[neighbors.afi-safis.mp-graceful-restart.config]', 'enabled = true'] : []),
    ...(longLived > 0
      ? [
          '[neighbors.afi-safis.long-lived-graceful-restart.config]',
          'enabled = true',
          `restart-time = ${longLived}`,
        ]
      : []),
    ...(mode === 'off' ? [] : ['[neighbors.afi-safis.add-paths.config]']),
    ...(mode === 'receive' || mode === 'both' ? ['receive = true'] : []),
    ...(mode === 'send' || mode === 'both' ? [`send-max = ${far.addPathLimit ?? SEND_MAX}`] : []),
  ];
}

function policyName({ neighbor: far }: DaemonSession): string {
  return `to-${far.name}`;
}

/** Its own address in the lab as the next hop: of everything for an external neighbour, of what it originates for an internal one. */
function nextHopPolicy(session: DaemonSession): string[] {
  const name = policyName(session);
  const own = session.nextHopSelf
    ? []
    : ['[policy-definitions.statements.conditions.bgp-conditions]', 'route-type = "local"'];
  return [
    '[[defined-sets.neighbor-sets]]',
    `neighbor-set-name = "${name}"`,
    `neighbor-info-list = ["${session.remote.address}"]`,
    '[[policy-definitions]]',
    `name = "${name}"`,
    ...session.families.flatMap((family) => [
      '[[policy-definitions.statements]]',
      `name = "${name}-${family}"`,
      '[policy-definitions.statements.conditions.match-neighbor-set]',
      `neighbor-set = "${name}"`,
      ...(session.families.length > 1
        ? [
            ...(own.length === 0 ? ['[policy-definitions.statements.conditions.bgp-conditions]'] : own),
            `afi-safi-in-list = ["${family}-unicast"]`,
          ]
        : own),
      '[policy-definitions.statements.actions.bgp-actions]',
      `set-next-hop = "${nextHopOf(session, family)}"`,
    ]),
  ];
}
