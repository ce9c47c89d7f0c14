import type { BfdEvent } from './bfd.ts';
import type { BgpEvent } from './bgp.ts';
import type { ClusterEvent } from './cluster.ts';
import type { DockerEvent } from './docker.ts';
import type { FileEvent } from './files.ts';
import type { KernelEvent } from './kernel.ts';
import type { NodeEvent } from './node.ts';
import type { OpenFlowEvent } from './openflow.ts';
import type { EventRecord } from './record.ts';

/** Everything that a node's log can hold. */
export type LabEvent =
  | KernelEvent
  | BgpEvent
  | BfdEvent
  | ClusterEvent
  | DockerEvent
  | FileEvent
  | NodeEvent
  | OpenFlowEvent;
export type LogRecord = EventRecord<LabEvent>;
