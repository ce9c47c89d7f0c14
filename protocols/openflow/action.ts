import { u16, u32 } from '../bytes.ts';
import { BAD_ACTION, BAD_INSTRUCTION, ERROR, OpenFlowError } from './constants.ts';
import { type Oxm, readBig, readOxm, writeOxm } from './oxm.ts';
import type { OfWriter } from './writer.ts';

/** §7.2.5 */
export type Action =
  /** `maxLen`: bytes of the packet that the controller is sent, 0xffff for all. */
  | { readonly type: 'output'; readonly port: number; readonly maxLen: number }
  | { readonly type: 'push_vlan'; readonly ethertype: number }
  | { readonly type: 'pop_vlan' }
  | { readonly type: 'dec_ttl' }
  | { readonly type: 'set_nw_ttl'; readonly ttl: number }
  | { readonly type: 'set_queue'; readonly queue: number }
  | { readonly type: 'group'; readonly group: number }
  | { readonly type: 'set_field'; readonly oxm: Oxm };

/** §7.2.4 */
export type Instruction =
  | { readonly type: 'goto_table'; readonly table: number }
  | { readonly type: 'write_metadata'; readonly value: bigint; readonly mask: bigint }
  | { readonly type: 'write_actions' | 'apply_actions'; readonly actions: readonly Action[] }
  | { readonly type: 'clear_actions' }
  | { readonly type: 'meter'; readonly meter: number };

const bad = (message: string, code: number) => new OpenFlowError(message, ERROR.BAD_ACTION, code);
const badInstruction = (message: string, code: number) =>
  new OpenFlowError(message, ERROR.BAD_INSTRUCTION, code);

const OUTPUT = 0;
const PUSH_VLAN = 17;
const POP_VLAN = 18;
const SET_QUEUE = 21;
const GROUP = 22;
const SET_NW_TTL = 23;
const DEC_TTL = 24;
const SET_FIELD = 25;

export function writeActions(out: OfWriter, actions: readonly Action[]): void {
  for (const action of actions) writeAction(out, action);
}

function writeAction(out: OfWriter, action: Action): void {
  switch (action.type) {
    case 'output':
      out.u16(OUTPUT);
      out.u16(16);
      out.u32(action.port);
      out.u16(action.maxLen);
      out.zeros(6);
      break;
    case 'push_vlan':
      out.u16(PUSH_VLAN);
      out.u16(8);
      out.u16(action.ethertype);
      out.zeros(2);
      break;
    case 'pop_vlan':
    case 'dec_ttl':
      out.u16(action.type === 'pop_vlan' ? POP_VLAN : DEC_TTL);
      out.u16(8);
      out.zeros(4);
      break;
    case 'set_queue':
    case 'group':
      out.u16(action.type === 'group' ? GROUP : SET_QUEUE);
      out.u16(8);
      out.u32(action.type === 'group' ? action.group : action.queue);
      break;
    case 'set_nw_ttl':
      out.u16(SET_NW_TTL);
      out.u16(8);
      out.u8(action.ttl);
      out.zeros(3);
      break;
    case 'set_field': {
      const start = out.length;
      out.u16(SET_FIELD);
      out.u16(0);
      writeOxm(out, action.oxm);
      out.align(start);
      out.setU16(start + 2, out.length - start);
    }
  }
}

/** @throws OpenFlowError */
export function readActions(buf: Uint8Array, off: number, end: number): Action[] {
  const actions: Action[] = [];
  for (let at = off; at < end; ) {
    const length = end - at < 8 ? 0 : u16(buf, at + 2);
    if (length < 8 || length % 8 !== 0 || at + length > end)
      throw bad('an action is cut short', BAD_ACTION.BAD_LEN);
    actions.push(readAction(buf, at, length));
    at += length;
  }
  return actions;
}

const SIZED = [OUTPUT, PUSH_VLAN, POP_VLAN, SET_QUEUE, GROUP, SET_NW_TTL, DEC_TTL];

