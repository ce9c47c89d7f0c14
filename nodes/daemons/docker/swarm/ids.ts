import type { Random } from '../../../runtime.ts';

/** Letters and digits, as swarmkit's ids and secrets are of. */
export function base36(random: Random, length: number): string {
  return Array.from({ length }, () => random.int(0, 35).toString(36)).join('');
}
