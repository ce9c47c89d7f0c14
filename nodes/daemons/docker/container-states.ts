import type { DockerContainerFacts, DockerStateFacts } from '../../events/docker.ts';
import type { Runtime } from '../../runtime.ts';
import { DockerError } from './error.ts';
import type { DockerLedger } from './ledger.ts';

/** Exit codes of what could not be started. */
const EXIT_NOT_STARTED = 128;
const EXIT_NOT_FOUND = 127;

/** Notes in the ledger what becomes of containers: the `State` of `docker inspect`. */
export class ContainerStates {
  readonly #rt: Runtime;
  readonly #ledger: DockerLedger;

  constructor(rt: Runtime, ledger: DockerLedger) {
    this.#rt = rt;
    this.#ledger = ledger;
  }

  /** Its process begins to run. */
  started(container: DockerContainerFacts, pid: number, restartCount: number): DockerContainerFacts {
    return this.#ledger.putContainer({
      ...container,
      state: {
        ...container.state,
        status: 'running',
        pid,
        exitCode: 0,
        error: '',
        startedAt: this.#rt.now,
        restartCount,
        stoppedByHand: false,
      },
    });
  }

  /** Its process has ended, with that code. */
  stopped(container: DockerContainerFacts, exitCode: number): DockerContainerFacts {
    const { paused, ...state } = container.state;
    return this.#ledger.putContainer({
      ...container,
      state: { ...state, status: 'exited', pid: 0, exitCode, finishedAt: this.#rt.now },
    });
  }

  /** Notes why a container could not be started, and tells it. */
  notStarted(container: DockerContainerFacts, error: unknown): DockerError {
    if (!(error instanceof DockerError)) throw error;
    const { message, kind } = error;
    const { state } = container;
    const missing = kind === 'not-found';
    const text = missing ? `OCI runtime create failed: container_linux.go:380: ${message}` : message;
    const exitCode = missing ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
    const status = state.startedAt === null ? 'created' : 'exited';
    this.#ledger.putContainer({
      ...container,
      state: { ...state, status, pid: 0, exitCode, error: text },
    });
    return new DockerError(text, kind);
  }

  /** Changes some of a container's state, if it is still there. */
  patch(id: string, patch: Omit<Partial<DockerStateFacts>, 'paused'> & { paused?: boolean }): void {
    const container = this.#ledger.containerById(id);
    if (container === undefined) return;
    const { paused: before, ...state } = container.state;
    const { paused = before === true, ...more } = patch;
    this.#ledger.putContainer({
      ...container,
      state: { ...state, ...more, ...(paused ? { paused: true as const } : {}) },
    });
  }
}
