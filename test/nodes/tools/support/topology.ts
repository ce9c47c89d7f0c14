import type { Host } from '../../../support/network.ts';
import { Network } from '../../../support/network.ts';

function defaultVia(via: string) {
  return {
    dst: '0.0.0.0/0',
    type: 'unicast' as const,
    protocol: 'static' as const,
    scope: 'global' as const,
    metric: 0,
    src: '',
    nexthops: [{ via, dev: '', onlink: false, weight: 1 }],
  };
}

/** a (10.0.1.2) — r (10.0.1.1, 10.0.2.1) — b (10.0.2.2), each with a default route towards r. */
export function routed(): { readonly net: Network; readonly a: Host; readonly r: Host; readonly b: Host } {
  const net = new Network();
  const [a, r, b] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(a, 'left', 'eth0', '10.0.1.2/24');
  net.attach(r, 'left', 'eth0', '10.0.1.1/24');
  net.attach(r, 'right', 'eth1', '10.0.2.1/24');
  net.attach(b, 'right', 'eth0', '10.0.2.2/24');
  a.kernel.root.routes.set(defaultVia('10.0.1.1'));
  b.kernel.root.routes.set(defaultVia('10.0.2.1'));
  r.kernel.root.ipForward = true;
  return { net, a, r, b };
}

/** Lets every neighbour on the way learn the others' addresses, so that later times are those of the wire alone. */
export function warmUp(net: Network, from: Host, dst: number): void {
  const socket = from.kernel.root.openIcmp({ onReply: () => {}, onError: () => {} });
  socket.sendEcho(dst, { id: 1, seq: 1, size: 0 });
  net.advance(50);
  socket.close();
}
