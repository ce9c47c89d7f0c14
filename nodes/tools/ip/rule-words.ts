import { protocolNumber } from '../../../protocols/protocol-names.ts';
import { invalidArgument } from './words.ts';

/** A number, decimal or hexadecimal, of at most `max`. @throws ToolError with `message` */
export function numberOf(word: string, max: number, message: string): number {
  const value = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(word) ? Number(word) : Number.NaN;
  if (!(value <= max)) throw invalidArgument(word, message);
  return value;
}

/** A protocol above IP by name or number. @throws ToolError */
export function ipProtocolOf(word: string): number {
  return protocolNumber(word) ?? numberOf(word, 255, 'Invalid "ipproto" value\n');
}
