import type { DockerContainerFacts } from '../../events/docker.ts';
import type { Netns } from '../../kernel/netns.ts';
import { PortInUseError } from '../../kernel/udp.ts';
import type { TimerHandle } from '../../runtime.ts';
import { startTool, toolNames } from '../../tools/start.ts';
import type { RunningTool, ToolContext, ToolOutput } from '../../tools/tool.ts';
import { startWorkload } from '../workload/start.ts';
import { Workload } from '../workload.ts';
import { FlagError } from './cli/flags.ts';
import { startDnsmasq } from './dnsmasq.ts';
import { DockerError } from './error.ts';
import type { DockerImage } from './images.ts';

/** The first process of a container, as what it does to the network. */
export interface ContainerProcess {
  /** SIGINT, SIGTERM: 'ended' if that ends it, which it then says by `exit`; 'ignored' by one that is init and has no handler. */
  terminate(signal: 'SIGINT' | 'SIGTERM'): 'ended' | 'ignored';
  /** SIGKILL: it says no more. */
  kill(): void;
}

export interface ProcessPlace {
  readonly container: DockerContainerFacts;
  readonly image: DockerImage;
  readonly ns: Netns;
  readonly context: ToolContext;
  /** 'at-end': nobody will ever write to it. */
  readonly stdin: 'open' | 'at-end';
}

/** Exit code of what SIGTERM ends by its own handler's doing. */
const EXIT_TERMINATED = 143;

/** @throws DockerError 'not-found' if there is no such program, as runc says it */
export function startProcess(place: ProcessPlace, out: ToolOutput): ContainerProcess {
  const { container, image } = place;
  const [name = '', ...args] = container.command;
  if (image.role === 'dns' && name === 'dnsmasq') return dnsmasq(place, args, out);
  if (image.role === 'server' && isServerCommand(image, container.command)) return serve(place, out);
  return runProgram(container.command, place.context, out, name, place.stdin);
}

function dnsmasq({ ns, context }: ProcessPlace, args: readonly string[], out: ToolOutput): ContainerProcess {
  try {
    const { close } = startDnsmasq(ns, args, (path) => context.files?.(path) ?? null);
    return {
      terminate: () => {
        close();
        out.exit(0);
        return 'ended';
      },
      kill: close,
    };
  } catch (error) {
    if (error instanceof FlagError) return failing(out, 'dnsmasq: bad command line options: try --help', 1);
    if (!(error instanceof PortInUseError)) throw error;
    return failing(out, 'dnsmasq: failed to create listening socket for port 53: Address in use', 2);
  }
}

/** What is left of a process that has ended at once. */
function failing(out: ToolOutput, message: string, code: number): ContainerProcess {
  out.stderr(`${message}\n`);
  out.exit(code);
  return { terminate: () => 'ended', kill: () => {} };
}

/** Whether it is the image's own server that is run, with whatever arguments, and not a tool in its place. */
function isServerCommand(image: DockerImage, command: readonly string[]): boolean {
  const [program = ''] = image.entrypoint.length > 0 ? image.entrypoint : image.cmd;
  if (command[0] !== program) return false;
  // An entrypoint script runs what it is given: `docker run nginx ip addr`.
  const [given] = command.slice(image.entrypoint.length);
  return image.entrypoint.length === 0 || given === undefined || given === image.cmd[0] || !isProgram(given);
}

function serve({ container, ns }: ProcessPlace, out: ToolOutput): ContainerProcess {
  const { id, name, hostname, image, networkMode } = container;
  const running: { close(): void }[] = [];
  const close = () => {
    for (const one of running.splice(0)) one.close();
  };
  try {
    running.push(startWorkload(ns, { name, uid: id, hostname, image, expose: [] }));
    // What a probe asks who answers; one in a namespace, whose it is.
    if (networkMode !== 'host' && !networkMode.startsWith('container:'))
      running.push(new Workload(ns, { uid: id, name }));
  } catch (error) {
    close();
    if (!(error instanceof PortInUseError)) throw error;
    return failing(out, error.message, 1);
  }
  return {
    terminate: () => {
      close();
      out.exit(EXIT_TERMINATED);
      return 'ended';
    },
    kill: close,
  };
}

