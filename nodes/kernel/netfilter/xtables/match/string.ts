import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { invalid, missing, usage, XtablesError } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { exclude, has, numberOf, onceAsIs } from '../options.ts';
import { once } from '../values.ts';

/** Bytes of the longest pattern (XT_STRING_MAX_PATTERN_SIZE). */
const MOST_PATTERN = 128;
const MOST_OFFSET = 0xffff;

const BAR = 0x7c;
const BACKSLASH = 0x5c;
const BLANK = 0x20;

/** The byte of two hexadecimal digits. */
function hexByte(bytes: Uint8Array, at: number): number {
  if (at + 1 >= bytes.length) throw usage('Odd number of hex digits');
  if (at + 2 >= bytes.length) throw usage('Invalid hex block');
  const digits = String.fromCharCode(bytes[at]!, bytes[at + 1]!);
  for (const digit of digits) if (!/[0-9a-f]/i.test(digit)) throw usage(`Invalid hex char '${digit}'`);
  return Number.parseInt(digits, 16);
}

/** `a|00 0d|b`: digits between bars, a blank between their pairs; what stands behind a backslash is itself (`parse_hex_string`). */
function hexString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length === 0) throw usage('STRING must contain at least one char');
  const found: number[] = [];
  let hex = false;
  for (let i = 0; i < bytes.length; ) {
    if (bytes[i] === BACKSLASH) {
      if (hex) throw usage('Cannot include literals in hex data');
      if (i + 1 >= bytes.length) throw usage('Bad literal placement at end of string');
      found.push(bytes[i + 1]!);
      i += 2;
      continue;
    }
    if (bytes[i] === BAR) {
      hex = !hex;
      while (hex && bytes[i + 1] === BLANK) i++;
      if (++i >= bytes.length) break;
    }
    if (hex) {
      found.push(hexByte(bytes, i));
      i += bytes[i + 2] === BLANK ? 3 : 2;
    } else found.push(bytes[i++]!);
  }
  return Uint8Array.from(found);
}

function patternOf(found: Given): Uint8Array {
  const text = found.values[0] ?? '';
  const pattern = found.option === '--string' ? new TextEncoder().encode(text) : hexString(text);
  if (pattern.length > MOST_PATTERN) throw usage(`STRING too long "${text}"`);
  return pattern;
}

/** As it is, in quotes, or where a terminal would not show it as digits between bars. */
function patternText(pattern: Uint8Array): { readonly isHex: boolean; readonly text: string } {
  const isHex = pattern.some((byte) => byte < 0x20 || byte > 0x7e);
  const text = isHex
    ? `|${Array.from(pattern, (byte) => byte.toString(16).padStart(2, '0')).join('')}|`
    : String.fromCharCode(...pattern).replace(/["\\]/g, (mark) => `\\${mark}`);
  return { isHex, text: `"${text}"` };
}

/** A capital for each small letter of Latin 1, as the kernel's toupper() has it. */
function upper(byte: number): number {
  const small = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0xdf && byte !== 0xf7);
  return small ? byte - 0x20 : byte;
}

/** Whether a pattern stands between two places of a packet. */
function contains(frame: Uint8Array, pattern: Uint8Array, from: number, end: number, fold: boolean): boolean {
  const last = Math.min(end, frame.length) - pattern.length;
  const same = (at: number) => {
    for (let i = 0; i < pattern.length; i++) {
      const byte = frame[at + i]!;
      if ((fold ? upper(byte) : byte) !== pattern[i]) return false;
    }
    return true;
  };
  for (let at = from; at <= last; at++) if (same(at)) return true;
  return false;
}

/** `-m string`: a text anywhere in a packet, from its IP header on (xt_string.c). */
export const string: MatchExtension = {
  name: 'string',
  options: { '--from': 1, '--to': 1, '--algo': 1, '--string': 1, '--hex-string': 1, '--icase': 0 },
  bind(given) {
    exclude('string', given, '--string', '--hex-string');
    const found = once('string', given, '--string', '--hex-string');
    const number = (option: string, fallback: number) => {
      const one = onceAsIs('string', given, option);
      return one === undefined ? fallback : numberOf('string', one, MOST_OFFSET);
    };
    const from = number('--from', 0);
    const to = number('--to', MOST_OFFSET);
    const algorithm = onceAsIs('string', given, '--algo')?.values[0];
    const fold = has('string', given, '--icase');
    if (algorithm === undefined) throw missing('string', '--algo');
    if (found === undefined) throw usage("STRING match: You must specify `--string' or `--hex-string'");
    const pattern = patternOf(found);
    if (!['bm', 'kmp', 'fsm'].includes(algorithm))
      throw new XtablesError('No chain/target/match by that name.', 1);
    if (algorithm === 'fsm') throw usage('string: --algo fsm is not emulated');
    if (from > to || pattern.length === 0) throw invalid();
    const { negated } = found;
    const { isHex, text } = patternText(pattern);
    return {
      save: [
        `${negated ? '! ' : ''}--${isHex ? 'hex-string' : 'string'} ${text}`,
        `--algo ${algorithm}`,
        ...(from === 0 ? [] : [`--from ${from}`]),
        ...(to === MOST_OFFSET ? [] : [`--to ${to}`]),
        ...(fold ? ['--icase'] : []),
      ].join(' '),
      list: () =>
        [
          `STRING match ${negated ? '!' : ''} ${text}`,
          `ALGO name ${algorithm}`,
          ...(from === 0 ? [] : [`FROM ${from}`]),
          ...(to === MOST_OFFSET ? [] : [`TO ${to}`]),
          ...(fold ? ['ICASE'] : []),
        ].join(' '),
      compile: () => {
        const wanted = fold ? pattern.map(upper) : pattern;
        return ({ frame }) => contains(frame, wanted, ETH_HLEN + from, ETH_HLEN + to, fold) !== negated;
      },
    };
  },
};
