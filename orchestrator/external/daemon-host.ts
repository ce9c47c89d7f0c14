import { join } from 'node:path';
import type { NatsConnection, Subscription } from 'nats';
import { serveCommands } from '../../bus/commands.ts';
import type { CommandEnvelope, CommandReply, NodeCommand } from '../../nodes/commands.ts';
import type { DaemonKind, NodeConfig } from '../../nodes/config.ts';
import type { NodeReport } from '../../nodes/machine-io.ts';
import type { LabHome } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { isDaemon } from '../lab/external.ts';
import type { Exit } from '../supervisor/node-process.ts';
import { bird } from './bird.ts';
import { DaemonProcess } from './daemon-process.ts';
import { frr } from './frr.ts';
import { gobgp } from './gobgp.ts';
import { placeLab } from './loopback.ts';
import { DaemonError, type DaemonProgram, daemonConfig } from './program.ts';
import { runTool } from './tool.ts';

export const PROGRAMS: Readonly<Record<Exclude<DaemonKind, 'external'>, DaemonProgram>> = {
  bird,
  frr,
  gobgp,
};

/** A daemon's node as the supervisor has the others: something that runs, and can be ended. */
export interface RunningDaemon {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  kill(): Promise<void>;
  end(): Promise<void>;
}

/** Starts the real daemons of one lab, and answers for them on the bus what they can be asked. */
export class DaemonHost {
  readonly #home: LabHome;
  /** All that have been started, whether they have come up or not. */
  readonly #started = new Map<string, DaemonProcess>();
  #release: () => void = () => {};

  constructor(home: LabHome) {
    this.#home = home;
  }

  /** The lab with real addresses for its daemons. @throws DaemonError if there are none to be had. */
  async place(lab: CompiledLab): Promise<CompiledLab> {
    const placed = await placeLab(lab);
    this.#release = placed.release;
    return placed.lab;
  }

  /** Ends what is left when the lab is down. */
  async close(): Promise<void> {
    await Promise.all([...this.#started.values()].map((daemon) => daemon.end()));
    this.#release();
  }

  /** Starts a node's daemon and resolves when it answers. @throws DaemonError */
  async launch(node: NodeConfig, boot: number, nc: NatsConnection): Promise<RunningDaemon> {
    if (!isDaemon(node.role)) throw new DaemonError(`${node.name} is no daemon`);
    if (node.role === 'external') return this.#attend(node, boot, nc);
    const kind = node.role;
    const program = PROGRAMS[kind];
    await this.#started.get(node.name)?.bury();
    const config = daemonConfig(node);
    const daemon = new DaemonProcess({
      program,
      kind,
      config,
      folder: join(this.#home.folder, 'daemons', node.name),
      logFile: this.#home.logFile(node.name),
      start: boot === 1 ? 'first' : 'restarted',
    });
    this.#started.set(node.name, daemon);
    try {
      await daemon.ready();
    } catch (error) {
      await daemon.kill();
      throw error;
    }
    let crash: 'reset' | 'silent' = 'silent';
    const service = this.#serve(node, boot, nc, (command, id, reply) => {
      if (command.type === 'crash') {
        crash = command.how;
        reply({ type: 'value', value: null });
      } else runTool({ id, command, program, kind, config, daemon, reply });
    });
    void daemon.exited.then(() => service.unsubscribe());
    return {
      get pid() {
        return daemon.pid;
      },
      exited: daemon.exited,
      kill: async () => {
        if (crash === 'reset') return daemon.kill();
        await daemon.freeze();
      },
      end: () => daemon.end(),
    };
  }

  /** A daemon that somebody else runs: there for as long as the lab is. */
  #attend(node: NodeConfig, boot: number, nc: NatsConnection): RunningDaemon {
    let end: (exit: Exit) => void = () => {};
    const exited = new Promise<Exit>((resolve) => {
      end = resolve;
    });
    const refusal = `${node.name} is a daemon that reroute did not start (kind: external)`;
    const service = this.#serve(node, boot, nc, (command, _id, reply) => {
      const mend = command.type === 'crash' ? 'end it where it runs' : 'ask it where it runs';
      reply({ type: 'error', message: `${refusal}; ${mend}` });
    });
    return {
      pid: 0,
      exited,
      kill: () => Promise.reject(new DaemonError(`${refusal}; end it where it runs`)),
      end: async () => {
        service.unsubscribe();
        end({ code: 0, signal: null });
      },
    };
  }

  #serve(
    node: NodeConfig,
    boot: number,
    nc: NatsConnection,
    handle: (command: NodeCommand, id: string, reply: (part: CommandReply) => void) => void,
  ): Subscription {
    const startedAt = node.role === 'external' ? 0 : now();
    return serveCommands(nc, node.lab, node.name, (message, respond) => {
      const { id, command } = message as CommandEnvelope;
      const reply = (part: CommandReply) => respond(part);
      switch (command?.type) {
        case 'report':
          reply({ type: 'value', value: reportOf(node, boot, startedAt) });
          return;
        case 'sync':
          reply({ type: 'value', value: null });
          return;
        case undefined:
          reply({ type: 'error', message: 'not a command: it has no id' });
          return;
        default:
          handle(command, id, reply);
      }
    });
  }
}

/**
 * A daemon has nothing to say to the sum of counters; the other ends of its sessions speak for it. Since when it is there to be
 * tried, they do not know.
 */
function reportOf({ name, bgp }: NodeConfig, boot: number, startedAt: number): NodeReport {
  const session = { farEnd: 'external', key: '', established: true, settled: true, triedAt: 0 } as const;
  const counts = { openedAt: startedAt, sent: 0, received: 0 };
  return {
    node: name,
    boot,
    at: now(),
    sessions: (bgp?.neighbors ?? []).map(({ name: peer }) => ({ peer, ...session, ...counts })),
    work: 0,
    workOf: { bgp: 0, cluster: 0 },
    storeRevision: 0,
    fibChanges: 0,
    lastFibChange: 0,
    lastFibEvent: 0,
    updatesSent: 0,
    updatesReceived: 0,
    routes: 0,
    podsRunning: 0,
    dropped: {},
  };
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
