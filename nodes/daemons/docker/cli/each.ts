import type { DockerContainerFacts } from '../../../events/docker.ts';
import type { Dockerd } from '../dockerd.ts';
import { DockerError } from '../error.ts';
import { type CliContext, CliError } from './command.ts';

/** Does something to each of several, and tells on stderr of those that it cannot be done to; these it returns. */
export function forEach(
  refs: readonly string[],
  { out }: CliContext,
  act: (ref: string) => void,
): readonly string[] {
  return refs.filter((ref) => {
    try {
      act(ref);
      out.stdout(`${ref}\n`);
      return false;
    } catch (error) {
      if (!(error instanceof DockerError || error instanceof CliError)) throw error;
      out.stderr(`${error instanceof DockerError ? daemonError(error) : error.message}\n`);
      return true;
    }
  });
}

/**
 * Does something that takes time to several, all at once, and tells of it in the order in which they were named; `summary`
 * goes to stderr for those that it could not be done to.
 */
export function inParallel(
  refs: readonly string[],
  { out }: CliContext,
  act: (ref: string, done: (error: DockerError | null) => void) => void,
  summary: (failed: readonly string[]) => string = () => '',
): void {
  const problems: (string | null)[] = refs.map(() => null);
  let left = refs.length;
  const finish = (i: number, problem: string | null) => {
    problems[i] = problem;
    if (--left > 0) return;
    for (const [k, text] of problems.entries()) {
      if (text === null) out.stdout(`${refs[k]}\n`);
      else out.stderr(`${text}\n`);
    }
    const failed = refs.filter((_, k) => problems[k] !== null);
    if (failed.length > 0) out.stderr(summary(failed));
    out.exit(failed.length === 0 ? 0 : 1);
  };
  for (const [i, ref] of refs.entries()) {
    try {
      act(ref, (error) => finish(i, error === null ? null : daemonError(error)));
    } catch (error) {
      if (error instanceof DockerError) finish(i, daemonError(error));
      else if (error instanceof CliError) finish(i, error.message);
      else throw error;
    }
  }
}

/** @throws DockerError on a node that is no manager */
export function refuseWorkers({ dockerd }: CliContext): void {
  const refusal = dockerd.swarm.refuseManager();
  if (refusal !== null) throw refusal;
}

export function daemonError({ message }: DockerError): string {
  return `Error response from daemon: ${message}`;
}

/** What the client has looked up first: of what is not there it tells in its own words. @throws CliError */
export function lookedUp<T>(kind: 'service' | 'node', ref: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (error instanceof DockerError && error.message === `${kind} ${ref} not found`)
      throw new CliError(`Error: No such ${kind}: ${ref}`);
    throw error;
  }
}

/** A container that the client has looked at first: one that is not there it tells of in its own words. @throws CliError */
export function inspected({ ledger }: Dockerd, ref: string): DockerContainerFacts {
  try {
    return ledger.container(ref);
  } catch (error) {
    if (!(error instanceof DockerError)) throw error;
    throw new CliError(message(error));
  }
}

function message(error: DockerError): string {
  return error.message.startsWith('No such') ? `Error: ${error.message}` : daemonError(error);
}
