import { type Prefix, parseIp4 } from '../../../../protocols/ip4.ts';
import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerPeerFacts,
} from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import type { DockerLedger } from '../ledger.ts';
import type { OverlayDriver, SegmentChange } from '../network/drivers/overlay.ts';
import { plainAddress } from '../sandbox.ts';
import { balancerPeer, type LoadBalancers } from './load-balancers.ts';
import type { Peers } from './peers.ts';
import { parsePeer, swarmKeys } from './rows.ts';

interface SwarmEndpointsOptions {
  readonly node: string;
  readonly ledger: DockerLedger;
  readonly overlay: OverlayDriver;
  readonly peers: Peers;
  readonly balancers: LoadBalancers;
  readonly store: StoreClient;
  /** Gives back an address that this node has for itself. */
  readonly freeAddress: (networkId: string, addr: number) => void;
}

/** The endpoints in overlay networks: what this node tells of its own, and what it hears of the others'. */
export class SwarmEndpoints {
  readonly #rt: Runtime;
  readonly #options: SwarmEndpointsOptions;
  /** Those that others have been told of since the boot. */
  readonly #told = new Set<string>();
  /** Those of this node as others were told of them. */
  readonly #live = new Map<string, DockerPeerFacts>();
  readonly #peers = new StoreView('docker.peer.', (_key, value) => parsePeer(value));

  constructor(rt: Runtime, options: SwarmEndpointsOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  /** Keys of all in the store. */
  keys(): Iterable<string> {
    return this.#peers.keys();
  }

  storeChanged(change: StoreChange): void {
    if (this.#peers.apply(change)) this.#changed(change.key);
  }

  /** Whether a container has one in a network, on any node. */
  areIn(networkId: string): boolean {
    return [...this.#peers.keys()].some((key) => {
      const peer = this.#peers.get(key)?.peer;
      return peer?.networkId === networkId && peer.role === undefined;
    });
  }

  /** Addresses of those that the store has of this node. */
  ownAddresses(): ReadonlySet<number | null> {
    return new Set(
      [...this.#peers.keys()].flatMap((key) => {
        const peer = this.#peers.get(key)?.peer;
        return peer?.node === this.#options.node ? [parseIp4(peer.address)] : [];
      }),
    );
  }

  /** An endpoint has joined an overlay network: the others are told where it is. */
  joined(container: DockerContainerFacts, endpoint: DockerEndpointFacts): void {
    const { ledger, node, balancers } = this.#options;
    const { networkId, endpointId, mac, service } = endpoint;
    const names =
      container.naming === 'given' ? [container.name, ...endpoint.aliases] : [...endpoint.aliases];
    this.#tell({
      networkId,
      endpointId,
      address: plainAddress(endpoint),
      mac,
      vtep: ledger.swarm?.address ?? '',
      node,
      names,
      ...(service === undefined ? {} : { service }),
    });
    balancers.bind(networkId, endpointId, endpoint.address, service);
  }

  /** This node's load balancer has joined a network. */
  balancerJoined(endpoint: DockerEndpointFacts): void {
    const { ledger, node } = this.#options;
    this.#tell(balancerPeer(endpoint, ledger.swarm?.address ?? '', node));
  }

  /** An endpoint has left, or ('') was never made: its address is free once all have been told. */
  released(networkId: string, endpointId: string, address: Prefix): void {
    const { store } = this.#options;
    if (endpointId === '') {
      this.#options.freeAddress(networkId, address.addr);
      return;
    }
    this.#live.delete(endpointId);
    this.#options.balancers.unbind(networkId, endpointId);
    store.request({ op: 'delete', key: swarmKeys.peer(networkId, endpointId) }, () =>
      this.#options.freeAddress(networkId, address.addr),
    );
  }

  segmentChanged(network: DockerNetworkFacts, change: SegmentChange): void {
    const { peers, node, balancers } = this.#options;
    if (change === 'closed') {
      peers.forget(network.id);
      balancers.forget(network.id);
    }
    // The routing mesh is there whether or not the node has a task of it.
    if (!network.ingress && change === 'used') balancers.open(network);
    if (!network.ingress && change === 'idle') balancers.close(network.id);
    if (change !== 'opened') return;
    for (const key of this.#peers.keys()) {
      const row = this.#peers.get(key);
      if (row?.lost === false && row.peer.networkId === network.id && row.peer.node !== node)
        peers.set(row.peer);
    }
  }

  /** A member is forgotten. */
  forget(hostname: string): void {
    for (const key of this.#peers.keys())
      if (this.#peers.get(key)?.peer.node === hostname)
        this.#options.store.request({ op: 'delete', key }, () => {});
  }

  /** A node is down: what it has told of its endpoints is kept for it, but not gone by. */
  lose(node: string): void {
    const { cause } = this.#rt;
    for (const key of this.#peers.keys()) {
      const row = this.#peers.get(key);
      if (row?.peer.node !== node || row.lost) continue;
      this.#rt.cause = cause;
      this.#options.store.request({ op: 'put', key, value: { peer: row.peer, lost: true } }, () => {});
    }
    this.#rt.cause = cause;
  }

  /** This node can be heard again: its endpoints are where they were. */
  tellAgain(): void {
    const { cause } = this.#rt;
    for (const peer of [...this.#live.values()]) {
      this.#rt.cause = cause;
      if (this.#peers.get(swarmKeys.peer(peer.networkId, peer.endpointId))?.lost === true) this.#tell(peer);
    }
    this.#rt.cause = cause;
  }

  #tell(peer: DockerPeerFacts): void {
    const { networkId, endpointId } = peer;
    this.#told.add(endpointId);
    this.#live.set(endpointId, peer);
    this.#options.store.request(
      { op: 'put', key: swarmKeys.peer(networkId, endpointId), value: { peer } },
      () => {},
    );
  }

  /** What this node has told before this boot, of an endpoint that is no more. */
  #takeBack(key: string, peer: DockerPeerFacts): void {
    if (this.#told.has(peer.endpointId)) return;
    this.#told.add(peer.endpointId);
    this.#options.store.request({ op: 'delete', key }, () =>
      this.#options.freeAddress(peer.networkId, parseIp4(peer.address) ?? 0),
    );
  }

  #changed(key: string): void {
    const { peers, node, overlay } = this.#options;
    const row = this.#peers.get(key);
    const peer = row === null || row.lost ? null : row.peer;
    const [, , networkId = '', endpointId = ''] = key.split('.');
    if (row?.peer.node === node) this.#takeBack(key, row.peer);
    if (!overlay.isOpen(networkId)) return;
    if (peer === null) peers.remove(networkId, endpointId);
    else if (peer.node !== node) peers.set(peer);
  }
}
