import type { NatRange } from '../../../../nodes/kernel/netfilter/conntrack-entry.ts';
import { NF_LOCAL_OUT, NF_POST_ROUTING, NF_PRE_ROUTING } from '../../../../nodes/kernel/netfilter/hooks.ts';
import type { Skb } from '../../../../nodes/kernel/netfilter/skb.ts';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { KernelFold } from '../../../../nodes/state/kernel-fold.ts';
import { u16 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { ipDst, ipHeaderLength, ipProto } from '../../../../protocols/ipv4.ts';
import { Network } from '../../../support/network.ts';
import type { FakeRuntime } from '../../../support/runtime.ts';

export const ip = (text: string): number => parseIp4(text) ?? 0;

/** a 10.0.1.2 -- 10.0.1.1 r 10.0.2.1 -- b 10.0.2.2 and c 10.0.2.3; b and c know nothing of 10.0.1.0/24 but by r. */
export function routed() {
  const net = new Network();
  const [a, r, b, c] = [net.host('a'), net.host('r'), net.host('b'), net.host('c')];
  net.attach(a, 'left', 'eth0', '10.0.1.2/24');
  net.attach(r, 'left', 'eth0', '10.0.1.1/24');
  net.attach(r, 'right', 'eth1', '10.0.2.1/24');
  net.attach(b, 'right', 'eth0', '10.0.2.2/24');
  net.attach(c, 'right', 'eth0', '10.0.2.3/24');
  addDefault(a.kernel.root, '10.0.1.1');
  for (const host of [b, c]) addDefault(host.kernel.root, '10.0.2.1');
  r.kernel.root.ipForward = true;
  return { net, a, r, b, c };
}

export function addDefault(ns: Netns, via: string): void {
  ns.routes.set({
    dst: '0.0.0.0/0',
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via, dev: '', onlink: false, weight: 1 }],
  });
}

export function foldOf(rt: FakeRuntime) {
  const fold = new KernelFold();
  for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
  return fold.view();
}

/** A range of one address, with ports where they are said. */
export function to(addr: string, minPort = 0, maxPort = minPort): NatRange {
  return { minAddr: ip(addr), maxAddr: ip(addr), minPort, maxPort, ports: 'keep', persistent: false };
}

export interface Rule {
  readonly dst?: string;
  /** Destination port. */
  readonly port?: number;
  readonly target: NatRange | 'masquerade' | 'masquerade-random';
}

/** A nat table by hand: rules of PREROUTING and OUTPUT, and of POSTROUTING. */
export function natTable(ns: Netns, dnat: readonly Rule[], snat: readonly Rule[] = []): void {
  ns.conntrack.require();
  const matches = (skb: Skb, { dst, port }: Rule): boolean => {
    const { frame } = skb;
    const proto = ipProto(frame, ETH_HLEN);
    const ports = proto === 6 || proto === 17;
    const dport = ports ? u16(frame, ETH_HLEN + ipHeaderLength(frame, ETH_HLEN) + 2) : -1;
    return (
      (dst === undefined || ipDst(frame, ETH_HLEN) === ip(dst)) && (port === undefined || dport === port)
    );
  };
  for (const hook of [NF_PRE_ROUTING, NF_LOCAL_OUT] as const)
    ns.nat.registerTable(hook, (skb) => {
      const rule = dnat.find((candidate) => matches(skb, candidate));
      return rule === undefined || typeof rule.target === 'string'
        ? 'accept'
        : ns.nat.setup(skb, 'dst', rule.target);
    });
  ns.nat.registerTable(NF_POST_ROUTING, (skb) => {
    const rule = snat.find((candidate) => matches(skb, candidate));
    if (rule === undefined) return 'accept';
    if (typeof rule.target === 'string') {
      const ports = rule.target === 'masquerade' ? 'keep' : 'random';
      return ns.nat.masquerade(skb, { minPort: 0, maxPort: 0, ports });
    }
    return ns.nat.setup(skb, 'src', rule.target);
  });
}

/** Answers datagrams with what they hold, and remembers who sent them. */
export function udpEcho(ns: Netns, port: number) {
  const seen: { src: number; srcPort: number; dst: number; text: string }[] = [];
  const socket = ns.bindUdp({ addr: 0, port }, ({ src, srcPort, dst, payload }) => {
    seen.push({ src, srcPort, dst, text: String.fromCharCode(...payload) });
    socket.sendTo(src, srcPort, payload.slice(), { src: dst });
  });
  return { seen, socket };
}

export function udpClient(ns: Netns, port = 0) {
  const replies: { src: number; srcPort: number; text: string }[] = [];
  const errors: { from: number; type: string; dst: number; dstPort: number }[] = [];
  const socket = ns.bindUdp({ addr: 0, port }, ({ src, srcPort, payload }) =>
    replies.push({ src, srcPort, text: String.fromCharCode(...payload) }),
  );
  socket.onError = ({ from, type, dst, dstPort }) => errors.push({ from, type, dst, dstPort });
  const send = (dst: string, dport: number, text: string) =>
    socket.sendTo(
      ip(dst),
      dport,
      Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
    );
  return { socket, replies, errors, send };
}

/** The flows of a namespace as `conntrack` would tell of them, without times. */
export function flows(ns: Netns): string[] {
  return ns.conntrack.flows().map((flow) => {
    const tuple = (t: typeof flow.original) =>
      `${Number(t.src) >>> 24 === 0 ? '' : format(Number(t.src))}:${t.srcPort}>${format(Number(t.dst))}:${t.dstPort}`;
    const status = flow.assured ? ' assured' : flow.seenReply ? '' : ' unreplied';
    return `${flow.original.proto}${flow.state === '' ? '' : ` ${flow.state}`} ${tuple(flow.original)} ${tuple(flow.reply)}${status}`;
  });
}

function format(addr: number): string {
  return [24, 16, 8, 0].map((shift) => (addr >>> shift) & 255).join('.');
}
