/** Frames are cut from blocks of so many bytes: to make a buffer for each takes longer than all else that is done to it. */
const BLOCK = 262_144;
const ALIGNMENT = 8;

let block = new Uint8Array(0);
let at = 0;

/**
 * A buffer for a frame, all zero, that is the caller's own. It keeps its whole block from being collected: what is to be kept
 * for long is copied out.
 */
export function frameBuffer(length: number): Uint8Array {
  if (length > BLOCK / 4) return new Uint8Array(length);
  if (at + length > block.length) {
    block = new Uint8Array(BLOCK);
    at = 0;
  }
  const buffer = block.subarray(at, at + length);
  at += (length + ALIGNMENT - 1) & -ALIGNMENT;
  return buffer;
}

/** A frame of the same bytes. */
export function copyFrame(frame: Uint8Array): Uint8Array {
  const copy = frameBuffer(frame.length);
  copy.set(frame);
  return copy;
}
