import type { EventId } from './events/record.ts';

/** What the orchestrator and the CLI ask of a running node. */
export type NodeCommand =
  /**
   * Runs a tool (ping, ip, birdc, …) in a namespace. `pod` is '' for the node itself, else `namespace/name`.
   * Answers with output as it comes, then `exit`.
   */
  | { readonly type: 'exec'; readonly pod: string; readonly argv: readonly string[] }
  /** Ctrl-C for an `exec` by its command id. */
  | { readonly type: 'interrupt'; readonly target: string }
  /** Carrier of a physical port, as a pulled cable. */
  | { readonly type: 'carrier'; readonly device: string; readonly carrier: 'up' | 'down' }
  | { readonly type: 'snapshot' }
  | { readonly type: 'report' }
  /** Answers when the log holds everything up to now. */
  | { readonly type: 'sync' }
  | {
      readonly type: 'probe.start';
      readonly probe: string;
      readonly pod: string;
      readonly target: string;
      /** Time between packets, ms. */
      readonly interval: number;
    }
  | { readonly type: 'probe.target'; readonly probe: string; readonly target: string }
  | { readonly type: 'probe.stop'; readonly probe: string }
  /** Process death: 'reset' lets the kernel answer for the sockets (RST), 'silent' as a power cut. */
  | { readonly type: 'crash'; readonly how: 'reset' | 'silent' }
  /** Orderly end: CEASE to the peers, log flushed. */
  | { readonly type: 'stop'; readonly reason: string };

/** A command as it travels, with what it follows from. */
export interface CommandEnvelope {
  /** Unique in the lab; `interrupt` names it. */
  readonly id: string;
  readonly cause: EventId;
  readonly command: NodeCommand;
}

/** One part of an answer; `exit`, `value` and `error` are the last. */
export type CommandReply =
  | { readonly type: 'stdout'; readonly text: string }
  | { readonly type: 'stderr'; readonly text: string }
  | { readonly type: 'exit'; readonly code: number }
  | { readonly type: 'value'; readonly value: unknown }
  | { readonly type: 'error'; readonly message: string };

export function isFinal(reply: CommandReply): boolean {
  return reply.type !== 'stdout' && reply.type !== 'stderr';
}
