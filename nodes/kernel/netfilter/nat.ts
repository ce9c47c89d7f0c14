import type { Netns } from '../netns.ts';
import type { NatRange } from './conntrack-entry.ts';
import type { HookFunction, NF_FORWARD, Verdict } from './hooks.ts';
import type { Skb } from './skb.ts';

/** The hooks that NAT has a place at. */
export type NatHook = Exclude<Parameters<HookFunction>[1], typeof NF_FORWARD>;

/** NAT of a namespace (`nf_nat`). */
export class Nat {
  readonly #ns: Netns;
  readonly #tables = new Map<NatHook, HookFunction>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** The nat table's chain at a hook: asked for the first packet of each flow only (`nf_nat_register_fn`). */
  registerTable(hook: NatHook, run: HookFunction): void {
    this.#ns.conntrack.require();
    this.#tables.set(hook, run);
  }

  /** Binds a flow's source or destination to a range: what DNAT, SNAT and REDIRECT do (`nf_nat_setup_info`). */
  setup(skb: Skb, manip: 'src' | 'dst', range: NatRange): Verdict {
    return skb.ct !== null && manip !== 'src' && range.minAddr === 0 ? 'drop' : 'accept';
  }

  /**
   * Binds a flow's source to the address of the device that it leaves by (`nf_nat_masquerade_ipv4`); it goes when that
   * address or device goes. Zero ports: keep the port where it is free.
   */
  masquerade(skb: Skb, ports: Pick<NatRange, 'minPort' | 'maxPort' | 'ports'>): Verdict {
    return this.setup(skb, 'src', { minAddr: 0, maxAddr: 0, persistent: false, ...ports });
  }
}
