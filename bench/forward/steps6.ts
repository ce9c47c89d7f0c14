import { runXtables } from '../../nodes/tools/iptables/iptables.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../protocols/ethernet.ts';
import { addToIp6, formatIp6, type Ip6, parseIp6 } from '../../protocols/ip6.ts';
import { PROTO_UDP } from '../../protocols/ipv4.ts';
import { IPV6_HLEN, writeIpv6Header } from '../../protocols/ipv6.ts';
import { UDP_HLEN, writeUdp } from '../../protocols/udp.ts';
import { Bare, type Flow, measureStep } from './step.ts';
import type { StepRow } from './steps.ts';

const FLOW: Flow = { src: '2001:db8::9', dst: '2001:db8:1::9', srcPort: 1000, dstPort: 9, size: 1514 };

function ip6(text: string): Ip6 {
  const address = parseIp6(text);
  if (address === null) throw new Error(`no address: ${text}`);
  return address;
}

function router(): Bare {
  const bare = new Bare({ ipv6: 'on' });
  const { root } = bare;
  root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
  for (const [index, neighbor] of ['2001:db8::9', '2001:db8:1::9'].entries()) {
    const device = bare.bring(index);
    const address = index === 0 ? '2001:db8::1/64' : '2001:db8:1::1/64';
    root.ipv6.addresses.add(device, address, { dad: 'none' });
    root.setNeighbor(device.name, ip6(neighbor), 0x020000000100 + index * 256);
  }
  return bare;
}

/** A UDP datagram in a frame for the first port. */
function datagram6({ src, dst, srcPort, dstPort, size }: Flow): Uint8Array {
  const frame = new Uint8Array(size);
  const at = ETH_HLEN + IPV6_HLEN;
  const [from, to] = [ip6(src), ip6(dst)];
  writeEthernet(frame, 0x020000000000, 0x0200000000ff, ETHERTYPE_IPV6);
  writeIpv6Header(frame, ETH_HLEN, {
    ...{ src: from, dst: to, nextHeader: PROTO_UDP, hopLimit: 64 },
    payloadLength: size - at,
  });
  writeUdp(frame, at, from, to, srcPort, dstPort, size - at - UDP_HLEN, { checksum: 'compute' });
  return frame;
}

/** So many flows, by their source ports. */
function flows(count: number, flow = FLOW): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => datagram6({ ...flow, srcPort: 1024 + i }));
}

function ip6tables(bare: Bare, line: string): void {
  const { code, stderr } = runXtables(bare.root, 'inet6', line.split(' '));
  if (code !== 0) throw new Error(`ip6tables ${line}: ${stderr}`);
}

const NETWORKS = ip6('2001:db8:8000::');

/** The same steps of IPv6, each to be held against that of IPv4 of the same name. */
export function* measureSteps6(ms: number): Iterable<StepRow> {
  const row = (name: string, bare: Bare, frames: readonly Uint8Array[]): StepRow => ({
    name: `IPv6: ${name}`,
    result: measureStep(bare, frames, ms),
  });
  yield row('routed', router(), flows(64));
  {
    const count = 10_000;
    const bare = router();
    const network = (i: number) => addToIp6(NETWORKS, i * 2 ** 50);
    bare.root.ipv6.routes.replaceBatch(
      Array.from({ length: count }, (_, i) => ({
        op: 'set' as const,
        dst: `${formatIp6(network(i))}/${78 + (i % 2)}`,
        type: 'unicast' as const,
        protocol: 'static' as const,
        scope: 'global' as const,
        metric: 1024,
        src: '',
        nexthops: [{ via: '2001:db8:1::9', dev: 'eth1', onlink: false, weight: 1 }],
      })),
    );
    const targets = Array.from({ length: 256 }, (_, i) =>
      datagram6({ ...FLOW, dst: formatIp6(addToIp6(network((i * 7_919) % count), 9)) }),
    );
    yield row(`routed, ${count.toLocaleString('en')} routes`, bare, targets);
  }
  {
    const bare = router();
    ip6tables(bare, '-A FORWARD -m conntrack --ctstate ESTABLISHED,NEW -j ACCEPT');
    yield row('conntrack', bare, flows(64));
  }
  {
    const bare = router();
    const service = '2001:db8:96::10';
    ip6tables(
      bare,
      `-t nat -A PREROUTING -d ${service} -p udp --dport 9 -j DNAT --to-destination [2001:db8:1::9]:9`,
    );
    yield row("a Service's DNAT", bare, flows(64, { ...FLOW, dst: service }));
  }
  for (const count of [10, 1_000]) {
    const bare = router();
    for (let i = 0; i < count; i++)
      ip6tables(
        bare,
        `-A FORWARD -d ${formatIp6(addToIp6(NETWORKS, i))}/128 -p tcp -m tcp --dport 80 -j ACCEPT`,
      );
    yield row(`${count.toLocaleString('en')} ip6tables rules`, bare, flows(64));
  }
}
