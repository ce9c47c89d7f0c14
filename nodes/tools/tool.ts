import type { Kernel } from '../kernel/kernel.ts';
import type { Netns } from '../kernel/netns.ts';
import type { Runtime } from '../runtime.ts';

/** Where a tool runs, and what it knows beside the kernel. */
export interface ToolContext {
  readonly rt: Runtime;
  readonly kernel: Kernel;
  /** The namespace it runs in. */
  readonly ns: Netns;
  /** What it can read from its standard input; absent: nothing, as with `exec` without -i. */
  readonly stdin?: string;
  /** What hostname(1) prints. */
  readonly hostname?: string;
  /** Text of a file as the namespace sees it (/etc/hosts, /etc/resolv.conf), null if there is none. */
  readonly files?: (path: string) => string | null;
}

/** `exit` is called once, and last. */
export interface ToolOutput {
  stdout(text: string): void;
  stderr(text: string): void;
  exit(code: number): void;
}

export interface RunningTool {
  /** SIGINT. */
  interrupt(): void;
}

/** A tool that takes time. */
export type Tool = (args: readonly string[], ctx: ToolContext, out: ToolOutput) => RunningTool;

/** A tool that is done at once; returns its exit code. @throws ToolError */
export type Command = (
  args: readonly string[],
  ctx: ToolContext,
  out: Pick<ToolOutput, 'stdout' | 'stderr'>,
) => number;

/** Ends a tool with a message on stderr and an exit code. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
  readonly code: number;

  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** What is left of a tool that has ended: nothing to interrupt. */
export const ENDED: RunningTool = { interrupt: () => {} };

/** A tool that ends where it throws a `ToolError`: on stderr, or on stdout where the code says that it is no error. */
export function endingOnError(start: Tool): Tool {
  return (args, ctx, out) => orEnd(out, () => start(args, ctx, out));
}

function orEnd(out: ToolOutput, start: () => RunningTool): RunningTool {
  try {
    return start();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const text = `${error.message}\n`;
    if (error.code === 0) out.stdout(text);
    else out.stderr(text);
    out.exit(error.code);
    return ENDED;
  }
}

/** A tool that has to wait for something before it can start, for a name to be resolved. */
export class WaitingTool implements RunningTool {
  readonly #out: ToolOutput;
  #waiting: { cancel(): void } | null = null;
  #tool: RunningTool | null = null;

  /** `wait` calls back once, from within or later; what is started then may throw a `ToolError`. */
  constructor(
    ctx: ToolContext,
    out: ToolOutput,
    wait: (resume: (start: () => RunningTool) => void) => { cancel(): void },
  ) {
    this.#out = out;
    this.#waiting = wait((start) => {
      this.#tool = isAlive(ctx) ? orEnd(out, start) : ENDED;
      if (!isAlive(ctx)) out.exit(EXIT_KILLED);
    });
  }

  interrupt(): void {
    if (this.#tool !== null) {
      this.#tool.interrupt();
      return;
    }
    this.#waiting?.cancel();
    this.#tool = ENDED;
    this.#out.exit(EXIT_INTERRUPTED);
  }
}

/** Exit code of a process that SIGKILL ended: what becomes of those in a namespace that is taken down. */
export const EXIT_KILLED = 137;
/** Exit code of a process that SIGINT ended. */
export const EXIT_INTERRUPTED = 130;

/** Whether the tool's namespace is still there. */
export function isAlive(ctx: ToolContext): boolean {
  return ctx.kernel.netns(ctx.ns.name) === ctx.ns;
}
