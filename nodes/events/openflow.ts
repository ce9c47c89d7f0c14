/** Events of OpenFlow: of a switch's bridge, and of a controller. What flows count leaves no trace. */

export type OpenFlowFailMode = 'secure' | 'standalone';

export type OpenFlowRole = 'equal' | 'master' | 'slave';

interface OnBridge {
  readonly bridge: string;
}

/** A MAC address that NORMAL has learned. */
export interface OpenFlowFdb {
  readonly mac: string;
  /** 0 without a tag. */
  readonly vlan: number;
  readonly port: number;
}

export type OpenFlowEvent =
  | (OnBridge & {
      readonly type: 'openflow.bridge';
      /** 16 hex digits. */
      readonly datapathId: string;
      readonly failMode: OpenFlowFailMode;
      /** `tcp:ADDRESS:PORT`, several with blanks between them, '' for none. */
      readonly controller: string;
      /** In the order of their numbers, from 1. */
      readonly ports: readonly string[];
    })
  | (OnBridge & { readonly type: 'openflow.fail-mode'; readonly failMode: OpenFlowFailMode })
  | (OnBridge & {
      readonly type: 'openflow.channel';
      readonly state: 'connected' | 'disconnected';
      readonly reason: string;
      /** `tcp:ADDRESS:PORT`; absent where there is one only. */
      readonly controller?: string;
    })
  /** 'standalone': the switch learns by itself, whatever its flows say. */
  | (OnBridge & { readonly type: 'openflow.mode'; readonly mode: 'controlled' | 'standalone' })
  /** Added, or changed. `rule` is what names it: table, priority and match; `flow` all of it, as ovs-ofctl reads it. */
  | (OnBridge & { readonly type: 'openflow.flow'; readonly rule: string; readonly flow: string })
  | (OnBridge & { readonly type: 'openflow.flow.removed'; readonly rule: string; readonly reason: string })
  /** Added, or changed; `spec` as ovs-ofctl reads it. */
  | (OnBridge & { readonly type: 'openflow.group'; readonly group: number; readonly spec: string })
  | (OnBridge & { readonly type: 'openflow.group.removed'; readonly group: number })
  | (OnBridge & { readonly type: 'openflow.meter'; readonly meter: number; readonly spec: string })
  | (OnBridge & { readonly type: 'openflow.meter.removed'; readonly meter: number })
  /** A port's settings (OFPPC_…), but for whether it is down. */
  | (OnBridge & { readonly type: 'openflow.port'; readonly port: number; readonly config: number })
  /** What a controller may do; `generation`: the number of the last choice of a master, '' before one. */
  | (OnBridge & {
      readonly type: 'openflow.role';
      readonly controller: string;
      readonly role: OpenFlowRole;
      readonly generation: string;
    })
  /** What a controller wants to be sent unasked: six masks, as SET_ASYNC has them. */
  | (OnBridge & {
      readonly type: 'openflow.async';
      readonly controller: string;
      readonly masks: readonly number[];
    })
  | (OnBridge & OpenFlowFdb & { readonly type: 'openflow.fdb' })
  | (OnBridge & {
      readonly type: 'openflow.fdb.removed';
      readonly mac: string;
      readonly vlan: number;
    })
  /** At the controller: a switch has come, or is gone. */
  | {
      readonly type: 'openflow.switch';
      readonly datapathId: string;
      readonly address: string;
      readonly state: 'up' | 'down';
    }
  /** At the controller: what it asks to be at its switches. */
  | { readonly type: 'openflow.controller'; readonly role: OpenFlowRole }
  /** At the controller: where a host was seen. `ip` is '' while nobody knows it. */
  | {
      readonly type: 'openflow.host';
      readonly datapathId: string;
      readonly mac: string;
      readonly port: number;
      readonly ip: string;
    }
  /** At the controller whose program is on the bus: a packet for it to decide on. */
  | {
      readonly type: 'openflow.packet-in';
      readonly datapathId: string;
      readonly inPort: number;
      readonly reason: string;
      readonly table: number;
      readonly data: Uint8Array;
    }
  /** A switch or a controller has refused what it was told (an ERROR message). */
  | {
      readonly type: 'openflow.error';
      readonly datapathId: string;
      readonly errorType: number;
      readonly code: number;
    };
