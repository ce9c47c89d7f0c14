import { setU16, u16 } from '../../../../protocols/bytes.ts';
import { internetChecksum } from '../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ICMP_DEST_UNREACHABLE, ICMP_HLEN, ICMP_TIME_EXCEEDED } from '../../../../protocols/icmp.ts';
import {
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  setIpDst,
  setIpSrc,
} from '../../../../protocols/ipv4.ts';
import { IpDefrag, isFragment } from '../../ip/defrag.ts';
import { isGroupFrame } from '../../ip/icmp-error.ts';
import type { Netns } from '../../netns.ts';
import { Flow } from '../flow.ts';
import {
  type Hook,
  type HookFunction,
  NF_FORWARD,
  NF_LOCAL_IN,
  NF_LOCAL_OUT,
  NF_PRI,
  type Verdict,
} from '../hooks.ts';
import { manipulate } from '../nat-mangle.ts';
import { quotedPacket } from '../packet-checks.ts';
import type { Skb } from '../skb.ts';
import type { Connection } from './connection.ts';
import type { Ipvs } from './ipvs.ts';
import { IpvsSchedule, isWholeTransport } from './ipvs-schedule.ts';
import { IpvsXmit, keepFlow } from './ipvs-xmit.ts';
import { isActive, nextTcpState, type Way } from './states.ts';
import { PROTO_IPIP, tunnelError } from './tunnel-error.ts';

const SYN = 2;
const ICMP_SOURCE_QUENCH = 4;

/** Where IPVS stands in a packet's way (`ip_vs_ops4` of ip_vs_core.c). */
export class IpvsHooks {
  readonly #ns: Netns;
  readonly #ipvs: Ipvs;
  readonly #schedule: IpvsSchedule;
  readonly #xmit: IpvsXmit;
  readonly #defrag: IpDefrag;
  #registered = false;

  constructor(ns: Netns, ipvs: Ipvs) {
    this.#ns = ns;
    this.#ipvs = ipvs;
    this.#schedule = new IpvsSchedule(ns, ipvs);
    this.#xmit = new IpvsXmit(ns);
    this.#defrag = new IpDefrag(ns);
  }

