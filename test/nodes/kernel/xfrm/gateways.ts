import type { ExecutionContext } from 'ava';
import { type Host, Network } from '../../../support/network.ts';
import { run } from '../../tools/support/run.ts';

export const GCM_KEY = '0x000102030405060708090a0b0c0d0e0f10111213';
export const GCM = `aead rfc4106(gcm(aes)) ${GCM_KEY} 128`;

export function sh(t: ExecutionContext, host: Host, line: string): string {
  const { text, code } = run(line, host.kernel.root);
  t.is(code, 0, `${line}: ${text}`);
  return text;
}

export const ENDS = { inet: ['10.1.0.2', '10.2.0.2'], inet6: ['fd01::2', 'fd02::2'] } as const;
const NETS = {
  inet: ['10.244.1.0/24', '10.244.2.0/24'],
  inet6: ['fd44:1::/64', 'fd44:2::/64'],
} as const;
export const FAR = { inet: '10.244.2.2', inet6: 'fd44:2::2' } as const;
export type Family = keyof typeof ENDS;

/** Two gateways with both families, a router between them, a host behind each; a tunnel of one family for the other. */
export function gateways(t: ExecutionContext, outer: Family, inner: Family, more: string, algorithms = GCM) {
  const net = new Network();
  const hosts = ['h1', 'a', 'r', 'b', 'h2'].map((name) => net.host(name, 'on'));
  const [h1, a, r, b, h2] = hosts as [Host, Host, Host, Host, Host];
  const attach = (host: Host, segment: string, dev: string, four: string, six: string) => {
    net.attach(host, segment, dev, four);
    sh(t, host, `ip addr add ${six} dev ${dev} nodad`);
  };
  attach(h1, 'lan1', 'eth0', '10.244.1.2/24', 'fd44:1::2/64');
  attach(a, 'lan1', 'eth1', '10.244.1.1/24', 'fd44:1::1/64');
  attach(a, 'left', 'eth0', '10.1.0.2/24', 'fd01::2/64');
  attach(r, 'left', 'eth0', '10.1.0.1/24', 'fd01::1/64');
  attach(r, 'right', 'eth1', '10.2.0.1/24', 'fd02::1/64');
  attach(b, 'right', 'eth0', '10.2.0.2/24', 'fd02::2/64');
  attach(b, 'lan2', 'eth1', '10.244.2.1/24', 'fd44:2::1/64');
  attach(h2, 'lan2', 'eth0', '10.244.2.2/24', 'fd44:2::2/64');
  for (const host of [a, r, b]) {
    host.kernel.root.ipForward = true;
    sh(t, host, 'sysctl -w net.ipv6.conf.all.forwarding=1');
  }
  for (const [host, four, six] of [
    [h1, '10.244.1.1', 'fd44:1::1'],
    [a, '10.1.0.1', 'fd01::1'],
    [b, '10.2.0.1', 'fd02::1'],
    [h2, '10.244.2.1', 'fd44:2::1'],
  ] as const) {
    sh(t, host, `ip route add default via ${four}`);
    sh(t, host, `ip -6 route add default via ${six}`);
  }
  const [left, right] = ENDS[outer];
  const out = `src ${left} dst ${right} proto esp`;
  const back = `src ${right} dst ${left} proto esp`;
  for (const host of [a, b]) {
    sh(
      t,
      host,
      `ip xfrm state add ${out} spi 0x1001 reqid 1 mode tunnel replay-window 32 ${more} ${algorithms}`,
    );
    sh(
      t,
      host,
      `ip xfrm state add ${back} spi 0x1002 reqid 1 mode tunnel replay-window 32 ${more} ${algorithms}`,
    );
  }
  const [here, there] = NETS[inner];
  for (const [host, own, other, way, home] of [
    [a, here, there, out, back],
    [b, there, here, back, out],
  ] as const) {
    sh(t, host, `ip xfrm policy add src ${own} dst ${other} dir out tmpl ${way} reqid 1 mode tunnel`);
    for (const dir of ['fwd', 'in'])
      sh(t, host, `ip xfrm policy add src ${other} dst ${own} dir ${dir} tmpl ${home} reqid 1 mode tunnel`);
  }
  net.advance(3_000);
  return { net, h1, a, r, b, h2 };
}
