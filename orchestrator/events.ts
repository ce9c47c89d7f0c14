import type { BgpRequest, ImpairmentChange } from '../nodes/commands.ts';
import type { LabEvent } from '../nodes/events/index.ts';
import type { EventRecord } from '../nodes/events/record.ts';

/** What is done to a lab from outside: the faults, and the changes to its desired state. */
export type LabAction =
  /** Ends a node's process. 'reset': its kernel resets the connections on the way down; 'silent': as a power cut. */
  | { readonly type: 'kill'; readonly node: string; readonly how: 'reset' | 'silent' }
  | { readonly type: 'start'; readonly node: string }
  | { readonly type: 'link'; readonly node: string; readonly device: string; readonly carrier: 'up' | 'down' }
  | {
      readonly type: 'impair';
      readonly node: string;
      readonly device: string;
      readonly change: ImpairmentChange;
    }
  | { readonly type: 'bgp'; readonly node: string; readonly request: BgpRequest }
  | {
      readonly type: 'pod.create';
      readonly namespace: string;
      readonly name: string;
      readonly node: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  | { readonly type: 'pod.delete'; readonly namespace: string; readonly name: string; readonly node: string };

/** Events of the orchestrator, node 0 of every lab's log. */
export type OrchestratorEvent =
  | {
      readonly type: 'lab.started';
      readonly lab: string;
      readonly seed: number;
      readonly nodes: readonly string[];
    }
  | { readonly type: 'lab.stopped' }
  | { readonly type: 'action'; readonly action: LabAction }
  /** A node's process ended without being told to. */
  | {
      readonly type: 'node.exited';
      readonly node: string;
      readonly code: number | null;
      readonly signal: string | null;
    }
  | {
      readonly type: 'lab.converged';
      /** Time from the action (or the start) to the last FIB change, ms. */
      readonly after: number;
      readonly updates: number;
    };

/** A record of any log of a lab: a node's or the orchestrator's. */
export type AnyRecord = EventRecord<LabEvent | OrchestratorEvent>;

/** Name under which the orchestrator's events stand in the log. No node may have it. */
export const ORCHESTRATOR = 'orchestrator';