const SHELLS: ReadonlySet<string> = new Set(['sh', 'bash', 'ash', 'zsh']);
const WAITING: ReadonlySet<string> = new Set(['sleep', 'tail', 'top', 'pause']);
const AT_ONCE: ReadonlyMap<string, number> = new Map([
  ['true', 0],
  ['false', 1],
]);

function isProgram(word: string): boolean {
  const name = word.slice(word.lastIndexOf('/') + 1);
  return (
    toolNames.includes(name) || SHELLS.has(name) || WAITING.has(name) || AT_ONCE.has(name) || name === 'echo'
  );
}

/**
 * Runs a program in a container: a tool of the emulated host, or what little of a shell's world has to do with networks.
 * @throws DockerError 'not-found'
 */
export function runProgram(
  argv: readonly string[],
  context: ToolContext,
  out: ToolOutput,
  shown: string = argv[0] ?? '',
  stdin: 'open' | 'at-end' = 'at-end',
): ContainerProcess {
  const [word = '', ...args] = argv;
  const name = word.slice(word.lastIndexOf('/') + 1);
  if (!isProgram(word)) throw notFound(shown);
  if (SHELLS.has(name)) return shell(args, context, out, stdin);
  if (WAITING.has(name)) return wait(name === 'sleep' ? (args[0] ?? '') : 'infinity', context, out);
  const code = AT_ONCE.get(name);
  if (code !== undefined || name === 'echo') {
    if (name === 'echo') out.stdout(`${args.join(' ')}\n`);
    out.exit(code ?? 0);
    return { terminate: () => 'ended', kill: () => {} };
  }
  return ofTool(startTool(argv, context, out));
}

function ofTool(tool: RunningTool): ContainerProcess {
  return {
    terminate: (signal) => {
      if (signal !== 'SIGINT') return 'ignored';
      tool.interrupt();
      return 'ended';
    },
    kill: () => {},
  };
}

export function notFound(program: string): DockerError {
  const reason = program.includes('/') ? 'no such file or directory' : 'executable file not found in $PATH';
  const what = program.includes('/') ? `stat ${program}` : `exec: ${JSON.stringify(program)}`;
  return new DockerError(
    `starting container process caused: ${what.startsWith('exec') ? what : `exec: ${JSON.stringify(program)}: ${what}`}: ${reason}: unknown`,
    'not-found',
  );
}

/** A shell without a terminal: `-c` runs one command line, or a script of the tools' own shell; an open stdin keeps it waiting for ever. */
function shell(
  args: readonly string[],
  context: ToolContext,
  out: ToolOutput,
  stdin: 'open' | 'at-end',
): ContainerProcess {
  const at = args.findIndex((word) => /^-[a-z]*c$/.test(word));
  if (at < 0) return wait(stdin === 'open' ? 'infinity' : '0', context, out);
  const words = (args[at + 1] ?? '')
    .trim()
    .split(/\s+/)
    .filter((word) => word !== 'exec' && word !== '');
  if (words.length === 0) return wait('0', context, out);
  const script = args[at + 1] ?? '';
  if (/[|&;<>`$(){}'"\\#\n]/.test(script)) return ofTool(startTool(['sh', '-c', script], context, out));
  try {
    return runProgram(words, context, out);
  } catch (error) {
    if (!(error instanceof DockerError)) throw error;
    return failing(out, `sh: ${words[0]}: not found`, 127);
  }
}

function wait(time: string, context: ToolContext, out: ToolOutput): ContainerProcess {
  const { rt } = context;
  let timer: TimerHandle | null = null;
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[time.at(-1) ?? ''] ?? 1;
  const seconds = Number.parseFloat(time) * unit;
  if (Number.isNaN(seconds) && !/^inf(inity)?$/.test(time)) {
    out.stderr(`sleep: invalid time interval '${time}'\nTry 'sleep --help' for more information.\n`);
    out.exit(1);
  } else if (Number.isFinite(seconds)) timer = rt.timers.set(rt.now + seconds * 1000, () => out.exit(0));
  return {
    terminate: () => 'ignored',
    kill: () => {
      if (timer !== null) rt.timers.cancel(timer);
    },
  };
}
