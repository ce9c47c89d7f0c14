import type { Device } from '../../nodes/kernel/device.ts';
import { Kernel } from '../../nodes/kernel/kernel.ts';
import type { Netns } from '../../nodes/kernel/netns.ts';
import { seededRandom } from '../../nodes/random.ts';
import type { Runtime } from '../../nodes/runtime.ts';
import { TimerQueue } from '../../nodes/timers.ts';
import { defaultTimings } from '../../orchestrator/lab/timers.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import { parseIp4 } from '../../protocols/ip4.ts';
import { IPV4_HLEN, PROTO_UDP, writeIpv4Header } from '../../protocols/ipv4.ts';
import { UDP_HLEN, writeUdp } from '../../protocols/udp.ts';

export const ip = (text: string): number => parseIp4(text) ?? 0;

/** A kernel by itself: what leaves its ports is counted and forgotten. */
export class Bare {
  readonly kernel: Kernel;
  readonly root: Netns;
  transmitted = 0;
  /** The last frame that left. */
  last: Uint8Array | null = null;
  readonly #timers: TimerQueue;
  #now = 1;

  constructor({ ipv6 = 'off' }: { readonly ipv6?: 'on' | 'off' } = {}) {
    this.#timers = new TimerQueue(() => rt.cause);
    const self = this;
    let seq = 0;
    const rt: Runtime = {
      get now() {
        return self.#now;
      },
      random: seededRandom(1),
      timers: this.#timers,
      cause: 0,
      emit: () => ++seq,
      store: () => {},
    };
    this.kernel = new Kernel(rt, {
      timings: defaultTimings('calico'),
      ipv6,
      transmit: (_port, frame) => {
        this.transmitted++;
        this.last = frame;
      },
    });
    this.root = this.kernel.root;
    this.root.ipForward = true;
  }

  /** Lets time pass, and what is due happen. */
  advance(ms: number): void {
    this.#now += ms;
    this.#timers.run(this.#now, (fire) => fire());
  }

  /** A port that is up, without an address. */
  bring(index: number): Device {
    const name = `eth${index}`;
    const device = this.root.addPort({ name, mac: 0x020000000000 + index, mtu: 1500, port: index });
    this.root.setUp(name);
    return device;
  }

  /** A port with an address, up, and the neighbours that it has. */
  port(index: number, address: string, neighbors: readonly string[] = []): void {
    const { name } = this.bring(index);
    this.root.addAddress(name, address);
    for (const [i, neighbor] of neighbors.entries())
      this.root.setNeighbor(name, ip(neighbor), 0x020000000100 + index * 256 + i);
  }
}

export interface Flow {
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number;
  readonly dstPort: number;
  /** Bytes of the whole frame. */
  readonly size: number;
}

/** A UDP datagram in a frame for the first port. */
export function datagram({ src, dst, srcPort, dstPort, size }: Flow, mac = 0x020000000000): Uint8Array {
  const frame = new Uint8Array(size);
  const at = ETH_HLEN + IPV4_HLEN;
  writeEthernet(frame, mac, 0x0200000000ff, ETHERTYPE_IPV4);
  const header = { src: ip(src), dst: ip(dst), proto: PROTO_UDP, ttl: 64, id: 1, tos: 0, df: true };
  writeIpv4Header(frame, ETH_HLEN, { ...header, totalLength: size - ETH_HLEN });
  writeUdp(frame, at, ip(src), ip(dst), srcPort, dstPort, size - at - UDP_HLEN, { checksum: 'compute' });
  return frame;
}

export interface StepResult {
  /** Frames a second. */
  readonly rate: number;
  /** ns for each. */
  readonly each: number;
}

/**
 * Feeds frames to a port until so much processor time is used; all have to come out. The time of other processes does not count.
 */
export function measureStep(bare: Bare, frames: readonly Uint8Array[], ms: number): StepResult {
  const BATCH = 512;
  // The stack changes headers in place: they are put back before each turn, which is cheaper than a frame of its own for each.
  const heads = frames.map((frame) => frame.slice(0, HEAD));
  const run = () => {
    for (let i = 0; i < BATCH; i++) {
      const which = i % frames.length;
      const frame = frames[which]!;
      frame.set(heads[which]!);
      bare.kernel.receive(0, frame);
    }
  };
  const until = (limit: number) => {
    const start = cpu();
    let count = 0;
    while (cpu() - start < limit) {
      run();
      count += BATCH;
    }
    return { count, took: cpu() - start };
  };
  until(ms / 2);
  const before = bare.transmitted;
  const { count, took } = until(ms);
  const out = bare.transmitted - before;
  if (out !== count) {
    const drops = JSON.stringify(Object.fromEntries(bare.kernel.drops));
    throw new Error(`${count} frames went in, ${out} came out: ${drops}`);
  }
  return { rate: (count / took) * 1000, each: (took * 1e6) / count };
}

/** Bytes of a frame that forwarding may change: Ethernet, IP and transport headers. */
const HEAD = 64;

/** Processor time of this process, ms. */
function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
