import type { OpenFlowFailMode, OpenFlowFdb, OpenFlowRole } from '../events/openflow.ts';
import { compareText } from './bgp-view.ts';

/** A bridge's connection to one of its controllers. */
export interface OpenFlowConnection {
  /** `tcp:ADDRESS:PORT` */
  readonly controller: string;
  readonly state: 'connected' | 'disconnected';
  readonly role: OpenFlowRole;
  /** The masks of SET_ASYNC, null where it has sent none. */
  readonly async: readonly number[] | null;
}

export interface OpenFlowBridgeFacts {
  readonly bridge: string;
  readonly datapathId: string;
  readonly failMode: OpenFlowFailMode;
  readonly controller: string;
  readonly ports: readonly string[];
  readonly connections: readonly OpenFlowConnection[];
  /** Number of the last choice of a master, '' before one. */
  readonly generation: string;
  readonly mode: 'controlled' | 'standalone';
  /** By their rules as text. */
  readonly flows: readonly string[];
  readonly fdb: readonly OpenFlowFdb[];
  /** By number, as ovs-ofctl reads them. */
  readonly groups: readonly string[];
  readonly meters: readonly string[];
  /** Of ports that have settings, by number. */
  readonly portConfigs: readonly { readonly port: number; readonly config: number }[];
}

export interface OpenFlowHostFacts {
  readonly datapathId: string;
  readonly mac: string;
  readonly port: number;
  readonly ip: string;
}

/** A node's OpenFlow: the bridge of a switch; of a controller, its switches and the hosts that it has seen. */
export interface OpenFlowView {
  readonly bridges: readonly OpenFlowBridgeFacts[];
  readonly switches: readonly { readonly datapathId: string; readonly address: string }[];
  readonly hosts: readonly OpenFlowHostFacts[];
  /** What a controller asks to be at its switches. */
  readonly role: OpenFlowRole;
}

/** Rows in the order of a text of each. */
export function inOrder<T>(rows: Iterable<T>, text: (row: T) => string): T[] {
  return [...rows].sort((a, b) => compareText(text(a), text(b)));
}

export const fdbKey = ({ mac, vlan }: Pick<OpenFlowFdb, 'mac' | 'vlan'>): string => `${mac} ${vlan}`;
export const hostKey = ({ datapathId, mac }: Pick<OpenFlowHostFacts, 'datapathId' | 'mac'>): string =>
  `${datapathId} ${mac}`;
