import { setTimeout as pause } from 'node:timers/promises';

/** Between two looks, ms. */
const LOOK = 20;
/** Long enough for a machine that does other things too; nobody waits for it unless something is wrong. */
export const WITHIN = 40_000;

/** Looks at the world outside until something is so. @throws Error that names it, when it has been looked for in vain. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  within = WITHIN,
): Promise<void> {
  const deadline = performance.now() + within;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await pause(LOOK);
  }
}
