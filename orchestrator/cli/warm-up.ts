import { BusLab } from '../bus-lab.ts';
import { LabHome } from '../home.ts';
import { compileLab } from '../lab/compile.ts';
import { awaitUp, createSupervisor } from './up.ts';

const LAB = `
name: warm-up
generate: {kind: cluster, nodes: 3, reflectors: 1, pods: 2, cni: calico}
timers: {scale: 0.1}
`;

/** Set-up's lab: goes through what every node does in its life, for the code cache. Exit code. */
export async function warmUp(): Promise<number> {
  const lab = compileLab(LAB, 'warm-up');
  const supervisor = createSupervisor(lab, 'warm-up', { logLevel: 'silent' });
  try {
    await supervisor.up();
    const bus = new LabHome(lab.name).status()?.bus ?? { url: '', token: '' };
    const view = await BusLab.attach(lab.name, bus);
    const result = await awaitUp(view, view.now(), 30_000, () => {});
    await view.detach();
    return result.converged ? 0 : 1;
  } finally {
    await supervisor.down();
  }
}
