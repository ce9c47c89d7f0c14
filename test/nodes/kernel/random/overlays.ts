import fc from 'fast-check';
import { flowMod } from '../../../../nodes/daemons/openflow/controller.ts';
import { Vswitchd } from '../../../../nodes/daemons/openflow/vswitchd.ts';
import type { Kernel } from '../../../../nodes/kernel/kernel.ts';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { WIREGUARD_MTU, WireguardDevice } from '../../../../nodes/kernel/tunnels/wireguard.ts';
import { UNLIMITED } from '../../../../nodes/kernel/xfrm/lifetime.ts';
import { parseIp4, parsePrefix } from '../../../../protocols/ip4.ts';
import { clampKey, publicKeyOf } from '../../../../protocols/wireguard/crypto.ts';

/** Operations on what packets are sealed and switched by: WireGuard, IPsec, OpenFlow. */
export type Operation = (kernel: Kernel) => void;

const inNs =
  (name: string, act: (ns: Netns) => void): Operation =>
  (kernel) => {
    const found = kernel.netns(name);
    if (found !== undefined) act(found);
  };

const ns = fc.constantFrom('', '', 'pod1', 'pod2');
const ip = (text: string): number => parseIp4(text) ?? 0;
const addresses = ['10.0.0.1', '10.0.1.1', '10.0.1.2', '10.0.2.3'].map(ip);
const address = fc.constantFrom(...addresses);

export const PRIVATE = [1, 2, 3].map((n) => clampKey(new Uint8Array(32).fill(n)));
export const PUBLIC = PRIVATE.map(publicKeyOf);
const who = fc.nat(PRIVATE.length - 1);
const WIREGUARD = ['wg0', 'wg1'];
const device = fc.constantFrom(...WIREGUARD);

function wireguard(ns: Netns, name: string, act: (device: WireguardDevice) => void): void {
  const found = ns.device(name);
  if (found instanceof WireguardDevice) act(found);
}

const wireguardOperation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(ns, device)
      .map(([name, dev]) =>
        inNs(name, (ns) => void ns.links.addWireguard({ name: dev, mtu: WIREGUARD_MTU })),
      ),
  },
  { weight: 2, arbitrary: fc.tuple(ns, device).map(([name, dev]) => inNs(name, (ns) => ns.setUp(dev))) },
  fc.tuple(ns, device).map(([name, dev]) => inNs(name, (ns) => ns.setDown(dev))),
  fc.tuple(ns, device).map(([name, dev]) => inNs(name, (ns) => ns.removeDevice(dev))),
  {
    weight: 2,
    arbitrary: fc.tuple(ns, device, ns, fc.constantFrom(...WIREGUARD, 'wg9')).map(
      ([name, dev, to, as]): Operation =>
        (kernel) => {
          const [from, target] = [kernel.netns(name), kernel.netns(to)];
          if (from !== undefined && target !== undefined) from.links.move(dev, target, as);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(ns, device, fc.option(who), fc.option(fc.constantFrom(51_820, 51_821)), fc.option(fc.nat(2)))
      .map(([name, dev, key, listenPort, fwmark]) =>
        inNs(name, (ns) =>
          wireguard(ns, dev, (one) =>
            one.configure({
              privateKey: key === null ? null : (PRIVATE[key] ?? null),
              ...(listenPort === null ? {} : { listenPort }),
              ...(fwmark === null ? {} : { fwmark }),
            }),
          ),
        ),
      ),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        ...[ns, device, who, fc.option(address)],
        fc.option(fc.subarray(['10.0.0.0/16', '10.9.0.0/16', '10.0.1.2/32', '0.0.0.0/0'])),
        fc.option(fc.constantFrom(0, 5, 25)),
      )
      .map(([name, dev, key, addr, allowed, keepalive]) =>
        inNs(name, (ns) =>
          wireguard(ns, dev, (one) =>
            one.setPeer(PUBLIC[key]!, {
              ...(addr === null ? {} : { endpoint: { addr, port: 51_820 } }),
              ...(allowed === null ? {} : { allowedIps: allowed.map((text) => parsePrefix(text)!) }),
              ...(keepalive === null ? {} : { persistentKeepalive: keepalive }),
            }),
          ),
        ),
      ),
  },
  fc
    .tuple(ns, device, who)
    .map(([name, dev, key]) => inNs(name, (ns) => wireguard(ns, dev, (one) => one.removePeer(PUBLIC[key]!)))),
);

const prefix = fc.constantFrom('10.0.0.0/8', '10.0.1.0/24', '10.0.1.2/32').map((text) => parsePrefix(text)!);
const mode = fc.constantFrom('transport' as const, 'tunnel' as const);
const direction = fc.constantFrom('in' as const, 'out' as const, 'fwd' as const);
const how = fc.constantFrom('add' as const, 'update' as const);
const limits = fc.constantFrom(
  UNLIMITED,
  { ...UNLIMITED, softAdd: 1, hardAdd: 60 },
  { ...UNLIMITED, hardPackets: 2 },
);

