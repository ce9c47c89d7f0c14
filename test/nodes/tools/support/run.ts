import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { startTool } from '../../../../nodes/tools/start.ts';
import type { RunningTool, ToolContext, ToolOutput } from '../../../../nodes/tools/tool.ts';

/** A tool's run: what it has printed so far, and its exit code once it has ended. */
class Run implements RunningTool, ToolOutput {
  /** stdout and stderr in the order in which they came. */
  text = '';
  readonly streams = { stdout: '', stderr: '' };
  code: number | null = null;
  readonly #line: string;
  readonly #tool: RunningTool;

  constructor(line: string | readonly string[], context: ToolContext) {
    this.#line = typeof line === 'string' ? line : line.join(' ');
    const words = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line;
    this.#tool = startTool(words, context, this);
  }

  interrupt(): void {
    this.#tool.interrupt();
  }

  readonly stdout = (text: string): void => this.#take('stdout', text);
  readonly stderr = (text: string): void => this.#take('stderr', text);

  readonly exit = (code: number): void => {
    if (this.code !== null) throw new Error(`${this.#line}: a second exit`);
    this.code = code;
  };

  #take(stream: 'stdout' | 'stderr', text: string): void {
    if (this.code !== null) throw new Error(`${this.#line}: output after its exit: ${text}`);
    this.streams[stream] += text;
    this.text += text;
  }
}

/** Starts a command line, words divided by blanks or one by one, and collects its output. */
export function run(line: string | readonly string[], ns: Netns, extra: Partial<ToolContext> = {}): Run {
  return new Run(line, { rt: ns.kernel.rt, kernel: ns.kernel, ns, ...extra });
}
