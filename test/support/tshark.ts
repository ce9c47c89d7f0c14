import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { needing } from './needs.ts';

const PROGRAM = 'tshark';
const INFO = 'capinfos';
/** A test that needs Wireshark's tshark. */
export const testWithTshark = needing(PROGRAM, 'tshark');

/** Lines that tshark prints of a capture. */
export async function tshark(file: string, ...args: readonly string[]): Promise<string[]> {
  // Without a profile of its own it would read the user's preferences.
  const env = { ...process.env, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent' };
  const options = { env, maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await promisify(execFile)(PROGRAM, ['-n', '-r', file, ...args], options);
  return stdout.split('\n').filter((line) => line !== '');
}

/** What capinfos, of the same package, says of a file. */
export function capinfos(file: string): string {
  return execFileSync(INFO, ['-M', file], { encoding: 'utf8' });
}

/** What tshark finds malformed or holds an error of the protocol (warnings included). */
export function complaints(file: string, ...args: readonly string[]): Promise<string[]> {
  return tshark(file, '-Y', '_ws.malformed || _ws.expert.severity >= 0x00600000', ...args);
}
