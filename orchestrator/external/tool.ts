import type { ChildProcess } from 'node:child_process';
import type { CommandReply, NodeCommand } from '../../nodes/commands.ts';
import type { DaemonKind } from '../../nodes/config.ts';
import { NO_BFD } from '../lab/external.ts';
import type { DaemonProcess } from './daemon-process.ts';
import type { DaemonConfig, DaemonProgram } from './program.ts';

export interface ToolRequest {
  /** Of the command, for an interrupt to name it. */
  readonly id: string;
  readonly command: NodeCommand;
  readonly program: DaemonProgram;
  readonly kind: DaemonKind;
  readonly config: DaemonConfig;
  readonly daemon: DaemonProcess;
  readonly reply: (part: CommandReply) => void;
}

/** What runs, by command. */
const running = new Map<string, ChildProcess>();

/** Answers what a real daemon's node can be asked: to run the daemon's own tools. */
export function runTool({ id, command, program, kind, config, daemon, reply }: ToolRequest): void {
  const { title, tools } = program;
  switch (command.type) {
    case 'exec': {
      const without = NO_BFD[kind];
      if (without !== undefined && command.argv.join(' ').startsWith('birdc show bfd')) {
        reply({ type: 'error', message: `${config.name} has no BFD: ${without}` });
        return;
      }
      const line = command.argv[0] === 'birdc' ? translated(program, command.argv) : command.argv;
      const [tool = '', ...args] = line;
      if (command.pod !== '' || !tools.includes(tool)) {
        const what = command.pod === '' ? command.argv[0] : 'a pod';
        const message = `${config.name} is a real ${title}, not an emulated node: it runs ${tools.join(', ')}, not ${what}`;
        reply({ type: 'error', message });
        return;
      }
      const child = daemon.start(program.tool(config, tool, args), (text, from) =>
        reply({ type: from, text }),
      );
      running.set(id, child);
      child.once('error', (error) => reply({ type: 'error', message: `${tool}: ${error.message}` }));
      child.once('close', (code) => {
        running.delete(id);
        reply({ type: 'exit', code: code ?? 130 });
      });
      return;
    }
    case 'interrupt':
      running.get(command.target)?.kill('SIGINT');
      reply({ type: 'value', value: null });
      return;
    case 'carrier':
      // The cable has another end, and that is pulled.
      reply({ type: 'value', value: null });
      return;
    default:
      reply({
        type: 'error',
        message: `${config.name} is a real ${title}, not an emulated node, and cannot be asked that; ask it by: reroute exec ${config.name} -- ${tools[0]}`,
      });
  }
}

/** `reroute show NODE bgp …` comes as a birdc command: other daemons have words of their own for it. */
function translated(program: DaemonProgram, argv: readonly string[]): readonly string[] {
  const [, verb, ...words] = argv;
  return verb === 'show' ? program.show(words) : argv;
}
