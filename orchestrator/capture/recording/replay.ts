import { setU16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import { compileFilter } from '../../../protocols/pcap-filter/parse.ts';
import { LINKTYPE_RAW, type SectionInfo } from '../../../protocols/pcapng.ts';
import type { CompiledLab } from '../../lab/compiled.ts';
import { type CaptureCounts, type CaptureSink, Recorder, type RecorderInterface } from '../recorder.ts';
import { CaptureTargetError, parseTargets, targetName } from '../target.ts';
import { captureWires, type WireFrame, type WireTarget } from '../wires.ts';
import { type DeviceEntry, type RecordingEntry, RecordingError, type RecordingHead } from './format.ts';

export interface ReplayOptions {
  readonly compiled: CompiledLab;
  readonly sink: CaptureSink;
  readonly section: SectionInfo;
  /** As for a capture; none means all that was recorded. */
  readonly words: readonly string[];
  readonly filter: string;
  readonly snapLength: number;
  readonly limit: number;
  readonly comment: (cause: number) => string;
  /** Both ms on the lab's clock; frames of these times, both included. */
  readonly from: number;
  readonly to: number;
  /** Called when all that was asked for is known to be there, before frames are written. */
  readonly begin: () => Promise<void>;
  /** Resolves when the sink has room again. */
  readonly room: () => Promise<void>;
}

export interface Replayed {
  readonly counts: CaptureCounts;
  /** Of its last file: what the limit has cost by now. */
  readonly head: RecordingHead;
}

/** How much later than others of its time a frame may have been recorded, ms: devices are read in batches. */
const REORDER = 5_000;
/** Entries between two looks at whether the sink has room. */
const ROUND = 1_000;

/**
 * Writes a recording as a capture of those times would have been.
 * @throws CaptureTargetError for what was not recorded
 * @throws FilterError
 * @throws RecordingError
 */
export async function replay(entries: Iterable<RecordingEntry>, options: ReplayOptions): Promise<Replayed> {
  let replaying: Replaying | null = null;
  let last: RecordingHead | null = null;
  let count = 0;
  for (const entry of entries) {
    if (entry.type === 'head') {
      last = entry;
      if (replaying === null) {
        replaying = new Replaying(entry, options);
        await options.begin();
      }
    } else replaying?.take(entry);
    if (replaying?.full) break;
    if (++count % ROUND === 0) await options.room();
  }
  if (replaying === null || last === null) throw new RecordingError('the recording is empty');
  return { counts: replaying.finish(), head: last };
}

class Replaying {
  readonly #head: RecordingHead;
  readonly #options: ReplayOptions;
  readonly #recorder: Recorder;
  readonly #listeners = new Map<string, (frame: WireFrame) => void>();
  /** Devices that are wanted, with what they are once the recording has come to them. */
  readonly #devices = new Map<
    string,
    { readonly linkType: number; readonly recorded: RecorderInterface } | null
  >();
  readonly #filter: (frame: Uint8Array) => boolean;
  #newest = 0;

  constructor(head: RecordingHead, options: ReplayOptions) {
    this.#head = head;
    this.#options = options;
    const { compiled, sink, section, words, filter, snapLength, limit, comment } = options;
    const targets = parseTargets(compiled, words.length > 0 ? words : head.targets);
    const wires: WireTarget[] = [];
    for (const target of targets) {
      const name = targetName(target);
      const segment =
        target.type === 'link' ? target.segment.name : target.type === 'port' ? target.iface.segment : null;
      const isThere = segment === null ? head.targets.includes(name) : head.segments.includes(segment);
      if (!isThere)
        throw new CaptureTargetError(`${name} was not recorded; there are ${head.targets.join(', ')}`);
      if (target.type === 'device') this.#devices.set(name, null);
      else wires.push(target);
    }
    this.#filter = compileFilter(filter);
    const onFull = () => {};
    this.#recorder = new Recorder(sink, {
      section,
      filter: this.#filter,
      snapLength,
      limit,
      comment,
      onFull,
    });
    const observe = (segment: string, onFrame: (frame: WireFrame) => void) => {
      this.#listeners.set(segment, onFrame);
      return () => {};
    };
    captureWires(compiled, wires, observe, this.#recorder, { now: this.#start, filter });
  }

  get full(): boolean {
    return this.#recorder.full;
  }

  get #start(): number {
    return Math.max(this.#head.startedAt, this.#options.from);
  }

  take(entry: Exclude<RecordingEntry, RecordingHead>): void {
    const { from, to, filter } = this.#options;
    switch (entry.type) {
      case 'wire': {
        if (entry.sentAt >= from && entry.sentAt <= to) this.#listeners.get(entry.segment)?.(entry);
        this.#releaseTo(entry.sentAt);
        return;
      }
      case 'device': {
        const { name, linkType, description, mac, at } = entry;
        if (this.#devices.get(name) !== null) return;
        const info = { name, linkType, description, mac, filter };
        const recorded = this.#recorder.addInterface(info, Math.max(at, this.#start));
        this.#devices.set(name, { linkType, recorded });
        return;
      }
      case 'frame': {
        const device = this.#devices.get(entry.device);
        if (device && entry.at >= from && entry.at <= to) this.#fromDevice(device, entry);
        this.#releaseTo(entry.at);
      }
    }
  }

  finish(): CaptureCounts {
    const { to } = this.#options;
    this.#recorder.finish(Number.isFinite(to) ? to : Math.max(this.#newest, this.#start));
    return this.#recorder.counts;
  }

  #fromDevice(
    device: { readonly linkType: number; readonly recorded: RecorderInterface },
    entry: DeviceEntry,
  ): void {
    const { linkType, recorded } = device;
    const { counts } = recorded;
    counts.received += 1 + entry.dropped;
    counts.dropped += entry.dropped;
    const frame = linkType === LINKTYPE_RAW ? withLinkLayer(entry.data) : entry.data;
    if (!this.#filter(frame)) return;
    counts.accepted++;
    recorded.take(entry);
  }

  #releaseTo(at: number): void {
    if (at <= this.#newest) return;
    this.#newest = at;
    this.#recorder.release(at - REORDER);
  }
}

/** What a filter looks at: an Ethernet header first, as an IP packet on a device without one has none. */
function withLinkLayer(packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + packet.length);
  setU16(frame, 12, (packet[0] ?? 0) >> 4 === 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
  frame.set(packet, ETH_HLEN);
  return frame;
}
