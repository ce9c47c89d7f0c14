import type { NatsConnection, Subscription } from 'nats';
import { BROADCAST, wirePrefix } from './subjects.ts';

/**
 * What stands before every frame on the bus, big-endian:
 * version (1), flags (1), sender's port (2), sender's node number (4), cause (8, float64), time sent (8, float64, ms).
 */
const ENVELOPE = 24;
const VERSION = 1;

export interface WireOptions {
  readonly lab: string;
  readonly segment: string;
  /** The port's own MAC address, below 2^48. */
  readonly mac: number;
  readonly node: number;
  readonly port: number;
}

const NOTHING = new Uint8Array(0);

/**
 * Called for every frame; the frame is a view that belongs to the receiver from here on. A message that is no frame in an
 * envelope comes as a frame of no bytes, to be counted with the other runts.
 */
export type FrameHandler = (frame: Uint8Array, cause: number, sentAt: number) => void;

/** A port's two ends on the bus: frames to its MAC and to all come in, frames go out by their destination MAC. */
export class WirePort {
  readonly #nc: NatsConnection;
  readonly #options: WireOptions;
  readonly #prefix: string;
  readonly #subjects = new Map<number, string>();
  readonly #subscriptions: Subscription[];

  constructor(nc: NatsConnection, options: WireOptions, onFrame: FrameHandler) {
    this.#nc = nc;
    this.#options = options;
    this.#prefix = wirePrefix(options.lab, options.segment);
    const callback = (error: Error | null, message: { readonly data: Uint8Array }) => {
      if (error !== null) return;
      const { data } = message;
      if (data.length < ENVELOPE || data[0] !== VERSION) {
        onFrame(NOTHING, 0, 0);
        return;
      }
      const view = new DataView(data.buffer, data.byteOffset, ENVELOPE);
      if (view.getUint32(4) === options.node && view.getUint16(2) === options.port) return;
      const cause = view.getFloat64(8);
      onFrame(data.subarray(ENVELOPE), Number.isSafeInteger(cause) ? cause : 0, view.getFloat64(16));
    };
    this.#subscriptions = [hex(options.mac), BROADCAST].map((last) =>
      nc.subscribe(`${this.#prefix}${last}`, { callback }),
    );
  }

  /** Publishes a frame for whoever owns its destination MAC, or for all if that is a group's. `at` is the time, ms. */
  send(frame: Uint8Array, cause: number, at: number): void {
    const { node, port } = this.#options;
    const message = new Uint8Array(ENVELOPE + frame.length);
    message[0] = VERSION;
    const view = new DataView(message.buffer);
    view.setUint16(2, port);
    view.setUint32(4, node);
    view.setFloat64(8, cause);
    view.setFloat64(16, at);
    message.set(frame, ENVELOPE);
    this.#nc.publish(this.#subjectFor(frame), message);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #subjectFor(frame: Uint8Array): string {
    if ((frame[0]! & 1) === 1) return `${this.#prefix}${BROADCAST}`;
    const high = (frame[0]! << 8) | frame[1]!;
    const low = ((frame[2]! << 24) | (frame[3]! << 16) | (frame[4]! << 8) | frame[5]!) >>> 0;
    const mac = high * 2 ** 32 + low;
    let subject = this.#subjects.get(mac);
    if (subject === undefined) {
      subject = `${this.#prefix}${hex(mac)}`;
      this.#subjects.set(mac, subject);
    }
    return subject;
  }
}

/** A frame as someone sees it who listens to a wire and is not on it. */
export interface ObservedFrame {
  readonly frame: Uint8Array;
  /** Number of the node that sent it, and which of its ports. */
  readonly node: number;
  readonly port: number;
  readonly cause: number;
  /** ms, the sender's clock; whatever the sender wrote. */
  readonly sentAt: number;
}

/** Listens to all that is sent on a segment, each frame once. What is no frame in an envelope is passed over. */
export function observeSegment(
  nc: NatsConnection,
  options: { readonly lab: string; readonly segment: string },
  onFrame: (observed: ObservedFrame) => void,
): Subscription {
  const callback = (error: Error | null, message: { readonly data: Uint8Array }) => {
    const { data } = message;
    if (error !== null || data.length < ENVELOPE || data[0] !== VERSION) return;
    const view = new DataView(data.buffer, data.byteOffset, ENVELOPE);
    const cause = view.getFloat64(8);
    onFrame({
      frame: data.subarray(ENVELOPE),
      node: view.getUint32(4),
      port: view.getUint16(2),
      cause: Number.isSafeInteger(cause) ? cause : 0,
      sentAt: view.getFloat64(16),
    });
  };
  return nc.subscribe(`${wirePrefix(options.lab, options.segment)}*`, { callback });
}

function hex(mac: number): string {
  return mac.toString(16).padStart(12, '0');
}
