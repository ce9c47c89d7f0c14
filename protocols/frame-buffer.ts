/** Frames are cut from blocks of so many bytes: to make a buffer for each takes longer than all else that is done to it. */
const BLOCK = 262_144;
const ALIGNMENT = 16;
/** Room before each frame for the headers of a tunnel (`NET_SKB_PAD`), bytes: VXLAN over IPv6 needs 70. */
const HEADROOM = 80;

class Block extends ArrayBuffer {
  readonly bytes = new Uint8Array(this);
  /** For each place where a frame may begin: 1 if one does and the room before it is still free. */
  readonly roomy = new Uint8Array(BLOCK / ALIGNMENT);

  constructor() {
    super(BLOCK);
  }
}

let block = new Block();
let at = 0;

/**
 * A buffer for a frame, all zero, that is the caller's own. It keeps its whole block from being collected: what is to be kept
 * for long is copied out.
 */
export function frameBuffer(length: number): Uint8Array {
  if (length > BLOCK / 4) return new Uint8Array(length);
  if (at + HEADROOM + length > BLOCK) {
    block = new Block();
    at = 0;
  }
  const start = at + HEADROOM;
  block.roomy[start / ALIGNMENT] = 1;
  at = (start + length + ALIGNMENT - 1) & -ALIGNMENT;
  return block.bytes.subarray(start, start + length);
}

/**
 * A frame with so many bytes before it, which are zero (`skb_push`). It is the same memory where the frame has that room, else a copy:
 * either way the frame is the caller's to give, and is not to be used beside what comes back.
 */
export function withHeadroom(frame: Uint8Array, bytes: number): Uint8Array {
  const { buffer, byteOffset, length } = frame;
  if (buffer instanceof Block && bytes <= HEADROOM && (byteOffset & (ALIGNMENT - 1)) === 0) {
    const place = byteOffset / ALIGNMENT;
    if (buffer.roomy[place] === 1) {
      buffer.roomy[place] = 0;
      return buffer.bytes.subarray(byteOffset - bytes, byteOffset + length);
    }
  }
  const copy = frameBuffer(bytes + length);
  copy.set(frame, bytes);
  return copy;
}

/** A frame of the same bytes. */
export function copyFrame(frame: Uint8Array): Uint8Array {
  const copy = frameBuffer(frame.length);
  copy.set(frame);
  return copy;
}
