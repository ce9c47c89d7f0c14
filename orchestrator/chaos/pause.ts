import type { RunningLab } from '../running-lab.ts';

/** Sleeps on the lab's clock; ends early when it is interrupted. */
export async function pause(lab: RunningLab, ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return lab.sleep(ms);
  if (signal.aborted) return;
  let wake = () => {};
  const interrupted = new Promise<void>((resolve) => {
    wake = resolve;
  });
  signal.addEventListener('abort', wake);
  await Promise.race([lab.sleep(ms), interrupted]);
  signal.removeEventListener('abort', wake);
}
