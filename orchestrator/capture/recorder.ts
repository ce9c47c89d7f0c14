import { BinaryHeap } from '../../protocols/heap.ts';
import type { FrameFilter } from '../../protocols/pcap-filter/match.ts';
import {
  enhancedPacket,
  type InterfaceInfo,
  interfaceDescription,
  interfaceStatistics,
  type PacketDirection,
  type SectionInfo,
  sectionHeader,
} from '../../protocols/pcapng.ts';

/** Where the bytes of a capture go. */
export interface CaptureSink {
  /** 'full': the reader does not keep up, and the packet was not taken. Other blocks are always taken. */
  write(bytes: Uint8Array, kind: 'packet' | 'other'): 'taken' | 'full';
}

export interface RecorderOptions {
  readonly section: SectionInfo;
  readonly filter: FrameFilter;
  /** Most bytes kept of a frame. */
  readonly snapLength: number;
  /** Packets after which the capture is full; Infinity for no end. */
  readonly limit: number;
  /** Text of a packet's comment by its cause. */
  readonly comment: (cause: number) => string;
  /** Called once, when the limit is reached. */
  readonly onFull: () => void;
}

export interface RecordedFrame {
  /** ms */
  readonly at: number;
  readonly direction: PacketDirection;
  readonly length: number;
  readonly data: Uint8Array;
  readonly cause: number;
  /** Orders frames of the same time. */
  readonly order: number;
}

export interface CaptureCounts {
  received: number;
  accepted: number;
  dropped: number;
  delivered: number;
}

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly seq: number;
  readonly counts: CaptureCounts;
  readonly block: Uint8Array;
}

interface Described extends CaptureCounts {
  readonly id: number;
  readonly linkType: number;
  readonly startedAt: number;
}

/**
 * Writes the frames of any number of interfaces as one pcapng section, in order of time: a frame waits until no earlier
 * one can come any more, which the caller says by `release`.
 */
export class Recorder {
  readonly #sink: CaptureSink;
  readonly #options: RecorderOptions;
  readonly #interfaces: Described[] = [];
  readonly #waiting = new BinaryHeap<Waiting>((a, b) => a.at - b.at || a.order - b.order || a.seq - b.seq);
  #seq = 0;
  #delivered = 0;

  constructor(sink: CaptureSink, options: RecorderOptions) {
    this.#sink = sink;
    this.#options = options;
    sink.write(sectionHeader(options.section), 'other');
  }

  get full(): boolean {
    return this.#delivered >= this.#options.limit;
  }

  /** Sums over all interfaces. */
  get counts(): CaptureCounts {
    const sum = { received: 0, accepted: 0, dropped: 0, delivered: 0 };
    for (const { received, accepted, dropped, delivered } of this.#interfaces) {
      sum.received += received;
      sum.accepted += accepted;
      sum.dropped += dropped;
      sum.delivered += delivered;
    }
    return sum;
  }

  /** Describes one more interface. */
  addInterface(info: Omit<InterfaceInfo, 'snapLength'>, startedAt: number): RecorderInterface {
    const { snapLength } = this.#options;
    this.#sink.write(interfaceDescription({ ...info, snapLength }), 'other');
    const described: Described = {
      id: this.#interfaces.length,
      linkType: info.linkType,
      startedAt,
      received: 0,
      accepted: 0,
      dropped: 0,
      delivered: 0,
    };
    this.#interfaces.push(described);
    return {
      counts: described,
      offer: (frame) => {
        described.received++;
        if (!this.#options.filter(frame.data)) return;
        described.accepted++;
        this.#take(described, frame);
      },
      take: (frame) => this.#take(described, frame),
    };
  }

  /** Writes all that was seen up to a time; nothing earlier will come any more. */
  release(until: number): void {
    for (
      let head = this.#waiting.peek();
      head !== undefined && head.at <= until;
      head = this.#waiting.peek()
    ) {
      this.#waiting.pop();
      if (this.full) continue;
      if (this.#sink.write(head.block, 'packet') === 'full') head.counts.dropped++;
      else {
        head.counts.delivered++;
        if (++this.#delivered === this.#options.limit) this.#options.onFull();
      }
    }
  }

  /** Writes what is left, and the statistics of each interface. */
  finish(now: number): void {
    this.release(Number.POSITIVE_INFINITY);
    for (const { id, startedAt, received, accepted, dropped, delivered } of this.#interfaces) {
      this.#sink.write(
        interfaceStatistics({
          interfaceId: id,
          at: now,
          startedAt,
          endedAt: now,
          received,
          accepted,
          dropped,
          delivered,
        }),
        'other',
      );
    }
  }

  #take(described: Described, frame: RecordedFrame): void {
    if (this.full) return;
    const { snapLength, comment } = this.#options;
    const { data, at } = frame;
    const block = enhancedPacket({
      interfaceId: described.id,
      linkType: described.linkType,
      at,
      direction: frame.direction,
      length: frame.length,
      data: data.length > snapLength ? data.subarray(0, snapLength) : data,
      comment: comment(frame.cause),
    });
    this.#waiting.push({ at, order: frame.order, seq: this.#seq++, counts: described, block });
  }
}

export interface RecorderInterface {
  readonly counts: CaptureCounts;
  /** A whole frame, Ethernet header first: counted, filtered, copied. */
  offer(frame: RecordedFrame): void;
  /** A frame that was counted and filtered where it was seen. */
  take(frame: RecordedFrame): void;
}
