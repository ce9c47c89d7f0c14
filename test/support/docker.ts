import type { ExecutionContext } from 'ava';
import { shellWords } from '../../orchestrator/lab/docker.ts';
import type { RunningLab } from '../../orchestrator/running-lab.ts';
import type { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { simulate } from './sim.ts';

export interface DockerRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A shell on a node of a lab: runs command lines as they are typed there. */
export class Shell {
  readonly #t: ExecutionContext;
  readonly #lab: RunningLab;
  readonly #node: string;

  constructor(t: ExecutionContext, lab: RunningLab, node: string) {
    this.#t = t;
    this.#lab = lab;
    this.#node = node;
  }

  async run(line: string): Promise<DockerRun> {
    let stdout = '';
    let stderr = '';
    const reply = await this.#lab.command(
      this.#node,
      { type: 'exec', pod: '', argv: shellWords(line) },
      {
        onReply: (part) => {
          if (part.type === 'stdout') stdout += part.text;
          if (part.type === 'stderr') stderr += part.text;
        },
      },
    );
    if (reply.type !== 'exit') throw new Error(`${line}: ${JSON.stringify(reply)}`);
    return { code: reply.code, stdout, stderr };
  }

  /** What a command prints that is to succeed. */
  async out(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(line);
    this.#t.is(code, 0, `${line}: ${stdout}${stderr}`);
    return stdout;
  }

  /** A command that is to fail so, its words on stderr. */
  async fails(line: string, code: number, says: string | RegExp): Promise<void> {
    const result = await this.run(line);
    this.#t.is(result.code, code, `${line}: ${result.stdout}${result.stderr}`);
    if (typeof says === 'string') this.#t.is(result.stderr, says, line);
    else this.#t.regex(result.stderr, says, line);
  }
}

/** A simulated lab of one Docker host, `n1`, and another host on its LAN; `docker` is what stands in the braces. */
export async function dockerHost(
  t: ExecutionContext,
  docker = '',
): Promise<{ readonly lab: SimLab; readonly host: Shell; readonly other: Shell }> {
  const lab = await simulate(`
name: docker
topology:
  nodes:
    n1: { kind: host, docker: { ${docker} } }
    n2: { kind: host, docker: {} }
segments:
  lan: { subnet: 10.0.0.0/24, rangeStart: 10.0.0.11, nodes: all }
`);
  return { lab, host: new Shell(t, lab, 'n1'), other: new Shell(t, lab, 'n2') };
}
