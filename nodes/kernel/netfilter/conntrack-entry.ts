import type { IpAddress } from '../../../protocols/ip.ts';

/** What `-m conntrack --ctstate` sees of a packet; 'none' before conntrack has seen it, or where nothing asks for it. */
export type CtState = 'none' | 'new' | 'established' | 'related' | 'invalid' | 'untracked';

/** 0: the way of the first packet; 1: that of the answers. */
export type CtDirection = 0 | 1;

/**
 * One direction of a flow. ICMP and ICMPv6: `srcPort` is the id of an echo, `dstPort` is type times 256 plus code.
 */
export interface CtTuple {
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly proto: number;
  readonly srcPort: number;
  readonly dstPort: number;
}

/** A flow as the rest of the kernel sees it (`struct nf_conn`). */
export interface Conntrack {
  /** As the first packet came, before any NAT. */
  readonly original: CtTuple;
  /** As answers come, before NAT is undone: where it differs from the inverse of `original`, there is NAT. */
  readonly reply: CtTuple;
  /** `connmark`, unsigned 32 bits. */
  mark: number;
  readonly srcNat: boolean;
  readonly dstNat: boolean;
  /** IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED: the last once its first packet has got through. */
  readonly seenReply: boolean;
  readonly assured: boolean;
  readonly confirmed: boolean;
  /** Packets and bytes one way, then the other; null where nobody counts them. */
  readonly counters: Float64Array | null;
  /** When it is forgotten if no more packets come, ms at the node. */
  readonly expires: number;
}

/**
 * Where NAT may move a flow (`struct nf_nat_range2`). The unspecified address keeps the address; zero ports keep the port where
 * it is free, else take one that is.
 */
export interface NatRange {
  readonly minAddr: IpAddress;
  readonly maxAddr: IpAddress;
  readonly minPort: number;
  readonly maxPort: number;
  /** `--random`, `--random-fully`; `--persistent`. */
  readonly ports: 'keep' | 'random';
  readonly persistent: boolean;
}
