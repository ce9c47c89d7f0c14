import type { DockerContainerFacts } from '../../events/docker.ts';
import type { Netns } from '../../kernel/netns.ts';
import { PortInUseError } from '../../kernel/udp.ts';
import { startTool, toolNames } from '../../tools/start.ts';
import type { RunningTool, ToolContext, ToolOutput } from '../../tools/tool.ts';
import { startWorkload } from '../workload/start.ts';
import { Workload } from '../workload.ts';
import { FlagError } from './cli/flags.ts';
import { startDnsmasq } from './dnsmasq.ts';
import { DockerError } from './error.ts';
import type { Freezer } from './freezer.ts';
import type { DockerImage } from './images.ts';

/** The first process of a container, as what it does to the network. */
export interface ContainerProcess {
  /** SIGINT, SIGTERM: 'ended' if that ends it, which it then says by `exit`; 'ignored' by one that is init and has no handler. */
  terminate(signal: 'SIGINT' | 'SIGTERM'): 'ended' | 'ignored';
  /** SIGKILL: it says no more. */
  kill(): void;
}

export interface ProcessPlace {
  readonly freezer: Freezer;
  readonly container: DockerContainerFacts;
  readonly image: DockerImage;
  readonly ns: Netns;
  readonly context: ToolContext;
  readonly stdin: ProcessInput;
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
  return ENDED_PROCESS;
}

/** Whether it is the image's own server that is run, with whatever arguments, and not a tool in its place. */
function isServerCommand(image: DockerImage, command: readonly string[]): boolean {
  const [program = ''] = image.entrypoint.length > 0 ? image.entrypoint : image.cmd;
  if (command[0] !== program) return false;
  // An entrypoint script runs what it is given: `docker run nginx ip addr`.
  const [given] = command.slice(image.entrypoint.length);
  return image.entrypoint.length === 0 || given === undefined || given === image.cmd[0] || !isProgram(given);
}

function serve({ container, ns, freezer }: ProcessPlace, out: ToolOutput): ContainerProcess {
  const { id, name, hostname, image, networkMode } = container;
  const running: { close(): void }[] = [];
  const host = freezer.host(ns);
  const close = () => {
    for (const one of running.splice(0)) one.close();
  };
  try {
    running.push(startWorkload(ns, { name, uid: id, hostname, image, expose: [] }, host));
    // What a probe asks who answers; one in a namespace, whose it is.
    if (networkMode !== 'host' && !networkMode.startsWith('container:'))
      running.push(new Workload(ns, { uid: id, name }, host));
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
/** What runs until it is ended, and does nothing else that matters here. */
const WAITING: ReadonlySet<string> = new Set(['top', 'pause']);

function baseName(word: string): string {
  return word.slice(word.lastIndexOf('/') + 1);
}

function isProgram(word: string): boolean {
  const name = baseName(word);
  return toolNames.includes(name) || SHELLS.has(name) || WAITING.has(name);
}

/** The standard input of a process: one that stays open and says nothing, one that is at its end, or what there is to read. */
export type ProcessInput = 'open' | 'at-end' | { readonly text: string };

/**
 * Runs a program in a container: a tool of the emulated host, or what a container is kept alive by: a shell with an open
 * stdin, `tail -f`, `sleep infinity`, `top`. @throws DockerError 'not-found'
 */
export function runProgram(
  argv: readonly string[],
  context: ToolContext,
  out: ToolOutput,
  shown: string = argv[0] ?? '',
  stdin: ProcessInput = 'at-end',
): ContainerProcess {
  const [word = '', ...args] = argv;
  const name = baseName(word);
  if (!isProgram(word)) throw notFound(shown);
  const follows = name === 'tail' && args.some((arg) => /^-\w*[fF]/.test(arg));
  const sleepsOn = name === 'sleep' && /^inf(inity)?$/i.test(args[0] ?? '');
  if (WAITING.has(name) || follows || sleepsOn) return FOREVER;
  if (typeof stdin === 'object') return ofTool(startTool(argv, { ...context, stdin: stdin.text }, out));
  if (!SHELLS.has(name)) return ofTool(startTool(argv, context, out));
  if (args.some((arg) => !arg.startsWith('-') || /^-\w*c$/.test(arg)))
    return ofTool(startTool(['sh', ...args], context, out));
  // Without a command it reads its input.
  if (stdin === 'open') return FOREVER;
  out.exit(0);
  return ENDED_PROCESS;
}

const FOREVER: ContainerProcess = { terminate: () => 'ignored', kill: () => {} };
const ENDED_PROCESS: ContainerProcess = { terminate: () => 'ended', kill: () => {} };

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
