import test from 'ava';
import fc from 'fast-check';
import type { BridgeFacts, RouteFacts } from '../../../nodes/events/kernel.ts';
import type { OpenFlowEvent } from '../../../nodes/events/openflow.ts';
import { BridgeDevice } from '../../../nodes/kernel/bridge.ts';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { RouteError } from '../../../nodes/kernel/route-error.ts';
import { SysctlError } from '../../../nodes/kernel/sysctl.ts';
import { WIREGUARD_MTU } from '../../../nodes/kernel/tunnels/wireguard.ts';
import type { UpperOptions } from '../../../nodes/kernel/uppers.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { OpenFlowFold } from '../../../nodes/state/openflow-fold.ts';
import { writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';
import { overlayOperation, PRIVATE, PUBLIC, switchOf } from './random/overlays.ts';

const NAMESPACES = ['', 'pod1', 'pod2'];
/** Name, and kind, of every device there can be; few names, so that operations meet. */
const DEVICES = ['p0', 'p1', 'v0', 'v1', 'br0', 'br1', 'd0', 'vx0', 'vx1', 'tun0', 'lo', 'u0', 'u1', 'u2'];

const ns = fc.constantFrom(...NAMESPACES, '');
const dev = fc.constantFrom(...DEVICES);
const host = fc.integer({ min: 1, max: 6 });
const net = fc.integer({ min: 0, max: 3 });
const address = fc
  .tuple(net, host, fc.constantFrom(8, 24, 30, 31, 32))
  .map(([n, h, len]) => `10.0.${n}.${h}/${len}`);
const gateway = fc.tuple(net, host).map(([n, h]) => `10.0.${n}.${h}`);
const address6 = fc
  .tuple(fc.constantFrom('2001:db8:1::', '2001:db8:2::', 'fe80::'), host, fc.constantFrom(48, 64, 127, 128))
  .map(([net, h, len]) => `${net}${h}/${len}`);
const gateway6 = address6.map((text) => text.split('/')[0]!);
const mac = fc.integer({ min: 1, max: 5 }).map((n) => 0x020000000000 + n);

type Operation = (kernel: Kernel, world: FakeWorld) => void;
const inNs =
  (name: string, act: (ns: Netns) => void): Operation =>
  (kernel) => {
    const found = kernel.netns(name);
    if (found !== undefined) act(found);
  };

function addDevice(kernel: Kernel, ns: Netns, name: string, far: Netns): void {
  const link = { name, mac: 0x020000000000 + name.charCodeAt(name.length - 1), mtu: 1500 };
  if (name === 'p0' || name === 'p1') ns.addPort({ ...link, port: Number(name[1]) });
  else if (name.startsWith('v') && !name.startsWith('vx')) {
    ns.addVeth({ ...link, peer: { ns: far, name: name === 'v0' ? 'v1' : 'v0', mac: link.mac + 16 } });
  } else if (name.startsWith('br')) ns.addBridge(link);
  else if (name === 'd0') ns.addDummy(link);
  else if (name.startsWith('vx')) {
    const local = name === 'vx0' ? 0x0a000001 : parseIp6('2001:db8::1')!;
    ns.addVxlan({ ...link, vni: Number(name[2]), local, dstPort: 8472, learning: 'on' });
  } else if (name === 'tun0') ns.addTun(link, () => kernel.drop('tun'));
}

/** Most runs begin with something that operations can be about: else few of them find what they are to work on. */
function furnish(kernel: Kernel): void {
  const { root } = kernel;
  const [pod1, pod2] = [kernel.addNetns('pod1'), kernel.addNetns('pod2')];
  for (const name of ['p0', 'p1', 'br0', 'd0', 'vx0', 'vx1', 'tun0']) addDevice(kernel, root, name, pod1);
  addDevice(kernel, root, 'v0', pod1);
  addDevice(kernel, pod2, 'd0', pod2);
  for (const [i, ns] of [root, pod1].entries()) {
    const wg = ns.links.addWireguard({ name: 'wg0', mtu: WIREGUARD_MTU });
    wg.configure({ privateKey: PRIVATE[i]!, listenPort: 51_820 });
    const endpoint = { addr: parseIp4(`10.0.1.${2 - i}`)!, port: 51_820 };
    wg.setPeer(PUBLIC[1 - i]!, { endpoint, allowedIps: [parsePrefix('10.0.3.0/24')!] });
    ns.addAddress('wg0', `10.0.3.${i + 1}/24`);
  }
  root.addAddress('v0', '10.0.1.1/24');
  pod1.addAddress('v1', '10.0.1.2/24');
  root.addAddress('p0', '10.0.0.1/24');
  pod2.addAddress('d0', '10.0.2.1/24');
  for (const ns of [root, pod1, pod2]) for (const { name } of ns.devices()) ns.setUp(name);
}

/** What can stand on another device. */
const upper = fc.constantFrom<UpperOptions>(
  { kind: 'vlan', id: 10, protocol: 0x8100 },
  { kind: 'vlan', id: 20, protocol: 0x88a8 },
  { kind: 'macvlan', mode: 'bridge' },
  { kind: 'macvlan', mode: 'passthru' },
  { kind: 'ipvlan', mode: 'l2', flag: 'bridge' },
  { kind: 'ipvlan', mode: 'l3', flag: 'private' },
);

function addVlan(ns: Netns, name: string, vid: number, pvid: boolean): void {
  const device = ns.links.require(name);
  const bridge = device instanceof BridgeDevice ? device : device.master;
  const flags = pvid ? { pvid: true as const, untagged: true as const } : {};
  if (bridge instanceof BridgeDevice) bridge.addVlan(device, { vid, ...flags });
}

function configureBridge(ns: Netns, name: string, settings: BridgeFacts): void {
  const device = ns.links.require(name);
  if (device instanceof BridgeDevice) ns.links.configureBridge(device, settings);
}

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 12, arbitrary: overlayOperation },
  {
    weight: 5,
    arbitrary: fc.tuple(ns, fc.constantFrom('u0', 'u1', 'u2'), ns, dev, upper).map(
      ([name, device, below, parent, options]): Operation =>
        (kernel) => {
          const [own, other] = [kernel.netns(name), kernel.netns(below)];
          if (own === undefined || other === undefined) return;
          const link = { name: device, parent: other.links.require(parent), upper: options };
          own.links.addUpper(options.kind === 'macvlan' ? { ...link, mac: 0x020000000077 } : link);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(ns, dev, ns, dev).map(
      ([name, device, to, as]): Operation =>
        (kernel) => {
          const [from, target] = [kernel.netns(name), kernel.netns(to)];
          if (from !== undefined && target !== undefined) from.links.move(device, target, as);
        },
    ),
  },
  fc
    .tuple(ns, dev, fc.integer({ min: 1400, max: 1500 }))
    .map(([name, device, mtu]) => inNs(name, (ns) => ns.setMtu(device, mtu))),
  fc.tuple(ns, dev, mac).map(([name, device, to]) => inNs(name, (ns) => ns.setMac(device, to))),
  fc
    .tuple(ns, dev, fc.integer({ min: 1, max: 3 }), fc.boolean())
    .map(([name, device, vid, pvid]) => inNs(name, (ns) => addVlan(ns, device, vid, pvid))),
  fc
    .tuple(ns, fc.constantFrom('br0', 'br1'), fc.boolean(), fc.constantFrom(1, 2))
    .map(([name, bridge, vlanFiltering, defaultPvid]) =>
      inNs(name, (ns) =>
        configureBridge(ns, bridge, vlanFiltering ? { vlanFiltering } : { vlanFiltering, defaultPvid }),
      ),
    ),
  fc
    .tuple(ns, dev, fc.boolean())
    .map(([name, device, hairpin]) =>
      inNs(name, (ns) =>
        ns.links.configureBridgePort(ns.links.require(device), { hairpin, learning: !hairpin }),
      ),
    ),
  fc
    .tuple(ns, fc.integer({ min: 1, max: 3 }), fc.constantFrom(7, 254), fc.boolean(), fc.boolean())
    .map(([name, priority, table, add, inet6]) =>
      inNs(name, (ns) => {
        const rules = inet6 ? ns.ipv6.rules : ns.rules;
        if (add) rules.add({ priority, action: 'lookup', table, protocol: 0 });
        else rules.delete((rule) => rule.priority === priority);
      }),
    ),
  // Next hops of both families, in both tables, beside what is there.
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        ns,
        fc.constantFrom('10.9.0.0/16', '10.0.1.0/24', '2001:db8:9::/48'),
        fc.array(fc.tuple(fc.oneof(gateway, gateway6), dev, fc.boolean()), { minLength: 1, maxLength: 2 }),
        fc.constantFrom('first' as const, 'last' as const),
        fc.constantFrom(7, 254),
      )
      .map(([name, dst, hops, place, table]) =>
        inNs(name, (ns) => {
          const facts: RouteFacts = {
            ...({ dst, type: 'unicast', protocol: 'static', scope: 'global', metric: 0, src: '' } as const),
            nexthops: hops.map(([via, dev, onlink]) => ({ via, dev, onlink, weight: 1 })),
          };
          (dst.includes(':') ? ns.ipv6.tables : ns.tables).open(table).add(facts, place);
        }),
      ),
  },
  fc.tuple(ns, fc.boolean(), fc.nat(3), dev, fc.constantFrom(7, 254)).map(([name, inet6, row, dev, table]) =>
    inNs(name, (ns) => {
      const rows = (inet6 ? ns.ipv6.tables : ns.tables).open(table);
      const old = rows.rowsOf(inet6 ? '2001:db8:9::/48' : '10.9.0.0/16')[row];
      const nexthops = [{ via: '', dev, onlink: false, weight: 1 }];
      if (old !== undefined && dev === 'lo') rows.remove(old);
      else if (old !== undefined) rows.replace(old, { ...old, type: 'unicast', nexthops });
    }),
  ),
  fc.tuple(ns, gateway, dev).map(([name, via, device]) =>
    inNs(name, (ns) =>
      ns.tables.open(7).set({
        dst: '10.9.0.0/16',
        type: 'unicast',
        protocol: 'static',
        scope: 'global',
        metric: 0,
        src: '',
        nexthops: [{ via, dev: device, onlink: false, weight: 1 }],
      }),
    ),
  ),
  ns.map(
    (name): Operation =>
      (kernel) =>
        kernel.addNetns(name),
  ),
  ns.map(
    (name): Operation =>
      (kernel) =>
        kernel.removeNetns(name),
  ),
  {
    weight: 6,
    arbitrary: fc.tuple(ns, dev, ns).map(
      ([name, device, far]): Operation =>
        (kernel) => {
          const [near, peer] = [kernel.netns(name), kernel.netns(far)];
          if (near !== undefined && peer !== undefined) addDevice(kernel, near, device, peer);
        },
    ),
  },
  fc.tuple(ns, dev).map(([name, device]) => inNs(name, (ns) => ns.removeDevice(device))),
  {
    weight: 6,
    arbitrary: fc
      .tuple(ns, dev, address6)
      .map(([name, device, text]) => inNs(name, (ns) => ns.addAddress(device, text))),
  },
  fc
    .tuple(ns, dev, address6)
    .map(([name, device, text]) => inNs(name, (ns) => ns.removeAddress(device, text))),
  {
    weight: 4,
    arbitrary: fc
      .tuple(ns, address6, fc.array(fc.tuple(fc.option(gateway6), dev), { maxLength: 2 }), fc.nat(2))
      .map(([name, dst, hops, metric]) =>
        inNs(name, (ns) =>
          ns.ipv6.routes.set({
            dst,
            type: hops.length === 0 ? 'unreachable' : 'unicast',
            protocol: 'static',
            scope: 'global',
            metric,
            src: '',
            nexthops: hops.map(([via, device]) => ({
              via: via ?? '',
              dev: device,
              onlink: false,
              weight: 1,
            })),
          }),
        ),
      ),
  },
  fc
    .tuple(ns, address6, fc.nat(2), fc.option(dev))
    .map(([name, dst, metric, device]) =>
      inNs(name, (ns) => ns.ipv6.routes.delete(dst, metric, device ?? '')),
    ),
  fc
    .tuple(ns, dev, gateway6, mac)
    .map(([name, device, ip, mac]) => inNs(name, (ns) => ns.setNeighbor(device, parseIp6(ip)!, mac))),
  fc
    .tuple(ns, gateway6, fc.integer({ min: 1200, max: 1600 }))
    .map(([name, ip, mtu]) => inNs(name, (ns) => ns.ipv6.pathMtus.learn(parseIp6(ip)!, mtu))),
  fc
    .tuple(
      ns,
      fc.constantFrom('disable_ipv6', 'forwarding', 'accept_dad', 'keep_addr_on_down'),
      fc.nat(1),
      fc.constantFrom('all', 'default', ...DEVICES),
    )
    .map(([name, variable, value, device]) =>
      inNs(name, (ns) => ns.sysctls.set(`ipv6.conf.*.${variable}`, value, device)),
    ),
  {
    weight: 4,
    arbitrary: fc.tuple(ns, gateway6).map(([name, ip]) =>
      inNs(name, (ns) => {
        const handlers = { onReply: () => {}, onError: () => {} };
        ns.ipv6.icmp.open(handlers).sendEcho(parseIp6(ip)!, { id: 1, seq: 1, size: 8 });
      }),
    ),
  },
  { weight: 6, arbitrary: fc.tuple(ns, dev).map(([name, device]) => inNs(name, (ns) => ns.setUp(device))) },
  { weight: 2, arbitrary: fc.tuple(ns, dev).map(([name, device]) => inNs(name, (ns) => ns.setDown(device))) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(ns, dev, fc.option(dev))
      .map(([name, device, master]) => inNs(name, (ns) => ns.setMaster(device, master))),
  },
  fc.tuple(ns, dev, mac).map(([name, device, mac]) => inNs(name, (ns) => ns.setMac(device, mac))),
  fc
    .tuple(ns, dev, fc.constantFrom(576, 1280, 1450, 1500))
    .map(([name, device, mtu]) => inNs(name, (ns) => ns.setMtu(device, mtu))),
  {
    weight: 6,
    arbitrary: fc
      .tuple(ns, dev, address)
      .map(([name, device, text]) => inNs(name, (ns) => ns.addAddress(device, text))),
  },
  fc
    .tuple(ns, dev, address)
    .map(([name, device, text]) => inNs(name, (ns) => ns.removeAddress(device, text))),
  {
    weight: 4,
    arbitrary: fc
      .tuple(ns, address, fc.array(fc.tuple(gateway, dev, fc.boolean()), { maxLength: 3 }), fc.nat(2))
      .map(([name, dst, hops, metric]) =>
        inNs(name, (ns) =>
          ns.routes.set({
            dst,
            type: hops.length === 0 ? 'blackhole' : 'unicast',
            protocol: 'static',
            scope: 'global',
            metric,
            src: '',
            nexthops: hops.map(([via, device, onlink]) => ({ via, dev: device, onlink, weight: 1 })),
          }),
        ),
      ),
  },
  fc
    .tuple(ns, address, fc.nat(2))
    .map(([name, dst, metric]) => inNs(name, (ns) => ns.routes.delete(dst, metric))),
  fc
    .tuple(ns, fc.array(fc.tuple(address, fc.nat(2)), { maxLength: 4 }))
    .map(([name, keys]) =>
      inNs(name, (ns) => ns.routes.replaceBatch(keys.map(([dst, metric]) => ({ op: 'del', dst, metric })))),
    ),
  fc
    .tuple(ns, dev, gateway, mac)
    .map(([name, device, ip, mac]) =>
      inNs(name, (ns) => ns.device(device)?.neighbors.setPermanent(parseIp4(ip) ?? 0, mac)),
    ),
  fc
    .tuple(ns, dev, gateway)
    .map(([name, device, ip]) => inNs(name, (ns) => ns.device(device)?.neighbors.delete(parseIp4(ip) ?? 0))),
  fc
    .tuple(ns, mac, gateway)
    .map(([name, mac, ip]) => inNs(name, (ns) => ns.addVxlanFdb('vx0', mac, parseIp4(ip) ?? 0, 'static'))),
  fc
    .tuple(ns, mac, gateway6)
    .map(([name, mac, ip]) => inNs(name, (ns) => ns.addVxlanFdb('vx1', mac, parseIp6(ip)!, 'static'))),
  fc
    .tuple(ns, mac, fc.constantFrom('vx0', 'vx1'))
    .map(([name, mac, device]) => inNs(name, (ns) => ns.deleteVxlanFdb(device, mac))),
  fc
    .tuple(ns, dev, fc.boolean())
    .map(([name, device, on]) => inNs(name, (ns) => ns.setProxyArp(device, on ? 'on' : 'off'))),
  fc
    .tuple(ns, fc.constantFrom('ipv4.ip_forward', 'ipv4.conf.*.promote_secondaries'), fc.nat(1))
    .map(([name, variable, value]) =>
      inNs(name, (ns) => ns.sysctls.set(variable, value, variable.includes('*') ? 'all' : '')),
    ),
  fc
    .tuple(ns, gateway, fc.integer({ min: 500, max: 1600 }))
    .map(([name, ip, mtu]) => inNs(name, (ns) => ns.pathMtus.learn(parseIp4(ip) ?? 0, mtu))),
  {
    weight: 2,
    arbitrary: fc.tuple(ns, gateway, gateway, gateway6, gateway6).map(([name, dst, to, dst6, to6]) =>
      inNs(name, (ns) => {
        const path = ns.lookup(parseIp4(dst) ?? 0, 0);
        const path6 = ns.ipv6.layer.lookup(parseIp6(dst6)!, 0, null);
        if (path?.type === 'unicast') ns.redirects.learn(parseIp4(dst) ?? 0, path, parseIp4(to) ?? 0);
        if (path6?.type === 'unicast') ns.ipv6.redirects.learn(parseIp6(dst6)!, path6, parseIp6(to6)!);
      }),
    ),
  },
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 8 })).map(
    ([n, value]): Operation =>
      ({ root }) =>
        root.sysctls.set(`ipv4.neigh.default.gc_thresh${n}`, value),
  ),
  {
    weight: 4,
    arbitrary: fc.tuple(ns, gateway).map(([name, ip]) =>
      inNs(name, (ns) => {
        ns.openIcmp({ onReply: () => {}, onError: () => {} }).sendEcho(parseIp4(ip) ?? 0, {
          id: 1,
          seq: 1,
          size: 8,
        });
      }),
    ),
  },
  fc.tuple(fc.nat(1), fc.boolean()).map(
    ([port, up]): Operation =>
      (kernel) =>
        kernel.setCarrier(port, up ? 'up' : 'down'),
  ),
  fc.tuple(fc.nat(1), mac, mac).map(
    ([port, from, to]): Operation =>
      (kernel) => {
        const frame = new Uint8Array(60);
        writeEthernet(frame, to, from, 0x88b5);
        kernel.receive(port, frame);
      },
  ),
  {
    weight: 3,
    arbitrary: fc.constantFrom(0, 1, 1000, 60_000, 400_000).map(
      (ms): Operation =>
        (_, world) =>
          world.advance(ms),
    ),
  },
);

