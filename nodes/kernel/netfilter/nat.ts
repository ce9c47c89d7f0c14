import type { IpAddress, IpFamily } from '../../../protocols/ip.ts';
import { PROTO_ICMP } from '../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { CtTuple, NatRange } from './conntrack-entry.ts';
import { netfilterOf } from './families.ts';
import { Flow, invertTuple } from './flow.ts';
import {
  type HookFunction,
  NF_LOCAL_IN,
  NF_LOCAL_OUT,
  NF_POST_ROUTING,
  NF_PRE_ROUTING,
  NF_PRI,
  type Verdict,
} from './hooks.ts';
import { applyBinding, applyToError, type Manip } from './nat-mangle.ts';
import { type NatSearch, uniqueTuple } from './nat-tuple.ts';
import type { Skb } from './skb.ts';
import { destinationOf, protoOf, sourceOf } from './xtables/packet.ts';

/** The hooks that NAT has a place at. */
export type NatHook =
  | typeof NF_PRE_ROUTING
  | typeof NF_LOCAL_IN
  | typeof NF_LOCAL_OUT
  | typeof NF_POST_ROUTING;

const PRIORITY = {
  [NF_PRE_ROUTING]: NF_PRI.natDst,
  [NF_LOCAL_IN]: NF_PRI.natSrc,
  [NF_LOCAL_OUT]: NF_PRI.natDst,
  [NF_POST_ROUTING]: NF_PRI.natSrc,
} as const;

function manipOf(hook: number): Manip {
  return hook === NF_POST_ROUTING || hook === NF_LOCAL_IN ? 'src' : 'dst';
}

/**
 * NAT of a namespace for one address family (nf_nat_core.c): the first packet of a flow decides, by the nat table, where the flow's source and
 * destination are moved to; the flow's reply tuple holds it, and every packet of the flow is changed by it.
 */
export class Nat {
  readonly #ns: Netns;
  readonly #family: IpFamily;
  readonly #tables = new Map<number, HookFunction>();
  /** Flows by protocol and source, as their first packets came: what has been mapped once is mapped so again. */
  readonly #bySource = new Map<string, Set<Flow>>();
  #active = false;

  constructor(ns: Netns, family: IpFamily) {
    this.#ns = ns;
    this.#family = family;
  }

