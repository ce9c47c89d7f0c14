import anyTest, { type ExecutionContext } from 'ava';
import { findExecutable } from '../../orchestrator/external/program.ts';

/** Executables that an interop test of a daemon needs. */
const NEEDS = {
  bird: ['bird', 'birdc'],
  frr: ['bgpd', 'vtysh'],
  gobgp: ['gobgpd', 'gobgp'],
} as const;

export type Kind = keyof typeof NEEDS;

/**
 * ava's `test.serial` for a daemon that is installed; without it every test is skipped under a name that says so, or fails
 * where the environment says that nothing may be skipped.
 */
export function interopTest(
  kind: Kind,
): (title: string, implementation: (t: ExecutionContext) => Promise<void>) => void {
  const missing = NEEDS[kind].filter((name) => findExecutable(name) === null);
  if (missing.length === 0) return (title, implementation) => anyTest.serial(title, implementation);
  const reason = `${missing.join(', ')} not installed`;
  if (process.env.REROUTE_REQUIRE_INTEROP === '1') {
    return (title) =>
      anyTest(`${title} (${reason})`, (t) => t.fail(`${reason}, and REROUTE_REQUIRE_INTEROP is set`));
  }
  return (title, implementation) => anyTest.skip(`${title} (${reason})`, implementation);
}
