import {
  BAD_ACTION,
  BAD_INSTRUCTION,
  BAD_MATCH,
  BAD_REQUEST,
  ERROR,
  FLOW_MOD_FAILED,
  GROUP_MOD_FAILED,
  METER_MOD_FAILED,
  PORT_MOD_FAILED,
  QUEUE_OP_FAILED,
  ROLE_REQUEST_FAILED,
} from './constants.ts';

const CODES: Readonly<Record<number, readonly [string, Readonly<Record<string, number>>]>> = {
  [ERROR.HELLO_FAILED]: ['OFPHFC', { INCOMPATIBLE: 0, EPERM: 1 }],
  [ERROR.BAD_REQUEST]: ['OFPBRC', BAD_REQUEST],
  [ERROR.BAD_ACTION]: ['OFPBAC', BAD_ACTION],
  [ERROR.BAD_INSTRUCTION]: ['OFPBIC', BAD_INSTRUCTION],
  [ERROR.BAD_MATCH]: ['OFPBMC', BAD_MATCH],
  [ERROR.FLOW_MOD_FAILED]: ['OFPFMFC', FLOW_MOD_FAILED],
  [ERROR.GROUP_MOD_FAILED]: ['OFPGMFC', GROUP_MOD_FAILED],
  [ERROR.PORT_MOD_FAILED]: ['OFPPMFC', PORT_MOD_FAILED],
  [ERROR.QUEUE_OP_FAILED]: ['OFPQOFC', QUEUE_OP_FAILED],
  [ERROR.ROLE_REQUEST_FAILED]: ['OFPRRFC', ROLE_REQUEST_FAILED],
  [ERROR.METER_MOD_FAILED]: ['OFPMMFC', METER_MOD_FAILED],
};

/** `OFPGMFC_GROUP_EXISTS`; by its numbers where it has no name here. */
export function errorName(type: number, code: number): string {
  const [prefix, codes] = CODES[type] ?? ['', {}];
  const name = Object.entries(codes).find(([, number]) => number === code)?.[0];
  return name === undefined ? `type ${type} code ${code}` : `${prefix}_${name}`;
}
