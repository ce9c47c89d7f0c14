import { setU32, u16, u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, etherType } from '../../../protocols/ethernet.ts';
import { IPV4_HLEN, ipHeaderLength, ipProto, PROTO_ICMP } from '../../../protocols/ipv4.ts';
import { IPOPT_TIMESTAMP } from '../../../protocols/ipv4-options.ts';
import { settleIpId } from './settle.ts';

const MS_A_DAY = 86_400_000;
/** What the clock of ours has to stand at, ms: of a time of 0 nobody could tell whether it was written. */
export const OUR_TIME = 1;

/** Whether it is what Linux takes for the time, or what ours does. Behind midnight there is another count. */
function isNow(time: number): boolean {
  const apart = Math.abs(time - (Date.now() % MS_A_DAY));
  // What is no time of a day is an address.
  return time === OUR_TIME || (time < MS_A_DAY && Math.min(apart, MS_A_DAY - apart) < 120_000);
}

/** Types of ICMP that quote a packet. */
const ERRORS = [3, 5, 11, 12];

/** Takes the time out of timestamp options, in a packet and in one that it quotes: Linux' time becomes ours. And IP ids. */
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
      for (let slot = at + 4; slot + 4 <= Math.min(at + length, end); slot++)
        if (isNow(u32(frame, slot))) {
          setU32(frame, slot, OUR_TIME);
          changed = true;
        }
    at += length;
  }
  if (changed) frame.fill(0, start + 10, start + 12);
}
