import { Kernel } from '../../nodes/kernel/kernel.ts';
import type { Netns } from '../../nodes/kernel/netns.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import { writeIpv4Header } from '../../protocols/ipv4.ts';
import { FakeWorld, timings } from './runtime.ts';

const ROUTER_MAC = 0x0200_0000_0001;
const NEIGHBOR_MAC = 0x0200_0000_0002;

/** A frame that came out, and where. */
export interface Out {
  readonly port: number;
  readonly frame: Uint8Array;
}

/**
 * A router with two ports, 10.0.1.1/24 and 10.0.2.1/24, that knows the neighbours .2 to .8 of each. Its clock stands still
 * unless it is moved.
 */
export class EmulatedRouter {
  readonly world = new FakeWorld();
  readonly rt = this.world.runtime();
  readonly kernel: Kernel;
  #out: Out[] = [];

  constructor() {
    this.kernel = new Kernel(this.rt, {
      timings,
      transmit: (port, frame) => this.#out.push({ port, frame: frame.slice() }),
    });
    const { root } = this.kernel;
    for (const [port, name] of ['v0', 'w0'].entries()) {
      root.addPort({ name, mac: ROUTER_MAC, mtu: 1500, port });
      root.setUp(name);
      root.addAddress(name, `10.0.${port + 1}.1/24`);
      for (let host = 2; host < 9; host++)
        root.setNeighbor(name, 0x0a00_0000 + (port + 1) * 256 + host, NEIGHBOR_MAC);
    }
    root.ipForward = true;
  }

  get root(): Netns {
    return this.kernel.root;
  }

  send(port: number, frame: Uint8Array): Out[] {
    this.#out = [];
    this.kernel.receive(port, frame.slice());
    this.world.advance(0);
    return this.#out;
  }
}

/** A frame from a neighbour to the router. */
export function frameOf(src: number, dst: number, proto: number, payload: Uint8Array, id = 0): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + 20 + payload.length);
  writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV4);
  writeIpv4Header(frame, ETH_HLEN, {
    src,
    dst,
    proto,
    ttl: 64,
    totalLength: 20 + payload.length,
    id,
    df: true,
  });
  frame.set(payload, ETH_HLEN + 20);
  return frame;
}
