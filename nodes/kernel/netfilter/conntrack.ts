import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../protocols/ip.ts';
import { ipFragmentOffset, ipHeaderLength, ipProto, PROTO_ICMP, PROTO_TCP } from '../../../protocols/ipv4.ts';
import { FRAGMENT_HLEN, PROTO_ICMPV6 } from '../../../protocols/ipv6.ts';
import { findHeader, NEXT_FRAGMENT, NEXT_NONE } from '../../../protocols/ipv6-headers.ts';
import { PROTO_SCTP } from '../../../protocols/sctp.ts';
import type { KernelEvent } from '../../events/kernel.ts';
import type { EventId } from '../../events/record.ts';
import { IpDefrag, isFragment } from '../ip/defrag.ts';
import { fragmentProblem, Ip6Defrag } from '../ipv6/defrag.ts';
import type { Netns } from '../netns.ts';
import { type ConntrackSettings, conntrackDirectory, defaultConntrackSettings } from './ct-settings.ts';
import { netfilterOf } from './families.ts';
import { Flow, type FlowOwner, isIcmp, isIcmpQuery } from './flow.ts';
import { FlowExpiry } from './flow-expiry.ts';
import { flowFacts, tupleFacts } from './flow-facts.ts';
import {
  type HookFunction,
  NF_LOCAL_IN,
  NF_LOCAL_OUT,
  NF_POST_ROUTING,
  NF_PRE_ROUTING,
  NF_PRI,
  type Verdict,
} from './hooks.ts';
import { checkTransport, isOfTheLink, quotedPacket, quotedPacket6 } from './packet-checks.ts';
import { isDatagram, PacketTuple } from './packet-tuple.ts';
import { SctpTrack } from './sctp-track.ts';
import type { Skb } from './skb.ts';
import { TcpTrack } from './tcp-track.ts';
import { TupleTable } from './tuple-table.ts';
import { destinationOf } from './xtables/packet.ts';

/** Counters of `conntrack -S` (`struct ip_conntrack_stat`). */
export interface ConntrackStats {
  invalid: number;
  insertFailed: number;
  drop: number;
  earlyDrop: number;
  error: number;
  clashResolve: number;
}

/** Who is told of flows. */
export interface FlowWatcher {
  confirmed(flow: Flow): void;
  destroyed(flow: Flow): void;
}

/** How many buckets are searched for a flow that can go (NF_CT_EVICTION_RANGE). */
const EVICTION_RANGE = 8;
/** A UDP flow that lasts longer with packets both ways is a stream, ms. */
const UDP_STREAM_AFTER = 2_000;
/** A flow with less time than that is not worth to be shortened, ms. */
const DEAD_AFTER = 120_000;

/**
 * The flows of a namespace (nf_conntrack_core.c): which packets belong together, and what state that is. It costs nothing
 * until something needs it. A flow is in the log from its first packet's leaving on; the time it has left is not, that moves
 * with every packet.
 */
export class ConntrackTable implements FlowOwner {
  readonly settings: ConntrackSettings = defaultConntrackSettings();
  readonly stats: ConntrackStats = {
    invalid: 0,
    insertFailed: 0,
    drop: 0,
    earlyDrop: 0,
    error: 0,
    clashResolve: 0,
  };
  /** Told of flows that come into the table and go out of it. */
  readonly watchers: FlowWatcher[] = [];
  /** Families that something has needed it for. */
  readonly #families = new Set<IpFamily>();
  readonly #ns: Netns;
  readonly #table = new TupleTable();
  readonly #flows = new Set<Flow>();
  readonly #expiry: FlowExpiry<Flow>;
  readonly #defrag: IpDefrag;
  readonly #defrag6: Ip6Defrag;
  readonly #tuple = new PacketTuple();

  constructor(ns: Netns) {
    this.#ns = ns;
    this.#expiry = new FlowExpiry(ns.kernel.rt, (flow) => this.destroy(flow));
    this.#defrag = new IpDefrag(ns);
    this.#defrag6 = new Ip6Defrag(ns);
    ns.sysctls.add(conntrackDirectory(this.settings, () => this.count));
  }

