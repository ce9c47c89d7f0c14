import type { InterfaceInfo } from '../../../protocols/pcapng.ts';
import type { RecordedFrame, RecorderInterface } from '../recorder.ts';
import type { WireFrame } from '../wires.ts';
import type { RecordingFiles } from './files.ts';
import { encodeEntry, type RecordedDevice, type RecordingEntry } from './format.ts';

export interface WriterOptions {
  /** In the words of `reroute capture`. */
  readonly targets: readonly string[];
  readonly segments: readonly string[];
  /** Most that the files take together, bytes. */
  readonly limit: number;
  /** Most bytes kept of a frame. */
  readonly snapLength: number;
  /** ms on the lab's clock */
  readonly startedAt: number;
}

/** So many files make the limit: the oldest of them goes when a new one begins. */
const FILES = 8;
/** What is gathered before it is written, bytes. */
const GATHERED = 65_536;

/** Appends frames to the files of a recording. When the limit is reached, the oldest go. */
export class RecordingWriter {
  readonly #files: RecordingFiles;
  readonly #options: WriterOptions;
  /** The last entry of each device. */
  readonly #devices = new Map<string, RecordedDevice>();
  /** Of the files that are there, oldest first: how many frames, and the time of the last. */
  readonly #written: { readonly file: number; frames: number; until: number }[] = [];
  #lost = { frames: 0, until: 0 };
  #next = 1;
  #size = 0;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;

  constructor(files: RecordingFiles, options: WriterOptions) {
    this.#files = files;
    this.#options = options;
    this.#begin();
  }

  wire(segment: string, { frame, node, port, cause, sentAt, arrivesAt }: WireFrame): void {
    const head = { type: 'wire', segment, node, port, cause, sentAt, arrivesAt } as const;
    this.#frame({ ...head, length: frame.length, frame: this.#cut(frame) }, sentAt);
  }

  /** As a `Recorder` does, for what reads devices. */
  addInterface(info: Omit<InterfaceInfo, 'snapLength'>, startedAt: number): RecorderInterface {
    const { name, description, linkType, mac } = info;
    const device: RecordedDevice = { type: 'device', name, description, linkType, mac, at: startedAt };
    this.#devices.set(name, device);
    this.#write(device);
    const counts = { received: 0, accepted: 0, dropped: 0, delivered: 0 };
    let told = 0;
    const take = ({ at, direction, length, cause, order, data }: RecordedFrame) => {
      const dropped = counts.dropped - told;
      told = counts.dropped;
      const head = { type: 'frame', device: name, at, direction, length, cause, order, dropped } as const;
      this.#frame({ ...head, data: this.#cut(data) }, at);
    };
    return { counts, take, offer: take };
  }

  /** Writes what was gathered. @throws Error of the file system */
  flush(): void {
    const file = this.#written.at(-1)?.file;
    if (this.#gathered.length === 0 || file === undefined) return;
    const bytes = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#files.append(file, bytes);
  }

  #cut(bytes: Uint8Array): Uint8Array {
    const { snapLength } = this.#options;
    return bytes.length > snapLength ? bytes.subarray(0, snapLength) : bytes;
  }

  #frame(entry: RecordingEntry, at: number): void {
    if (this.#size >= this.#options.limit / FILES) this.#begin();
    this.#write(entry);
    const file = this.#written.at(-1);
    if (file === undefined) return;
    file.frames++;
    file.until = Math.max(file.until, at);
  }

  #begin(): void {
    this.flush();
    while (this.#written.length >= FILES) {
      const oldest = this.#written.shift();
      if (oldest === undefined) break;
      this.#files.remove(oldest.file);
      const { frames, until } = this.#lost;
      this.#lost = { frames: frames + oldest.frames, until: Math.max(until, oldest.until) };
    }
    this.#written.push({ file: this.#next++, frames: 0, until: 0 });
    this.#size = 0;
    const { startedAt, targets, segments } = this.#options;
    this.#write({ type: 'head', version: 1, startedAt, targets, segments, lost: this.#lost });
    for (const device of this.#devices.values()) this.#write(device);
  }

  #write(entry: RecordingEntry): void {
    const bytes = encodeEntry(entry);
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    this.#size += bytes.length;
    if (this.#gatheredBytes >= GATHERED) this.flush();
  }
}
