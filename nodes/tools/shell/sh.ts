import {
  ENDED,
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from '../tool.ts';
import {
  EXIT_STATUS,
  type Pipeline,
  parseScript,
  ShellSyntaxError,
  type SimpleCommand,
  type Sink,
} from './parse.ts';

/** Runs one command of a script; finds what there is by its name. */
type Start = (argv: readonly string[], ctx: ToolContext, out: ToolOutput) => RunningTool;

/** `sh -c SCRIPT`, or the script as its standard input: see `parseScript` for how much of a shell it is. A command of a pipe starts when the one before it has ended. */
export function shell(start: Start): Tool {
  return endingOnError((args, ctx, out) => {
    const [option, script] = args;
    if (option === undefined && ctx.stdin !== undefined)
      return run(start, ctx.stdin, { ...ctx, stdin: '' }, out);
    if (option === undefined)
      throw new ToolError('sh: there is no terminal to read commands from: use sh -c "COMMAND"', 2);
    if (!/^-[eux]*c$/.test(option)) throw new ToolError(`sh: ${option}: only -c is emulated`, 2);
    if (script === undefined) throw new ToolError('sh: -c requires an argument', 2);
    return run(start, script, ctx, out);
  });
}

function run(start: Start, script: string, ctx: ToolContext, out: ToolOutput): RunningTool {
  try {
    return new Shell(start, parseScript(script), ctx, out);
  } catch (error) {
    if (error instanceof ShellSyntaxError) throw new ToolError(`sh: 1: ${error.message}`, 2);
    throw error;
  }
}

class Shell implements RunningTool {
  readonly #start: Start;
  readonly #pipelines: readonly Pipeline[];
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  #next = 0;
  #status = 0;
  #running: RunningTool = ENDED;
  #ended = false;
  #interrupted = false;
  /** Whether `#run` is on the stack: a command that ends at once is gone on from by its loop. */
  #looping = false;

  constructor(start: Start, pipelines: readonly Pipeline[], ctx: ToolContext, out: ToolOutput) {
    this.#start = start;
    this.#pipelines = pipelines;
    this.#ctx = ctx;
    this.#out = out;
    this.#run();
  }

  interrupt(): void {
    if (this.#ended) return;
    this.#interrupted = true;
    this.#running.interrupt();
    if (!this.#ended) this.#exit(EXIT_INTERRUPTED);
  }

  #run(): void {
    if (this.#looping) return;
    this.#looping = true;
    let ready = true;
    while (ready && !this.#ended) {
      const pipeline = this.#pipelines[this.#next++];
      if (pipeline === undefined) {
        this.#exit(this.#status);
        break;
      }
      if (
        (pipeline.when === 'succeeded' && this.#status !== 0) ||
        (pipeline.when === 'failed' && this.#status === 0)
      )
        continue;
      ready = false;
      this.#pipe(pipeline.commands, 0, this.#ctx.stdin ?? '', (status) => {
        this.#status = status;
        ready = true;
        this.#run();
      });
    }
    this.#looping = false;
  }

  /** Runs a pipeline from its `at`-th command on. */
  #pipe(commands: readonly SimpleCommand[], at: number, stdin: string, done: (status: number) => void): void {
    const command = commands[at]!;
    const last = at === commands.length - 1;
    let piped = '';
    const write = (sink: Sink, text: string) => {
      if (sink === 'stderr') this.#out.stderr(text);
      else if (sink === 'stdout' && last) this.#out.stdout(text);
      else if (sink === 'stdout') piped += text;
    };
    const words = command.words.map((word) => word.replaceAll(EXIT_STATUS, String(this.#status)));
    if (words[0] === 'exit') {
      this.#exit(words[1] === undefined ? this.#status : Number(words[1]) & 0xff);
      return;
    }
    const tool = this.#start(
      words,
      { ...this.#ctx, stdin },
      {
        stdout: (text) => write(command.stdout, text),
        stderr: (text) => write(command.stderr, text),
        exit: (status) => {
          if (this.#ended) return;
          if (this.#interrupted) this.#exit(EXIT_INTERRUPTED);
          else if (last) done(status);
          else this.#pipe(commands, at + 1, piped, done);
        },
      },
    );
    if (!this.#ended) this.#running = tool;
  }

  #exit(status: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#out.exit(status);
  }
}