  /** They are there while there are services (`ip_vs_register_hooks`): without one even connections are left alone. */
  stand(services: 'some' | 'none'): void {
    if (this.#registered === (services === 'some')) return;
    this.#registered = services === 'some';
    const { netfilter } = this.#ns;
    for (const [hook, priority, run] of [
      [NF_LOCAL_IN, NF_PRI.natSrc - 2, this.#out],
      [NF_LOCAL_IN, NF_PRI.natSrc - 1, this.#in],
      [NF_LOCAL_OUT, NF_PRI.natDst + 1, this.#out],
      [NF_LOCAL_OUT, NF_PRI.natDst + 2, this.#in],
      [NF_FORWARD, 99, this.#forwardIcmp],
      [NF_FORWARD, 100, this.#out],
    ] as const)
      if (this.#registered) netfilter.register(hook, priority, run);
      else netfilter.unregister(hook, run);
  }

  /** From clients (`ip_vs_in`). */
  readonly #in: HookFunction = (skb, hook) => {
    if (skb.ipvs) return 'accept';
    const { frame } = skb;
    if (hook === NF_LOCAL_IN && isGroupFrame(frame)) return 'accept';
    const proto = ipProto(frame, ETH_HLEN);
    if (proto === PROTO_ICMP) return this.#inIcmp(skb, hook);
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return 'accept';
    const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    if (frame.length - at < 4) return 'accept';
    const sport = u16(frame, at);
    const dport = u16(frame, at + 2);
    const found = this.#ipvs.connections.findIn(
      proto,
      ipSrc(frame, ETH_HLEN),
      sport,
      ipDst(frame, ETH_HLEN),
      dport,
    );
    if (found !== null && !isWholeTransport(frame, at, proto)) return this.#truncated();
    const known = found === null ? null : this.#check(found, skb, at);
    if (known === 'drop') return 'drop';
    const connection = known ?? this.#schedule.schedule(skb, proto, at);
    if (typeof connection === 'string') return connection;
    return this.#deliver(connection, skb, hook, at);
  };

  /** Whether a connection that a packet is of still stands; null: it is to be scheduled anew. */
  #check(connection: Connection, skb: Skb, at: number): Connection | null | 'drop' {
    const { settings } = this.#ipvs;
    const { destination } = connection;
    if (isOpening(connection, skb.frame, at)) {
      const deserted = settings.expire_nodest_conn !== 0 && destination.weight === 0;
      if (deserted || (settings.conn_reuse_mode !== 0 && isOver(connection, settings.conn_reuse_mode)))
        return this.#replace(connection, skb);
    }
    if (destination.available) return connection;
    if (settings.expire_nodest_conn !== 0) return this.#replace(connection, skb);
    this.#ns.kernel.drop('ipvs-destination-gone');
    return 'drop';
  }

  /** Ends a connection for another; where conntrack has a flow for it, the client has to come again once that has gone. */
  #replace(connection: Connection, skb: Skb): null | 'drop' {
    const old = connection.conntrack && skb.ct instanceof Flow && skb.ct.confirmed;
    if (!old) connection.conntrack = false;
    this.#ipvs.end(connection);
    if (!old) return null;
    this.#ns.kernel.drop('ipvs-old-conntrack');
    return 'drop';
  }

  #deliver(connection: Connection, skb: Skb, hook: Hook, at: number): Verdict {
    const { frame } = skb;
    const { destination } = connection;
    if (destination.available) {
      const { now } = this.#ns.kernel.rt;
      const bytes = frame.length - ETH_HLEN;
      destination.stats.received(now, bytes);
      destination.service.stats.received(now, bytes);
      this.#ipvs.stats.received(now, bytes);
    }
    this.#advance(connection, frame, at, 'input');
    this.#ipvs.put(connection);
    return this.#xmit.send(connection, skb, hook);
  }

  /** From servers (`ip_vs_out_hook`). */
  readonly #out: HookFunction = (skb, hook) => {
    if (skb.ipvs) return 'accept';
    if (isFragment(skb.frame)) {
      const whole = this.#defrag.add(skb.frame);
      if (whole === null) return 'stolen';
      skb.frame = whole;
      skb.fragmentSize = this.#defrag.largest;
    }
    const { frame } = skb;
    const proto = ipProto(frame, ETH_HLEN);
    if (proto === PROTO_ICMP) return this.#outIcmp(skb, hook);
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return 'accept';
    const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    if (frame.length - at < 4) return 'accept';
    const src = ipSrc(frame, ETH_HLEN);
    const dst = ipDst(frame, ETH_HLEN);
    const connection = this.#ipvs.connections.findOut(proto, src, u16(frame, at), dst, u16(frame, at + 2));
    if (connection === null) return 'accept';
    if (!isWholeTransport(frame, at, proto)) return this.#truncated();
    if (connection.forward === 'Masq') {
      this.#xmit.traceReply(connection);
      manipulate(frame, ETH_HLEN, connection.vaddr, connection.vport, 'src');
      // Routes may go by the source too (`ip_vs_route_me_harder`).
      skb.reroute = hook === NF_LOCAL_OUT;
    }
    this.#answered(connection, skb);
    this.#advance(connection, frame, at, 'output');
    this.#ipvs.put(connection);
    return 'accept';
  };

  /** What every packet of a server's has done to it (`handle_response`). */
  #answered(connection: Connection, skb: Skb): void {
    const { vaddr, vport } = connection;
    this.#ipvs.countSent(connection, skb.frame.length - ETH_HLEN);
    skb.ipvs = true;
    keepFlow(connection, skb, { dst: vaddr, dstPort: vport });
  }

  /** `ip_vs_set_state` */
  #advance(connection: Connection, frame: Uint8Array, at: number, way: 'input' | 'output'): void {
    const { timeouts } = this.#ipvs;
    const before = connection.state;
    if (connection.proto === PROTO_UDP) {
      connection.state = 'UDP';
      connection.timeout = timeouts.UDP * 1_000;
      if (way === 'output') this.#assure(connection);
    } else if (before !== 'UDP' && before !== 'ASSURED') {
      let direction: Way = way;
      if (connection.noOutput) {
        if (way === 'output') connection.noOutput = false;
        else direction = 'input-only';
      }
      const state = nextTcpState(direction, before, frame[at + 13]!);
      if (state !== before) connection.setActive(isActive(state));
      if (state !== before && state === 'ESTABLISHED') this.#assure(connection);
      connection.state = state;
      connection.timeout = timeouts[state] * 1_000;
    }
    if (connection.state !== before || !connection.told) this.#ipvs.changed(connection);
  }

