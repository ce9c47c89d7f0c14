import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { type BusAddress, connectBus } from '../../bus/connection.ts';
import { BusLab } from '../bus-lab.ts';
import { busWires, settleWires } from '../capture/observe.ts';
import { FolderFiles } from '../capture/recording/files.ts';
import { LabRecorder } from '../capture/recording/lab-recorder.ts';
import type { LabHome } from '../home.ts';
import type { CompiledLab, RecordConfig } from '../lab/compiled.ts';

/** Time between two writes of what was seen, ms. */
const FLUSH = 100;
/** A node that does not answer does not keep a lab from going down, ms. */
const END_WITHIN = 3_000;

/** The recorder of a lab of processes: by connections of its own to the lab's bus, into the lab's folder. */
export class FrameRecording {
  readonly #lab: BusLab;
  readonly #nc: NatsConnection;
  readonly #recorder: LabRecorder;
  readonly #flushing: NodeJS.Timeout;

  private constructor(lab: BusLab, nc: NatsConnection, recorder: LabRecorder) {
    this.#lab = lab;
    this.#nc = nc;
    this.#recorder = recorder;
    this.#flushing = setInterval(() => recorder.flush(), FLUSH);
  }

  /** Listens to the wires when it resolves. */
  static async start(
    home: LabHome,
    compiled: CompiledLab,
    config: RecordConfig,
    address: BusAddress,
    warn: (text: string) => void,
  ): Promise<FrameRecording> {
    const lab = await BusLab.attach(compiled.name, address);
    const nc = await connectBus({ ...address, name: 'recorder', echo: 'on' });
    const recorder = new LabRecorder({
      lab,
      compiled,
      config,
      observe: busWires(nc, compiled, () => lab.now()),
      files: new FolderFiles(home.recordingFolder),
      settle: () => settleWires(nc),
    });
    recorder.onFailed = (error) => {
      const reason = error instanceof Error ? error.message : String(error);
      warn(`frames are recorded no more: ${reason}`);
    };
    await nc.flush();
    return new FrameRecording(lab, nc, recorder);
  }

  /** Once the nodes are there to be asked. */
  followDevices(): void {
    this.#recorder.followDevices();
  }

  /** Before the nodes end. */
  async endDevices(): Promise<void> {
    const given = new AbortController();
    const { signal } = given;
    await Promise.race([this.#recorder.endDevices(), pause(END_WITHIN, null, { signal })]);
    given.abort();
  }

  /** When the nodes have ended, and the bus has not. */
  async end(): Promise<void> {
    clearInterval(this.#flushing);
    await this.#recorder.end();
    await this.#nc.close();
    await this.#lab.detach();
  }
}
