import type { Action, Instruction } from './action.ts';
import type { GroupFeatures, GroupMod, GroupSpec, GroupStats } from './group.ts';
import type { MeterFeatures, MeterMod, MeterSpec, MeterStats } from './meter.ts';
import type { Match } from './oxm.ts';
import type { TableFeatures } from './table-features.ts';

/** `ofp_port` (§7.2.1) */
export interface OfPort {
  readonly port: number;
  readonly mac: number;
  /** At most 15 bytes. */
  readonly name: string;
  /** OFPPC_…: 1 is down. */
  readonly config: number;
  /** OFPPS_…: 1 is link down, 4 is live. */
  readonly state: number;
}

/** `ofp_flow_mod` (§7.3.4.1) */
export interface FlowMod {
  readonly command: 'add' | 'modify' | 'modify_strict' | 'delete' | 'delete_strict';
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly table: number;
  /** Seconds; 0 for none. */
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly priority: number;
  readonly bufferId: number;
  readonly outPort: number;
  readonly outGroup: number;
  /** FLOW_FLAGS */
  readonly flags: number;
  readonly match: Match;
  readonly instructions: readonly Instruction[];
}

/** What a flow or aggregate request asks for. */
export interface FlowQuery {
  readonly table: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly match: Match;
}

export interface FlowStats {
  readonly table: number;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly priority: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly cookie: bigint;
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly match: Match;
  readonly instructions: readonly Instruction[];
}

export interface PortStats {
  readonly port: number;
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
}

export interface QueueStats {
  readonly port: number;
  readonly queue: number;
  readonly bytes: bigint;
  readonly packets: bigint;
  readonly errors: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
}

/** What of a switch a controller is sent unasked, bits by the reasons (§7.3.10): as master or equal, and as slave. */
export interface AsyncConfig {
  readonly packetIn: readonly [number, number];
  readonly portStatus: readonly [number, number];
  readonly flowRemoved: readonly [number, number];
}

export interface TableStats {
  readonly table: number;
  readonly active: number;
  readonly lookups: bigint;
  readonly matched: bigint;
}

export interface SwitchDescription {
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly serial: string;
  readonly datapath: string;
}

export type MultipartRequest =
  | {
      readonly kind:
        | 'desc'
        | 'table'
        | 'port_desc'
        | 'group_desc'
        | 'group_features'
        | 'meter_features'
        | 'table_features';
    }
  | ({ readonly kind: 'flow' | 'aggregate' } & FlowQuery)
  | { readonly kind: 'port_stats'; readonly port: number }
  | { readonly kind: 'queue'; readonly port: number; readonly queue: number }
  | { readonly kind: 'group'; readonly group: number }
  | { readonly kind: 'meter' | 'meter_config'; readonly meter: number };

export type MultipartReply =
  | ({ readonly kind: 'desc' } & SwitchDescription)
  | { readonly kind: 'flow'; readonly flows: readonly FlowStats[] }
  | { readonly kind: 'aggregate'; readonly packets: bigint; readonly bytes: bigint; readonly flows: number }
  | { readonly kind: 'table'; readonly tables: readonly TableStats[] }
  | { readonly kind: 'port_stats'; readonly ports: readonly PortStats[] }
  | { readonly kind: 'port_desc'; readonly ports: readonly OfPort[] }
  | { readonly kind: 'table_features'; readonly tables: readonly TableFeatures[] }
  | { readonly kind: 'queue'; readonly queues: readonly QueueStats[] }
  | { readonly kind: 'group'; readonly groups: readonly GroupStats[] }
  | { readonly kind: 'group_desc'; readonly groups: readonly GroupSpec[] }
  | ({ readonly kind: 'group_features' } & GroupFeatures)
  | { readonly kind: 'meter'; readonly meters: readonly MeterStats[] }
  | { readonly kind: 'meter_config'; readonly meters: readonly MeterSpec[] }
  | ({ readonly kind: 'meter_features' } & MeterFeatures);

export type PacketInReason = 'no_match' | 'action' | 'invalid_ttl';
export type FlowRemovedReason = 'idle_timeout' | 'hard_timeout' | 'delete' | 'group_delete';

