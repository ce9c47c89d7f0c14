import type { DockerContainerFacts } from '../../events/docker.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Runtime } from '../../runtime.ts';
import { EXIT_KILLED, type RunningTool, type ToolContext, type ToolOutput } from '../../tools/tool.ts';
import { type Attachments, outside } from './attachments.ts';
import { ContainerStates } from './container-states.ts';
import { DockerError } from './error.ts';
import { Execs } from './execs.ts';
import type { ContainerFiles } from './files.ts';
import { Freezer } from './freezer.ts';
import { findImage } from './images.ts';
import type { DockerLedger } from './ledger.ts';
import { type ContainerProcess, type ProcessInput, startProcess } from './process.ts';
import { Restarts } from './restarts.ts';
import type { Sandbox, Sandboxes } from './sandbox.ts';

/** What `docker logs` has of a container, characters. */
const LOG_LIMIT = 65_536;

/** Exit code of what was running when the host went down. */
const EXIT_LOST = 255;

/** Whoever is attached to a container: where its output goes, and what it can read. */
export interface Attachment extends ToolOutput {
  readonly stdin?: string;
}

/** A container whose process runs. */
interface Live {
  readonly sandbox: Sandbox;
  readonly freezer: Freezer;
  init: ContainerProcess | null;
  readonly execs: Execs;
  readonly attached: Set<ToolOutput>;
}

export interface ContainersOptions {
  readonly kernel: Kernel;
  readonly ledger: DockerLedger;
  readonly sandboxes: Sandboxes;
  readonly attachments: Attachments;
  readonly files: ContainerFiles;
  /** Gets what a container needs before it can join its networks; at once where that is nothing. */
  readonly prepare: (container: DockerContainerFacts, done: (error: DockerError | null) => void) => void;
  /** Gives back what `prepare` has got and nobody has used. */
  readonly unprepare: (container: DockerContainerFacts) => void;
}

/** The containers of a node and their processes: started, stopped, started again by their policies, removed. */
export class Containers {
  readonly #rt: Runtime;
  readonly #options: ContainersOptions;
  readonly #restarts: Restarts;
  readonly #states: ContainerStates;
  readonly #live = new Map<string, Live>();
  readonly #logs = new Map<string, string>();
  readonly #waiting = new Map<string, ((code: number) => void)[]>();
  #pids = 1000;

  constructor(rt: Runtime, options: ContainersOptions) {
    this.#rt = rt;
    this.#options = options;
    this.#restarts = new Restarts(rt);
    this.#states = new ContainerStates(rt, options.ledger);
  }

  get running(): number {
    return this.#live.size;
  }

  /** After a boot: what ran is over; what is to run is started. */
  restore(): void {
    const { ledger } = this.#options;
    const { cause } = this.#rt;
    for (const container of ledger.containers) {
      this.#rt.cause = cause;
      const { status } = container.state;
      const was = status === 'created' || status === 'exited' ? 'down' : 'up';
      const stopped = was === 'up' ? this.#states.stopped(outside(container), EXIT_LOST) : container;
      if (was === 'up' && stopped.autoRemove) this.#forget(stopped);
      else if (Restarts.wantedAtBoot(stopped, was)) this.#startAgain(stopped.id);
    }
    this.#rt.cause = cause;
  }

  /** Starts a container; what its process writes goes to `attach` too. @throws DockerError for one that is not there */
  start(ref: string, attach: Attachment | null, done: (error: DockerError | null) => void): void {
    const container = this.#options.ledger.container(ref);
    if (container.state.status === 'running') {
      done(null);
      return;
    }
    this.#restarts.cancel(container.id);
    this.#start(container, attach, 0, done);
  }