const operations = fc.array(operation, { minLength: 20, maxLength: 120, size: 'max' });

test('whatever is done to a kernel, its log folds to its state', (t) => {
  fc.assert(
    fc.property(
      operations,
      fc.constantFrom('on' as const, 'off' as const),
      fc.nat(3),
      (operations, ipv6, bare) => {
        const world = new FakeWorld();
        const rt = world.runtime();
        const kernel = new Kernel(rt, { timings, ipv6, transmit: () => {} });
        const fold = new KernelFold();
        const switches = new OpenFlowFold();
        let folded = 0;
        const check = () => {
          for (const { event } of rt.records.slice(folded))
            if (event.type.startsWith('openflow.')) switches.apply(event as OpenFlowEvent);
            else fold.apply(event as Parameters<KernelFold['apply']>[0]);
          folded = rt.records.length;
          t.deepEqual(fold.view(), kernel.snapshot());
          const vswitchd = switchOf(kernel);
          t.deepEqual(switches.view().bridges, vswitchd === undefined ? [] : [vswitchd.facts()]);
        };
        if (bare > 0) furnish(kernel);
        for (const [i, operation] of operations.entries()) {
          try {
            operation(kernel, world);
          } catch (error) {
            // What iproute2 would refuse.
            if (
              !(
                error instanceof NetlinkError ||
                error instanceof RouteError ||
                error instanceof SysctlError ||
                /File exists/.test(String(error))
              )
            )
              throw error;
          }
          if (i % 10 === 0) check();
        }
        world.advance(1_000_000);
        check();
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 60) },
  );
});

