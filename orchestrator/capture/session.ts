import { compileFilter } from '../../protocols/pcap-filter/parse.ts';
import type { SectionInfo } from '../../protocols/pcapng.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import type { RunningLab } from '../running-lab.ts';
import { DeviceCapture, type DeviceCaptureOptions, type DeviceTarget } from './devices.ts';
import { type CaptureCounts, type CaptureSink, Recorder } from './recorder.ts';
import { type CaptureTarget, CaptureTargetError } from './target.ts';
import { captureWires, type ObserveWire, type WireTarget } from './wires.ts';

export interface SessionOptions {
  readonly lab: RunningLab;
  readonly compiled: CompiledLab;
  readonly observe: ObserveWire;
  readonly sink: CaptureSink;
  readonly section: SectionInfo;
  readonly targets: readonly CaptureTarget[];
  /** In the language of pcap-filter(7); '' takes all. */
  readonly filter: string;
  /** Most bytes kept of a frame. */
  readonly snapLength: number;
  /** Packets after which the capture ends; Infinity for no end. */
  readonly limit: number;
  /** Text of a packet's comment by its cause, '' for none. */
  readonly comment: (cause: number) => string;
  readonly warn: (message: string) => void;
  /** Resolves when every frame that was sent before the call has been shown to `observe`. */
  readonly settle?: () => Promise<void>;
}

/** Time between two looks at what may be written, ms. */
const TICK = 50;
/** How long a frame waits for earlier ones from elsewhere, ms: what a node's answer takes, and its gathering. */
const REORDER = 100;
/** Time between two tries to open a device that is not there yet, ms. */
const RETRY = 10;

/** One run of a capture: its wires, its devices, and the file that they go to. */
export class CaptureSession {
  readonly #options: SessionOptions;
  readonly #recorder: Recorder;
  readonly #unwire: () => void;
  readonly #devices: DeviceCapture[] = [];
  readonly #ended = new AbortController();
  #ticking: Promise<void> = Promise.resolve();
  #opening: Promise<void> = Promise.resolve();
  #neverFound = false;

  /**
   * Writes the file's head and listens to the wires. Frames are written, and devices added, from `openDevices` or
   * `awaitDevices` on: a simulated lab's time must not move before it has started.
   * @throws FilterError
   */
  constructor(options: SessionOptions) {
    this.#options = options;
    const { lab, compiled, sink, section, targets, filter, snapLength, limit, comment } = options;
    this.#recorder = new Recorder(sink, {
      section,
      filter: compileFilter(filter),
      snapLength,
      limit,
      comment,
      onFull: () => this.end(),
    });
    const wires = targets.filter((target): target is WireTarget => target.type !== 'device');
    this.#unwire = captureWires(compiled, wires, options.observe, this.#recorder, { now: lab.now(), filter });
  }

  /** Aborted when the capture is to end: by `end`, or because it is full. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Opens the devices among the targets. @throws CaptureTargetError for one that is not there. */
  async openDevices(): Promise<void> {
    this.#ticking = this.#tick();
    for (const target of this.#deviceTargets) this.#devices.push(await DeviceCapture.open(target, this.#own));
  }

  /** Opens each device as soon as it is there, for a lab that is about to build them. */
  awaitDevices(): void {
    this.#ticking = this.#tick();
    const all = this.#deviceTargets.map((target) => this.#awaitDevice(target));
    this.#opening = Promise.all(all).then(() => {});
  }

  /** After `finish`: whether a device that was waited for has never been there. */
  get neverFound(): boolean {
    return this.#neverFound;
  }

  end(): void {
    this.#ended.abort();
  }

  /** Ends everything and writes the file's tail. */
  async finish(): Promise<CaptureCounts> {
    this.end();
    await this.#opening;
    await Promise.all(this.#devices.map((device) => device.stop()));
    await this.#options.settle?.();
    this.#unwire();
    await this.#ticking;
    this.#recorder.finish(this.#options.lab.now());
    return this.#recorder.counts;
  }

  get #deviceTargets(): readonly DeviceTarget[] {
    return this.#options.targets.filter((target): target is DeviceTarget => target.type === 'device');
  }

  get #own(): DeviceCaptureOptions {
    const { lab, compiled, filter, snapLength, warn } = this.#options;
    return { lab, compiled, filter, snapLength, warn, recorder: this.#recorder };
  }

  async #awaitDevice(target: DeviceTarget): Promise<void> {
    for (;;) {
      try {
        this.#devices.push(await DeviceCapture.open(target, this.#own));
        return;
      } catch (error) {
        if (!(error instanceof CaptureTargetError)) throw error;
        if (this.ended.aborted) {
          this.#neverFound = true;
          this.#options.warn(error.message);
          return;
        }
      }
      await this.#options.lab.sleep(RETRY);
    }
  }

  async #tick(): Promise<void> {
    const { lab } = this.#options;
    while (!this.ended.aborted) {
      await lab.sleep(TICK);
      this.#recorder.release(lab.now() - REORDER);
    }
  }
}
