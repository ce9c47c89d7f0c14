import { simWires } from '../capture/observe.ts';
import { MemoryFiles } from '../capture/recording/files.ts';
import { LabRecorder } from '../capture/recording/lab-recorder.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import type { SimLab } from './sim-lab.ts';

/** The recording of a simulated lab, in memory until its folder is there. */
export interface SimulatedRecording {
  /** Once the lab has started. */
  followDevices(): void;
  /** Ends the recording and writes it to a folder. */
  save(folder: string): Promise<void>;
}

/** Records what the lab file asks for, from the first frame on; null where it asks for nothing. */
export function recordSimulation(sim: SimLab, compiled: CompiledLab): SimulatedRecording | null {
  const { record: config } = compiled;
  if (config === undefined) return null;
  const files = new MemoryFiles();
  const observe = simWires(sim);
  const recorder = new LabRecorder({ lab: sim, compiled, config, observe, files, settle: async () => {} });
  return {
    followDevices: () => recorder.followDevices(),
    save: async (folder) => {
      await recorder.endDevices();
      await recorder.end();
      files.save(folder);
    },
  };
}
