import type { NodeConfig } from '../../nodes/config.ts';

/** A lab file with every default filled in and every name, address and neighbour worked out. */
export interface CompiledLab {
  readonly name: string;
  readonly seed: number;
  /** In the order of the file; `number` counts them from 1. */
  readonly nodes: readonly NodeConfig[];
  readonly segments: readonly CompiledSegment[];
  /** Pods that `up` creates. */
  readonly pods: readonly DesiredPod[];
  /** What all timers were multiplied by; already in them. */
  readonly timeScale: number;
  /** Which frames are recorded while the lab runs; absent, none. */
  readonly record?: RecordConfig;
  /** Where each node's commands of the docker client stand in the file: `FILE:LINE:COL: path`. Absent: there are none. */
  readonly dockerPlaces?: Readonly<Record<string, readonly string[]>>;
  /** `FILE:LINE:COL: path: message`, for the user to read. */
  readonly warnings: readonly string[];
}

export interface RecordConfig {
  /** Links and devices in the words of `reroute capture`. */
  readonly targets: readonly string[];
  /** Most that is kept, bytes; the oldest goes. */
  readonly limit: number;
  /** Most bytes kept of a frame. */
  readonly snapLength: number;
}

/** A wire: a point-to-point link, or a LAN that any number of nodes share. */
export interface CompiledSegment {
  /** Unique; one token of a bus subject. */
  readonly name: string;
  readonly kind: 'p2p' | 'lan';
  readonly subnet: string;
  /** One way, ms. */
  readonly delay: number;
  readonly members: readonly SegmentMember[];
}

interface SegmentMember {
  readonly node: string;
  readonly iface: string;
}

export interface DesiredPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node: string;
}