  /** `ip_vs_control_assure_ct` */
  #assure({ template }: Connection): void {
    if (template === null || template.state === 'ASSURED') return;
    template.state = 'ASSURED';
    this.#ipvs.changed(template);
  }

  /**
   * An error about a packet that went to a server as a client's: it is told of the virtual address again (`ip_vs_out_icmp`).
   */
  #outIcmp(skb: Skb, hook: Hook): Verdict {
    const quoted = this.#quoted(skb);
    if (quoted === null) return 'accept';
    const { frame } = skb;
    const { proto, src, sport, dst, dport } = quoted;
    const connection = this.#ipvs.connections.findOut(proto, dst, dport, src, sport);
    if (connection === null) return 'accept';
    if (connection.forward === 'Masq') {
      if (!hasRightSum(frame)) return this.#badSum();
      this.#mangleError(frame, quoted.at, connection.vaddr, connection.vport, 'src');
      skb.reroute = hook === NF_LOCAL_OUT;
    }
    this.#answered(connection, skb);
    return 'accept';
  }

  /** An error about a packet that came to a client as the service's: it goes to the server that sent it (`ip_vs_in_icmp`). */
  #inIcmp(skb: Skb, hook: Hook): Verdict {
    if (hook === NF_LOCAL_IN) {
      const tunnel = quotedAt(skb);
      if (tunnel !== null && ipProto(skb.frame, tunnel) === PROTO_IPIP)
        return tunnelError(this.#ns, this.#ipvs, skb, tunnel);
    }
    const quoted = this.#quoted(skb);
    if (quoted === null) return 'accept';
    const { frame } = skb;
    const { proto, src, sport, dst, dport } = quoted;
    const connection = this.#ipvs.connections.findIn(proto, dst, dport, src, sport);
    if (connection === null || connection.forward !== 'Masq') return 'accept';
    if (!hasRightSum(frame)) return this.#badSum();
    const { daddr, dport: port } = connection;
    return this.#xmit.sendError(connection, skb, hook, () =>
      this.#mangleError(frame, quoted.at, daddr, port, 'dst'),
    );
  }

  /** Errors that are on their way to a client's or a mark's address, and not to ours (`ip_vs_forward_icmp`). */
  readonly #forwardIcmp: HookFunction = (skb, hook) =>
    !skb.ipvs && ipProto(skb.frame, ETH_HLEN) === PROTO_ICMP && !isFragment(skb.frame)
      ? this.#inIcmp(skb, hook)
      : 'accept';

  /** What an ICMP error quotes, where it is one that counts here. */
  #quoted(skb: Skb) {
    const at = quotedAt(skb);
    if (at === null) return null;
    const { frame } = skb;
    const proto = ipProto(frame, at);
    const ports = at + ipHeaderLength(frame, at);
    if ((proto !== PROTO_TCP && proto !== PROTO_UDP) || frame.length - ports < 4) return null;
    return {
      at,
      proto,
      src: ipSrc(frame, at),
      sport: u16(frame, ports),
      dst: ipDst(frame, at),
      dport: u16(frame, ports + 2),
    };
  }

  /**
   * Gives the message the source or destination, and what it quotes the other end (`ip_vs_nat_icmp`): of that, the checksum
   * of the transport stays as it was.
   */
  #mangleError(frame: Uint8Array, quoted: number, addr: number, port: number, manip: 'src' | 'dst'): void {
    const ports = quoted + ipHeaderLength(frame, quoted);
    if (manip === 'src') {
      setIpDst(frame, quoted, addr);
      setU16(frame, ports + 2, port);
    } else {
      setIpSrc(frame, quoted, addr);
      setU16(frame, ports, port);
    }
    const icmp = quoted - ICMP_HLEN;
    frame[icmp + 2] = 0;
    frame[icmp + 3] = 0;
    const sum = internetChecksum(frame, icmp, frame.length - icmp);
    frame[icmp + 2] = sum >>> 8;
    frame[icmp + 3] = sum & 0xff;
    manipulate(frame, ETH_HLEN, addr, 0, manip);
  }

  #truncated(): Verdict {
    this.#ns.kernel.drop('ipvs-truncated');
    return 'drop';
  }

  #badSum(): Verdict {
    this.#ns.kernel.drop('ipvs-bad-checksum');
    return 'drop';
  }
}

/** Where an ICMP error quotes a packet, if it is an error that counts here. */
function quotedAt({ frame }: Skb): number | null {
  const icmp = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const type = frame[icmp];
  if (type !== ICMP_DEST_UNREACHABLE && type !== ICMP_SOURCE_QUENCH && type !== ICMP_TIME_EXCEEDED)
    return null;
  const at = quotedPacket(frame, icmp, frame.length - icmp);
  return at === null || at < 0 ? null : at;
}

/** Whether a packet begins a connection (`is_new_conn`). */
function isOpening({ proto }: Connection, frame: Uint8Array, at: number): boolean {
  return proto === PROTO_TCP && (frame[at + 13]! & SYN) !== 0;
}

/** Whether a connection is at its end, so that its client's port may be another's now (`is_new_conn_expected`). */
function isOver({ template, proto, state, noOutput }: Connection, reuse: number): boolean {
  if (template !== null || proto !== PROTO_TCP) return false;
  if (state === 'TIME_WAIT' || state === 'CLOSE') return true;
  return (reuse & 2) !== 0 && state === 'FIN_WAIT' && noOutput;
}

function hasRightSum(frame: Uint8Array): boolean {
  const icmp = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  return internetChecksum(frame, icmp, frame.length - icmp) === 0;
}
