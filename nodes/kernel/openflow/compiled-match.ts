import { FIELDS, fieldOnes, KEY_WORDS, type Match } from '../../../protocols/openflow/oxm.ts';

/** A match as words of a packet's key: which of them it looks at, under what masks, and what they are to be. */
export interface CompiledMatch {
  /** Ascending. */
  readonly words: Uint8Array;
  readonly masks: Uint32Array;
  readonly values: Uint32Array;
}

export function compileMatch(match: Match): CompiledMatch {
  MASKS.fill(0);
  for (const { field, value, mask } of match) {
    const { bits, word } = FIELDS[field];
    let ones = mask ?? fieldOnes(field);
    let rest = value & ones;
    for (let at = word + Math.ceil(bits / 32) - 1; at >= word; at--) {
      MASKS[at] = Number(ones & 0xffffffffn);
      VALUES[at] = Number(rest & 0xffffffffn);
      ones >>= 32n;
      rest >>= 32n;
    }
  }
  return packed(MASKS, VALUES);
}

/** Every bit that one of these matches looks at. */
export function unionOf(matches: Iterable<CompiledMatch>): CompiledMatch {
  MASKS.fill(0);
  VALUES.fill(0);
  for (const { words, masks } of matches)
    for (let i = 0; i < words.length; i++) MASKS[words[i]!]! |= masks[i]!;
  return packed(MASKS, VALUES);
}

const MASKS = new Uint32Array(KEY_WORDS);
const VALUES = new Uint32Array(KEY_WORDS);

function packed(all: Uint32Array, wanted: Uint32Array): CompiledMatch {
  let count = 0;
  for (let word = 0; word < KEY_WORDS; word++) if (all[word] !== 0) count++;
  const words = new Uint8Array(count);
  const masks = new Uint32Array(count);
  const values = new Uint32Array(count);
  for (let word = 0, i = 0; word < KEY_WORDS; word++) {
    if (all[word] === 0) continue;
    words[i] = word;
    masks[i] = all[word]!;
    values[i++] = wanted[word]!;
  }
  return { words, masks, values };
}

/** Whether every packet that `inner` takes is one that `outer` takes. */
export function compiledCovers(outer: CompiledMatch, inner: CompiledMatch): boolean {
  let at = 0;
  for (let i = 0; i < outer.words.length; i++) {
    while (at < inner.words.length && inner.words[at]! < outer.words[i]!) at++;
    if (inner.words[at] !== outer.words[i]) return false;
    const mask = outer.masks[i]!;
    if (((inner.masks[at]! ^ mask) & mask) !== 0 || ((inner.values[at]! ^ outer.values[i]!) & mask) !== 0)
      return false;
  }
  return true;
}

/** Whether a packet can be in both. */
export function compiledOverlap(a: CompiledMatch, b: CompiledMatch): boolean {
  let at = 0;
  for (let i = 0; i < a.words.length; i++) {
    while (at < b.words.length && b.words[at]! < a.words[i]!) at++;
    if (b.words[at] !== a.words[i]) continue;
    if (((a.values[i]! ^ b.values[at]!) & a.masks[i]! & b.masks[at]!) !== 0) return false;
  }
  return true;
}
