import { simWires } from '../../../orchestrator/capture/observe.ts';
import type { CaptureCounts, CaptureSink } from '../../../orchestrator/capture/recorder.ts';
import { CaptureSession, type SessionOptions } from '../../../orchestrator/capture/session.ts';
import { parseTargets } from '../../../orchestrator/capture/target.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import { waitConverged } from '../../../orchestrator/observe/quiescence.ts';
import { SimLab } from '../../../orchestrator/simulate/sim-lab.ts';

/** Keeps a capture's bytes. `takes` says of a packet whether there is room for it. */
export class MemorySink implements CaptureSink {
  readonly #chunks: Uint8Array[] = [];
  readonly #takes: () => boolean;

  constructor(takes: () => boolean = () => true) {
    this.#takes = takes;
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  write(bytes: Uint8Array, kind: 'packet' | 'other'): 'taken' | 'full' {
    if (kind === 'packet' && !this.#takes()) return 'full';
    this.#chunks.push(bytes);
    return 'taken';
  }
}

export const SECTION = { hardware: 'emulated', os: 'simulator', application: 'test', comment: '' };

export interface Captured {
  readonly bytes: Uint8Array;
  readonly counts: CaptureCounts;
  readonly warnings: readonly string[];
  readonly neverFound: boolean;
  readonly lab: SimLab;
}

/** Captures on a simulated lab from its boot on, over its convergence and what is done then. */
export async function simulateCapture(
  yaml: string,
  targets: readonly string[],
  during: (lab: SimLab, session: CaptureSession) => Promise<void>,
  options: Partial<SessionOptions> = {},
): Promise<Captured> {
  const compiled = compileLab(yaml, 'sim.yaml');
  const lab = new SimLab(compiled);
  const sink = new MemorySink();
  const warnings: string[] = [];
  const session = new CaptureSession({
    lab,
    compiled,
    observe: simWires(lab),
    sink,
    section: SECTION,
    targets: parseTargets(compiled, targets),
    filter: '',
    snapLength: 262_144,
    limit: Number.POSITIVE_INFINITY,
    comment: () => '',
    warn: (message) => warnings.push(message),
    ...options,
  });
  await lab.start();
  session.awaitDevices();
  const since = { at: 0, reports: [] };
  const result = await waitConverged(lab, { within: 60_000, since, sessions: 'established' });
  if (!result.converged) throw new Error(result.reasons.join('; '));
  await during(lab, session);
  const counts = await session.finish();
  return { bytes: sink.bytes, counts, warnings, neverFound: session.neverFound, lab };
}
