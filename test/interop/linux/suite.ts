import { spawnSync } from 'node:child_process';
import anyTest, { type ExecutionContext } from 'ava';
import { Guest } from './guest.ts';

const NEEDED = ['python3', 'ip', 'bridge', 'iptables-legacy', 'conntrack', 'sysctl', 'nsenter'];

function probeOf(needed: readonly string[]): string {
  return needed.map((what) => (what.startsWith('/') ? `test -e ${what}` : `command -v ${what}`)).join(' && ');
}

/** What is missing to have namespaces of the Linux kernel, and programs in them; null if nothing is. */
function whyNoLinux(programs: readonly string[]): string | null {
  const needed = [...NEEDED, ...programs];
  const { status } = spawnSync('unshare', [
    '-n',
    'sh',
    '-c',
    `${probeOf(needed)} && ip link add veth0 type veth peer name veth1 && iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP`,
  ]);
  return status === 0 ? null : `needs root, network namespaces and ${needed.join(', ')}`;
}

/** What is missing to have a guest, and programs in it. */
function whyNoGuest(programs: readonly string[]): string | null {
  const needed = [...NEEDED, 'unshare', 'modprobe', 'linux.uml', '/usr/lib/uml/modules', ...programs];
  const { status } = spawnSync('sh', ['-c', probeOf(needed)]);
  return status === 0 ? null : `needs ${needed.join(', ')}`;
}

type Test = (title: string, implementation: (t: ExecutionContext) => Promise<void>) => void;

function testUnless(why: string | null): Test {
  return (title, implementation) => {
    if (why === null) anyTest.serial(title, implementation);
    else if (process.env.REROUTE_REQUIRE_INTEROP === '1')
      anyTest(`${title} (${why})`, (t) => t.fail(`${why}, and REROUTE_REQUIRE_INTEROP is set`));
    else anyTest.skip(`${title} (${why})`, implementation);
  };
}

/**
 * ava's `test.serial` where namespaces of the Linux kernel are to be had, and these programs and files; elsewhere every test is skipped under
 * a name that says so, or fails where the environment says that nothing may be skipped.
 */
export function linuxTestWith(...programs: readonly string[]): Test {
  return testUnless(whyNoLinux(programs));
}

export const linuxTest = linuxTestWith();

/** The same with a guest, for what the machine's own kernel may lack. One serves all tests of a file. */
export function guestTestWith(...programs: readonly string[]) {
  const test = testUnless(whyNoGuest(programs));
  let guest: Guest | null = null;
  anyTest.after.always(() => guest?.stop());
  return (title: string, implementation: (t: ExecutionContext, guest: Guest) => Promise<void>): void => {
    test(title, async (t) => {
      guest ??= new Guest();
      await guest.ready;
      await implementation(t, guest);
    });
  };
}

/** The same cases each time; RUNS=1000 looks for others, and SHRINK=1 for the smallest that fails, which takes minutes. */
export function runs(numRuns: number, seed: number) {
  const which = process.env.RUNS === undefined ? { numRuns, seed } : { numRuns: Number(process.env.RUNS) };
  return { ...which, includeErrorInReport: true, endOnFailure: process.env.SHRINK !== '1' };
}
