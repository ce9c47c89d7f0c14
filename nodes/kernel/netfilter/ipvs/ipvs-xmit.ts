import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../../protocols/frame-buffer.ts';
import {
  EXCEEDED_TTL,
  ICMP_DEST_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  UNREACH_FRAG_NEEDED,
} from '../../../../protocols/icmp.ts';
import { formatIp4, isLoopback } from '../../../../protocols/ip4.ts';
import { decrementTtl, IPV4_HLEN, ipDf, ipSrc, ipTos, ipTtl, PROTO_TCP } from '../../../../protocols/ipv4.ts';
import { type Path, pathError } from '../../ip/path.ts';
import type { Netns } from '../../netns.ts';
import type { CtTuple } from '../conntrack-entry.ts';
import { Flow } from '../flow.ts';
import { type Hook, NF_LOCAL_OUT, type Verdict } from '../hooks.ts';
import { manipulate } from '../nat-mangle.ts';
import type { Skb } from '../skb.ts';
import type { Connection } from './connection.ts';
import { PROTO_IPIP } from './tunnel-error.ts';

/** Sends packets on to their servers (ip_vs_xmit.c). */
export class IpvsXmit {
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /**
   * What has a new destination goes there through LOCAL_OUT and POSTROUTING, as a packet of the host's own does; what is for the
   * host itself goes on (`ip_vs_nat_xmit`). A server that is reached by its MAC address gets the packet as it is
   * (`ip_vs_dr_xmit`), one behind a tunnel within another (`ip_vs_tunnel_xmit`).
   */
  send(connection: Connection, skb: Skb, hook: Hook): Verdict {
    const { kernel } = this.#ns;
    const { frame } = skb;
    const path = this.#pathTo(connection, skb, hook);
    if (path === null) return 'drop';
    if (kernel.rt.cause < 0) this.#trace(connection, skb);
    const tunnel = connection.forward === 'Tunnel';
    if (path.type !== 'local' && !this.#passes(skb, this.#mtuOf(connection, path) - (tunnel ? IPV4_HLEN : 0)))
      return 'drop';
    if (tunnel && path.type !== 'local') return this.#encapsulate(connection, skb, path, hook);
    const masq = connection.forward === 'Masq';
    if (masq) manipulate(frame, ETH_HLEN, connection.daddr, connection.dport, 'dst');
    return this.#sendOn(connection, skb, path, hook);
  }

  /** The same for an ICMP error, which `mangle` makes one about the server's packet (`ip_vs_icmp_xmit`). */
  sendError(connection: Connection, skb: Skb, hook: Hook, mangle: () => void): Verdict {
    const path = this.#pathTo(connection, skb, hook);
    if (path === null) return 'drop';
    if (path.type !== 'local' && !this.#passes(skb, this.#mtuOf(connection, path))) return 'drop';
    mangle();
    return this.#sendOn(connection, skb, path, hook);
  }

  /** Tells whoever follows a packet that it has the service's address again. */
  traceReply({ proto, daddr, dport, vaddr, vport }: Connection): void {
    const { kernel } = this.#ns;
    if (kernel.rt.cause >= 0) return;
    const how = `IPVS ${name(proto)} ${formatIp4(daddr)}:${dport} -> ${formatIp4(vaddr)}:${vport}`;
    kernel.tracer.step(this.#ns, { at: 'route', way: how }, null);
  }

  #trace({ proto, vaddr, vport, daddr, dport, destination, forward }: Connection, { frame }: Skb): void {
    const { service } = destination;
    const how = forward === 'Masq' ? '' : ` ${forward}`;
    const way =
      `IPVS ${name(proto)} ${formatIp4(vaddr)}:${vport} ${service.spec.scheduler} -> ` +
      `${formatIp4(daddr)}:${dport}${how}`;
    this.#ns.kernel.tracer.step(this.#ns, { at: 'route', way }, frame);
  }

  /** The way to a server (`__ip_vs_get_out_rt`); null: there is none, and the packet is counted as dropped. */
  #pathTo({ daddr }: Connection, skb: Skb, hook: Hook): Path | null {
    const { kernel } = this.#ns;
    const path = this.#ns.lookup(daddr, 0);
    if (path === null || pathError(path) !== null) {
      kernel.drop('ipvs-no-route');
      return null;
    }
    const local = path.type === 'local';
    const outward = !local && isLoopback(ipSrc(skb.frame, ETH_HLEN));
    if (outward || (local && isLoopback(daddr) && hook !== NF_LOCAL_OUT)) {
      kernel.drop('ipvs-loopback');
      return null;
    }
    return path;
  }

  #mtuOf({ daddr }: Connection, path: Path): number {
    return this.#ns.pathMtus.of(daddr, path);
  }

