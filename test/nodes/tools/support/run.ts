import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { startTool } from '../../../../nodes/tools/start.ts';
import type { RunningTool, ToolContext } from '../../../../nodes/tools/tool.ts';

/** A tool's run: what it has printed so far, and its exit code once it has ended. */
export interface Run extends RunningTool {
  /** stdout and stderr in the order in which they came. */
  readonly text: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
}

/** Starts a command line, words divided by blanks, and collects its output. */
export function run(line: string, ns: Netns, extra: Partial<ToolContext> = {}): Run {
  const seen = { text: '', stdout: '', stderr: '', code: null as number | null };
  const take = (stream: 'stdout' | 'stderr') => (text: string) => {
    if (seen.code !== null) throw new Error(`${line}: output after its exit: ${text}`);
    seen[stream] += text;
    seen.text += text;
  };
  const context = { rt: ns.kernel.rt, kernel: ns.kernel, ns, ...extra };
  const tool = startTool(
    line.split(' ').filter((word) => word !== ''),
    context,
    {
      stdout: take('stdout'),
      stderr: take('stderr'),
      exit: (code) => {
        if (seen.code !== null) throw new Error(`${line}: a second exit`);
        seen.code = code;
      },
    },
  );
  return Object.defineProperties(
    { interrupt: () => tool.interrupt() },
    {
      text: { get: () => seen.text },
      stdout: { get: () => seen.stdout },
      stderr: { get: () => seen.stderr },
      code: { get: () => seen.code },
    },
  ) as Run;
}
