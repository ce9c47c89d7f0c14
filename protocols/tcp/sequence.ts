/** 32-bit sequence number arithmetic, modulo 2^32 (RFC 9293 §3.4). */

export function seqAdd(seq: number, count: number): number {
  return (seq + count) >>> 0;
}

/** Signed distance from `b` to `a`: positive if `a` is later. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0;
}

export function seqLt(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function seqLe(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}
