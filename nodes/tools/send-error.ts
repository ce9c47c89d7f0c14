import { pathError } from '../kernel/ip/path.ts';
import type { SendError } from '../kernel/ip.ts';
import type { Netns } from '../kernel/netns.ts';
import type { SocketError } from '../kernel/socket-error.ts';

const TEXT: Readonly<Record<SocketError, string>> = {
  ENETUNREACH: 'Network is unreachable',
  EHOSTUNREACH: 'No route to host',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EINVAL: 'Invalid argument',
  EMSGSIZE: 'Message too long',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  ECONNABORTED: 'Software caused connection abort',
  ETIMEDOUT: 'Connection timed out',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
};

/** strerror(3) */
export function sendErrorText(error: SocketError): string {
  return TEXT[error];
}

/** What connect(2) would find out about the way to an address. */
export type Reach =
  | {
      readonly ok: true;
      readonly type: 'local' | 'broadcast' | 'unicast';
      readonly dev: string;
      /** Of the whole path as far as it is known, and of its first hop, bytes. */
      readonly mtu: number;
      readonly linkMtu: number;
      readonly src: number;
    }
  | { readonly ok: false; readonly error: SendError };

/** Routes an address as a datagram of protocol `proto` from `src` (0: any) would be. */
export function reach(ns: Netns, dst: number, src: number, proto: number): Reach {
  const path = ns.lookup(dst, src ^ dst ^ proto);
  const error = pathError(path);
  if (path === null || error !== null) return { ok: false, error: error ?? 'ENETUNREACH' };
  const { device, nexthop } = path;
  const type = path.type === 'local' || path.type === 'broadcast' ? path.type : 'unicast';
  const routed = path.src !== 0 ? path.src : ns.sourceFor(device, nexthop);
  const own = src !== 0 ? src : type === 'local' ? ns.addresses.localSource(dst) : routed;
  const flow = { src: own, dst, proto, sport: null, dport: null };
  return {
    ok: true,
    type,
    dev: device.name,
    mtu: ns.xfrm.mtu(flow, ns.pathMtus.of(dst, path)),
    linkMtu: device.mtu,
    src: own,
  };
}