function readAction(buf: Uint8Array, at: number, length: number): Action {
  const type = u16(buf, at);
  const wanted = type === OUTPUT ? 16 : 8;
  if (SIZED.includes(type) && length !== wanted)
    throw bad(`action ${type} is of ${length} bytes`, BAD_ACTION.BAD_LEN);
  switch (type) {
    case OUTPUT:
      return { type: 'output', port: u32(buf, at + 4), maxLen: u16(buf, at + 8) };
    case PUSH_VLAN:
      return { type: 'push_vlan', ethertype: u16(buf, at + 4) };
    case POP_VLAN:
      return { type: 'pop_vlan' };
    case DEC_TTL:
      return { type: 'dec_ttl' };
    case SET_QUEUE:
      return { type: 'set_queue', queue: u32(buf, at + 4) };
    case GROUP:
      return { type: 'group', group: u32(buf, at + 4) };
    case SET_NW_TTL:
      return { type: 'set_nw_ttl', ttl: buf[at + 4]! };
    case SET_FIELD: {
      const { oxm } = readOxm(buf, at + 4, at + length);
      if (oxm.mask !== null) throw bad('set-field takes no mask in OpenFlow 1.3', BAD_ACTION.BAD_SET_TYPE);
      return { type: 'set_field', oxm };
    }
    default:
      throw bad(`no action ${type} is known`, BAD_ACTION.BAD_TYPE);
  }
}

export function writeInstructions(out: OfWriter, instructions: readonly Instruction[]): void {
  for (const instruction of instructions) {
    const start = out.length;
    switch (instruction.type) {
      case 'goto_table':
        out.u16(1);
        out.u16(8);
        out.u8(instruction.table);
        out.zeros(3);
        break;
      case 'write_metadata':
        out.u16(2);
        out.u16(24);
        out.zeros(4);
        out.u64(instruction.value);
        out.u64(instruction.mask);
        break;
      case 'write_actions':
      case 'apply_actions':
        out.u16(instruction.type === 'write_actions' ? 3 : 4);
        out.u16(0);
        out.zeros(4);
        writeActions(out, instruction.actions);
        out.setU16(start + 2, out.length - start);
        break;
      case 'clear_actions':
        out.u16(5);
        out.u16(8);
        out.zeros(4);
        break;
      case 'meter':
        out.u16(6);
        out.u16(8);
        out.u32(instruction.meter);
    }
  }
}

/** @throws OpenFlowError */
export function readInstructions(buf: Uint8Array, off: number, end: number): Instruction[] {
  const instructions: Instruction[] = [];
  for (let at = off; at < end; ) {
    const length = end - at < 8 ? 0 : u16(buf, at + 2);
    if (length < 8 || length % 8 !== 0 || at + length > end)
      throw badInstruction('an instruction is cut short', BAD_INSTRUCTION.BAD_LEN);
    instructions.push(readInstruction(buf, at, length));
    at += length;
  }
  return instructions;
}

function readInstruction(buf: Uint8Array, at: number, length: number): Instruction {
  const type = u16(buf, at);
  if ((type === 2 && length !== 24) || ([1, 5, 6].includes(type) && length !== 8))
    throw badInstruction(`instruction ${type} is of ${length} bytes`, BAD_INSTRUCTION.BAD_LEN);
  switch (type) {
    case 1:
      return { type: 'goto_table', table: buf[at + 4]! };
    case 2:
      return { type: 'write_metadata', value: readBig(buf, at + 8, 8), mask: readBig(buf, at + 16, 8) };
    case 3:
    case 4:
      return {
        type: type === 3 ? 'write_actions' : 'apply_actions',
        actions: readActions(buf, at + 8, at + length),
      };
    case 5:
      return { type: 'clear_actions' };
    case 6:
      return { type: 'meter', meter: u32(buf, at + 4) };
    default:
      throw badInstruction(`no instruction ${type} is known`, BAD_INSTRUCTION.UNKNOWN_INST);
  }
}
