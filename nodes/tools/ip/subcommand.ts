import { ToolError } from '../tool.ts';
import type { IpContext } from './context.ts';
import { EXIT_USAGE, keywordOf, notEmulated, Words } from './words.ts';

/** What a subcommand does with the words behind it. @throws ToolError */
type Run = (words: Words, ctx: IpContext) => void;

/** An object of ip(8) or bridge(8) with its subcommands. */
export interface Subcommands {
  /** With the program's name: `ip neigh`. */
  readonly object: string;
  readonly help: () => ToolError;
  /** What is meant where none is named. */
  readonly usual: string;
  /** In the order in which iproute2 tries an abbreviation, `help` after them. null: iproute2 has it, the emulation not. */
  readonly commands: Readonly<Record<string, Run | null>>;
}

/** Runs the subcommand that the first word abbreviates. @throws ToolError */
export function runSubcommand(of: Subcommands, args: readonly string[], ctx: IpContext): void {
  const { object, commands } = of;
  const [word = of.usual, ...rest] = args;
  const name = keywordOf(word, [...Object.keys(commands), 'help']);
  if (name === undefined)
    throw new ToolError(`Command "${word}" is unknown, try "${object} help".`, EXIT_USAGE);
  if (name === 'help') throw of.help();
  const run = commands[name];
  if (run === null || run === undefined) throw notEmulated(`${object} ${name}`);
  run(new Words(rest), ctx);
}
