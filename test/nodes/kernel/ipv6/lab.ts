import type { RouteFacts } from '../../../../nodes/events/kernel.ts';
import type { EchoReply, IcmpErrorReport } from '../../../../nodes/kernel/icmp.ts';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { KernelFold } from '../../../../nodes/state/kernel-fold.ts';
import { formatIp6, type Ip6, parseIp6 } from '../../../../protocols/ip6.ts';
import { Network } from '../../../support/network.ts';
import type { FakeRuntime } from '../../../support/runtime.ts';

export const ip6 = (text: string): Ip6 => parseIp6(text)!;

/** Longer than any claim to an address takes. */
export const CLAIMED = 2_500;

export function foldOf(rt: FakeRuntime) {
  const fold = new KernelFold();
  for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  return fold.view();
}

/** Sends echoes and collects what comes back. */
export function pinger(ns: Netns) {
  const replies: EchoReply<Ip6>[] = [];
  const errors: IcmpErrorReport<Ip6>[] = [];
  const socket = ns.ipv6.icmp.open({
    onReply: (reply) => replies.push({ ...reply, payload: reply.payload.slice() }),
    onError: (error) => errors.push(error),
  });
  let seq = 0;
  return {
    replies,
    errors,
    send: (dst: string, options: Partial<Parameters<typeof socket.sendEcho>[1]> = {}) =>
      socket.sendEcho(ip6(dst), { id: 7, seq: ++seq, size: 56, ...options }),
  };
}

/** `ip -6 route add`: a gateway, a device, or both as `via VIA dev DEV`. */
export function route(dst: string, via: string, dev = ''): RouteFacts {
  return {
    dst,
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via, dev, onlink: false, weight: 1 }],
  };
}

/** What `ip -6 addr` shows of a device, in short. */
export function shown(ns: Netns, dev: string): string[] {
  return ns.ipv6.addresses
    .list()
    .filter((address) => address.dev === dev)
    .map(({ address, scope, dad }) => `${address} ${scope}${dad === undefined ? '' : ` ${dad}`}`);
}

export function neighbors(ns: Netns): string[] {
  return ns.neighbors6().map(({ dev, ip, state }) => `${ip} ${dev} ${state}`);
}

/** a (2001:db8:1::2) - r - b (2001:db8:2::2), with default routes by r. */
export function routed() {
  const net = new Network();
  const [a, r, b] = [net.host('a', 'on'), net.host('r', 'on'), net.host('b', 'on')];
  net.attach(a, 'left', 'eth0', '2001:db8:1::2/64');
  net.attach(r, 'left', 'eth0', '2001:db8:1::1/64');
  net.attach(r, 'right', 'eth1', '2001:db8:2::1/64');
  net.attach(b, 'right', 'eth0', '2001:db8:2::2/64');
  r.kernel.root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
  a.kernel.root.ipv6.routes.set(route('::/0', '2001:db8:1::1'));
  b.kernel.root.ipv6.routes.set(route('::/0', '2001:db8:2::1'));
  net.advance(CLAIMED);
  return { net, a, r, b };
}

export const text = (address: Ip6) => formatIp6(address);
