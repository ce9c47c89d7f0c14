import test, { type ExecutionContext } from 'ava';
import type { KernelEvent } from '../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { startTool } from '../../../nodes/tools/start.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { type Host, Network } from '../../support/network.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

function sh(t: ExecutionContext, host: Host, line: string): string {
  let out = '';
  let code = -1;
  const context = { rt: host.rt, kernel: host.kernel, ns: host.kernel.root };
  startTool(line.split(' '), context, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      out += text;
    },
    exit: (value) => {
      code = value;
    },
  });
  t.is(code, 0, `${line}: ${out}`);
  return out;
}

/** Two hosts on different subnets, a router between them, and a tunnel from one to the other. */
function tunnelled(t: ExecutionContext, type: string) {
  const net = new Network();
  const [a, r, b] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(a, 'left', 'eth0', '10.1.0.2/24');
  net.attach(r, 'left', 'eth0', '10.1.0.1/24');
  net.attach(r, 'right', 'eth1', '10.2.0.1/24');
  net.attach(b, 'right', 'eth0', '10.2.0.2/24');
  r.kernel.root.ipForward = true;
  sh(t, a, 'ip route add default via 10.1.0.1');
  sh(t, b, 'ip route add default via 10.2.0.1');
  const ends = [
    [a, '10.2.0.2', '10.1.0.2', '192.168.7.1/24'],
    [b, '10.1.0.2', '10.2.0.2', '192.168.7.2/24'],
  ] as const;
  for (const [host, remote, local, address] of ends) {
    sh(t, host, `ip link add tun1 type ${type.replace('ENDS', `remote ${remote} local ${local}`)}`);
    sh(t, host, 'ip link set tun1 up');
    sh(t, host, `ip addr add ${address} dev tun1`);
  }
  const ping = (size: number, df = false) => {
    let result = 'nothing';
    const socket = a.kernel.root.openIcmp({
      onReply: ({ payload }) => {
        result = `${payload.length} bytes`;
      },
      onError: ({ type: kind, code, mtu, dst }) => {
        // What is told of the outer packet is not for the one who pings.
        if (dst === ip('192.168.7.2')) result = `${kind} ${code} ${mtu}`;
      },
    });
    const error = socket.sendEcho(ip('192.168.7.2'), { id: 1, seq: 1, size, df });
    net.advance(100);
    socket.close();
    return error ?? result;
  };
  return { net, a, r, b, ping };
}

/** IP packets on a segment that no ARP is, by protocol. */
const outer = (net: Network, proto: number) =>
  net.frames.filter(({ frame }) => frame[12] === 8 && frame[13] === 0 && frame[23] === proto);

for (const [type, proto, mtu, header] of [
  ['ipip ENDS', 4, 1480, 0],
  ['gre ENDS', 47, 1476, 4],
  ['gre ENDS key 7 csum seq', 47, 1464, 16],
  ['gretap ENDS key 1.2.3.4', 47, 1458, 8 + 14],
] as const) {
  test(`${type}: packets travel in the outer protocol, as long as the MTU says`, (t) => {
    const { net, a, b, ping } = tunnelled(t, type);
    t.is(a.kernel.root.device('tun1')?.mtu, mtu);
    ping(56);
    t.is(ping(56), '56 bytes');
    const [first] = outer(net, proto).filter(({ frame }) => frame.length === 14 + 20 + header + 84);
    t.not(first, undefined);
    t.is(ping(mtu - 28, true), `${mtu - 28} bytes`);
    t.is(ping(mtu - 27, true), 'EMSGSIZE');
    // Without DF it is fragmented inside of the tunnel.
    t.is(ping(3_000), '3000 bytes');
    for (const host of [a, b]) {
      const fold = new KernelFold();
      for (const event of host.rt.events) fold.apply(event as KernelEvent);
      t.deepEqual(fold.view(), host.kernel.snapshot());
    }
  });
}

test('a smaller MTU on the path is told to whoever sends into the tunnel', (t) => {
  const { r, a, ping } = tunnelled(t, 'ipip ENDS');
  r.kernel.root.setMtu('eth1', 1400);
  // The first is answered to the tunnel's own end, which learns; the second is too big for what it has learned.
  t.is(ping(1_400, true), 'nothing');
  t.is(ping(1_400, true), `dest-unreachable 4 ${1400 - 20}`);
  t.is(ping(1_352, true), '1352 bytes');
  t.true(a.kernel.drops.has('tunnel-xmit'));
});

test('without a remote a tunnel sends to the next hop of the route, as tunl0 does', (t) => {
  const net = new Network();
  const hosts = [net.host('a'), net.host('b'), net.host('c')];
  for (const [i, host] of hosts.entries()) {
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    sh(t, host, 'ip link add tunl0 type ipip');
    sh(t, host, 'ip link set tunl0 up');
    sh(t, host, `ip addr add 192.168.${i + 1}.1/32 dev tunl0`);
    for (const peer of [1, 2, 3].filter((n) => n !== i + 1))
      sh(t, host, `ip route add 192.168.${peer}.0/24 via 10.0.0.${peer} dev tunl0 onlink`);
  }
  for (const target of ['192.168.2.1', '192.168.3.1']) {
    let replies = 0;
    hosts[0]!.kernel.root
      .openIcmp({ onReply: () => replies++, onError: () => {} })
      .sendEcho(ip(target), { id: 1, seq: 1, size: 8 });
    net.advance(100);
    t.is(replies, 1, target);
  }
  t.regex(
    sh(t, hosts[0]!, 'ip -d link show tunl0'),
    /tunl0@NONE: <NOARP,UP,LOWER_UP> mtu 1480 .*\n {4}link\/ipip 0\.0\.0\.0 brd 0\.0\.0\.0.*\n {4}ipip any remote any local any ttl inherit pmtudisc/,
  );
});

test('ip link shows both ends', (t) => {
  const { a } = tunnelled(t, 'ipip ENDS');
  t.regex(
    sh(t, a, 'ip link show tun1'),
    /tun1@NONE: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1480 .*\n {4}link\/ipip 10\.1\.0\.2 peer 10\.2\.0\.2/,
  );
});

test('a packet for a tunnel that is not there is refused, a wrong key too', (t) => {
  const { b, ping } = tunnelled(t, 'gre ENDS key 7');
  sh(t, b, 'ip link del tun1');
  t.regex(ping(56), /nothing/);
  sh(t, b, 'ip link add tun1 type gre remote 10.1.0.2 local 10.2.0.2 key 8');
  sh(t, b, 'ip link set tun1 up');
  // Whoever sends next is told of the error that came about the last packet (`ip_tunnel_xmit`).
  t.is(ping(56), 'dest-unreachable 1 0');
  t.is(ping(56), 'nothing');
  t.deepEqual([b.kernel.drops.get('unknown-protocol'), b.kernel.drops.get('tunnel-unknown')], [1, 2]);
});

test('a tunnel whose outer packets would go into itself does not loop', (t) => {
  const { a, ping } = tunnelled(t, 'ipip ENDS');
  sh(t, a, 'ip route add 10.2.0.0/24 dev tun1');
  t.not(ping(56), '56 bytes');
  t.true(a.kernel.drops.has('tunnel-loop'));
});
