import type { Runtime } from '../../../runtime.ts';
import { ENDED, type RunningTool, type ToolOutput } from '../../../tools/tool.ts';
import type { Dockerd } from '../dockerd.ts';
import { DockerError } from '../error.ts';
import { type CliCommand, type CliContext, CliError, EXIT_DAEMON } from './command.ts';
import { daemonError } from './each.ts';
import { FlagError, flagsHelp, parseFlags } from './flags.ts';
import { execCommand, logsCommand, portCommand } from './inside.ts';
import { inspectCommand } from './inspect.ts';
import {
  killCommand,
  pauseCommand,
  pruneCommand,
  renameCommand,
  restartCommand,
  rmCommand,
  startCommand,
  stopCommand,
  unpauseCommand,
  waitCommand,
} from './lifecycle.ts';
import { networkCommands } from './network.ts';
import { nodeCommands } from './node.ts';
import { psCommand } from './ps.ts';
import { createCommand, runCommand } from './run.ts';
import { serviceCommands } from './service.ts';
import { swarmCommands } from './swarm.ts';
import { infoCommand, versionCommand } from './system.ts';
import { attachCommand, eventsCommand, statsCommand, topCommand } from './watch.ts';

const CONTAINER_COMMANDS: readonly CliCommand[] = [
  attachCommand,
  createCommand,
  execCommand,
  inspectCommand,
  killCommand,
  logsCommand,
  pauseCommand,
  portCommand,
  psCommand,
  renameCommand,
  restartCommand,
  rmCommand,
  runCommand,
  startCommand,
  statsCommand,
  stopCommand,
  topCommand,
  unpauseCommand,
  waitCommand,
];

/** Those of `docker` that are of no object; `docker system` has them too. */
const SYSTEM_COMMANDS: readonly CliCommand[] = [eventsCommand, infoCommand];

/** What stands behind `docker` without a group. */
const TOP_COMMANDS: readonly CliCommand[] = [...CONTAINER_COMMANDS, ...SYSTEM_COMMANDS, versionCommand];

interface Group {
  readonly help: string;
  readonly commands: readonly CliCommand[];
}

const GROUPS: ReadonlyMap<string, Group> = new Map([
  [
    'container',
    {
      help: 'Manage containers',
      commands: [
        ...CONTAINER_COMMANDS.map((command) => ({
          ...command,
          name: `container ${command.name === 'ps' ? 'ls' : command.name}`,
        })),
        pruneCommand,
      ],
    },
  ],
  ['network', { help: 'Manage networks', commands: networkCommands }],
  ['node', { help: 'Manage Swarm nodes', commands: nodeCommands }],
  ['service', { help: 'Manage services', commands: serviceCommands }],
  ['swarm', { help: 'Manage Swarm', commands: swarmCommands }],
  [
    'system',
    {
      help: 'Manage Docker',
      commands: SYSTEM_COMMANDS.map((command) => ({ ...command, name: `system ${command.name}` })),
    },
  ],
]);

/** Commands of Docker that have to do with what a network emulation has not. */
const ELSEWHERE =
  'build commit config cp diff export history image images import load login logout manifest plugin pull push save search secret stack tag trust update volume'.split(
    ' ',
  );

/** Runs a command line of the docker client against a node's daemon. */
export function runDocker(
  args: readonly string[],
  dockerd: Dockerd,
  out: ToolOutput,
  stdin?: string,
): RunningTool {
  const context: CliContext = { dockerd, out, ...(stdin === undefined ? {} : { stdin }) };
  const [first = '', second] = args;
  if (first === '' || first === '--help' || first === 'help' || first === '-h') {
    out.stdout(topHelp());
    out.exit(0);
    return ENDED;
  }
  const group = GROUPS.get(first);
  if (group !== undefined) {
    if (second === undefined || second === '--help' || second === '-h') {
      out.stdout(groupHelp(first, group));
      out.exit(0);
      return ENDED;
    }
    const name = second === 'list' ? 'ls' : second === 'remove' ? 'rm' : second;
    const command = group.commands.find((candidate) => candidate.name === `${first} ${name}`);
    if (command !== undefined) return runCommandLine(command, args.slice(2), context);
    out.stderr(
      `\nUsage:  docker ${first} COMMAND\n\n${group.help}\n\nunknown command: docker ${first} ${second}\nRun 'docker ${first} --help' for more information on a command.\n`,
    );
    out.exit(1);
    return ENDED;
  }
  const command = TOP_COMMANDS.find((candidate) => candidate.name === first);
  if (command !== undefined) return runCommandLine(command, args.slice(1), context);
  if (first.startsWith('-'))
    out.stderr(
      `unknown ${first.startsWith('--') ? `flag: ${first}` : `shorthand flag: '${first[1]}' in ${first}`}\nSee 'docker --help'.\n`,
    );
  else if (ELSEWHERE.includes(first))
    out.stderr(`docker: '${first}' is not emulated; docker --help lists what is.\n`);
  else out.stderr(`docker: '${first}' is not a docker command.\nSee 'docker --help'\n`);
  out.exit(first.startsWith('-') ? EXIT_DAEMON : 1);
  return ENDED;
}

