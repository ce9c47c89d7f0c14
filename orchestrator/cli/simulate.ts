import { writeFile } from 'node:fs/promises';
import { encode } from '../../bus/codec.ts';
import { type AnyRecord, ORCHESTRATOR } from '../events.ts';
import { LabHome } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { recordSimulation, type SimulatedRecording } from '../simulate/recording.ts';
import { SimLab } from '../simulate/sim-lab.ts';
import { faint, humanTime, write } from './output.ts';
import { awaitUp, codeOf, refusedCommands, summaryOf } from './up.ts';

/** `reroute up --simulate`: runs the lab to its convergence under a virtual clock and keeps its log. Exit code. */
export async function simulate(lab: CompiledLab, file: string, within: number): Promise<number> {
  const started = performance.now();
  const sim = new SimLab(lab);
  const recording = recordSimulation(sim, lab);
  await sim.start();
  recording?.followDevices();
  const result = await awaitUp(sim, 0, within, () => {});
  await saveSimulation(sim, lab, file, recording);
  const refused = await refusedCommands(sim, lab);
  write(await summaryOf(sim, lab, result, refused));
  const took = humanTime(performance.now() - started);
  write(faint(`Simulated ${humanTime(sim.now())} in ${took}. The log is kept: reroute log ${lab.name}\n`));
  return codeOf(result, refused);
}

/** Keeps the log of a simulated run in the lab's folder, where `log`, `get --at` and `verify` find it. */
export async function saveSimulation(
  sim: SimLab,
  lab: CompiledLab,
  file: string,
  recording: SimulatedRecording | null,
): Promise<void> {
  const home = new LabHome(lab.name);
  home.reset(lab);
  await recording?.save(home.recordingFolder);
  const logs: Record<string, AnyRecord[]> = {};
  for (const name of [ORCHESTRATOR, ...sim.nodeNames]) {
    const records: AnyRecord[] = [];
    for await (const record of sim.records(name)) records.push(record);
    logs[name] = records;
  }
  await writeFile(home.simulatedLog, encode(logs));
  home.writeStatus({
    name: lab.name,
    status: 'down',
    error: '',
    pid: process.pid,
    bus: { url: '', token: '' },
    busOwner: 'lab',
    startedAt: Date.now(),
    file,
    shell: 'simulator',
  });
}
