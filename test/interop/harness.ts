import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import anyTest, { type ExecutionContext } from 'ava';
import { findExecutable } from '../../orchestrator/external/program.ts';

/** Executables that an interop test of a daemon needs. */
const NEEDS = {
  bird: ['bird', 'birdc'],
  frr: ['bgpd', 'vtysh'],
  gobgp: ['gobgpd', 'gobgp'],
} as const;

export type Kind = keyof typeof NEEDS;

/** Linux's numbers of capabilities that let a process set SO_PRIORITY above 6, which BIRD's BFD wants; see capabilities(7). */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

/** What this process cannot give a daemon that it starts, and the daemon has not by its file. */
export function missingForBfd(): string | null {
  const [, effective = '0'] = /^CapEff:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const wanted = (1n << CAP_NET_ADMIN) | (1n << CAP_NET_RAW);
  if ((BigInt(`0x${effective}`) & wanted) !== 0n) return null;
  const file = spawnSync('getcap', [findExecutable('bird') ?? '']).stdout;
  return String(file).includes('cap_net_') ? null : 'BIRD may not set SO_PRIORITY';
}

/** What this machine lacks for sessions over IPv6: containers often have none, not even on lo. */
export function missingForIpv6(): string | null {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.some(({ address }) => address === '::1') ? null : 'there is no ::1';
}

/**
 * ava's `test.serial` for a daemon that is installed; without it every test is skipped under a name that says so, or fails
 * where the environment says that nothing may be skipped.
 */
export function interopTest(
  kind: Kind,
  alsoMissing: string | null = null,
): (title: string, implementation: (t: ExecutionContext) => Promise<void>) => void {
  const missing = NEEDS[kind].filter((name) => findExecutable(name) === null);
  return testUnless(missing.length === 0 ? alsoMissing : `${missing.join(', ')} not installed`);
}

/** The same for what this machine lacks; null: nothing. */
export function testUnless(
  reason: string | null,
): (title: string, implementation: (t: ExecutionContext) => Promise<void>) => void {
  if (reason === null) return (title, implementation) => anyTest.serial(title, implementation);
  if (process.env.REROUTE_REQUIRE_INTEROP === '1') {
    return (title) =>
      anyTest(`${title} (${reason})`, (t) => t.fail(`${reason}, and REROUTE_REQUIRE_INTEROP is set`));
  }
  return (title, implementation) => anyTest.skip(`${title} (${reason})`, implementation);
}