  /** SIGTERM, and SIGKILL when that has done nothing for `grace` ms. @throws DockerError */
  stop(ref: string, grace: number, done: () => void): void {
    const { id, state } = this.#options.ledger.container(ref);
    const live = this.#live.get(id);
    if (live === undefined) {
      this.#restarts.cancel(id);
      if (state.status === 'restarting') this.#states.patch(id, { status: 'exited', stoppedByHand: true });
      done();
      return;
    }
    this.#states.patch(id, { stoppedByHand: true });
    this.#thaw(id, live);
    this.onExit(id, done);
    if (live.init?.terminate('SIGTERM') !== 'ignored') return;
    this.#rt.timers.set(this.#rt.now + grace, () => {
      if (this.#live.get(id) === live) this.#kill(id, live);
    });
  }

  /** @throws DockerError */
  kill(ref: string, signal: 'SIGKILL' | 'SIGINT' | 'SIGTERM'): void {
    const { id } = this.#named(ref, 'Cannot kill container');
    const live = this.#live.get(id);
    if (live === undefined)
      throw new DockerError(`Cannot kill container: ${ref}: Container ${id} is not running`);
    this.#states.patch(id, { stoppedByHand: true });
    if (signal !== 'SIGINT') this.#thaw(id, live);
    if (signal === 'SIGKILL') this.#kill(id, live);
    else live.freezer.run(() => live.init?.terminate(signal));
  }

  /** Freezes the processes of a container. @throws DockerError */
  pause(ref: string): void {
    const { id, state } = this.#options.ledger.container(ref);
    const live = this.#live.get(id);
    if (state.status === 'restarting')
      throw new DockerError(`Container ${id} is restarting, wait until the container is running`);
    if (live === undefined) throw new DockerError(`Container ${id} is not running`);
    if (live.freezer.frozen) throw new DockerError(`Container ${id} is already paused`);
    live.freezer.freeze();
    this.#states.patch(id, { paused: true });
  }

  /** @throws DockerError */
  unpause(ref: string): void {
    const { id } = this.#options.ledger.container(ref);
    const live = this.#live.get(id);
    if (live?.freezer.frozen !== true) throw new DockerError(`Container ${id} is not paused`);
    this.#thaw(id, live);
  }

  /** Adds whoever wants to see what a container that runs writes. @throws DockerError */
  attach(ref: string, out: ToolOutput): () => void {
    const { id } = this.#options.ledger.container(ref);
    const live = this.#live.get(id);
    if (live === undefined) throw new DockerError('You cannot attach to a stopped container, start it first');
    if (live.freezer.frozen)
      throw new DockerError('You cannot attach to a paused container, unpause it first');
    live.attached.add(out);
    return () => live.attached.delete(out);
  }

  #thaw(id: string, live: Live): void {
    if (!live.freezer.frozen) return;
    this.#states.patch(id, { paused: false });
    live.freezer.thaw();
  }

  /** @throws DockerError */
  restart(ref: string, grace: number, done: (error: DockerError | null) => void): void {
    const { id } = this.#options.ledger.container(ref);
    this.stop(id, grace, () => this.start(id, null, done));
  }

  /** @throws DockerError for one that runs, without force */
  remove(ref: string, force: boolean): void {
    const { ledger } = this.#options;
    const { id, state } = ledger.container(ref);
    const live = this.#live.get(id);
    if ((live !== undefined || state.status === 'restarting') && !force)
      throw new DockerError(
        `You cannot remove a ${state.status} container ${id}. Stop the container before attempting removal or force remove`,
      );
    this.#restarts.cancel(id);
    if (live !== undefined) {
      this.#states.patch(id, { stoppedByHand: true });
      this.#kill(id, live);
    }
    const left = ledger.containerById(id);
    if (left !== undefined) this.#forget(left);
  }

  /** Runs a command in a container that runs. @throws DockerError */
  exec(ref: string, argv: readonly string[], stdin: ProcessInput, out: ToolOutput): RunningTool {
    const container = this.#options.ledger.container(ref);
    const { id, state } = container;
    const live = this.#live.get(id);
    if (live === undefined)
      throw new DockerError(
        state.status === 'restarting'
          ? `Container ${id} is restarting, wait until the container is running`
          : `Container ${id} is not running`,
      );
    if (live.freezer.frozen)
      throw new DockerError(`Container ${ref} is paused, unpause the container before exec`);
    return live.execs.run(argv, this.#context(container, live), stdin, out);
  }

  /** Calls back when the process of a container has ended that is about to be started. */
  onNextExit(id: string, done: (code: number) => void): void {
    this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), done]);
  }

  /** Calls back when a container's process has ended, now if none runs. */
  onExit(id: string, done: (code: number) => void): void {
    if (this.#live.has(id)) this.onNextExit(id, done);
    else done(this.#options.ledger.containerById(id)?.state.exitCode ?? 0);
  }

  /** Command lines that `docker exec` runs in a container. */
  execs(id: string): readonly (readonly string[])[] {
    return this.#live.get(id)?.execs.commands ?? [];
  }

  /** Ctrl-C of whoever is attached. */
  interrupt(id: string): void {
    this.#live.get(id)?.init?.terminate('SIGINT');
  }

  logs(id: string): string {
    return this.#logs.get(id) ?? '';
  }

  /** Where a container that runs has its networks. */
  sandboxOf(id: string): Sandbox | undefined {
    return this.#live.get(id)?.sandbox;
  }

  /** @throws DockerError that begins with what cannot be done */
  #named(ref: string, problem: string): DockerContainerFacts {
    try {
      return this.#options.ledger.container(ref);
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
      throw new DockerError(`${problem}: ${ref}: ${error.message}`);
    }
  }

  #start(
    container: DockerContainerFacts,
    attach: Attachment | null,
    restartCount: number,
    done: (error: DockerError | null) => void,
  ): void {
    const { ledger, prepare, unprepare } = this.#options;
    const { id } = container;
    prepare(container, (problem) => {
      const current = ledger.containerById(id);
      if (current === undefined) {
        unprepare(container);
        done(new DockerError(`No such container: ${id}`));
        return;
      }
      try {
        if (problem !== null) throw this.#states.notStarted(current, problem);
        this.#run(current, attach, restartCount);
        done(null);
      } catch (error) {
        this.#waiting.delete(id);
        unprepare(container);
        if (!(error instanceof DockerError)) throw error;
        done(error);
      }
    });
  }

  /** Puts a container into its networks and starts its process. @throws DockerError; it does not run then */
  #run(container: DockerContainerFacts, attach: Attachment | null, restartCount: number): void {
    const { attachments } = this.#options;
    const { id } = container;
    let sandbox: Sandbox | null = null;
    let prepared: DockerContainerFacts;
    try {
      sandbox = attachments.open(container);
      prepared = attachments.joinAll(container, sandbox);
    } catch (error) {
      if (sandbox !== null) this.#leave(container, sandbox);
      throw this.#states.notStarted(container, error);
    }
    const freezer = new Freezer();
    const live: Live = { sandbox, freezer, init: null, execs: new Execs(), attached: new Set() };
    if (attach !== null) live.attached.add(attach);
    const running = this.#states.started(prepared, ++this.#pids, restartCount);
    this.#live.set(id, live);
    this.#logs.delete(id);
    attachments.started(running, sandbox);
    // A process that ends within this call ends a container that has begun to run.
    let ended: number | null = null;
    const out = this.#outputOf(id, live, (code) => {
      if (live.init === null) ended = code;
      else this.#exited(id, live, code);
    });
    try {
      const context = this.#context(running, live);
      const image = findImage(container.image);
      const stdin = stdinOf(container, attach);
      live.init = startProcess({ container: running, image, ns: sandbox.ns, context, stdin, freezer }, out);
    } catch (error) {
      this.#live.delete(id);
      throw this.#states.notStarted({ ...this.#leave(running, sandbox), state: container.state }, error);
    }
    if (ended !== null) this.#exited(id, live, ended);
  }

  #outputOf(id: string, live: Live, exit: (code: number) => void): ToolOutput {
    const write = (stream: 'stdout' | 'stderr', text: string) => {
      this.#logs.set(id, `${this.#logs.get(id) ?? ''}${text}`.slice(-LOG_LIMIT));
      for (const out of live.attached) out[stream](text);
    };
    return { stdout: (text) => write('stdout', text), stderr: (text) => write('stderr', text), exit };
  }

  #kill(id: string, live: Live): void {
    live.init?.kill();
    this.#exited(id, live, EXIT_KILLED);
  }

  /** The process has ended: its networks are left, and it may be started again. */
  #exited(id: string, live: Live, code: number): void {
    if (this.#live.get(id) !== live) return;
    this.#live.delete(id);
    const container = this.#options.ledger.containerById(id);
    if (container === undefined) return;
    live.execs.kill();
    const stopped = this.#states.stopped(this.#leave(container, live.sandbox), code);
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    if (Restarts.wanted(stopped, code)) {
      this.#states.patch(id, { status: 'restarting' });
      this.#restarts.schedule(stopped, () => this.#startAgain(id));
    } else if (stopped.autoRemove) this.#forget(stopped);
    for (const done of waiting) done(code);
  }

  /** Leaves the networks; the namespace goes with the last container that is in it. */
  #leave(container: DockerContainerFacts, sandbox: Sandbox): DockerContainerFacts {
    const { attachments, sandboxes } = this.#options;
    const left = attachments.close(container, sandbox);
    if (![...this.#live.values()].some((other) => other.sandbox === sandbox)) sandboxes.delete(sandbox);
    return left;
  }

  #startAgain(id: string): void {
    const container = this.#options.ledger.containerById(id);
    if (container !== undefined) this.#start(container, null, container.state.restartCount + 1, () => {});
  }

  #forget(container: DockerContainerFacts): void {
    const { files, ledger } = this.#options;
    this.#logs.delete(container.id);
    files.removed(container);
    ledger.removeContainer(container);
  }

  /** What a process in a container sees. */
  #context(container: DockerContainerFacts, { sandbox, freezer }: Live): ToolContext {
    const { kernel, files } = this.#options;
    return {
      rt: freezer.runtime(this.#rt),
      kernel,
      ns: sandbox.ns,
      hostname: files.owner(container).hostname,
      files: (path) => files.read(container, path),
    };
  }
}

/** Whoever is attached has no terminal to type at, but may have something to read. */
function stdinOf({ openStdin }: DockerContainerFacts, attach: Attachment | null): ProcessInput {
  if (!openStdin) return 'at-end';
  if (attach === null) return 'open';
  return attach.stdin === undefined ? 'at-end' : { text: attach.stdin };
}
