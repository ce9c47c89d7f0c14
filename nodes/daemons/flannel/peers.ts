import type { LeaseFacts } from '../../events/cluster.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { inPrefixOrder } from '../../state/cluster-view.ts';
import type { Backend } from './backend.ts';

interface Peer {
  readonly lease: LeaseFacts;
  readonly expiry: TimerHandle;
}

/** The peers that flanneld has programmed: what the other nodes' leases make of the kernel's tables. */
export class Peers {
  readonly #rt: Runtime;
  readonly #backend: Backend;
  readonly #peers = new Map<string, Peer>();

  constructor(rt: Runtime, backend: Backend) {
    this.#rt = rt;
    this.#backend = backend;
  }

  leases(): LeaseFacts[] {
    return inPrefixOrder(
      Array.from(this.#peers.values(), (peer) => peer.lease),
      (lease) => lease.subnet,
    );
  }

  /** Brings one subnet in line with its lease; null if it has none that makes a peer. */
  set(subnet: string, lease: LeaseFacts | null): void {
    const old = this.#peers.get(subnet);
    if (old !== undefined) this.#rt.timers.cancel(old.expiry);
    if (lease === null) {
      if (old !== undefined) this.#remove(old.lease);
      return;
    }
    if (old === undefined || !same(old.lease, lease)) this.#rt.emit({ type: 'flannel.peer', lease });
    const expiry = this.#rt.timers.set(lease.expiresAt, () => this.#remove(lease));
    this.#peers.set(subnet, { lease, expiry });
    if (old !== undefined && same({ ...old.lease, expiresAt: lease.expiresAt }, lease)) return;
    if (this.#backend.setPeer(lease, old?.lease ?? null)) return;
    this.#rt.timers.cancel(expiry);
    this.#peers.delete(subnet);
    this.#rt.emit({ type: 'flannel.peer.removed', subnet });
  }

  /** No more peers are removed when their leases expire. */
  stop(): void {
    for (const { expiry } of this.#peers.values()) this.#rt.timers.cancel(expiry);
  }

  #remove(lease: LeaseFacts): void {
    this.#peers.delete(lease.subnet);
    this.#rt.emit({ type: 'flannel.peer.removed', subnet: lease.subnet });
    this.#backend.removePeer(lease);
  }
}

function same(a: LeaseFacts, b: LeaseFacts): boolean {
  return (
    a.publicIP === b.publicIP &&
    a.backendType === b.backendType &&
    a.expiresAt === b.expiresAt &&
    JSON.stringify([a.backendData, a.ipv6]) === JSON.stringify([b.backendData, b.ipv6])
  );
}
