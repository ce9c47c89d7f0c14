import type { CommandReply, NodeCommand } from '../nodes/commands.ts';
import type { NodeConfig } from '../nodes/config.ts';
import type { EventId } from '../nodes/events/record.ts';
import type { StoreValue } from '../nodes/store.ts';
import type { AnyRecord, LabAction } from './events.ts';

export type NodeState = 'starting' | 'running' | 'down';

export interface NodeInfo {
  readonly name: string;
  readonly number: number;
  readonly role: string;
  readonly state: NodeState;
  /** Boots so far. */
  readonly boot: number;
  /** Process id; 0 in the simulator and while down. */
  readonly pid: number;
  /** Of its interfaces as the lab file has them, then of its loopback; without lengths. */
  readonly addresses: readonly string[];
}

/** What `NodeInfo` says of a node's addresses. */
export function ownAddresses({ interfaces, loopbacks }: NodeConfig): string[] {
  const all = [...interfaces.flatMap(({ addresses }) => addresses), ...loopbacks];
  return all.map((address) => address.split('/')[0] ?? address);
}

/**
 * A lab that runs, wherever it runs: processes on a bus or machines in the simulator. Probes, churn, chaos,
 * convergence and every CLI command are written against this and so work on both.
 */
export interface RunningLab {
  readonly name: string;
  /** The lab's clock, ms. */
  now(): number;
  /** Resolves when the lab's clock has moved on by `ms`. */
  sleep(ms: number): Promise<void>;
  nodes(): Promise<readonly NodeInfo[]>;
  /**
   * Sends a command to a node; `onReply` gets every part of the answer, the promise resolves to the last.
   * @throws NodeDownError when no such node answers.
   */
  command(node: string, command: NodeCommand, options?: CommandOptions): Promise<CommandReply>;
  /** Does something to the lab, logs it as an event first, and resolves when it is done. */
  act(action: LabAction): Promise<EventId>;
  list(keyPattern: string): Promise<readonly StoreEntry[]>;
  /** One log from its beginning; `ORCHESTRATOR` is the orchestrator's. All that was emitted before the call is in it. */
  records(node: string): AsyncIterable<AnyRecord>;
}

export interface CommandOptions {
  readonly onReply?: (reply: CommandReply) => void;
  readonly cause?: EventId;
  /** Aborting interrupts the command as Ctrl-C does. */
  readonly signal?: AbortSignal;
}

export interface StoreEntry {
  readonly key: string;
  readonly value: StoreValue;
  readonly revision: number;
}

export class NodeDownError extends Error {
  constructor(node: string) {
    super(`node ${node} is not running; start it with: reroute start ${node}`);
    this.name = 'NodeDownError';
  }
}

export class UnknownNodeError extends Error {
  constructor(node: string, known: readonly string[]) {
    super(
      `no node ${node} in this lab; nodes: ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', …' : ''}`,
    );
    this.name = 'UnknownNodeError';
  }
}
