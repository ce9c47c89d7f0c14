import test from 'ava';
import fc from 'fast-check';
import { KernelFold } from '../../../../nodes/state/kernel-fold.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../../../protocols/ethernet.ts';
import { encodeIcmpv6Error, sealIcmpv6 } from '../../../../protocols/icmpv6.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { parseIp6 } from '../../../../protocols/ip6.ts';
import { IPV4_HLEN, writeIpv4Header } from '../../../../protocols/ipv4.ts';
import { IPV6_HLEN, PROTO_ICMPV6, writeIpv6Header } from '../../../../protocols/ipv6.ts';
import { EmulatedPorts, NEIGHBOR_MAC, ROUTER_MAC } from '../../../support/router.ts';
import { run } from '../../tools/support/run.ts';

const [LOCAL, REMOTE] = ['2001:db8::1', '2001:db8::2'];
const SET_UP = [
  'ip addr add 10.0.0.1/24 dev u0',
  'sysctl -w net.ipv6.conf.u0.disable_ipv6=0',
  `ip -6 addr add ${LOCAL}/64 dev u0 nodad`,
  `ip -6 neigh add ${REMOTE} lladdr 02:00:00:00:00:02 dev u0 nud permanent`,
  `ip link add t0 type ip6tnl local ${LOCAL} remote ${REMOTE}`,
  `ip link add t1 type ip6gre local ${LOCAL} remote ${REMOTE}`,
  `ip link add t2 address 02:00:00:00:00:50 type ip6gretap local ${LOCAL} remote ${REMOTE}`,
  'ip link add t3 type sit local 10.0.0.1',
  ...['t0', 't1', 't2', 't3'].flatMap((name, i) => [
    `sysctl -w net.ipv6.conf.${name}.disable_ipv6=0`,
    `ip -6 addr add fd00:${i}::1/64 dev ${name} nodad`,
    `ip link set ${name} up`,
  ]),
];

function tunnels(): EmulatedPorts {
  const ports = new EmulatedPorts([{ name: 'u0' }]);
  for (const line of SET_UP) {
    const { code, text } = run(line.split(' '), ports.root);
    if (code !== 0) throw new Error(`${line}: ${text}`);
  }
  return ports;
}

/** From the other end, over IPv6 or IPv4. */
function outer(proto: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + IPV6_HLEN + payload.length);
  writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV6);
  const [src, dst] = [parseIp6(REMOTE)!, parseIp6(LOCAL)!];
  writeIpv6Header(frame, ETH_HLEN, {
    src,
    dst,
    nextHeader: proto,
    hopLimit: 64,
    payloadLength: payload.length,
  });
  frame.set(payload, ETH_HLEN + IPV6_HLEN);
  if (proto === PROTO_ICMPV6) sealIcmpv6(frame, ETH_HLEN + IPV6_HLEN, payload.length, src, dst);
  return frame;
}

function outer4(proto: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + IPV4_HLEN + payload.length);
  writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV4);
  const [src, dst] = [parseIp4('10.0.0.2')!, parseIp4('10.0.0.1')!];
  const totalLength = IPV4_HLEN + payload.length;
  writeIpv4Header(frame, ETH_HLEN, { src, dst, proto, ttl: 64, totalLength, id: 1, df: false });
  frame.set(payload, ETH_HLEN + IPV4_HLEN);
  return frame;
}

/** Bytes that begin as a packet of IP does, or as GRE. */
const payload = fc
  .tuple(
    fc.uint8Array({ maxLength: 120 }),
    fc.constantFrom<readonly number[]>([], [0x60], [0x45], [0, 0, 0x86, 0xdd, 0x60], [0, 0, 0x65, 0x58]),
  )
  .map(([bytes, head]) => Uint8Array.of(...head, ...bytes));

test('whatever comes to a tunnel, or is said of what it sent, the node goes on, and its log tells of its state', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          proto: fc.constantFrom(4, 41, 47),
          over: fc.constantFrom('inet', 'inet6', 'error'),
          payload,
          type: fc.constantFrom(1, 2, 3, 4),
          code: fc.nat(4),
          extra: fc.constantFrom(0, 6, 42, 44, 1_000, 1_280, 1_400),
        }),
        { maxLength: 20 },
      ),
      (packets) => {
        const ports = tunnels();
        for (const { proto, over, payload: bytes, type, code, extra } of packets) {
          if (over === 'inet') ports.send(0, outer4(proto, bytes));
          else if (over === 'inet6') ports.send(0, outer(proto, bytes));
          else {
            const sent = outer(proto, bytes).subarray(ETH_HLEN);
            // What is quoted went the other way.
            sent.set(sent.slice(24, 40), 8);
            sent.set(outer(proto, bytes).subarray(ETH_HLEN + 8, ETH_HLEN + 24), 24);
            ports.send(0, outer(PROTO_ICMPV6, encodeIcmpv6Error(type, code, extra, sent, 0)));
          }
        }
        const fold = new KernelFold();
        for (const event of ports.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
        t.deepEqual(fold.view(), ports.kernel.snapshot());
      },
    ),
    { numRuns: 60 },
  );
});
