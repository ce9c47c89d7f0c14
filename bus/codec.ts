import { Packr } from 'msgpackr';

/** What is structured travels as MessagePack without shared structures: every message stands alone. */
const packr = new Packr({ useRecords: false, moreTypes: true, int64AsType: 'number' });

export function encode(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** @throws Error on bytes that are not MessagePack. */
export function decode(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}
