import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { XfrmMode } from '../../../events/xfrm.ts';
import { ToolError } from '../../tool.ts';
import { requireAddress } from '../context.ts';
import { EXIT_USAGE, invalidArgument, notEmulated, type Words } from '../words.ts';

/** What names an association, as far as it was given (`xfrm_id_parse`). */
export interface XfrmId {
  src: number;
  dst: number;
  /** Absent: none was named. */
  proto?: 'esp';
  spi: number;
}

export const required = (what: string): ToolError =>
  new ToolError(`Error: argument "${what}" is required`, EXIT_USAGE);

export function addressOf(text: string): number {
  if (parseIp4(text) === null && text.includes(':')) throw notEmulated('ip xfrm with IPv6');
  return requireAddress(text, 'inet');
}

export function numberOf(text: string, name: string): number {
  const number = /^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 0xffff_ffff)) throw invalidArgument(text, `${name} value is invalid`);
  return number;
}

export function modeOf(text: string): XfrmMode {
  if (text === 'transport' || text === 'tunnel') return text;
  if (['beet', 'ro', 'in_trigger'].includes(text)) throw notEmulated(`ip xfrm mode ${text}`);
  throw invalidArgument(text, 'MODE value is invalid');
}

/** Takes a word of an ID; false where it is none. */
export function takeId(id: XfrmId, word: string, words: Words): boolean {
  if (word === 'src') id.src = addressOf(words.argument());
  else if (word === 'dst') id.dst = addressOf(words.argument());
  else if (word === 'proto') {
    const text = words.argument();
    if (['ah', 'comp', 'route2', 'hao'].includes(text)) throw notEmulated(`ip xfrm proto ${text}`);
    if (text !== 'esp') throw invalidArgument(text, 'XFRM-PROTO value is invalid');
    id.proto = text;
  } else if (word === 'spi') id.spi = numberOf(words.argument(), 'SPI');
  else return false;
  return true;
}
