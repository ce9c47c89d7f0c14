import type { WireguardEvent, WireguardFacts, WireguardPeerFacts } from '../events/wireguard.ts';

export interface WireguardPeerState extends WireguardPeerFacts {
  /** ms at the node, null before the first. */
  readonly latestHandshake: number | null;
}

/** A device with its peers in the order in which they were added. */
export interface WireguardState extends WireguardFacts {
  readonly peers: readonly WireguardPeerState[];
}

interface Device {
  readonly facts: WireguardFacts;
  readonly peers: Map<string, WireguardPeerState>;
}

/** The WireGuard devices of one namespace. */
export class WireguardSlice {
  readonly #devices = new Map<string, Device>();

  apply(event: WireguardEvent): void {
    if (event.type === 'wireguard.set') {
      const { type: _type, ns: _ns, ...facts } = event;
      this.#devices.set(event.dev, { facts, peers: this.#devices.get(event.dev)?.peers ?? new Map() });
      return;
    }
    const peers = this.#devices.get(event.dev)?.peers;
    switch (event.type) {
      case 'wireguard.peer.set': {
        const latestHandshake = peers?.get(event.peer.publicKey)?.latestHandshake ?? null;
        peers?.set(event.peer.publicKey, { ...event.peer, latestHandshake });
        return;
      }
      case 'wireguard.peer.removed':
        peers?.delete(event.publicKey);
        return;
      case 'wireguard.session': {
        const peer = peers?.get(event.publicKey);
        if (peer !== undefined) peers?.set(event.publicKey, { ...peer, latestHandshake: event.at });
      }
    }
  }

  /** The device of this name is gone. */
  remove(dev: string): void {
    this.#devices.delete(dev);
  }

  list(): WireguardState[] {
    return [...this.#devices.values()].map(({ facts, peers }) => ({ ...facts, peers: [...peers.values()] }));
  }
}
