import type { LeaseFacts } from '../../events/cluster.ts';
import type { Netns } from '../../kernel/netns.ts';
import { isAttached } from '../../kernel/route-table.ts';

/** What flanneld has one of for each way of carrying packets between nodes. */
export interface Backend {
  /** BackendType of its leases. Leases of another type are no peers. */
  readonly type: string;
  /** MTU of pods, bytes. */
  readonly mtu: number;
  /** BackendData of this node's lease. */
  readonly data: Readonly<Record<string, string | number>>;
  /** BackendV6Data, where the backend carries IPv6. */
  readonly data6?: Readonly<Record<string, string | number>>;
  /** flanneld starts. */
  prepare(): void;
  /** The node has its lease: sets up what does not depend on peers. Called once. */
  up(subnet: string, subnet6: string | null): void;
  /** A peer's lease is new or other than before; `old` is the one programmed now. False if nothing could be programmed. */
  setPeer(lease: LeaseFacts, old: LeaseFacts | null): boolean;
  removePeer(lease: LeaseFacts): void;
  /** flanneld ends. What stands in the kernel's tables stays there; what lives in the process goes with it. */
  stop(): void;
}

/** The interface that flannel's packets leave by. */
export interface PublicInterface {
  readonly name: string;
  /** Address without prefix length: the lease's PublicIP. */
  readonly address: string;
  readonly mtu: number;
}

/** Whether the route to a peer has no gateway (`ip.DirectRouting`). */
export function isDirect(root: Netns, publicIP: number): boolean {
  const route = root.routes.lookup(publicIP);
  return route !== null && route.nexthops.length === 1 && isAttached(route.nexthops[0]!, 0);
}