test('a device that is gone leaves no neighbours, though it never was up', (t) => {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, ipv6: 'on', transmit: () => {} });
  const fold = new KernelFold();
  kernel.root.addDummy({ name: 'd0', mac: 1, mtu: 1500 });
  kernel.root.setNeighbor('d0', parseIp6('fe80::2')!, 2);
  kernel.root.setNeighbor('d0', parseIp4('10.0.0.2')!, 2);
  kernel.root.removeDevice('d0');
  for (const { event } of rt.records) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  t.deepEqual(fold.view().neighbors, kernel.snapshot().neighbors);
});

test('an ipvlan device of another mode changes its siblings', (t) => {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, transmit: () => {} });
  const fold = new KernelFold();
  const { links } = kernel.root;
  kernel.root.addDummy({ name: 'd0', mac: 1, mtu: 1500 });
  const parent = links.require('d0');
  links.addUpper({ name: 'i0', parent, upper: { kind: 'ipvlan', mode: 'l2', flag: 'bridge' } });
  links.addUpper({ name: 'i1', parent, upper: { kind: 'ipvlan', mode: 'l3', flag: 'bridge' } });
  for (const { event } of rt.records) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  t.deepEqual(fold.view().links, kernel.snapshot().links);
});

test("a bridge's default VLAN goes with those that somebody has set", (t) => {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, transmit: () => {} });
  const fold = new KernelFold();
  const { root } = kernel;
  root.addBridge({ name: 'br0', mac: 1, mtu: 1500 });
  root.addDummy({ name: 'd0', mac: 2, mtu: 1500 });
  root.setMaster('d0', 'br0');
  const bridge = root.links.require('br0');
  if (!(bridge instanceof BridgeDevice)) return t.fail();
  for (const [name, vid] of [
    ['br0', 2],
    ['d0', 3],
  ] as const)
    bridge.addVlan(root.links.require(name), { vid });
  for (const defaultPvid of [2, 1, 3, 0]) {
    root.links.configureBridge(bridge, { defaultPvid });
    for (const { event } of rt.records.splice(0)) fold.apply(event as Parameters<KernelFold['apply']>[0]);
    t.deepEqual(fold.view().bridgeVlans, kernel.snapshot().bridgeVlans, `${defaultPvid}`);
  }
});