  /**
   * The nat table's chain at a hook: asked for the first packet of each flow only (`nf_nat_register_fn`). What it says of a
   * packet that it has set up nothing for is that the flow stays as it is.
   */
  registerTable(hook: NatHook, run: HookFunction): void {
    this.#tables.set(hook, run);
    if (this.#active) return;
    this.#active = true;
    const { conntrack } = this.#ns;
    const { netfilter } = netfilterOf(this.#ns, this.#family);
    conntrack.watchers.push({
      confirmed: (flow) => this.#confirmed(flow),
      destroyed: (flow) => this.#destroyed(flow),
    });
    for (const at of [NF_PRE_ROUTING, NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING] as const)
      netfilter.register(at, PRIORITY[at], this.#run);
  }

  /** `nf_nat_ipv4_fn`, `nf_nat_ipv6_fn`, and around them what LOCAL_OUT adds (`nf_nat_ipv4_local_fn`). */
  readonly #run: HookFunction = (skb, hook) => {
    const flow = skb.ct;
    if (!(flow instanceof Flow)) return 'accept';
    const manip = manipOf(hook);
    if (skb.ctState === 'related' && protoOf(skb) === (this.#family === 'inet' ? PROTO_ICMP : PROTO_ICMPV6)) {
      if (!applyToError(skb, flow, manip)) {
        this.#ns.kernel.drop('nat-icmp-error');
        return 'drop';
      }
    } else {
      const verdict = this.#bind(skb, flow, manip, hook);
      if (verdict !== 'accept') return verdict;
    }
    if (hook === NF_LOCAL_OUT) {
      const { original, reply } = flow;
      if (skb.ctDirection === 0 ? original.dst !== reply.src : reply.dst !== original.src) skb.reroute = true;
    }
    return 'accept';
  };

  /** `nf_nat_inet_fn` */
  #bind(skb: Skb, flow: Flow, manip: Manip, hook: Parameters<HookFunction>[1]): Verdict {
    if (skb.ctState !== 'established' && !isDone(flow, manip)) {
      const verdict = this.#tables.get(hook)?.(skb, hook) ?? 'accept';
      if (verdict !== 'accept') return verdict;
      if (!isDone(flow, manip)) this.#bindNothing(flow, manip);
    } else if (hook === NF_POST_ROUTING && this.#hasLeftDevice(skb, flow)) {
      this.#ns.conntrack.destroy(flow);
      this.#ns.kernel.drop('nat-other-device');
      return 'drop';
    }
    applyBinding(skb, flow, manip);
    return 'accept';
  }

  /** Routing sends the flow out by another device than the one whose address it has (`nf_nat_oif_changed`). */
  #hasLeftDevice(skb: Skb, flow: Flow): boolean {
    return flow.masqIndex !== 0 && skb.ctDirection === 0 && flow.masqIndex !== skb.out?.ifindex;
  }

  /** No rule has it moved; its port may have to be, where another flow that was moved has it (`nf_nat_alloc_null_binding`). */
  #bindNothing(flow: Flow, manip: Manip): void {
    const addr = manip === 'src' ? flow.reply.dst : flow.reply.src;
    this.#setUp(flow, manip, {
      minAddr: addr,
      maxAddr: addr,
      minPort: 0,
      maxPort: 0,
      ports: 'keep',
      persistent: false,
    });
  }

  /**
   * Binds a flow's source or destination to a range: what DNAT, SNAT and REDIRECT do (`nf_nat_setup_info`). To be called by
   * the nat table, for the packet that it is asked about. Addresses of 0 keep the address, ports of 0 the port.
   */
  setup(skb: Skb, manip: Manip, range: NatRange): Verdict {
    const flow = skb.ct;
    if (!(flow instanceof Flow) || flow.confirmed) return 'accept';
    if (isDone(flow, manip)) {
      this.#ns.kernel.drop('nat-twice');
      return 'drop';
    }
    this.#setUp(flow, manip, range);
    return 'accept';
  }

  #setUp(flow: Flow, manip: Manip, range: NatRange): void {
    // A flow that is in the table already keeps its tuples.
    if (!flow.confirmed) {
      const current = invertTuple(flow.reply);
      const tuple = uniqueTuple(current, range, manip, this.#searchFor(flow));
      if (!isEqual(tuple, current)) {
        flow.reply.set(invertTuple(tuple));
        if (manip === 'src') flow.srcNat = true;
        else flow.dstNat = true;
      }
    }
    if (manip === 'src') flow.srcNatDone = true;
    else flow.dstNatDone = true;
  }

  #searchFor(flow: Flow): NatSearch {
    const { conntrack, kernel } = this.#ns;
    return {
      isUsed: (tuple) => conntrack.isTaken(invertTuple(tuple), flow),
      mappedSources: (tuple) => mappings(this.#bySource.get(sourceKey(tuple))),
      random: kernel.rt.random,
    };
  }

  /**
   * Binds a flow's source to the address of the device that it leaves by (`nf_nat_masquerade_ipv4`, `nf_nat_masquerade_ipv6`); it
   * goes when that address or device goes. Zero ports: keep the port where it is free.
   */
  masquerade(skb: Skb, ports: Pick<NatRange, 'minPort' | 'maxPort' | 'ports'>): Verdict {
    const { out, ct } = skb;
    if (out === null || !(ct instanceof Flow) || sourceOf(skb) === 0) return 'accept';
    const addr = this.#addressOf(out, skb);
    if (addr === null) {
      this.#ns.kernel.drop('masquerade-no-address');
      return 'drop';
    }
    if (!ct.confirmed) ct.masqIndex = out.ifindex;
    return this.setup(skb, 'src', { minAddr: addr, maxAddr: addr, persistent: false, ...ports });
  }

  #addressOf(out: Device, skb: Skb): IpAddress | null {
    const dst = destinationOf(skb);
    if (typeof dst === 'string') return this.#ns.ipv6.addresses.sourceFor(dst, out);
    const { nexthop } = skb;
    return typeof nexthop === 'number' ? this.#ns.sourceFor(out, nexthop) || null : null;
  }

  /** A device has gone down: what was masqueraded by it ends (`masq_device_event`). */
  deviceDown({ ifindex }: Device): void {
    this.#endMasqueraded((flow) => flow.masqIndex === ifindex);
  }

  /** An address has gone (`masq_inet_event`). */
  addressRemoved({ ifindex }: Device, addr: IpAddress): void {
    this.#endMasqueraded((flow) => flow.masqIndex === ifindex && flow.reply.dst === addr);
  }

  #endMasqueraded(ends: (flow: Flow) => boolean): void {
    if (!this.#active) return;
    const { conntrack } = this.#ns;
    for (const flow of conntrack.flows())
      if (flow.masqIndex !== 0 && flow.family === this.#family && ends(flow)) conntrack.destroy(flow);
  }

  #confirmed(flow: Flow): void {
    if (!flow.srcNat || flow.family !== this.#family) return;
    const key = sourceKey(flow.original);
    const flows = this.#bySource.get(key) ?? new Set();
    this.#bySource.set(key, flows.add(flow));
  }

  #destroyed(flow: Flow): void {
    const key = sourceKey(flow.original);
    const flows = this.#bySource.get(key);
    if (flows === undefined || !flows.delete(flow)) return;
    if (flows.size === 0) this.#bySource.delete(key);
  }
}

function isDone(flow: Flow, manip: Manip): boolean {
  return manip === 'src' ? flow.srcNatDone : flow.dstNatDone;
}

function isEqual(a: CtTuple, b: CtTuple): boolean {
  return a.src === b.src && a.dst === b.dst && a.srcPort === b.srcPort && a.dstPort === b.dstPort;
}

function sourceKey({ src, srcPort, proto }: CtTuple): string {
  return `${proto} ${src} ${srcPort}`;
}

function* mappings(flows: ReadonlySet<Flow> | undefined): Iterable<CtTuple> {
  for (const { reply } of [...(flows ?? [])].reverse()) yield invertTuple(reply);
}
