import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { projectRoot } from '../../orchestrator/root.ts';

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the CLI as its users do: the built program in a process of its own. It ends with the test. */
export function startCli(t: ExecutionContext, home: string, ...argv: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [join(projectRoot(), 'dist', 'reroute.js'), ...argv], {
    env: { ...process.env, REROUTE_HOME: home, NO_COLOR: '1', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => void child.kill('SIGKILL'));
  return child;
}

/** Runs the CLI to its end. */
export async function cli(t: ExecutionContext, home: string, ...argv: readonly string[]): Promise<CliRun> {
  const child = startCli(t, home, ...argv);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
