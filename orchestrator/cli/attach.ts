import { BusLab } from '../bus-lab.ts';
import { LabHome, LabHomeError } from '../home.ts';

/** Runs something against a running lab: the one named, or the only one. */
export async function withLab<T>(
  name: string | undefined,
  use: (lab: BusLab, home: LabHome) => Promise<T>,
): Promise<T> {
  const home = LabHome.choose(name, 'running');
  const status = home.status();
  if (status === null || status.bus.url === '') {
    throw new LabHomeError(`lab ${home.name} is still starting; try again in a moment`);
  }
  const lab = await BusLab.attach(home.name, status.bus);
  try {
    return await use(lab, home);
  } finally {
    await lab.detach();
  }
}
