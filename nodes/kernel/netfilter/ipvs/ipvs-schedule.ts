import { u16 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, UNREACH_PORT } from '../../../../protocols/icmp.ts';
import { ipDst, ipSrc, PROTO_TCP, PROTO_UDP } from '../../../../protocols/ipv4.ts';
import type { Netns } from '../../netns.ts';
import type { Verdict } from '../hooks.ts';
import type { Skb } from '../skb.ts';
import { isWholeTcp } from '../tcp-read.ts';
import { Connection, type ConnectionKey } from './connection.ts';
import type { Ipvs } from './ipvs.ts';
import type { Destination, Service } from './service.ts';

const SYN = 2;
const RST = 4;
const UDP_HLEN = 8;
/** Ports of FTP's data and control connections, which are not scheduled as others are. */
const FTP_DATA = 20;
const FTP = 21;

/** Whether a packet has all of its transport's header at `at`. */
export function isWholeTransport(frame: Uint8Array, at: number, proto: number): boolean {
  return proto === PROTO_TCP ? isWholeTcp(frame, at, frame.length - at) : frame.length - at >= UDP_HLEN;
}

/** Finds a server for the first packet of a connection (`ip_vs_schedule`, `ip_vs_sched_persist`). */
export class IpvsSchedule {
  readonly #ns: Netns;
  readonly #ipvs: Ipvs;

  constructor(ns: Netns, ipvs: Ipvs) {
    this.#ns = ns;
    this.#ipvs = ipvs;
  }

  /** A verdict where the packet is no connection's. `at`: of the transport's header, whose ports are there. */
  schedule(skb: Skb, proto: number, at: number): Connection | Verdict {
    const { frame } = skb;
    const dst = ipDst(frame, ETH_HLEN);
    const port = u16(frame, at + 2);
    const service = this.#ipvs.find(skb.mark, proto, dst, port);
    if (service === null) return 'accept';
    if (!isWholeTransport(frame, at, proto)) {
      this.#ns.kernel.drop('ipvs-truncated');
      return 'drop';
    }
    if (proto === PROTO_TCP) {
      const flags = frame[at + 13]!;
      if ((flags & RST) !== 0 || (this.#ipvs.settings.sloppy_tcp === 0 && (flags & SYN) === 0))
        return 'accept';
    }
    const key = { proto, caddr: ipSrc(frame, ETH_HLEN), cport: u16(frame, at), vaddr: dst, vport: port };
    if (key.cport === FTP_DATA || this.#isReply(skb, key)) return 'accept';
    if (service.spec.persistent !== null) return this.#persistent(service, skb, key);
    if (service.fwmark === 0 && port !== service.port) return this.#leave(service, skb, key);
    const destination = service.scheduler.schedule({ src: key.caddr, dst, srcPort: key.cport });
    if (destination === null) return this.#leave(service, skb, key);
    return this.#connect(service, key, destination, destination.port !== 0 ? destination.port : port);
  }

  /** Whether a packet of the host's own is the answer of a server of the host's own. */
  #isReply(skb: Skb, { proto, caddr, cport, vaddr, vport }: ConnectionKey): boolean {
    if (skb.in !== null && skb.in.kind !== 'loopback') return false;
    return this.#ipvs.connections.findIn(proto, vaddr, vport, caddr, cport) !== null;
  }

  /** A client goes where it went before. */
  #persistent(service: Service, skb: Skb, key: ConnectionKey): Connection | Verdict {
    const { connections, settings } = this.#ipvs;
    const { spec, fwmark } = service;
    const own = key.vport === service.port;
    const templateKey = {
      proto: !own && fwmark !== 0 ? 0 : key.proto,
      caddr: (key.caddr & spec.netmask) >>> 0,
      cport: 0,
      vaddr: !own && fwmark !== 0 ? fwmark : key.vaddr,
      vport: own && service.port !== FTP ? key.vport : 0,
    };
    let template = connections.findTemplate(templateKey);
    if (template !== null) {
      const { available, weight } = template.destination;
      // `ip_vs_check_template`
      if (!available || (settings.expire_quiescent_template !== 0 && weight === 0)) {
        this.#ipvs.end(template);
        template = null;
      }
    }
    if (template === null) {
      const packet = { src: key.caddr, dst: key.vaddr, srcPort: key.cport };
      const chosen = service.scheduler.schedule(packet);
      if (chosen === null) return this.#leave(service, skb, key);
      const port = own && service.port !== FTP ? chosen.port : 0;
      template = new Connection(templateKey, chosen, port, 'template', false);
      this.#ipvs.begin(template);
      this.#ipvs.changed(template);
    }
    template.timeout = (spec.persistent ?? 0) * 1_000;
    const { destination } = template;
    const port = own && destination.port !== 0 ? destination.port : key.vport;
    const connection = this.#connect(service, key, destination, port);
    connection.template = template;
    template.controls++;
    this.#ipvs.put(template);
    return connection;
  }

  #connect(service: Service, key: ConnectionKey, destination: Destination, port: number): Connection {
    const { settings, stats } = this.#ipvs;
    const once = service.spec.onePacket && key.proto === PROTO_UDP;
    const kind = once ? 'one-packet' : 'connection';
    const connection = new Connection(key, destination, port, kind, settings.conntrack !== 0);
    this.#ipvs.begin(connection);
    const { now } = this.#ns.kernel.rt;
    destination.stats.connected(now);
    service.stats.connected(now);
    stats.connected(now);
    return connection;
  }

  /** No server: its client is told so (`ip_vs_leave`). */
  #leave(service: Service, { frame }: Skb, { vport }: ConnectionKey): Verdict {
    if (service.port === FTP && vport !== FTP) return 'accept';
    this.#ns.ip.icmpError(ICMP_DEST_UNREACHABLE, UNREACH_PORT, 0, frame);
    this.#ns.kernel.drop('ipvs-no-destination');
    return 'drop';
  }
}
