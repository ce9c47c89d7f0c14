/** Numbers of OpenFlow 1.3.5 (ONF TS-023), by its own names without their prefix. */

export const OFP_VERSION = 0x04;
export const OFP_PORT = 6653;
export const OFP_HEADER = 8;
export const OFP_NO_BUFFER = 0xffffffff;
/** Of a packet-in: all of the packet (`OFPCML_NO_BUFFER`). */
export const CONTROLLER_MAX_LEN = 0xffff;
/** In a delete or a request: every table (`OFPTT_ALL`). */
export const ALL_TABLES = 0xff;
/** In a VLAN match: there is a tag (`OFPVID_PRESENT`). */
export const VID_PRESENT = 0x1000;

/** Ports that are none (§7.2.1 `ofp_port_no`), by ovs-ofctl's names. */
export const RESERVED_PORTS = {
  IN_PORT: 0xfffffff8,
  TABLE: 0xfffffff9,
  NORMAL: 0xfffffffa,
  FLOOD: 0xfffffffb,
  ALL: 0xfffffffc,
  CONTROLLER: 0xfffffffd,
  LOCAL: 0xfffffffe,
  ANY: 0xffffffff,
} as const;

export const ERROR = {
  HELLO_FAILED: 0,
  BAD_REQUEST: 1,
  BAD_ACTION: 2,
  BAD_INSTRUCTION: 3,
  BAD_MATCH: 4,
  FLOW_MOD_FAILED: 5,
  GROUP_MOD_FAILED: 6,
  PORT_MOD_FAILED: 7,
  QUEUE_OP_FAILED: 9,
  ROLE_REQUEST_FAILED: 11,
  METER_MOD_FAILED: 12,
} as const;

export const BAD_REQUEST = {
  BAD_VERSION: 0,
  BAD_TYPE: 1,
  BAD_MULTIPART: 2,
  EPERM: 5,
  BAD_LEN: 6,
  BUFFER_UNKNOWN: 8,
  IS_SLAVE: 10,
  BAD_PORT: 11,
  BAD_PACKET: 12,
} as const;
export const BAD_ACTION = {
  BAD_TYPE: 0,
  BAD_LEN: 1,
  BAD_OUT_PORT: 4,
  BAD_SET_TYPE: 13,
  BAD_SET_ARGUMENT: 15,
  BAD_ARGUMENT: 5,
  BAD_OUT_GROUP: 9,
  MATCH_INCONSISTENT: 10,
} as const;
export const BAD_INSTRUCTION = { UNKNOWN_INST: 0, BAD_TABLE_ID: 2, BAD_LEN: 7, DUP_INST: 9 } as const;
export const BAD_MATCH = {
  BAD_TYPE: 0,
  BAD_LEN: 1,
  BAD_FIELD: 6,
  BAD_VALUE: 7,
  BAD_MASK: 8,
  BAD_PREREQ: 9,
  DUP_FIELD: 10,
} as const;
export const FLOW_MOD_FAILED = {
  TABLE_FULL: 1,
  BAD_TABLE_ID: 2,
  OVERLAP: 3,
  BAD_COMMAND: 6,
  BAD_FLAGS: 7,
} as const;

export const GROUP_MOD_FAILED = {
  GROUP_EXISTS: 0,
  INVALID_GROUP: 1,
  CHAINING_UNSUPPORTED: 5,
  LOOP: 7,
  UNKNOWN_GROUP: 8,
  CHAINED_GROUP: 9,
  BAD_TYPE: 10,
  BAD_COMMAND: 11,
  BAD_BUCKET: 12,
  BAD_WATCH: 13,
} as const;
export const METER_MOD_FAILED = {
  METER_EXISTS: 1,
  INVALID_METER: 2,
  UNKNOWN_METER: 3,
  BAD_COMMAND: 4,
  BAD_FLAGS: 5,
  BAD_RATE: 6,
  BAD_BURST: 7,
  BAD_BAND: 8,
  BAD_BAND_TYPE: 9,
  OUT_OF_BANDS: 11,
} as const;
export const PORT_MOD_FAILED = { BAD_PORT: 0, BAD_HW_ADDR: 1 } as const;
export const QUEUE_OP_FAILED = { BAD_PORT: 0, BAD_QUEUE: 1, EPERM: 2 } as const;
export const ROLE_REQUEST_FAILED = { STALE: 0, BAD_ROLE: 2 } as const;

/** `ofp_port_config` (§7.2.1) */
export const PORT_CONFIG = { PORT_DOWN: 1, NO_RECV: 4, NO_FWD: 0x20, NO_PACKET_IN: 0x40 } as const;

export const FLOW_FLAGS = {
  SEND_FLOW_REM: 1,
  CHECK_OVERLAP: 2,
  RESET_COUNTS: 4,
  NO_PKT_COUNTS: 8,
  NO_BYT_COUNTS: 16,
} as const;

/** What a switch says with an ERROR message, thrown where it is found out. */
export class OpenFlowError extends Error {
  override readonly name = 'OpenFlowError';
  readonly errorType: number;
  readonly code: number;

  constructor(message: string, errorType: number, code: number) {
    super(message);
    this.errorType = errorType;
    this.code = code;
  }
}
