import type { Capability } from '../../../protocols/bgp/capability.ts';
import { holdTimeSeconds } from '../../../protocols/bgp/negotiate.ts';
import type { Session } from '../../../protocols/bgp/session.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import type { ShowContext } from './show.ts';

/** BIRD's names of the capabilities it knows; the others it does not print. */
const CAPABILITY_NAMES: Partial<Record<Capability['type'], string>> = {
  'route-refresh': 'refresh',
  'enhanced-route-refresh': 'enhanced-refresh',
  'graceful-restart': 'restart-able',
  'four-octet-as': 'AS4',
  'add-path': 'add-path',
  'extended-message': 'ext-messages',
};

const CAPABILITY_ORDER = [
  'refresh',
  'enhanced-refresh',
  'restart-able',
  'AS4',
  'add-path',
  'ext-messages',
] as const;

/** The lines that `show protocols all` adds to a protocol's. */
export function protocolDetail(session: Session, context: ShowContext): string {
  const { neighbor, state } = session;
  const lines = [
    '  Description:    Connection to BGP peer',
    '  Preference:     100',
    '  Input filter:   ACCEPT',
    '  Output filter:  ACCEPT',
    ...(state === 'Established' ? routes(session, context) : []),
    `  BGP state:          ${session.stopped ? 'Down' : state}`,
    `    Neighbor address: ${neighbor.address}`,
    `    Neighbor AS:      ${neighbor.remoteAs}`,
    ...(state === 'Established' ? established(session) : waiting(session)),
  ];
  return `${lines.join('\n')}\n`;
}

function routes(session: Session, { speaker }: ShowContext): string[] {
  const { stats, ribIn, advertiser, peer } = session;
  let preferred = 0;
  for (const { best } of speaker.locRib.destinations()) if (best !== null && best.peer === peer) preferred++;
  const imported = [...ribIn.routes()].filter(({ path }) => path.rejection === null).length;
  const { importUpdates, importRejected, importWithdraws, exportUpdates, exportWithdraws } = stats;
  const row = (name: string, cells: readonly (number | null)[]) =>
    `    ${name.padEnd(19)}${cells.map((cell) => (cell === null ? '---' : String(cell)).padStart(11)).join('')}`;
  return [
    `  Routes:         ${imported} imported, ${advertiser?.size ?? 0} exported, ${preferred} preferred`,
    '  Route change stats:     received   rejected   filtered    ignored   accepted',
    row('Import updates:', [importUpdates, importRejected, 0, 0, importUpdates - importRejected]),
    row('Import withdraws:', [importWithdraws, 0, null, 0, importWithdraws]),
    row('Export updates:', [exportUpdates, 0, 0, null, exportUpdates]),
    row('Export withdraws:', [exportWithdraws, null, null, null, exportWithdraws]),
  ];
}

function established(session: Session): string[] {
  const { connection, peer, neighbor, kind } = session;
  const { negotiated } = connection;
  if (negotiated === null || peer === null) return [];
  const names = new Set(negotiated.capabilities.map(({ type }) => CAPABILITY_NAMES[type]));
  const caps = CAPABILITY_ORDER.filter((name) => names.has(name));
  const hops = session.zone === '' && (kind === 'internal' || neighbor.ttl > 1) ? ' multihop' : '';
  const reflector = neighbor.routeReflectorClient ? ' route-reflector' : '';
  const as4 = negotiated.asSize === 4 ? ' AS4' : '';
  const lines = [
    `    Neighbor ID:      ${formatIp4(negotiated.identifier)}`,
    `    Neighbor caps:    ${caps.join(' ')}`,
    `    Session:          ${kind}${hops}${reflector}${as4}`,
    `    Source address:   ${formatIp(peer.localAddress)}`,
  ];
  if (connection.timers.holdLeft === null) return lines;
  return [
    ...lines,
    `    Hold timer:       ${seconds(connection.timers.holdLeft)}/${holdTimeSeconds(negotiated.holdTime)}`,
    `    Keepalive timer:  ${seconds(connection.timers.keepaliveLeft ?? 0)}/${Math.round(negotiated.keepalive / 1000)}`,
  ];
}

/** What runs until the next attempt, and what ended the last one. */
function waiting(session: Session): string[] {
  const lines: string[] = [];
  const retry = session.connection.timers.connectRetryLeft;
  if (session.idleHoldLeft !== null) lines.push(`    Error wait:       ${seconds(session.idleHoldLeft)}`);
  if (retry !== null) lines.push(`    Connect delay:    ${seconds(retry)}`);
  if (session.lastError !== '') lines.push(`    Last error:       ${session.lastError}`);
  return lines;
}

function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000));
}
