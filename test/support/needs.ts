import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';

/**
 * Tests that need a real program to compare with: skipped by name without it, failed if REROUTE_REQUIRE_INTEROP=1 says that what
 * reroute is compared with must be there.
 */
export function needing(program: string, debianPackage: string) {
  // bgpdump knows no --version, and says so: what counts is that it can be run.
  const isThere = spawnSync(program, ['--version']).error === undefined;
  return (title: string, run: (t: ExecutionContext) => void | Promise<void>): void => {
    if (isThere) test(title, run);
    else if (process.env.REROUTE_REQUIRE_INTEROP === '1')
      test(title, (t) => t.fail(`${program} is not on PATH; install the package ${debianPackage}`));
    else test.skip(`${title} (needs ${program})`, run);
  };
}