  /** Something needs to know of flows: from here on every packet of the family is looked at (`nf_ct_netns_get`). */
  require(family: IpFamily = 'inet'): void {
    if (this.#families.has(family)) return;
    this.#families.add(family);
    const { netfilter } = netfilterOf(this.#ns, family);
    const gather = family === 'inet' ? this.#gather : this.#gather6;
    for (const hook of [NF_PRE_ROUTING, NF_LOCAL_OUT] as const) {
      netfilter.register(hook, NF_PRI.conntrackDefrag, gather);
      netfilter.register(hook, NF_PRI.conntrack, this.#in);
    }
    for (const hook of [NF_LOCAL_IN, NF_POST_ROUTING] as const)
      netfilter.register(hook, NF_PRI.conntrackConfirm, this.confirm);
  }

  /** The packet is to be left alone (`-j NOTRACK`, `-j CT --notrack`); to be called before conntrack sees it. */
  notrack(skb: Skb): void {
    if (skb.ct === null) skb.ctState = 'untracked';
  }

  get count(): number {
    return this.#flows.size;
  }

  /** In the order in which they came. */
  flows(): readonly Flow[] {
    return [...this.#flows];
  }

  /** The flow that began, or is answered, with a tuple. */
  find(tuple: Parameters<TupleTable['find']>[0]): Flow | null {
    return this.#table.find(tuple)?.flow ?? null;
  }

  /** Whether a tuple is in use by a flow other than one that is to have it (`nf_conntrack_tuple_taken`). */
  isTaken(tuple: Parameters<TupleTable['find']>[0], flow: Flow): boolean {
    const found = this.#table.find(tuple);
    return found !== null && found.flow !== flow && !this.#isOver(found.flow);
  }

  /** Ends a flow (`nf_ct_delete`). */
  destroy(flow: Flow): void {
    if (flow.dying) return;
    flow.dying = true;
    if (!flow.confirmed) return;
    this.#table.remove(flow.original);
    this.#table.remove(flow.reply);
    this.#flows.delete(flow);
    this.#expiry.forget();
    for (const watcher of this.watchers) watcher.destroyed(flow);
    this.#emit({ type: 'conntrack.destroyed', ns: this.#ns.name, original: tupleFacts(flow.original) });
  }

  /** Ends every flow (`nf_ct_iterate_cleanup`). */
  flush(): void {
    for (const flow of this.flows()) this.destroy(flow);
  }

  flowChanged(flow: Flow): void {
    if (!flow.confirmed || flow.dying) return;
    flow.lastEvent = this.#emit({ type: 'conntrack.updated', ns: this.#ns.name, flow: flowFacts(flow) });
  }

  /** What the packet does that the event came of goes on under the packet's own cause. */
  #emit(event: KernelEvent): EventId {
    const { rt } = this.#ns.kernel;
    const { cause } = rt;
    const id = rt.emit(event);
    rt.cause = cause;
    return id;
  }

  /** Fragments are put together, so that every packet has its ports (`ipv4_conntrack_defrag`). */
  readonly #gather: HookFunction = (skb) => {
    if (!isFragment(skb.frame) || skb.ctState === 'untracked') return 'accept';
    const whole = this.#defrag.add(skb.frame);
    if (whole === null) return 'stolen';
    skb.frame = whole;
    skb.fragmentSize = this.#defrag.largest;
    skb.fragments = this.#defrag.sizes;
    return 'accept';
  };

  /** The same of IPv6 (`nf_ct_frag6_gather`): one of a length that cannot be, or without its headers, goes on as it is. */
  readonly #gather6: HookFunction = (skb) => {
    const { frame } = skb;
    if (skb.ct !== null || skb.ctState === 'untracked') return 'accept';
    const at = findHeader(frame, ETH_HLEN, frame.length, NEXT_FRAGMENT);
    if (at < 0 || at + FRAGMENT_HLEN > frame.length) return 'accept';
    const problem = fragmentProblem(frame, at);
    if (problem === 'length' || problem === 'incomplete') return 'accept';
    if (problem === 'beyond') {
      this.#ns.kernel.drop('ip6-fragment');
      return 'drop';
    }
    const whole = this.#defrag6.add(frame, at);
    if (whole === null) return 'stolen';
    skb.frame = whole;
    skb.fragmentSize = this.#defrag6.largest;
    skb.fragments = this.#defrag6.sizes;
    return 'accept';
  };

  /** `nf_conntrack_in` */
  readonly #in: HookFunction = (skb, hook) => {
    // Seen before, as what lo brings back, or not to be seen.
    if (skb.ct !== null || skb.ctState === 'untracked') return 'accept';
    const { frame } = skb;
    let proto: number;
    let at: number;
    if (frame[ETH_HLEN]! >> 4 === 6) {
      const { upper } = skb;
      if (upper === null || upper.fragment !== 0 || upper.proto === NEXT_NONE) return this.#invalid(skb);
      proto = upper.proto;
      at = upper.offset;
    } else {
      if (ipFragmentOffset(frame, ETH_HLEN) > 0) return this.#invalid(skb);
      proto = ipProto(frame, ETH_HLEN);
      at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    }
    const length = frame.length - at;
    const verify = hook === NF_PRE_ROUTING && this.settings.nf_conntrack_checksum !== 0;
    const problem = checkTransport(frame, proto, at, verify && skb.in?.kind !== 'loopback');
    if (problem !== 'ok') {
      this.stats.error++;
      return this.#invalid(skb);
    }
    if (isIcmp(proto)) {
      if (proto === PROTO_ICMPV6 && isOfTheLink(frame[at]!)) {
        skb.ctState = 'untracked';
        return 'accept';
      }
      const quote = proto === PROTO_ICMP ? quotedPacket : quotedPacket6;
      const quoted = quote(frame, at, length);
      if (quoted !== null) return this.#relate(skb, quoted);
    }
    if (!this.#tuple.read(frame, ETH_HLEN, frame.length)) return this.#invalid(skb);
    return this.#resolve(skb, at, length);
  };

  /** An ICMP error belongs to the flow that it quotes a packet of (`nf_conntrack_inet_error`). */
  #relate(skb: Skb, quoted: number): Verdict {
    const tuple = this.#tuple;
    const { frame } = skb;
    if (quoted < 0 || !tuple.read(frame, quoted, frame.length)) return this.#invalid(skb);
    tuple.invert();
    const found = this.#table.find(tuple);
    // Who is told is who sent the packet that is quoted.
    if (found === null || this.#isOver(found.flow) || found.dst !== destinationOf(skb))
      return this.#invalid(skb);
    skb.ct = found.flow;
    skb.ctState = 'related';
    skb.ctDirection = found.direction;
    return 'accept';
  }

  /** `resolve_normal_ct`, and the protocol's part of `nf_conntrack_in`. */
  #resolve(skb: Skb, at: number, length: number): Verdict {
    const tuple = this.#tuple;
    let found = this.#table.find(tuple);
    if (found !== null && this.#isOver(found.flow)) {
      this.destroy(found.flow);
      found = null;
    }
    if (found === null) return this.#begin(skb, at, length);
    const { flow, direction } = found;
    skb.ct = flow;
    skb.ctDirection = direction;
    skb.ctState = direction === 1 || flow.seenReply ? 'established' : 'new';
    return this.#follow(skb, flow, at, length);
  }