  /** Whether a packet may go one hop further, and is not too large for it. */
  #passes({ frame }: Skb, mtu: number): boolean {
    const { ip, kernel } = this.#ns;
    if (ipTtl(frame, ETH_HLEN) <= 1) {
      ip.icmpError(ICMP_TIME_EXCEEDED, EXCEEDED_TTL, 0, frame);
      kernel.drop('ttl-exceeded');
      return false;
    }
    decrementTtl(frame, ETH_HLEN);
    if (frame.length - ETH_HLEN > mtu && ipDf(frame, ETH_HLEN)) {
      ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_FRAG_NEEDED, mtu, frame);
      kernel.drop('frag-needed');
      return false;
    }
    return true;
  }

  /** What is within is seen by conntrack no more; what carries it is another's packet (`ip_vs_tunnel_xmit_prepare`). */
  #encapsulate({ daddr, conntrack }: Connection, skb: Skb, { device }: Path, hook: Hook): Verdict {
    const { ip, kernel } = this.#ns;
    const { frame, mark, fragmentSize } = skb;
    if (conntrack && this.#ns.conntrack.confirm(skb, hook) !== 'accept') return 'drop';
    if (kernel.rt.cause < 0) {
      const how = `ipip to ${formatIp4(daddr)}`;
      kernel.tracer.step(this.#ns, { at: 'encapsulate', dev: device.name, how }, frame);
    }
    const buffer = frameBuffer(frame.length + IPV4_HLEN);
    buffer.set(frame.subarray(ETH_HLEN), ETH_HLEN + IPV4_HLEN);
    const ttl = ipTtl(frame, ETH_HLEN);
    const tos = ipTos(frame, ETH_HLEN);
    const df = ipDf(frame, ETH_HLEN);
    const options = { src: 0, dst: daddr, proto: PROTO_IPIP, ttl, tos, df, mark, fragmentSize };
    if (ip.output(buffer, options) !== null) kernel.drop('tunnel-xmit');
    return 'stolen';
  }

  /** `ip_vs_nat_send_or_cont`, `ip_vs_send_or_cont` */
  #sendOn(connection: Connection, skb: Skb, path: Path, hook: Hook): Verdict {
    skb.ipvs = true;
    const { daddr: src, dport: srcPort, forward } = connection;
    keepFlow(connection, skb, forward === 'Masq' ? { src, srcPort } : {});
    if (path.type === 'local') {
      if (hook === NF_LOCAL_OUT) skb.reroute = true;
      return 'accept';
    }
    skb.in = null;
    this.#ns.ip.localOutBy(path, skb);
    return 'stolen';
  }
}

/**
 * A connection that keeps its flow of conntrack has it wait for answers from the server, or for those of the service
 * (`ip_vs_update_conntrack`); any other's packets are tracked no more, but for those that were not tracked, being invalid
 * (`ip_vs_notrack`).
 */
export function keepFlow(connection: Connection, skb: Skb, answers: Partial<CtTuple>): void {
  const { ct } = skb;
  if (!connection.conntrack) {
    if (ct === null) return;
    skb.ct = null;
    skb.ctState = 'untracked';
    return;
  }
  if (!(ct instanceof Flow) || ct.confirmed || ct.dying) return;
  const { src, dst, proto, srcPort, dstPort } = ct.reply;
  ct.reply.set({ src, dst, proto, srcPort, dstPort, ...answers });
}

function name(proto: number): string {
  return proto === PROTO_TCP ? 'TCP' : 'UDP';
}
