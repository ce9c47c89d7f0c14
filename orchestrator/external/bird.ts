import { type DaemonConfig, type DaemonProgram, type DaemonSession, nextHopOf } from './program.ts';

const CONFIG = 'bird.conf';
const CONTROL = 'bird.ctl';

/** Static routes that are there only for next hops in the lab's subnets to be resolved by. */
const SUBNETS = 'lab-subnets';
const SUBNETS6 = 'lab-subnets6';

/** BIRD 2. */
export const bird: DaemonProgram = {
  title: 'BIRD',
  executable: 'bird',
  debianPackage: 'bird2',
  tools: ['birdc'],
  files: (node) => ({ [CONFIG]: birdConfig(node) }),
  args: (node, start) => {
    const recovers = start === 'restarted' && node.gracefulRestart !== null;
    return ['-f', '-c', CONFIG, '-s', CONTROL, ...(recovers ? ['-R'] : [])];
  },
  tool: (_node, tool, args) => [tool, '-s', CONTROL, ...args],
  probe: () => ['birdc', '-s', CONTROL, 'show', 'status'],
  afterStart: () => [],
  complaint: (log) =>
    log.includes('Socket error: SO_PRIORITY: Operation not permitted')
      ? 'its BFD may not set SO_PRIORITY; run reroute as root, give it the right by: sudo setcap cap_net_admin,cap_net_raw+ep "$(command -v bird || echo /usr/sbin/bird)", or take bfd out of the lab file'
      : null,
  show: (words) => {
    const [what = 'protocols', ...rest] = words;
    if (what === 'summary') return ['birdc', 'show', 'protocols'];
    if (what === 'neighbors') return ['birdc', 'show', 'protocols', 'all', ...rest.map(quoted)];
    if (what === 'why') return ['birdc', 'show', 'route', ...rest, 'all'];
    return ['birdc', 'show', what, ...rest];
  },
};

function birdConfig(node: DaemonConfig): string {
  return [
    `# Written by reroute for node ${node.name}.`,
    'log stderr all;',
    `router id ${node.routerId};`,
    'protocol device {}',
    ...bfdProtocol(node),
    '',
    '# No interface has the addresses of the lab; next hops there are resolved by these.',
    ...statics(
      SUBNETS,
      'ipv4',
      node.subnets4.map((subnet) => `${subnet} via "lo"`),
    ),
    ...statics(
      SUBNETS6,
      'ipv6',
      node.subnets6.map((subnet) => `${subnet} via "lo"`),
    ),
    ...statics(
      'lab-networks',
      'ipv4',
      node.networks4.map((network) => `${network} unreachable`),
    ),
    ...statics(
      'lab-networks6',
      'ipv6',
      node.networks6.map((network) => `${network} unreachable`),
    ),
    '',
    'function to_lab()',
    '{',
    `  return source = RTS_BGP || (source = RTS_STATIC && proto != "${SUBNETS}" && proto != "${SUBNETS6}");`,
    '}',
    '',
    ...node.sessions.flatMap((session) => [...protocol(node, session), '']),
    node.extra,
  ].join('\n');
}

/** Every own address has a socket of its own: other daemons on this host have the same ports. */
function bfdProtocol({ sessions }: DaemonConfig): string[] {
  return sessions.some(({ bfd }) => bfd !== null) ? ['protocol bfd { strict bind yes; }'] : [];
}

function statics(name: string, family: 'ipv4' | 'ipv6', routes: readonly string[]): string[] {
  if (routes.length === 0) return [];
  return [
    `protocol static ${quoted(name)} {`,
    `  ${family};`,
    ...routes.map((route) => `  route ${route};`),
    '}',
  ];
}

function protocol(node: DaemonConfig, session: DaemonSession): string[] {
  const { neighbor, remote } = session;
  const { port } = node.transport;
  const options = [
    `local ${session.local} port ${port} as ${node.asn};`,
    `neighbor ${remote.address} port ${remote.port} as ${neighbor.remoteAs};`,
    'strict bind yes;',
    'multihop;',
    `hold time ${session.holdTime};`,
    `startup hold time ${session.startupHold};`,
    ...(session.keepalive === 0 ? [] : [`keepalive time ${session.keepalive};`]),
    `connect delay time ${session.connectDelay};`,
    `connect retry time ${session.connectRetry};`,
    `error wait time ${session.idleHold}, ${session.idleHoldMax};`,
    ...(neighbor.passive ? ['passive yes;'] : []),
    ...(neighbor.routeReflectorClient ? ['rr client;'] : []),
    ...(node.clusterId === null || session.kind === 'external' ? [] : [`rr cluster id ${node.clusterId};`]),
    ...(neighbor.extendedMessages === 'on' ? ['enable extended messages yes;'] : []),
    ...gracefulRestart(node, session),
    ...bfd(node, session),
  ];
  const channels = session.families.flatMap((family) => [
    `${family} {`,
    '  import all;',
    '  export where to_lab();',
    `  next hop address ${nextHopOf(session, family)};`,
    ...(family === 'ipv4' && session.extendedNextHop === 'yes' ? ['  extended next hop yes;'] : []),
    ...(session.nextHopSelf ? ['  next hop self yes;'] : []),
    ...addPath(neighbor.addPath ?? 'off'),
    '};',
  ]);
  return [
    `protocol bgp ${quoted(neighbor.name)} {`,
    ...[...options, ...channels].map((line) => `  ${line}`),
    '}',
  ];
}

function gracefulRestart(node: DaemonConfig, { neighbor }: DaemonSession): string[] {
  const restart = neighbor.gracefulRestart ?? node.gracefulRestart;
  // BIRD's own default is to be aware of it.
  if (restart === null || restart === undefined) return [];
  if (restart === 'off') return ['graceful restart no;'];
  const { restartTime, longLivedTime = 0 } = restart;
  const longLived = [
    'long lived graceful restart yes;',
    `long lived stale time ${Math.ceil(longLivedTime / 1000)};`,
  ];
  return [
    'graceful restart yes;',
    `graceful restart time ${Math.ceil(restartTime / 1000)};`,
    ...(longLivedTime > 0 ? longLived : []),
  ];
}

/** With graceful restart, a neighbour that BFD misses may be one that restarts (RFC 5882 §4.3.2). */
function bfd(node: DaemonConfig, { neighbor, bfd: times }: DaemonSession): string[] {
  if (times === null) return [];
  const { minTx, minRx, idleTx, multiplier } = times;
  const restart = neighbor.gracefulRestart ?? node.gracefulRestart;
  const isHelped = restart !== null && restart !== undefined && restart !== 'off';
  return [
    isHelped ? 'bfd graceful;' : 'bfd yes;',
    'bfd {',
    `  min tx interval ${minTx} ms;`,
    `  min rx interval ${minRx} ms;`,
    `  idle tx interval ${idleTx} ms;`,
    `  multiplier ${multiplier};`,
    '};',
  ];
}

function addPath(mode: 'off' | 'receive' | 'send' | 'both'): string[] {
  const words = { off: null, receive: 'rx', send: 'tx', both: 'yes' }[mode];
  return words === null ? [] : [`  add paths ${words};`];
}

/** A name that may have `-` and `:` in it. */
function quoted(name: string): string {
  return `'${name}'`;
}