const xfrmOperation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(ns, address, address, fc.integer({ min: 256, max: 258 }), mode, how, limits)
      .map(([name, src, dst, spi, mode, how, limits]) =>
        inNs(name, (ns) =>
          ns.xfrm.sad.set(
            {
              ...{ src, dst, spi, reqid: 1, mode, replayWindow: 32, esn: 'off', inner: 'own', encap: null },
              limits,
              suite: { type: 'gcm', key: new Uint8Array(16), salt: new Uint8Array(4), icvLength: 16 },
            },
            how,
          ),
        ),
      ),
  },
  fc
    .tuple(ns, address, fc.integer({ min: 256, max: 258 }))
    .map(([name, dst, spi]) => inNs(name, (ns) => ns.xfrm.sad.remove(dst, spi))),
  {
    weight: 3,
    arbitrary: fc
      .tuple(ns, direction, prefix, prefix, fc.constantFrom('allow' as const, 'block' as const), mode, how)
      .chain((drawn) => fc.tuple(fc.constant(drawn), fc.nat(2), fc.boolean(), address, address, limits))
      .map(([[name, dir, src, dst, action, mode, how], priority, plain, from, to, limits]) =>
        inNs(name, (ns) =>
          ns.xfrm.spd.set(
            {
              ...{ dir, src, dst, proto: 0, sport: null, dport: null, action, priority, limits },
              template: plain ? null : { src: from, dst: to, spi: 0, reqid: 1, mode, level: 'required' },
            },
            how,
          ),
        ),
      ),
  },
  fc
    .tuple(ns, direction, prefix, prefix)
    .map(([name, dir, src, dst]) =>
      inNs(name, (ns) => ns.xfrm.spd.remove({ dir, src, dst, proto: 0, sport: null, dport: null })),
    ),
);

const switches = new WeakMap<Kernel, Vswitchd>();

/** The OpenFlow switch of a kernel's root namespace, if there is one by now. */
export function switchOf(kernel: Kernel): Vswitchd | undefined {
  return switches.get(kernel);
}

const FLOWS = [
  'priority=1,actions=NORMAL',
  'priority=1,actions=FLOOD',
  'in_port=1,actions=output:2',
  'priority=5,arp,actions=FLOOD,LOCAL',
  'idle_timeout=1,priority=3,icmp,actions=drop',
  'hard_timeout=60,priority=7,ip,nw_dst=10.0.0.0/16,actions=output:1',
  'priority=9,ip,actions=mod_nw_dst:10.0.1.2,LOCAL',
];

const openflowOperation: fc.Arbitrary<Operation> = fc.oneof(
  fc.constantFrom('secure' as const, 'standalone' as const).map(
    (failMode): Operation =>
      (kernel) => {
        const ports = ['p0', 'p1', 'v0'].filter((name) => kernel.root.device(name)?.master === null);
        if (switches.has(kernel) || ports.length === 0 || kernel.root.device('ovs0') !== undefined) return;
        const vswitchd = new Vswitchd(kernel.rt, kernel.root, {
          ...{ bridge: 'ovs0', datapathId: '0000000000000001', ports, controller: '', failMode },
          ...{ inactivityProbe: 5000, backoff: 1000, maxBackoff: 8000 },
        });
        switches.set(kernel, vswitchd);
        vswitchd.start();
      },
  ),
  {
    weight: 3,
    arbitrary: fc.constantFrom(...FLOWS).map(
      (text): Operation =>
        (kernel) =>
          void switchOf(kernel)?.request({ type: 'flow_mod', ...flowMod('add', text) }),
    ),
  },
  fc.constantFrom('', 'ip', 'in_port=1').map(
    (text): Operation =>
      (kernel) =>
        void switchOf(kernel)?.request({ type: 'flow_mod', ...flowMod('delete', text) }),
  ),
  fc.constantFrom('secure' as const, 'standalone' as const).map(
    (mode): Operation =>
      (kernel) =>
        switchOf(kernel)?.setFailMode(mode),
  ),
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(127)).map(
    ([number, config]): Operation =>
      (kernel) => {
        const vswitchd = switchOf(kernel);
        const port = vswitchd?.bridge.port(number);
        if (port !== undefined && kernel.root.device(port.device.name) === port.device)
          vswitchd?.bridge.portMod(port, config, 127);
      },
  ),
);

export const overlayOperation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: wireguardOperation },
  { weight: 2, arbitrary: xfrmOperation },
  { weight: 3, arbitrary: openflowOperation },
);