/** What a message carries beside version, length and transaction id (§7.1). */
export type OfBody =
  /** Versions that the sender speaks by bit; null where it sent no bitmap. */
  | { readonly type: 'hello'; readonly versions: number | null }
  | { readonly type: 'error'; readonly errorType: number; readonly code: number; readonly data: Uint8Array }
  | { readonly type: 'echo_request' | 'echo_reply'; readonly data: Uint8Array }
  | {
      readonly type:
        | 'features_request'
        | 'get_config_request'
        | 'barrier_request'
        | 'barrier_reply'
        | 'get_async_request';
    }
  | {
      readonly type: 'features_reply';
      readonly datapathId: bigint;
      readonly buffers: number;
      readonly tables: number;
      readonly auxiliaryId: number;
      readonly capabilities: number;
    }
  | { readonly type: 'get_config_reply' | 'set_config'; readonly flags: number; readonly missSendLen: number }
  | {
      readonly type: 'packet_in';
      readonly bufferId: number;
      readonly totalLen: number;
      readonly reason: PacketInReason;
      readonly table: number;
      readonly cookie: bigint;
      readonly match: Match;
      readonly data: Uint8Array;
    }
  | {
      readonly type: 'flow_removed';
      readonly cookie: bigint;
      readonly priority: number;
      readonly reason: FlowRemovedReason;
      readonly table: number;
      readonly durationSec: number;
      readonly durationNsec: number;
      readonly idleTimeout: number;
      readonly hardTimeout: number;
      readonly packets: bigint;
      readonly bytes: bigint;
      readonly match: Match;
    }
  | { readonly type: 'port_status'; readonly reason: 'add' | 'delete' | 'modify'; readonly port: OfPort }
  | {
      readonly type: 'packet_out';
      readonly bufferId: number;
      readonly inPort: number;
      readonly actions: readonly Action[];
      readonly data: Uint8Array;
    }
  | ({ readonly type: 'flow_mod' } & FlowMod)
  | ({ readonly type: 'group_mod' } & GroupMod)
  | ({ readonly type: 'meter_mod' } & MeterMod)
  | ({ readonly type: 'get_async_reply' | 'set_async' } & AsyncConfig)
  /** `mask`: the bits of OFPPC_… that change. */
  | {
      readonly type: 'port_mod';
      readonly port: number;
      readonly mac: number;
      readonly config: number;
      readonly mask: number;
      readonly advertise: number;
    }
  | { readonly type: 'multipart_request'; readonly request: MultipartRequest }
  /** `more`: OFPMPF_REPLY_MORE, another follows with the same transaction id. */
  | { readonly type: 'multipart_reply'; readonly more: 'more' | 'last'; readonly reply: MultipartReply }
  | {
      readonly type: 'role_request' | 'role_reply';
      readonly role: 'nochange' | 'equal' | 'master' | 'slave';
      readonly generationId: bigint;
    };

export interface OfMessage {
  readonly xid: number;
  readonly body: OfBody;
}

/** By number (`ofp_type`); null is a type that is not spoken here. */
export const TYPES = [
  'hello',
  'error',
  'echo_request',
  'echo_reply',
  null,
  'features_request',
  'features_reply',
  'get_config_request',
  'get_config_reply',
  'set_config',
  'packet_in',
  'flow_removed',
  'port_status',
  'packet_out',
  'flow_mod',
  'group_mod',
  'port_mod',
  null,
  'multipart_request',
  'multipart_reply',
  'barrier_request',
  'barrier_reply',
  null,
  null,
  'role_request',
  'role_reply',
  'get_async_request',
  'get_async_reply',
  'set_async',
  'meter_mod',
] as const satisfies readonly (OfBody['type'] | null)[];

export const COMMANDS = ['add', 'modify', 'modify_strict', 'delete', 'delete_strict'] as const;
export const PACKET_IN_REASONS = ['no_match', 'action', 'invalid_ttl'] as const;
export const FLOW_REMOVED_REASONS = ['idle_timeout', 'hard_timeout', 'delete', 'group_delete'] as const;
export const PORT_REASONS = ['add', 'delete', 'modify'] as const;
export const ROLES = ['nochange', 'equal', 'master', 'slave'] as const;
export const MULTIPARTS = {
  desc: 0,
  flow: 1,
  aggregate: 2,
  table: 3,
  port_stats: 4,
  queue: 5,
  group: 6,
  group_desc: 7,
  group_features: 8,
  meter: 9,
  meter_config: 10,
  meter_features: 11,
  table_features: 12,
  port_desc: 13,
} as const;
