import { u32 } from '../bytes.ts';
import { readMac } from '../mac.ts';
import { RESERVED_PORTS } from './constants.ts';
import type { OfPort } from './message.ts';
import type { OfWriter } from './writer.ts';

export const PORT_SIZE = 64;
/** OFPPF_COPPER and 10 Gb/s full duplex, as a veth says of itself; a bridge's own device says nothing. */
const FEATURES = (1 << 11) | (1 << 6);
const SPEED_KBPS = 10_000_000;

/** number (4), padding (4), address (6), padding (2), name (16), config, state, four feature words, two speeds. */
export function writePort(out: OfWriter, { port, mac, name, config, state }: OfPort): void {
  out.u32(port);
  out.zeros(4);
  out.big(BigInt(mac), 6);
  out.zeros(2);
  out.text(name, 16);
  out.u32(config);
  out.u32(state);
  const isLocal = port === RESERVED_PORTS.LOCAL;
  out.u32(isLocal ? 0 : FEATURES);
  out.zeros(12);
  out.u32(isLocal ? 0 : SPEED_KBPS);
  out.zeros(4);
}

export function readPort(buf: Uint8Array, off: number): OfPort {
  return {
    port: u32(buf, off),
    mac: readMac(buf, off + 8),
    name: readText(buf, off + 16, 16),
    config: u32(buf, off + 32),
    state: u32(buf, off + 36),
  };
}

export function readText(buf: Uint8Array, off: number, size: number): string {
  const bytes = buf.subarray(off, off + size);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
