import { InvalidArgumentError, Option } from 'commander';
import { parseRate } from '../chaos/schema.ts';
import { DurationError, parseDuration } from '../lab/duration.ts';

/** Faults given by their class' name are the user's to mend: their message is all there is to say. */
export const PLAIN = 1;

/** A duration of the command line, in ms. */
export function duration(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    if (error instanceof DurationError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

export function rate(text: string): number {
  const value = parseRate(text);
  if (value === null) throw new InvalidArgumentError(`'${text}' is no rate; write it like 5/s or 30/m`);
  return value;
}

export function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError(`'${text}' is no whole number`);
  return value;
}

export function atLeastOne(text: string): number {
  const value = count(text);
  if (value === 0) throw new InvalidArgumentError('it is at least 1');
  return value;
}

/** `--lab`, of every command on a lab that runs. */
export const labOption = () =>
  new Option('--lab <name>', 'the lab, where there are several').env('REROUTE_LAB');
export const logLevel = () =>
  new Option('--log-level <level>', "least level in the nodes' own log files")
    .choices(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info');
export const seed = () => new Option('--seed <number>', 'seed of the choices').argParser(count).default(1);

/** Runs a command and takes its result as the exit code. */
export function exits<A extends unknown[]>(
  run: (...args: A) => Promise<number | undefined> | Promise<void> | void,
) {
  return async (...args: A) => {
    process.exitCode = (await run(...args)) ?? 0;
  };
}
