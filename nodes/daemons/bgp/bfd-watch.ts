import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import type { BgpNeighbor } from '../../config.ts';
import type { BfdMode } from '../../events/bfd.ts';
import type { BfdClient } from '../bfd/request.ts';
import type { Bfdd } from '../bfdd.ts';

/** As BIRD, the BGP daemon asks for BFD when a session is established, and gives it up with the session (RFC 5882 §10.2). */
export class BfdWatch {
  readonly #bfdd: Bfdd | null;
  readonly #speaker: BgpSpeaker;
  readonly #isOnLink: (address: IpAddress) => boolean;
  /** By the names of neighbours that are real daemons, whose packets go by ways of their own. */
  readonly #real = new Map<string, BfdMode>();
  readonly #watched = new Map<string, BfdClient>();

  /** `isOnLink` tells single-hop sessions (RFC 5881) from multihop ones (RFC 5883). */
  constructor(
    bfdd: Bfdd | null,
    speaker: BgpSpeaker,
    neighbors: readonly BgpNeighbor[],
    isOnLink: (address: IpAddress) => boolean,
  ) {
    this.#bfdd = bfdd;
    this.#speaker = speaker;
    this.#isOnLink = isOnLink;
    for (const { name, external } of neighbors) {
      if (external?.bfd !== undefined) this.#real.set(name, external.bfd);
    }
  }

  watch(peer: string): void {
    const session = this.#speaker.session(peer);
    const options = session?.neighbor.bfd;
    if (session === undefined || options === undefined || this.#bfdd === null) return;
    const { address: remote, localAddress: local, zone } = session;
    const real = this.#real.get(peer);
    const request = {
      local,
      remote,
      mode: real ?? (zone !== '' || this.#isOnLink(remote) ? 'single-hop' : 'multihop'),
      ...(zone === '' ? {} : { device: zone }),
      ...(real === undefined ? {} : { external: peer }),
      ...options,
    };
    const client = this.#bfdd.add(request, ({ pathFailed }) => {
      if (pathFailed) this.#speaker.neighborLost(peer, 'BFD session down');
    });
    this.#watched.set(peer, client);
  }

  unwatch(peer: string): void {
    const client = this.#watched.get(peer);
    if (client === undefined) return;
    this.#watched.delete(peer);
    this.#bfdd?.remove(client);
  }

  /** The daemon dies, and its clients of BFD with it. */
  end(): void {
    for (const peer of [...this.#watched.keys()]) this.unwatch(peer);
  }
}
