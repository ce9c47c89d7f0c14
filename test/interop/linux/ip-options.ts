import { setU32, u16, u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, etherType } from '../../../protocols/ethernet.ts';
import { IPV4_HLEN, ipHeaderLength, ipProto, PROTO_ICMP } from '../../../protocols/ipv4.ts';
import { IPOPT_TIMESTAMP } from '../../../protocols/ipv4-options.ts';
import { settleIpId } from './settle.ts';

const MS_A_DAY = 86_400_000;
/** Flags of a timestamp option that holds no addresses (RFC 791). */
const TIMES_ALONE = 0;
/** What the clock of ours has to stand at, ms: of a time of 0 nobody could tell whether it was written. */
export const OUR_TIME = 1;

/** Types of ICMP that quote a packet. */
const ERRORS = [3, 5, 11, 12];

/**
 * Takes the time out of timestamp options, in a packet and in one that it quotes: Linux' time becomes ours. And IP ids.
 * It looks at no clock: whatever can be a time of a day, and stands where times were written, is one.
 */
export function settleTimes(frame: Uint8Array): void {
  settleIpId(frame);
  if (etherType(frame) !== ETHERTYPE_IPV4) return;
  settleHeader(frame, ETH_HLEN);
  if (ipProto(frame, ETH_HLEN) !== PROTO_ICMP || (u16(frame, ETH_HLEN + 6) & 0x1fff) !== 0) return;
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  if (!ERRORS.includes(frame[at]!)) return;
  frame.fill(0, at + 2, at + 4);
  settleHeader(frame, at + 8);
}

function settleHeader(frame: Uint8Array, start: number): void {
  const end = Math.min(start + ipHeaderLength(frame, start), frame.length);
  let changed = false;
  for (let at = start + IPV4_HLEN; at + 1 < end && frame[at] !== 0; ) {
    const length = frame[at] === 1 ? 1 : frame[at + 1]!;
    if (frame[at] !== 1 && length < 2) break;
    if (frame[at] === IPOPT_TIMESTAMP)
      for (const slot of writtenTimes(frame, at, Math.min(at + length, end))) {
        setU32(frame, slot, OUR_TIME);
        changed = true;
      }
    at += length;
  }
  if (changed) frame.fill(0, start + 10, start + 12);
}

/** Where times stand in the timestamp option at `at`: before its pointer, each behind an address unless the flags say none. */
function* writtenTimes(frame: Uint8Array, at: number, end: number): Generator<number> {
  const pointer = at + frame[at + 2]! - 1;
  const step = (frame[at + 3]! & 0x0f) === TIMES_ALONE ? 4 : 8;
  for (let slot = pointer - 4; slot >= at + 4; slot -= step) {
    if (slot + 4 > end) continue;
    const value = u32(frame, slot);
    if (value > 0 && value < MS_A_DAY) yield slot;
  }
}
