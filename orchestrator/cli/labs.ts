import { setTimeout as pause } from 'node:timers/promises';
import { BusLab, LabGoneError } from '../bus-lab.ts';
import { isAlive, LabHome, LabHomeError } from '../home.ts';
import { humanAge, type OutputFormat, printAs, table, write } from './output.ts';

const DOWN_TIMEOUT = 30_000;
const LOOK = 20;

/** `reroute down`: takes a lab down, and cleans up after one whose supervisor has died. */
export async function down(name: string | undefined): Promise<void> {
  const home = LabHome.choose(name, name === undefined ? 'running' : 'any');
  const status = home.status();
  if (status === null || !home.isRunning()) {
    if (status !== null && status.status !== 'down') home.writeStatus({ ...status, status: 'down' });
    write(`lab ${home.name} is down already\n`);
    return;
  }
  if (status.bus.url === '') process.kill(status.pid, 'SIGTERM');
  else {
    const lab = await BusLab.attach(home.name, status.bus);
    try {
      await lab.down();
    } catch (error) {
      if (!(error instanceof LabGoneError)) throw error;
    } finally {
      await lab.detach();
    }
  }
  const deadline = performance.now() + DOWN_TIMEOUT;
  while (home.status()?.status !== 'down' && isAlive(status.pid)) {
    if (performance.now() > deadline)
      throw new LabHomeError(`lab ${home.name} does not end; its supervisor is process ${status.pid}`);
    await pause(LOOK);
  }
  for (const text of home.status()?.warnings ?? []) process.stderr.write(`warning: ${text}\n`);
  write(`lab ${home.name} is down; its log stays: reroute log ${home.name}\n`);
}

/** `reroute ls`. */
export function ls(output: OutputFormat): void {
  const data = LabHome.all().map((home) => {
    const status = home.status();
    const running = home.isRunning();
    const lost = !running && (status?.status === 'running' || status?.status === 'starting');
    return {
      name: home.name,
      status: lost ? 'lost' : (status?.status ?? 'down'),
      shell: status?.shell ?? 'processes',
      nodes: home.compiled().nodes.length,
      age: humanAge(Math.max(Date.now() - (status?.startedAt ?? 0), 0)),
      file: status?.file ?? '',
      bus: running ? (status?.bus.url ?? '') : '',
      folder: home.folder,
      warnings: status?.warnings ?? [],
    };
  });
  printAs(output, data, (wide) =>
    table(
      ['name', 'status', 'nodes', 'age', 'file', ...(wide === 'wide' ? ['shell', 'bus', 'folder'] : [])],
      data.map((row) => [
        row.name,
        row.status,
        row.nodes,
        row.age,
        row.file,
        ...(wide === 'wide' ? [row.shell, row.bus, row.folder] : []),
      ]),
    ),
  );
  for (const { name, warnings } of data)
    for (const text of warnings) process.stderr.write(`warning: ${name}: ${text}\n`);
}