/** Whether a command line has what is written to it handed on: by -i, without the terminal of -t, in the foreground. */
export function takesStdin(words: readonly string[]): boolean {
  const args = words[0] === 'container' ? words.slice(1) : words;
  const command = CONTAINER_COMMANDS.find(({ name }) => name === args[0]);
  if (command === undefined || !command.flags.some(({ name }) => name === 'interactive')) return false;
  try {
    const flags = parseFlags(args.slice(1), command.flags, command.order ?? 'interspersed');
    if (flags === 'help') return false;
    return flags.has('interactive') && !flags.has('tty') && !flags.has('detach');
  } catch (error) {
    if (error instanceof FlagError) return false;
    throw error;
  }
}

/** Runs the commands of the lab file's, one after the other; the log tells how each went. */
export function runAtBoot(rt: Runtime, dockerd: Dockerd, commands: readonly (readonly string[])[]): void {
  const { cause } = rt;
  const [argv, ...rest] = commands;
  if (argv === undefined) return;
  let error = '';
  runDocker(argv, dockerd, {
    stdout: () => {},
    stderr: (text) => {
      error += text;
    },
    exit: (code) => {
      rt.emit({ type: 'docker.command', argv, code, error: error.trim() });
      rt.cause = cause;
      runAtBoot(rt, dockerd, rest);
    },
  });
}

/** What is wrong with a command line that will be run at a node's first boot, null if nothing is to be seen. */
export function checkCommandLine([first = '', ...rest]: readonly string[]): string | null {
  const group = GROUPS.get(first);
  const name = group === undefined ? first : `${first} ${rest[0] ?? ''}`;
  const command = (group?.commands ?? TOP_COMMANDS).find((candidate) => candidate.name === name);
  if (command === undefined) return `'${name}' is not a docker command`;
  try {
    const flags = parseFlags(
      group === undefined ? rest : rest.slice(1),
      command.flags,
      command.order ?? 'interspersed',
    );
    if (flags === 'help') return '--help does nothing here';
    const count = flags.args.length;
    if (count < command.args.min || count > command.args.max) return argumentProblem(command);
    command.check?.(flags);
    return null;
  } catch (error) {
    if (error instanceof FlagError || error instanceof CliError || error instanceof DockerError)
      return error.message.split('\n')[0] ?? '';
    throw error;
  }
}

function runCommandLine(command: CliCommand, words: readonly string[], context: CliContext): RunningTool {
  const { name, args } = command;
  const { out } = context;
  try {
    const flags = parseFlags(words, command.flags, command.order ?? 'interspersed');
    if (flags === 'help') {
      out.stdout(commandHelp(command));
      out.exit(0);
      return ENDED;
    }
    const count = flags.args.length;
    if (count < args.min || count > args.max) {
      out.stderr(
        `${argumentProblem(command)}\nSee 'docker ${name} --help'.\n\n${usage(command)}\n\n${command.help}\n`,
      );
      out.exit(1);
      return ENDED;
    }
    return command.run(flags, context) ?? ENDED;
  } catch (error) {
    if (error instanceof FlagError) {
      out.stderr(`${error.message}\nSee 'docker ${name} --help'.\n`);
      out.exit(EXIT_DAEMON);
    } else if (error instanceof CliError) {
      out.stderr(`${error.message}\n`);
      out.exit(error.code);
    } else if (error instanceof DockerError) {
      out.stderr(`${daemonError(error)}\n`);
      out.exit(1);
    } else throw error;
    return ENDED;
  }
}

function argumentProblem({ name, args: { min, max } }: CliCommand): string {
  const quoted = `"docker ${name}"`;
  const plural = (count: number) => `${count} argument${count === 1 ? '' : 's'}`;
  if (min === 0 && max === 0) return `${quoted} accepts no arguments.`;
  if (min === max) return `${quoted} requires exactly ${plural(min)}.`;
  if (max === Number.POSITIVE_INFINITY) return `${quoted} requires at least ${plural(min)}.`;
  return `${quoted} requires at least ${min} and at most ${plural(max)}.`;
}

function usage({ name, usage: rest }: CliCommand): string {
  return `Usage:  docker ${name} ${rest}`;
}

function commandHelp(command: CliCommand): string {
  const options = command.flags.length === 0 ? '' : `\nOptions:\n${flagsHelp(command.flags)}`;
  return `\n${usage(command)}\n\n${command.help}\n${options}`;
}

function list(commands: readonly { readonly name: string; readonly help: string }[], width: number): string {
  return commands
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, help }) => `  ${name.padEnd(width)} ${help}\n`)
    .join('');
}

function groupHelp(name: string, { help, commands }: Group): string {
  const named = commands.map((command) => ({
    name: command.name.slice(name.length + 1),
    help: command.help,
  }));
  const width = Math.max(...named.map((command) => command.name.length), 11);
  return `\nUsage:  docker ${name} COMMAND\n\n${help}\n\nCommands:\n${list(named, width)}\nRun 'docker ${name} COMMAND --help' for more information on a command.\n`;
}

function topHelp(): string {
  const groups = [...GROUPS].map(([name, { help }]) => ({ name, help }));
  return `\nUsage:  docker [OPTIONS] COMMAND\n\nA self-sufficient runtime for containers\n\nManagement Commands:\n${list(groups, 11)}\nCommands:\n${list(TOP_COMMANDS, 11)}\nRun 'docker COMMAND --help' for more information on a command.\n`;
}
