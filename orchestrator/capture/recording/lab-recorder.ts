import type { CompiledLab, RecordConfig } from '../../lab/compiled.ts';
import type { RunningLab } from '../../running-lab.ts';
import { DeviceCapture, type DeviceTarget } from '../devices.ts';
import { type CaptureTarget, parseTargets } from '../target.ts';
import type { ObserveWire } from '../wires.ts';
import type { RecordingFiles } from './files.ts';
import { RecordingWriter } from './writer.ts';

export interface LabRecorderOptions {
  readonly lab: RunningLab;
  readonly compiled: CompiledLab;
  readonly config: RecordConfig;
  readonly observe: ObserveWire;
  readonly files: RecordingFiles;
  /** Resolves when every frame that was sent before the call has been observed. */
  readonly settle: () => Promise<void>;
}

/** Waits between two tries to open a device that is not there, ms: the first, the longest, and how they grow. */
const RETRY = 10;
const RETRY_MAX = 500;
const RETRY_FACTOR = 1.5;

/** Records what a lab file's `record` names, from the lab's boot to its end. */
export class LabRecorder {
  readonly #options: LabRecorderOptions;
  readonly #writer: RecordingWriter;
  readonly #unwire: (() => void)[];
  readonly #open = new Set<DeviceCapture>();
  readonly #following: Promise<void>[] = [];
  #state: 'recording' | 'ending' | 'failed' = 'recording';
  /** Called once, when what was seen cannot be written any more: the recording ends there. */
  onFailed: (error: unknown) => void = () => {};

  /** Listens to the wires from here on. */
  constructor(options: LabRecorderOptions) {
    this.#options = options;
    const { lab, compiled, config, observe, files } = options;
    const targets = parseTargets(compiled, config.targets);
    const segments = [...new Set(targets.map(segmentOf).filter((segment) => segment !== null))];
    const { limit, snapLength } = config;
    const startedAt = lab.now();
    this.#writer = new RecordingWriter(files, {
      targets: config.targets,
      segments,
      limit,
      snapLength,
      startedAt,
    });
    this.#unwire = segments.map((segment) =>
      observe(segment, (frame) => this.#guard(() => this.#writer.wire(segment, frame))),
    );
  }

  /** Opens the devices, each as soon as it is there, and again after it has gone. The lab has to be booting. */
  followDevices(): void {
    for (const target of parseTargets(this.#options.compiled, this.#options.config.targets))
      if (target.type === 'device') this.#following.push(this.#follow(target));
  }

  /** Writes what was seen. */
  flush(): void {
    this.#guard(() => this.#writer.flush());
  }

  /** Ends the devices: their nodes must still be there to be asked for the rest. */
  async endDevices(): Promise<void> {
    if (this.#state === 'recording') this.#state = 'ending';
    await Promise.all([...this.#open].map((device) => device.stop()));
    await Promise.all(this.#following);
    this.flush();
  }

  /** Ends the wires, when all that was sent has been seen. */
  async end(): Promise<void> {
    await this.#options.settle();
    for (const stop of this.#unwire.splice(0)) stop();
    this.flush();
  }

  async #follow(target: DeviceTarget): Promise<void> {
    const { lab, compiled, config } = this.#options;
    let wait = RETRY;
    while (this.#state === 'recording') {
      const opened = await DeviceCapture.open(target, {
        lab,
        compiled,
        recorder: {
          addInterface: (info, at) => {
            const { counts, take } = this.#writer.addInterface(info, at);
            const guarded: typeof take = (frame) => this.#guard(() => take(frame));
            return { counts, take: guarded, offer: guarded };
          },
        },
        filter: '',
        snapLength: config.snapLength,
        warn: () => {},
        // Whatever is the matter with the node now, it may be over later.
      }).catch(() => null);
      if (opened === null) {
        await lab.sleep(wait);
        wait = Math.min(wait * RETRY_FACTOR, RETRY_MAX);
        continue;
      }
      wait = RETRY;
      this.#open.add(opened);
      if (this.#state !== 'recording') await opened.stop();
      await opened.ended;
      this.#open.delete(opened);
    }
  }

  /** A disk that is full ends the recording and nothing else. */
  #guard(write: () => void): void {
    if (this.#state === 'failed') return;
    try {
      write();
    } catch (error) {
      this.#state = 'failed';
      this.onFailed(error);
    }
  }
}

function segmentOf(target: CaptureTarget): string | null {
  if (target.type === 'link') return target.segment.name;
  return target.type === 'port' ? target.iface.segment : null;
}
