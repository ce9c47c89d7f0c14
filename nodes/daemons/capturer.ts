import { FilterError } from '../../protocols/pcap-filter/lexer.ts';
import type { FrameFilter } from '../../protocols/pcap-filter/match.ts';
import { compileFilter } from '../../protocols/pcap-filter/parse.ts';
import type { CommandReply, NodeCommand } from '../commands.ts';
import type { Netns } from '../kernel/netns.ts';
import { type CapturedFrame, PacketSocket } from '../kernel/packet.ts';
import type { Runtime, TimerHandle } from '../runtime.ts';

export type CaptureCommand = Extract<NodeCommand, { type: `capture.${string}` }>;

/** Answer to `capture.start`. */
export interface CaptureStarted {
  readonly linkType: 'ethernet' | 'raw';
  readonly kind: string;
  /** 0 where the device has none. */
  readonly mac: number;
}

/** Answer to `capture.read`. Counts are since the start. */
export interface CaptureBatch {
  readonly frames: readonly CapturedFrame[];
  readonly received: number;
  readonly accepted: number;
  readonly dropped: number;
  /** 'ended' with the last batch: the capture was stopped, or the device has gone. */
  readonly state: 'open' | 'ended';
}

/** Most of an answer, bytes; NATS takes a message of 1 MiB. */
const BATCH_BYTES = 256 * 1024;
/** Time from the first frame to the answer that carries it, ms, so that one answer carries several. */
const GATHER = 10;
/** Longest wait of a read for a frame, ms. */
const WAIT = 1_000;
/** Time without a read after which the reader counts as dead, ms. */
const ABANDONED = 15_000;

/**
 * The node's captures: packet sockets that are read by command. The reader asks for each batch, so one that is slow or
 * dead costs the node no more than a ring. Captures are no part of the node's state and leave nothing in its log.
 */
export class Capturer {
  readonly #rt: Runtime;
  readonly #captures = new Map<string, Capture>();
  #order = 0;

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /** Does a command in a namespace (undefined: there is no such pod here) and answers it, a read maybe later. */
  command(command: CaptureCommand, ns: Netns | undefined, answer: (reply: CommandReply) => void): void {
    const { capture: id } = command;
    const capture = this.#captures.get(id);
    if (command.type === 'capture.start') {
      answer(capture === undefined ? this.#start(command, ns) : failure(`capture ${id} runs already`));
    } else if (capture === undefined) answer(failure(`there is no capture ${id}`));
    else if (command.type === 'capture.read') capture.read(answer);
    else {
      capture.stop();
      answer({ type: 'value', value: null });
    }
  }

  #start(command: Extract<CaptureCommand, { type: 'capture.start' }>, ns: Netns | undefined): CommandReply {
    const { capture, pod, device: name, snapLength } = command;
    if (ns === undefined) return failure(`no pod ${pod} runs here`);
    const device = ns.device(name);
    if (device === undefined) {
      const known = ns.devices().map((candidate) => candidate.name);
      return failure(`there is no device ${name}; there are ${known.join(', ')}`);
    }
    let filter: FrameFilter;
    try {
      filter = compileFilter(command.filter);
    } catch (error) {
      if (error instanceof FilterError) return failure(error.message);
      throw error;
    }
    const nextOrder = () => ++this.#order;
    const onEnd = () => this.#captures.delete(capture);
    const opened = new Capture(
      this.#rt,
      (onReadable) => {
        return new PacketSocket(device, { snapLength, filter, onReadable, nextOrder });
      },
      onEnd,
    );
    this.#captures.set(capture, opened);
    const value: CaptureStarted = { linkType: opened.linkType, kind: device.kind, mac: device.mac };
    return { type: 'value', value };
  }
}

class Capture {
  readonly #rt: Runtime;
  readonly #socket: PacketSocket;
  readonly #onEnd: () => void;
  #reader: ((reply: CommandReply) => void) | null = null;
  #timer: TimerHandle | null = null;
  #state: 'open' | 'stopped' = 'open';

  constructor(rt: Runtime, open: (onReadable: () => void) => PacketSocket, onEnd: () => void) {
    this.#rt = rt;
    this.#onEnd = onEnd;
    this.#socket = open(() => {
      if (this.#reader !== null) this.#arm(GATHER, () => this.#answer());
    });
    this.#abandon();
  }

  get linkType(): 'ethernet' | 'raw' {
    return this.#socket.linkType;
  }

  /** Answers when frames are there, after a while without, and at once when there will be no more. */
  read(answer: (reply: CommandReply) => void): void {
    if (this.#reader !== null) {
      answer(failure('the capture is being read already'));
      return;
    }
    this.#reader = answer;
    if (this.#socket.waiting > 0 || this.#state === 'stopped' || !this.#socket.alive) this.#answer();
    else this.#arm(WAIT, () => this.#answer());
  }

  stop(): void {
    this.#state = 'stopped';
    this.#socket.close();
    if (this.#reader !== null) this.#answer();
  }

  #answer(): void {
    const socket = this.#socket;
    const reader = this.#reader;
    this.#reader = null;
    const frames = socket.read(BATCH_BYTES);
    const { received, accepted, dropped } = socket;
    const ended = socket.waiting === 0 && (this.#state === 'stopped' || !socket.alive);
    if (ended) this.#end();
    else this.#abandon();
    const value: CaptureBatch = { frames, received, accepted, dropped, state: ended ? 'ended' : 'open' };
    reader?.({ type: 'value', value });
  }

  #abandon(): void {
    this.#arm(ABANDONED, () => this.#end());
  }

  #end(): void {
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = null;
    this.#socket.close();
    this.#onEnd();
  }

  /** One timer at a time: a read that waits, a reader that stays away. */
  #arm(after: number, fire: () => void): void {
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = this.#rt.timers.set(this.#rt.now + after, () => {
      this.#timer = null;
      fire();
    });
  }
}

function failure(message: string): CommandReply {
  return { type: 'error', message };
}
