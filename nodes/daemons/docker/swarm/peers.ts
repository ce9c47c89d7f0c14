import type { DockerPeerFacts } from '../../../events/docker.ts';
import type { DockerLedger } from '../ledger.ts';
import type { OverlayDriver } from '../network/drivers/overlay.ts';
import type { LoadBalancers } from './load-balancers.ts';

/**
 * Endpoints behind other hosts in the overlay networks that have containers here (libnetwork's peerDB). Of two with one
 * address the first to come is in effect; the other is kept, and takes its place when it goes.
 */
export class Peers {
  readonly #ledger: DockerLedger;
  readonly #overlay: OverlayDriver;
  readonly #balancers: Pick<LoadBalancers, 'bind' | 'unbind'>;

  constructor(
    ledger: DockerLedger,
    overlay: OverlayDriver,
    balancers: Pick<LoadBalancers, 'bind' | 'unbind'>,
  ) {
    this.#balancers = balancers;
    this.#ledger = ledger;
    this.#overlay = overlay;
  }

  set(peer: DockerPeerFacts): void {
    const known = this.#ledger.peers.find((other) => same(other, peer));
    if (known !== undefined && JSON.stringify(known) === JSON.stringify(peer)) return;
    const moved =
      known !== undefined &&
      (known.address !== peer.address || known.mac !== peer.mac || known.vtep !== peer.vtep);
    const wasActive = known !== undefined && this.#active(known) === known;
    if (wasActive && moved) this.#overlay.deletePeer(known);
    this.#ledger.putPeer(peer);
    this.#balancers.bind(peer.networkId, peer.endpointId, peer.address, peer.service);
    if (this.#active(peer) === peer && (moved || !wasActive)) this.#overlay.addPeer(peer);
  }

  remove(networkId: string, endpointId: string): void {
    const peer = this.#ledger.peers.find(
      (other) => other.networkId === networkId && other.endpointId === endpointId,
    );
    if (peer === undefined) return;
    const wasActive = this.#active(peer) === peer;
    this.#ledger.removePeer(peer);
    this.#balancers.unbind(networkId, endpointId);
    if (!wasActive) return;
    this.#overlay.deletePeer(peer);
    const heir = this.#active(peer);
    if (heir !== undefined) this.#overlay.addPeer(heir);
  }

  /** The network has no container here any more: its rows have gone with its devices. */
  forget(networkId: string): void {
    for (const peer of this.#ledger.peers) if (peer.networkId === networkId) this.#ledger.removePeer(peer);
  }

  #active({ networkId, address }: DockerPeerFacts): DockerPeerFacts | undefined {
    return this.#ledger.peers.find((other) => other.networkId === networkId && other.address === address);
  }
}

function same(a: DockerPeerFacts, b: DockerPeerFacts): boolean {
  return a.networkId === b.networkId && a.endpointId === b.endpointId;
}
