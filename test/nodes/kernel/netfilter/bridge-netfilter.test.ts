import test from 'ava';
import {
  HOOK_NAMES,
  type Hook,
  NF_FORWARD,
  NF_LOCAL_IN,
  NF_POST_ROUTING,
  NF_PRE_ROUTING,
} from '../../../../nodes/kernel/netfilter/hooks.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { formatIp4 } from '../../../../protocols/ip4.ts';
import { ipDst, ipProto, ipSrc, ipTtl, PROTO_UDP } from '../../../../protocols/ipv4.ts';
import { Network } from '../../../support/network.ts';
import { addDefault, foldOf, ip, natTable, to, udpClient, udpEcho } from './lab.ts';

/** Two pods on the bridge of a node, cni0 10.244.1.1/24, and what netfilter sees of their datagrams. */
function node() {
  const net = new Network();
  const host = net.host('n1');
  const { root } = host.kernel;
  root.addBridge({ name: 'cni0', mac: 0x0a58_0af4_0101, mtu: 1500 });
  root.setUp('cni0');
  root.addAddress('cni0', '10.244.1.1/24');
  root.ipForward = true;
  const pods = [2, 3].map((number) => {
    const ns = host.kernel.addNetns(`pod${number}`);
    root.addVeth({
      name: `veth${number}`,
      mac: 0x0200_0000_0000 + number,
      mtu: 1500,
      peer: { ns, name: 'eth0', mac: 0x0a58_0af4_0100 + number },
    });
    root.setUp(`veth${number}`);
    root.setMaster(`veth${number}`, 'cni0');
    ns.setUp('eth0');
    ns.addAddress('eth0', `10.244.1.${number}/24`);
    addDefault(ns, '10.244.1.1');
    return ns;
  });
  const seen: string[] = [];
  const watch = () => {
    for (const hook of [NF_PRE_ROUTING, NF_LOCAL_IN, NF_FORWARD, NF_POST_ROUTING] as const)
      root.netfilter.register(hook, 1_000, (skb, at: Hook) => {
        if (ipProto(skb.frame, ETH_HLEN) !== PROTO_UDP) return 'accept';
        const dev = (name: string | undefined) => name ?? '-';
        seen.push(
          `${HOOK_NAMES[at]} ${formatIp4(ipSrc(skb.frame, ETH_HLEN))} ${formatIp4(ipDst(skb.frame, ETH_HLEN))} ` +
            `${dev(skb.in?.name)} ${dev(skb.out?.name)} ${dev(skb.physIn?.name)} ${dev(skb.physOut?.name)} ` +
            `ttl ${ipTtl(skb.frame, ETH_HLEN)}`,
        );
        return 'accept';
      });
  };
  return { net, host, root, a: pods[0]!, b: pods[1]!, seen, watch };
}

test('a bridged packet passes PREROUTING, FORWARD and POSTROUTING as one of the bridge, with its ports', (t) => {
  const { net, a, b, seen, watch } = node();
  watch();
  udpEcho(b, 53);
  udpClient(a).send('10.244.1.3', 53, 'x');
  net.advance(10);
  t.deepEqual(seen.slice(0, 3), [
    'PREROUTING 10.244.1.2 10.244.1.3 cni0 - veth2 - ttl 64',
    'FORWARD 10.244.1.2 10.244.1.3 cni0 cni0 veth2 veth3 ttl 64',
    'POSTROUTING 10.244.1.2 10.244.1.3 cni0 cni0 veth2 veth3 ttl 64',
  ]);
  t.is(seen.length, 6);
});

test('bridge-nf-call-iptables = 0: it passes none', (t) => {
  const { net, root, a, b, seen, watch } = node();
  watch();
  root.sysctls.set('bridge.bridge-nf-call-iptables', 0);
  udpEcho(b, 53);
  const client = udpClient(a);
  client.send('10.244.1.3', 53, 'x');
  net.advance(10);
  t.is(client.replies.length, 1);
  t.deepEqual(seen, []);
});

test('a packet for the bridge itself passes PREROUTING once, and INPUT', (t) => {
  const { net, root, a, seen, watch } = node();
  watch();
  udpEcho(root, 53);
  const client = udpClient(a);
  client.send('10.244.1.1', 53, 'x');
  net.advance(10);
  t.is(client.replies.length, 1);
  t.deepEqual(
    seen.map((line) => line.split(' ')[0]),
    ['PREROUTING', 'INPUT', 'POSTROUTING'],
  );
});

test('a service on the same node: DNAT bridges the packet on, and the answer has the service’s address', (t) => {
  const { net, host, root, a, b, seen, watch } = node();
  natTable(root, [{ dst: '10.96.0.10', port: 53, target: to('10.244.1.3', 5353) }]);
  watch();
  const server = udpEcho(b, 5353);
  const client = udpClient(a, 40_000);
  for (const text of ['first, which waits for the address', 'second']) {
    client.send('10.96.0.10', 53, text);
    net.advance(10);
  }
  // Not routed: the TTL is what it was, and the client's address too.
  t.is(seen[1], 'FORWARD 10.244.1.2 10.244.1.3 cni0 cni0 veth2 veth3 ttl 64');
  t.deepEqual(
    server.seen.map(({ src, dst }) => [src, dst]),
    Array.from({ length: 2 }, () => [ip('10.244.1.2'), ip('10.244.1.3')]),
  );
  t.deepEqual(
    client.replies.map(({ src, srcPort }) => [src, srcPort]),
    Array.from({ length: 2 }, () => [ip('10.96.0.10'), 53]),
  );
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('without bridge-nf-call-iptables the answer goes past NAT, and nobody knows it', (t) => {
  const { net, root, a, b } = node();
  root.sysctls.set('bridge.bridge-nf-call-iptables', 0);
  natTable(root, [{ dst: '10.96.0.10', port: 53, target: to('10.244.1.3', 53) }]);
  udpEcho(b, 53);
  const client = udpClient(a, 40_000);
  client.send('10.96.0.10', 53, 'x');
  net.advance(10);
  t.deepEqual(
    client.replies.map(({ src }) => src),
    [ip('10.244.1.3')],
  );
});

test('fragments that are bridged arrive as fragments', (t) => {
  const { net, root, a, b } = node();
  natTable(root, []);
  const server = udpEcho(b, 53);
  const client = udpClient(a);
  const text = 'r'.repeat(4000);
  client.send('10.244.1.3', 53, text);
  net.advance(10);
  t.is(server.seen[0]?.text, text);
  t.is(client.replies[0]?.text, text);
});
