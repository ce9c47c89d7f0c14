import type { NatsConnection, Subscription } from 'nats';
import type { Block, BlockPool } from './blocks.ts';
import { BROADCAST, wirePrefix } from './subjects.ts';

/**
 * A message on the wire carries the frames that a port sent in one go to the same receivers, in order. Big-endian: version (1),
 * flags (1), sender's port (2), sender's node number (4), time sent (8, float64, ms); then for each frame its cause (8, float64),
 * its length (4) and its bytes. The server's work is by the message: many frames in one cost it hardly more than one.
 */
const HEAD = 16;
const FRAME_HEAD = 12;
const VERSION = 2;
/** A message that has grown so long is sent, bytes. */
const MESSAGE_MAX = 131_072;

export interface WireOptions {
  readonly lab: string;
  readonly segment: string;
  /** The port's own MAC address, below 2^48. */
  readonly mac: number;
  readonly node: number;
  readonly port: number;
}

/** Which frames a port wants of its segment. */
export interface WireFilter {
  readonly promiscuous: boolean;
  readonly macs: readonly number[];
}

const NOTHING = new Uint8Array(0);

/**
 * Called for every frame; the frame is a view that belongs to the receiver from here on. A message that is none of these comes
 * as a frame of no bytes, to be counted with the other runts.
 */
export type FrameHandler = (frame: Uint8Array, cause: number) => void;

/** A port's two ends on the bus: frames to its MAC and to all come in, frames go out by their destination MAC. */
export class WirePort {
  readonly #nc: NatsConnection;
  readonly #options: WireOptions;
  readonly #prefix: string;
  readonly #subjects = new Map<number, string>();
  readonly #callback: (error: Error | null, message: { readonly data: Uint8Array }) => void;
  /** By the last token of the subject. */
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #pool: BlockPool;
  /** The message that is being filled: its subject, '' for none, and where in the block it begins and has got to. */
  #subject = '';
  #block: Block | null = null;
  #start = 0;
  #end = 0;

  /** `pool`: the memory of the same connection. */
  constructor(nc: NatsConnection, pool: BlockPool, options: WireOptions, onFrame: FrameHandler) {
    this.#nc = nc;
    this.#pool = pool;
    this.#options = options;
    this.#prefix = wirePrefix(options.lab, options.segment);
    this.#callback = (error, message) => {
      if (error !== null) return;
      const view = viewOf(message.data);
      if (view === null) {
        onFrame(NOTHING, 0);
        return;
      }
      if (view.getUint32(4) === options.node && view.getUint16(2) === options.port) return;
      eachFrame(message.data, view, onFrame);
    };
    this.#listen([hex(options.mac), BROADCAST]);
  }

  /** From now on frames to these MAC addresses come, or all frames of the segment; those to groups come anyway. */
  filter({ promiscuous, macs }: WireFilter): void {
    this.#listen(promiscuous ? ['*'] : [...macs.map(hex), BROADCAST]);
  }

  #listen(tokens: readonly string[]): void {
    const subscriptions = this.#subscriptions;
    for (const token of tokens) {
      if (subscriptions.has(token)) continue;
      subscriptions.set(token, this.#nc.subscribe(`${this.#prefix}${token}`, { callback: this.#callback }));
    }
    for (const [token, subscription] of subscriptions) {
      if (tokens.includes(token)) continue;
      subscription.unsubscribe();
      subscriptions.delete(token);
    }
  }

  /**
   * Takes a frame for whoever owns its destination MAC, or for all if that is a group's. `at` is the time, ms. It goes out with
   * what follows it for the same receivers, at the latest by `flush`.
   */
  send(frame: Uint8Array, cause: number, at: number): void {
    const subject = this.#subjectFor(frame);
    const needed = FRAME_HEAD + frame.length;
    const isOpen = subject === this.#subject && this.#end - this.#start <= MESSAGE_MAX;
    let block = this.#block;
    if (!isOpen || block === null || this.#end + needed > block.bytes.length) {
      this.flush();
      block = this.#begin(subject, at, needed);
    }
    block.view.setFloat64(this.#end, cause);
    block.view.setUint32(this.#end + 8, frame.length);
    block.bytes.set(frame, this.#end + FRAME_HEAD);
    this.#end += needed;
  }

  /** Sends what was taken. */
  flush(): void {
    if (this.#subject === '' || this.#block === null) return;
    this.#nc.publish(this.#subject, this.#block.bytes.subarray(this.#start, this.#end));
    this.#subject = '';
  }

  close(): void {
    this.#listen([]);
  }

  #begin(subject: string, at: number, needed: number): Block {
    let block = this.#block;
    if (block === null || this.#end + HEAD + needed > block.bytes.length) {
      if (block !== null) this.#pool.giveBack(block);
      block = this.#pool.take(HEAD + needed);
      this.#block = block;
      this.#end = 0;
    }
    this.#subject = subject;
    this.#start = this.#end;
    const { bytes, view } = block;
    bytes[this.#start] = VERSION;
    bytes[this.#start + 1] = 0;
    view.setUint16(this.#start + 2, this.#options.port);
    view.setUint32(this.#start + 4, this.#options.node);
    view.setFloat64(this.#start + 8, at);
    this.#end = this.#start + HEAD;
    return block;
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

function viewOf(data: Uint8Array): DataView | null {
  if (data.length < HEAD || data[0] !== VERSION) return null;
  return new DataView(data.buffer, data.byteOffset, data.length);
}

/** Calls for each frame of a message; what its end cuts off comes as a frame of no bytes. */
function eachFrame(data: Uint8Array, view: DataView, onFrame: FrameHandler): void {
  let at = HEAD;
  while (at < data.length) {
    const start = at + FRAME_HEAD;
    const end = start <= data.length ? start + view.getUint32(at + 8) : start;
    if (end > data.length) {
      onFrame(NOTHING, 0);
      return;
    }
    const cause = view.getFloat64(at);
    onFrame(data.subarray(start, end), Number.isSafeInteger(cause) ? cause : 0);
    at = end;
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
    const view = error === null ? viewOf(message.data) : null;
    if (view === null) return;
    const sender = { node: view.getUint32(4), port: view.getUint16(2), sentAt: view.getFloat64(8) };
    eachFrame(message.data, view, (frame, cause) => {
      if (frame.length > 0) onFrame({ frame, cause, ...sender });
    });
  };
  return nc.subscribe(`${wirePrefix(options.lab, options.segment)}*`, { callback });
}

function hex(mac: number): string {
  return mac.toString(16).padStart(12, '0');
}
