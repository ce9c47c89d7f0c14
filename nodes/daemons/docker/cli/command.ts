import type { RunningTool, ToolOutput } from '../../../tools/tool.ts';
import type { Dockerd } from '../dockerd.ts';
import type { Flag, Flags } from './flags.ts';

/** What a command of the client has to do with: the daemon, and its own standard output, error and input. */
export interface CliContext {
  readonly dockerd: Dockerd;
  readonly out: ToolOutput;
  /** Absent: nothing. */
  readonly stdin?: string;
}

export interface CliCommand {
  /** `network create` */
  readonly name: string;
  /** `[OPTIONS] NETWORK` */
  readonly usage: string;
  readonly help: string;
  readonly flags: readonly Flag[];
  readonly args: { readonly min: number; readonly max: number };
  readonly order?: 'stop-at-argument';
  /** Finds what is wrong with a command line before there is a daemon to ask. @throws DockerError, CliError */
  check?(flags: Flags): void;
  /** Ends by `out.exit`, now or later. @throws DockerError, CliError */
  run(flags: Flags, context: CliContext): RunningTool | undefined;
}

/** Ends the client with a message of its own. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: number;

  constructor(message: string, code = 1) {
    super(message);
    this.code = code;
  }
}

/** Of arguments: as many as there are. */
export const ANY = Number.POSITIVE_INFINITY;

/** Exit codes of `docker run`: the daemon's error, a program that cannot be run, one that is not there. */
export const EXIT_DAEMON = 125;
export const EXIT_CANNOT_RUN = 126;
export const EXIT_NOT_FOUND = 127;
