import type { Netns } from '../netns.ts';
import type { Skb } from './skb.ts';

/** The flows of a namespace (`nf_conntrack`). */
export class ConntrackTable {
  readonly #ns: Netns;
  /** Whether anything has needed it yet. */
  active = false;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Something needs to know of flows: from here on every packet is looked at (`nf_ct_netns_get`). */
  require(): void {
    this.active = this.#ns.conntrack === this;
  }

  /** The packet is to be left alone (`-j NOTRACK`, `-j CT --notrack`); to be called before conntrack sees it. */
  notrack(skb: Skb): void {
    if (skb.ct === null) skb.ctState = 'untracked';
  }
}
