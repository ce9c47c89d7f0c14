import {
  EXIT_INTERRUPTED,
  EXIT_KILLED,
  type RunningTool,
  type ToolContext,
  type ToolOutput,
} from '../../tools/tool.ts';
import { type ContainerProcess, type ProcessInput, runProgram } from './process.ts';

interface Exec {
  readonly argv: readonly string[];
  readonly out: ToolOutput;
  readonly program: ContainerProcess;
}

/** The commands that `docker exec` runs in one container. */
export class Execs {
  readonly #running = new Set<Exec>();

  get commands(): readonly (readonly string[])[] {
    return [...this.#running].map(({ argv }) => argv);
  }

  run(argv: readonly string[], context: ToolContext, stdin: ProcessInput, out: ToolOutput): RunningTool {
    let ended = false;
    let exec: Exec | null = null;
    const guarded: ToolOutput = {
      stdout: (text) => void (ended || out.stdout(text)),
      stderr: (text) => void (ended || out.stderr(text)),
      exit: (code) => {
        if (ended) return;
        ended = true;
        if (exec !== null) this.#running.delete(exec);
        out.exit(code);
      },
    };
    const program = runProgram(argv, context, guarded, argv[0], stdin);
    exec = { argv, out: guarded, program };
    if (!ended) this.#running.add(exec);
    return {
      interrupt: () => {
        if (program.terminate('SIGINT') === 'ended') return;
        program.kill();
        guarded.exit(EXIT_INTERRUPTED);
      },
    };
  }

  /** They go with the container's process. */
  kill(): void {
    for (const { out, program } of [...this.#running]) {
      program.kill();
      out.exit(EXIT_KILLED);
    }
  }
}
