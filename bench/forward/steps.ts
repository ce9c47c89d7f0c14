import { DEFAULT_SERVICE } from '../../nodes/kernel/netfilter/ipvs/service.ts';
import { runIptables } from '../../nodes/tools/iptables/iptables.ts';
import { restoreText } from '../../nodes/tools/iptables/restore.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { PROTO_UDP } from '../../protocols/ipv4.ts';
import { Bare, datagram, type Flow, ip, measureStep, type StepResult } from './step.ts';

export interface StepRow {
  readonly name: string;
  readonly result: StepResult;
}

const FLOW: Flow = { src: '10.0.0.9', dst: '10.1.0.9', srcPort: 1000, dstPort: 9, size: 1514 };
/** A host behind the bridge. */
const HOST = 0x020000000500;

function router(): Bare {
  const bare = new Bare();
  bare.port(0, '10.0.0.1/24', ['10.0.0.9']);
  bare.port(1, '10.1.0.1/24', ['10.1.0.9', '10.1.0.2']);
  return bare;
}

/** A bridge of two ports that knows who is behind the second. */
function bridge(): Bare {
  const bare = new Bare();
  const br0 = bare.root.addBridge({ name: 'br0', mac: 0x020000000200, mtu: 1500 });
  bare.root.setUp('br0');
  for (const [index, address] of ['10.0.0.1/24', '10.1.0.1/24'].entries()) {
    bare.port(index, address);
    bare.root.setMaster(`eth${index}`, 'br0');
  }
  br0.addFdb(HOST, bare.root.links.require('eth1'), 'static');
  return bare;
}

/** So many flows, by their source ports. */
function flows(count: number, flow = FLOW, mac?: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => datagram({ ...flow, srcPort: 1024 + i }, mac));
}

function iptables(bare: Bare, line: string): void {
  const { code, stderr } = runIptables(bare.root, line.split(' '));
  if (code !== 0) throw new Error(`iptables ${line}: ${stderr}`);
}

function restore(bare: Bare, text: string): void {
  const { code, stderr } = restoreText(bare.root.xtables, text, {
    flush: 'flush',
    counters: 'ignore',
    commit: 'commit',
  });
  if (code !== 0) throw new Error(stderr);
}

const HOSTS = 0x0b000000;

/** The kernel by itself: what a frame takes from one port to another, without the bus. */
export function* measureSteps(ms: number): Iterable<StepRow> {
  const row = (name: string, bare: Bare, frames: readonly Uint8Array[]): StepRow => ({
    name,
    result: measureStep(bare, frames, ms),
  });
  yield row('routed', router(), flows(64));
  for (const count of [10, 10_000, 500_000]) {
    const bare = router();
    bare.root.routes.replaceBatch(
      Array.from({ length: count }, (_, i) => ({
        op: 'set' as const,
        dst: `${formatIp4(HOSTS + i * 512)}/${23 + (i % 2)}`,
        type: 'unicast' as const,
        protocol: 'static' as const,
        scope: 'global' as const,
        metric: 0,
        src: '',
        nexthops: [{ via: '10.1.0.9', dev: 'eth1', onlink: false, weight: 1 }],
      })),
    );
    const targets = Array.from({ length: 256 }, (_, i) =>
      datagram({ ...FLOW, dst: formatIp4(HOSTS + ((i * 7_919) % count) * 512 + 9) }),
    );
    yield row(`routed, ${count.toLocaleString('en')} routes`, bare, targets);
  }
  {
    const bare = router();
    const { root } = bare;
    root.addVxlan({
      name: 'flannel.1',
      mac: 0x0a0000000001,
      mtu: 1450,
      vni: 1,
      local: ip('10.1.0.1'),
      dstPort: 8472,
      learning: 'off',
      checksum: 'zero',
    });
    root.setUp('flannel.1');
    root.setNeighbor('flannel.1', ip('10.244.2.0'), 0x0a0000000002);
    root.addVxlanFdb('flannel.1', 0x0a0000000002, ip('10.1.0.2'), 'permanent');
    const nexthops = [{ via: '10.244.2.0', dev: 'flannel.1', onlink: true, weight: 1 }];
    root.routes.set({
      dst: '10.244.2.0/24',
      type: 'unicast',
      protocol: 'flannel',
      scope: 'global',
      metric: 0,
      src: '',
      nexthops,
    });
    yield row('into VXLAN', bare, flows(64, { ...FLOW, dst: '10.244.2.9', size: 1464 }));
  }
  {
    const bare = router();
    iptables(bare, '-A FORWARD -m conntrack --ctstate ESTABLISHED,NEW -j ACCEPT');
    yield row('conntrack', bare, flows(64));
  }
  {
    const bare = router();
    iptables(bare, '-t nat -A PREROUTING -d 10.96.0.10 -p udp --dport 9 -j DNAT --to-destination 10.1.0.9:9');
    yield row("a Service's DNAT", bare, flows(64, { ...FLOW, dst: '10.96.0.10' }));
  }
  for (const count of [10, 1_000, 10_000]) {
    const bare = router();
    const rules = Array.from(
      { length: count },
      (_, i) => `-A FORWARD -d ${formatIp4(HOSTS + i)}/32 -p tcp -m tcp --dport 80 -j ACCEPT`,
    );
    restore(bare, ['*filter', ...rules, 'COMMIT', ''].join('\n'));
    yield row(`${count.toLocaleString('en')} iptables rules`, bare, flows(64));
  }
  for (const count of [10, 1_000, 10_000]) {
    const bare = router();
    services(bare, count);
    const targets = flows(64, { ...FLOW, dst: formatIp4(VIPS + (count >>> 1)) });
    yield row(`IPVS, ${count.toLocaleString('en')} services`, bare, targets);
  }
  yield row('bridged', bridge(), flows(64, FLOW, HOST));
}

const VIPS = 0x0a600000;

/** So many services, each with an address of its own on kube-ipvs0 and a server, as kube-proxy has them. */
function services({ root }: Bare, count: number): void {
  root.addDummy({ name: 'kube-ipvs0', mac: 0x020000000099, mtu: 1500 });
  for (let i = 0; i < count; i++) {
    const addr = VIPS + i;
    root.addAddress('kube-ipvs0', `${formatIp4(addr)}/32`);
    const key = { proto: PROTO_UDP, addr, port: 9 };
    root.ipvs.addService(key, { ...DEFAULT_SERVICE, scheduler: 'rr' });
    const server = { addr: ip('10.1.0.9'), port: 9, weight: 1, upper: 0, lower: 0 };
    root.ipvs.addDestination(key, { ...server, forward: 'Masq' });
  }
}