test('a device that is gone hears nothing of its port', (t) => {
  const world = new FakeWorld();
  const rt = world.runtime();
  const kernel = new Kernel(rt, { timings, transmit: () => {} });
  kernel.root.addPort({ name: 'eth0', mac: 1, mtu: 1500, port: 0 });
  kernel.root.removeDevice('eth0');
  const count = rt.records.length;
  kernel.setCarrier(0, 'down');
  kernel.receive(0, new Uint8Array(60));
  t.is(rt.records.length, count);
  t.is(kernel.drops.get('no-such-port'), 1);
});

test('what a bridge refuses changes nothing', (t) => {
  const kernel = new Kernel(new FakeWorld().runtime(), { timings, transmit: () => {} });
  const { root } = kernel;
  root.addBridge({ name: 'br0', mac: 1, mtu: 1500 });
  root.addBridge({ name: 'br1', mac: 2, mtu: 1500 });
  root.addDummy({ name: 'd0', mac: 3, mtu: 1500 });
  root.setMaster('d0', 'br0');
  const before = kernel.snapshot();
  t.throws(() => root.setMaster('d0', 'none'), { instanceOf: NetlinkError });
  t.throws(() => root.setMaster('d0', 'lo'), { instanceOf: NetlinkError });
  t.throws(() => root.setMaster('br0', 'br0'), { instanceOf: NetlinkError });
  t.throws(() => root.setMaster('br1', 'br0'), { instanceOf: NetlinkError });
  t.throws(() => root.setMaster('lo', 'br0'), { instanceOf: NetlinkError });
  t.throws(() => root.addVeth({ name: 'v', mac: 1, mtu: 1500, peer: { ns: root, name: 'v', mac: 2 } }), {
    instanceOf: NetlinkError,
  });
  t.deepEqual(kernel.snapshot(), before);
});
