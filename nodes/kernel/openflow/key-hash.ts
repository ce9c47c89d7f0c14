/** The hash of a packet's words under masks: MurmurHash3, as an integer of 31 bits that is not 0. */
export function maskedHash(key: Uint32Array, words: Uint8Array, masks: Uint32Array): number {
  let hash = 0;
  for (let i = 0; i < words.length; i++) hash = mix(hash, key[words[i]!]! & masks[i]!);
  return finish(hash);
}

/** The same of words that are masked already. */
export function wordsHash(values: Uint32Array): number {
  let hash = 0;
  for (let i = 0; i < values.length; i++) hash = mix(hash, values[i]!);
  return finish(hash);
}

function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) & 0x7fffffff) | 0x40000000;
}
