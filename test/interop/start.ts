// Labs of tests are kept apart from the user's.
import '../support/lab.ts';

import test from 'ava';
import { BusLab } from '../../orchestrator/bus-lab.ts';
import { LabHome } from '../../orchestrator/home.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { waitConverged } from '../../orchestrator/observe/quiescence.ts';
import { nodeProgram, projectRoot } from '../../orchestrator/root.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';
import { Supervisor } from '../../orchestrator/supervisor/supervisor.ts';
import { WITHIN } from '../support/eventually.ts';

export interface StartedLab {
  readonly lab: BusLab;
  close(): Promise<void>;
}

/** A lab of real processes that nobody has waited for yet: its sessions may be there, or never come. */
export async function startLab(yaml: string): Promise<StartedLab> {
  const compiled = compileLab(yaml, 'interop.yaml');
  const home = new LabHome(compiled.name);
  const supervisor = new Supervisor({
    home,
    lab: compiled,
    file: 'interop.yaml',
    nodeProgram: nodeProgram(),
    logLevel: 'info',
    bus: { type: 'own', program: ensureNatsServer(projectRoot()) },
  });
  await supervisor.up();
  const lab = await BusLab.attach(compiled.name, home.status()!.bus);
  return {
    lab,
    close: async () => {
      await lab.detach();
      await supervisor.down();
    },
  };
}

/** A lab that is started by the first test that asks for it, and ends after the last. */
export function sharedLab(yaml: string): { lab(): Promise<BusLab> } {
  let started: Promise<StartedLab> | null = null;
  test.after.always(async () => {
    await (await started)?.close();
  });
  const start = async () => {
    const running = await startLab(yaml);
    const since = { at: running.lab.now(), reports: [] };
    await waitConverged(running.lab, { within: WITHIN, since, sessions: 'established' });
    return running;
  };
  return {
    lab: async () => {
      started ??= start();
      return (await started).lab;
    },
  };
}
