import type { Device } from '../../nodes/kernel/device.ts';
import { Kernel } from '../../nodes/kernel/kernel.ts';
import type { Netns } from '../../nodes/kernel/netns.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import { writeIpv4Header } from '../../protocols/ipv4.ts';
import { FakeWorld, timings } from './runtime.ts';

export const ROUTER_MAC = 0x0200_0000_0001;
export const NEIGHBOR_MAC = 0x0200_0000_0002;

/** A frame that came out, and where. */
export interface Out {
  readonly port: number;
  readonly frame: Uint8Array;
}

/** A kernel with ports that are up, and the test at their other ends. Its clock stands still unless it is moved. */
export class EmulatedPorts {
  readonly world = new FakeWorld();
  readonly rt = this.world.runtime();
  readonly kernel: Kernel;
  readonly #names: readonly string[];
  #out: Out[] = [];

  constructor(ports: readonly { readonly name: string; readonly mac?: number }[]) {
    this.kernel = new Kernel(this.rt, {
      timings,
      transmit: (port, frame) => this.#out.push({ port, frame: frame.slice() }),
    });
    this.#names = ports.map(({ name }) => name);
    const { root } = this.kernel;
    for (const [port, { name, mac = ROUTER_MAC }] of ports.entries()) {
      root.addPort({ name, mac, mtu: 1500, port });
      root.setUp(name);
    }
    root.ipForward = true;
  }

  deviceOf(port: number): Device | undefined {
    return this.root.device(this.#names[port] ?? '');
  }

  get root(): Netns {
    return this.kernel.root;
  }

  send(port: number, frame: Uint8Array): Out[] {
    return this.during(() => this.kernel.receive(port, frame.slice()));
  }

  /** What comes out while something is done. */
  during(act: () => void): Out[] {
    this.#out = [];
    act();
    this.world.advance(0);
    return this.#out;
  }
}

/**
 * A router with two ports, 10.0.1.1/24 and 10.0.2.1/24, that knows the neighbours .2 to .8 of each; or a bridge of the two with
 * 10.0.1.1/24.
 */
export class EmulatedRouter extends EmulatedPorts {
  constructor(kind: 'router' | 'bridge' = 'router') {
    super([{ name: 'v0' }, { name: 'w0' }]);
    const { root } = this;
    if (kind === 'router') {
      this.#address('v0', 1, () => NEIGHBOR_MAC);
      this.#address('w0', 2, () => NEIGHBOR_MAC);
      return;
    }
    root.addBridge({ name: 'br0', mac: ROUTER_MAC, mtu: 1500 });
    root.setMaster('v0', 'br0');
    root.setMaster('w0', 'br0');
    root.setUp('br0');
    this.#address('br0', 1, bridgedMac);
  }

  #address(name: string, net: number, macOf: (host: number) => number): void {
    const { root } = this;
    root.addAddress(name, `10.0.${net}.1/24`);
    for (let host = 2; host < 9; host++) root.setNeighbor(name, 0x0a00_0000 + net * 256 + host, macOf(host));
  }
}

/** MAC of a host 10.0.1.x at the bridge. */
export function bridgedMac(host: number): number {
  return 0x0200_0000_0200 + host;
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
