import type { LabAction } from '../events.ts';

/** What the supervisor of a lab is asked over the bus. */
export type SupervisorCommand =
  | { readonly type: 'nodes' }
  | { readonly type: 'act'; readonly action: LabAction }
  /** Answers when the orchestrator's log is stored. */
  | { readonly type: 'sync' }
  | { readonly type: 'down' };

/** Its answers, always of one part. `name` is that of the error's class. */
export type SupervisorReply =
  | { readonly type: 'value'; readonly value: unknown }
  | { readonly type: 'error'; readonly name: string; readonly message: string };

/** Published when a node's process has ended. */
export interface GoneMessage {
  readonly node: string;
}
