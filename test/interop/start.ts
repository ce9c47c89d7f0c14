// Labs of tests are kept apart from the user's.
import '../support/lab.ts';
import { BusLab } from '../../orchestrator/bus-lab.ts';
import { LabHome } from '../../orchestrator/home.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { nodeProgram, projectRoot } from '../../orchestrator/root.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';
import { Supervisor } from '../../orchestrator/supervisor/supervisor.ts';

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
