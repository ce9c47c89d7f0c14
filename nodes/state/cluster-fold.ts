import type { BlockFacts, ClusterEvent, LeaseFacts, SandboxFacts } from '../events/cluster.ts';
import type { NodeEvent } from '../events/node.ts';
import {
  type ClusterDisk,
  type ClusterView,
  inPodOrder,
  inPrefixOrder,
  type OwnLease,
} from './cluster-view.ts';

/** Folds the events of the cluster daemons. */
export class ClusterFold {
  readonly #sandboxes = new Map<string, SandboxFacts>();
  readonly #blocks = new Map<string, BlockFacts>();
  readonly #assigned = new Map<string, string>();
  #last = '';
  #own: OwnLease | null = null;
  #revoked = false;
  readonly #peers = new Map<string, LeaseFacts>();

  apply(event: ClusterEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
        this.#revoked = false;
        this.#peers.clear();
        break;
      case 'pod.sandbox':
        this.#sandboxes.set(`${event.sandbox.namespace}/${event.sandbox.pod}`, event.sandbox);
        break;
      case 'pod.removed':
        this.#sandboxes.delete(`${event.namespace}/${event.pod}`);
        break;
      case 'ipam.block':
        this.#blocks.set(event.block.cidr, event.block);
        break;
      case 'ipam.block.released':
        this.#blocks.delete(event.cidr);
        break;
      case 'ipam.assigned':
        this.#assigned.set(event.ip, event.handle);
        this.#last = event.ip;
        break;
      case 'ipam.released':
        this.#assigned.delete(event.ip);
        break;
      case 'flannel.acquired':
        this.#own = { lease: event.lease, mtu: event.mtu };
        this.#revoked = false;
        break;
      case 'flannel.revoked':
        this.#revoked = true;
        break;
      case 'flannel.peer':
        this.#peers.set(event.lease.subnet, event.lease);
        break;
      case 'flannel.peer.removed':
        this.#peers.delete(event.subnet);
        break;
    }
  }

  view(): ClusterView {
    const assigned = Array.from(this.#assigned, ([ip, handle]) => ({ ip, handle }));
    return {
      sandboxes: inPodOrder(this.#sandboxes.values()),
      ipam: {
        blocks: inPrefixOrder(this.#blocks.values(), (block) => block.cidr),
        assigned: inPrefixOrder(assigned, (entry) => entry.ip),
        last: this.#last,
      },
      flannel: {
        own: this.#own,
        revoked: this.#revoked,
        peers: inPrefixOrder(this.#peers.values(), (lease) => lease.subnet),
      },
    };
  }

  disk(): ClusterDisk {
    const { sandboxes, ipam, flannel } = this.view();
    return { sandboxes, ipam, lease: flannel.own };
  }
}
