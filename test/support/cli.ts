import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { isAlive, type LabStatus } from '../../orchestrator/home.ts';
import { projectRoot } from '../../orchestrator/root.ts';

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Ends what a test that has failed has left running in the background: with its supervisor a lab's nodes and bus go. */
function endLabs(home: string): void {
  const labs = join(home, 'labs');
  for (const name of existsSync(labs) ? readdirSync(labs) : []) {
    const status = join(labs, name, 'status.json');
    if (!existsSync(status)) continue;
    const { status: state, pid } = JSON.parse(readFileSync(status, 'utf8')) as LabStatus;
    // The supervisor may be in the test's own process, which sees to its end itself.
    const isOurs = pid === process.pid;
    if ((state === 'running' || state === 'starting') && !isOurs && isAlive(pid))
      process.kill(pid, 'SIGKILL');
  }
}

/** Starts the CLI as its users do: the built program in a process of its own. It ends with the test, and its labs with it. */
export function startCli(t: ExecutionContext, home: string, ...argv: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [join(projectRoot(), 'dist', 'reroute.js'), ...argv], {
    env: { ...process.env, REROUTE_HOME: home, NO_COLOR: '1', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => {
    child.kill('SIGKILL');
    endLabs(home);
  });
  return child;
}

/** Runs the CLI to its end. */
export async function cli(t: ExecutionContext, home: string, ...argv: readonly string[]): Promise<CliRun> {
  const child = startCli(t, home, ...argv);
  let stdout = '';
  let stderr = '';
  // A chunk may end within a character.
  child.stdout?.setEncoding('utf8').on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