  /** `init_conntrack` */
  #begin(skb: Skb, at: number, length: number): Verdict {
    const tuple = this.#tuple;
    const { frame } = skb;
    if (this.#flows.size >= this.settings.nf_conntrack_max && !this.#dropEarly()) {
      this.stats.drop++;
      this.#ns.kernel.drop('conntrack-table-full');
      return 'drop';
    }
    let track: TcpTrack | SctpTrack | null = null;
    if (tuple.proto === PROTO_TCP) {
      track = new TcpTrack();
      if (!track.begin(frame, at, length, this.settings)) return this.#invalid(skb);
    } else if (tuple.proto === PROTO_SCTP) track = new SctpTrack();
    else if (isIcmp(tuple.proto) && !isIcmpQuery(tuple.proto, tuple.dstPort >>> 8)) return this.#invalid(skb);
    const flow = new Flow(this, tuple, track);
    flow.streamAt = this.#ns.kernel.rt.now + UDP_STREAM_AFTER;
    if (this.settings.nf_conntrack_acct !== 0) flow.counters = new Float64Array(4);
    skb.ct = flow;
    skb.ctDirection = 0;
    skb.ctState = 'new';
    return this.#follow(skb, flow, at, length);
  }

  /** What a packet of a flow does to it. */
  #follow(skb: Skb, flow: Flow, at: number, length: number): Verdict {
    const { settings } = this;
    const { now } = this.#ns.kernel.rt;
    const wasAssured = flow.assured;
    const { state, sctp } = flow;
    let timeout: number;
    if (flow.tcp !== null) {
      const old = flow.tcp.state;
      const verdict = flow.tcp.packet(skb.frame, at, length, skb.ctDirection, flow, settings);
      if (verdict === 'invalid') {
        this.#shorten(flow, flow.tcp.timeout * 1_000);
        return this.#invalid(skb);
      }
      if (verdict === 'reopen') {
        this.destroy(flow);
        return this.#begin(skb, at, length);
      }
      if (verdict === 'reset') {
        flow.count(skb.ctDirection, skb.frame.length - ETH_HLEN);
        this.destroy(flow);
        return 'accept';
      }
      timeout = flow.tcp.timeout;
      if (verdict === 'accept' && flow.seenReply && flow.tcp.assures(old)) flow.assured = true;
    } else if (sctp !== null) {
      const known = flow.confirmed ? 'known' : 'new';
      if (sctp.packet(skb.frame, at, length, skb.ctDirection, known, settings) === 'invalid')
        return this.#invalid(skb);
      timeout = sctp.timeout;
      if (sctp.established) flow.assured = true;
    } else if (flow.original.proto === PROTO_ICMP) timeout = settings.nf_conntrack_icmp_timeout;
    else if (flow.original.proto === PROTO_ICMPV6) timeout = settings.nf_conntrack_icmpv6_timeout;
    else if (isDatagram(flow.original.proto)) {
      timeout = settings.nf_conntrack_udp_timeout;
      if (flow.seenReply && now > flow.streamAt) {
        timeout = settings.nf_conntrack_udp_timeout_stream;
        flow.assured = true;
      }
    } else timeout = settings.nf_conntrack_generic_timeout;
    // What does not keep a flow alive does not count as its either (`nf_ct_refresh_acct`).
    if (timeout > 0) {
      flow.count(skb.ctDirection, skb.frame.length - ETH_HLEN);
      flow.expires = now + timeout * 1_000;
      if (flow.confirmed) this.#expiry.update(flow);
    }
    let changed = flow.assured !== wasAssured || flow.state !== state;
    if (skb.ctDirection === 1 && !flow.seenReply) {
      flow.seenReply = true;
      changed = true;
    }
    if (changed) this.flowChanged(flow);
    return 'accept';
  }

  /** Both ends have ended a connection that goes on by our books: it need not wait for days. `most` in ms, 0 for no limit. */
  #shorten(flow: Flow, most: number): void {
    const { now } = this.#ns.kernel.rt;
    const left = flow.expires - now;
    if (most === 0 || left < DEAD_AFTER || left <= most) return;
    flow.expires = now + most;
    if (flow.confirmed) this.#expiry.update(flow);
  }

  /** The packet has got through: its flow is one now (`__nf_conntrack_confirm`). */
  readonly confirm: HookFunction = (skb) => {
    const flow = skb.ct;
    if (!(flow instanceof Flow) || flow.confirmed || skb.ctDirection !== 0) return 'accept';
    if (flow.dying) {
      this.#ns.kernel.drop('conntrack-dying');
      return 'drop';
    }
    const clash = this.#table.find(flow.original) ?? this.#table.find(flow.reply);
    if (clash !== null) return this.#resolveClash(skb, flow, clash.flow);
    flow.confirmed = true;
    this.#table.add(flow.original);
    this.#table.add(flow.reply);
    this.#flows.add(flow);
    this.#expiry.update(flow);
    for (const watcher of this.watchers) watcher.confirmed(flow);
    flow.lastEvent = this.#emit({ type: 'conntrack.new', ns: this.#ns.name, flow: flowFacts(flow) });
    return 'accept';
  };

  /** Another packet of the same has been faster; datagrams can go on as its flow's (`nf_ct_resolve_clash`). */
  #resolveClash(skb: Skb, flow: Flow, other: Flow): Verdict {
    const same = flow.original.isSame(other.original) && flow.reply.isSame(other.reply);
    if (same && isDatagram(flow.original.proto)) {
      this.stats.clashResolve++;
      skb.ct = other;
      return 'accept';
    }
    this.stats.insertFailed++;
    this.#ns.kernel.drop('conntrack-clash');
    return 'drop';
  }

  /** Room for another flow, at the cost of those near it that have not proved themselves (`early_drop`). */
  #dropEarly(): boolean {
    return this.#table.scan(this.#tuple, EVICTION_RANGE, ({ flow }) => {
      if (flow.assured || flow.dying) return false;
      this.destroy(flow);
      this.stats.earlyDrop++;
      return true;
    });
  }

  #isOver(flow: Flow): boolean {
    return flow.expires <= this.#ns.kernel.rt.now;
  }

  #invalid(skb: Skb): Verdict {
    skb.ct = null;
    skb.ctState = 'invalid';
    this.stats.invalid++;
    return 'accept';
  }
}
