import type { TcpCloseReason } from '../../protocols/tcp/connection.ts';
import type { SendError } from './ip.ts';

/** What connect(2), recv(2) and send(2) fail with. */
export type SocketError =
  | SendError
  | 'EADDRNOTAVAIL'
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'ETIMEDOUT'
  | 'ECONNABORTED';

/** What a code of ICMP's 'destination unreachable' makes a socket fail with (`icmp_err_convert`). */
export function unreachableError(code: number): SocketError {
  if (code === 0 || code === 6 || code === 9 || code === 11) return 'ENETUNREACH';
  return code === 3 ? 'ECONNREFUSED' : 'EHOSTUNREACH';
}

const OF_REASON: Readonly<Record<TcpCloseReason, SocketError | null>> = {
  closed: null,
  reset: 'ECONNRESET',
  timeout: 'ETIMEDOUT',
  refused: 'ECONNREFUSED',
  unreachable: 'EHOSTUNREACH',
  aborted: 'ECONNABORTED',
};

/** SO_ERROR of a connection that has ended; `unreachable`: what the network has said of its way. */
export function closeError(reason: TcpCloseReason, unreachable: SocketError | null): SocketError | null {
  return reason === 'unreachable' && unreachable !== null ? unreachable : OF_REASON[reason];
}
