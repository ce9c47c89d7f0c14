import { formatDiagnostic } from '../../../protocols/bfd/control.ts';
import { compareIp } from '../../../protocols/ip.ts';
import type { Netns } from '../../kernel/netns.ts';
import { since } from '../bgp/format.ts';
import { failure, type ShellOutput } from '../bgp/show.ts';
import type { BfdPeer } from './peer.ts';
import { endsText } from './request.ts';

export interface BfdShowContext {
  readonly peers: readonly BfdPeer[];
  readonly netns: Netns;
  /** ms */
  readonly now: number;
}

/** BIRD's name of its first instance. */
const PROTOCOL = 'bfd1';

/**
 * `show bfd sessions` in BIRD 1.6's format, times in seconds; with `all`, what FRR's `show bfd peers` tells beside it.
 * `args` are the words after `bfd`.
 */
export function showBfd(
  [what = 'sessions', ...rest]: readonly string[],
  context: BfdShowContext,
): ShellOutput {
  const all = rest[0] === 'all';
  if (!'sessions'.startsWith(what) || rest.length > (all ? 1 : 0)) {
    const word = 'sessions'.startsWith(what) ? rest[all ? 1 : 0] : what;
    return failure(`syntax error, unexpected ${word}; use show bfd sessions [all]`);
  }
  const head = [`${PROTOCOL}:`, `${row('IP address', 'Interface', 'State', 'Since')}  Interval  Timeout`];
  const peers = [...context.peers].sort((a, b) => compareIp(a.request.remote, b.request.remote));
  const lines = peers.flatMap((peer) => [line(peer, context), ...(all ? detail(peer) : [])]);
  return { text: `${[...head, ...lines].join('\n')}\n`, code: 0 };
}

function row(address: string, device: string, state: string, at: string): string {
  return [address.padEnd(25), device.padEnd(10), state.padEnd(10), at.padEnd(10)].join(' ');
}

function line(peer: BfdPeer, context: BfdShowContext): string {
  const { session, request } = peer;
  const at = since(peer.since, context.now);
  const left = row(endsText(request).remote, deviceOf(peer, context), session.state, at);
  return `${left}  ${seconds(session.transmitInterval)}  ${seconds(session.detectionTime)}`;
}

/** Where the packets go out by, as the routes are now. */
function deviceOf({ request }: BfdPeer, { netns }: BfdShowContext): string {
  if (request.mode === 'multihop') return '---';
  const { remote, device } = request;
  if (device !== undefined) return device;
  const path =
    typeof remote === 'number' ? netns.lookup(remote, 0) : netns.ipv6.layer.lookup(remote, 0, null);
  return path?.device.name ?? '---';
}

function detail({ session, request, clients }: BfdPeer): string[] {
  const { desiredMinTx, requiredMinRx, detectMult } = session.remoteParameters;
  const timers = (tx: number, rx: number, multiplier: number) =>
    `transmit ${tx / 1000} ms, receive ${rx / 1000} ms, multiplier ${multiplier}`;
  const remote =
    session.yourDiscriminator === 0
      ? ['not heard']
      : [
          `state ${session.remoteState}, ${formatDiagnostic(session.remoteDiag)}`,
          timers(desiredMinTx, requiredMinRx, detectMult),
        ];
  return [
    `  Mode:             ${request.mode}, ${clients} ${clients === 1 ? 'client' : 'clients'}`,
    `  Source address:   ${endsText(request).local}`,
    `  Discriminators:   local ${session.myDiscriminator}, remote ${session.yourDiscriminator}`,
    `  Diagnostic:       ${formatDiagnostic(session.diag)}`,
    `  Local timers:     ${timers(session.desiredMinTx, session.requiredMinRx, session.detectMult)}`,
    `  Remote:           ${remote.join('; ')}`,
    `  Poll sequence:    ${session.polling ? 'running' : 'none'}`,
    `  Demand mode:      ${session.remoteDemandActive ? 'active at the peer' : 'none'}`,
  ];
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3).padStart(7);
}
