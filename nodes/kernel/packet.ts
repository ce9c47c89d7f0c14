import { ETH_HLEN } from '../../protocols/ethernet.ts';
import type { FrameFilter } from '../../protocols/pcap-filter/match.ts';
import type { EventId } from '../events/record.ts';
import type { Device, DeviceTap } from './device.ts';

/** A frame as a packet socket read it. */
export interface CapturedFrame {
  /** ms on the node's clock. */
  readonly at: number;
  readonly direction: 'in' | 'out';
  /** Bytes of the whole frame. */
  readonly length: number;
  /** The first bytes of it, at most the snap length. */
  readonly data: Uint8Array;
  readonly cause: EventId;
  /** Orders the frames that a node captured at one moment, on whichever device. */
  readonly order: number;
}

export interface PacketSocketOptions {
  /** Most bytes kept of a frame. */
  readonly snapLength: number;
  readonly filter: FrameFilter;
  /** Numbers the frames. */
  readonly nextOrder: () => number;
  /** Called when a frame has come and none was waiting. */
  readonly onReadable: () => void;
}

/** What may wait to be read, bytes: tcpdump's default buffer (-B 2048). */
export const RING_BYTES = 2 * 1024 * 1024;
/** What a waiting frame takes of the ring beside its bytes. */
const OVERHEAD = 64;

/**
 * A packet(7) socket bound to one device: sees what the device receives and sends. A reader that is too slow loses
 * the newest frames, which are counted (`PACKET_STATISTICS`). lo shows each frame once, as it comes in, as libpcap does.
 */
export class PacketSocket implements DeviceTap {
  readonly device: Device;
  /** Without link layer: frames are kept from the IP header on. */
  readonly linkType: 'ethernet' | 'raw';
  /** Frames seen, taken by the filter, lost for want of room. */
  received = 0;
  accepted = 0;
  dropped = 0;
  readonly #options: PacketSocketOptions;
  #ring: CapturedFrame[] = [];
  #bytes = 0;

  constructor(device: Device, options: PacketSocketOptions) {
    this.device = device;
    this.linkType = device.hasLinkLayer || device.kind === 'loopback' ? 'ethernet' : 'raw';
    this.#options = options;
    device.addTap(this);
  }

  /** Whether the device is still there. */
  get alive(): boolean {
    const { ns, name } = this.device;
    return ns.device(name) === this.device;
  }

  get waiting(): number {
    return this.#ring.length;
  }

  seen(direction: 'in' | 'out', frame: Uint8Array): void {
    if (direction === 'out' && this.device.kind === 'loopback') return;
    this.received++;
    const { filter, snapLength, nextOrder, onReadable } = this.#options;
    if (!filter(frame)) return;
    this.accepted++;
    const from = this.linkType === 'raw' ? ETH_HLEN : 0;
    const length = frame.length - from;
    const kept = Math.min(length, snapLength);
    if (this.#bytes + kept + OVERHEAD > RING_BYTES) {
      this.dropped++;
      return;
    }
    const { rt } = this.device.ns.kernel;
    this.#bytes += kept + OVERHEAD;
    // The stack goes on to change the frame in place.
    const data = frame.slice(from, from + kept);
    this.#ring.push({ at: rt.now, direction, length, data, cause: Math.abs(rt.cause), order: nextOrder() });
    if (this.#ring.length === 1) onReadable();
  }

  /** Takes frames out, oldest first: as many as fit `limit` bytes, and at least one if there is any. */
  read(limit: number): CapturedFrame[] {
    let end = 0;
    let bytes = 0;
    for (; end < this.#ring.length; end++) {
      const size = this.#ring[end]!.data.length + OVERHEAD;
      if (end > 0 && bytes + size > limit) break;
      bytes += size;
    }
    this.#bytes -= bytes;
    if (end === this.#ring.length) {
      const all = this.#ring;
      this.#ring = [];
      return all;
    }
    return this.#ring.splice(0, end);
  }

  /** Sees no more; what waits can still be read. */
  close(): void {
    this.device.removeTap(this);
  }
}
