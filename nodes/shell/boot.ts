import type { Impairment } from '../commands.ts';

/** What the supervisor tells a node's process, in its environment as JSON. */
export interface ProcessBoot {
  readonly lab: string;
  readonly node: string;
  readonly bus: { readonly url: string; readonly token: string };
  /** Counts the node's boots, from 1. */
  readonly boot: number;
  readonly carrierDown: readonly string[];
  readonly impaired: Readonly<Record<string, Impairment>>;
  /** 'together' waits, once ready, for the signal that boots all nodes of the lab at one time. */
  readonly start: 'at-once' | 'together';
  /** Id of the event that started the node. */
  readonly cause: number;
  /** File for the process's own log, and the least level that goes there. */
  readonly logFile: string;
  readonly logLevel: string;
}

/**
 * What the supervisor writes to the node's standard input for the node to be dumb from then on, with its real sockets open. That
 * it is, the node tells by closing the pipe.
 */
export const POWER_CUT = 'power cut\n';
/** Descriptor of that pipe, which a node has that real daemons have connections to. */
export const POWER_PIPE = 3;

/** Published on the lab's `ready` subject when a node's process has loaded all it needs to boot. */
export interface ReadyMessage {
  readonly node: string;
  readonly boot: number;
}

/** Key of the store under which the orchestrator leaves a node's compiled configuration. */
export function configKey(node: string): string {
  return `config.${node}`;
}
