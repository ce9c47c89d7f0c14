import { setU16, setU32, u32 } from '../../../protocols/bytes.ts';
import { internetChecksum } from '../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { IPV4_HLEN, ipSrc } from '../../../protocols/ipv4.ts';
import { IPOPT_END, TS_PRESPECIFIED } from '../../../protocols/ipv4-options.ts';
import { addressType } from '../address-type.ts';
import type { Netns } from '../netns.ts';

/**
 * What is known of the options of a packet that came in (`struct ip_options`). Places are counted from the IP header; 0: there is
 * no such option.
 */
export interface KnownOptions {
  srr: number;
  rr: number;
  ts: number;
  isStrict: boolean;
  /** An address, or a time, has been written into the last place before the pointer. */
  rrNeedsAddress: boolean;
  tsNeedsAddress: boolean;
  tsNeedsTime: boolean;
  /** Where a source route that has come to this host leads next, null for another. */
  nexthop: number | null;
}

export function noOptions(): KnownOptions {
  return {
    ...{ srr: 0, rr: 0, ts: 0, isStrict: false, nexthop: null },
    ...{ rrNeedsAddress: false, tsNeedsAddress: false, tsNeedsTime: false },
  };
}

/** Options of a packet that answers another, whole words, but for what is known only once it is routed. */
export interface AnswerOptions {
  readonly bytes: Uint8Array;
  /** Places in `bytes`: of the last address of a source route, of an address recorded, of an address and of a time; -1 for none. */
  readonly destinationAt: number;
  readonly recordAt: number;
  readonly addressAt: number;
  readonly timeAt: number;
  /** Where a packet with a source route goes first, null for one without. */
  readonly via: number | null;
}

const MS_A_DAY = 86_400_000;

/** ms since midnight of universal time (RFC 791, `inet_current_timestamp`). */
export function timeOfDay(ns: Netns): number {
  return Math.floor(ns.kernel.rt.now) % MS_A_DAY;
}

/**
 * The options of an answer to a packet (`ip_options_echo`): record and times go on, a source route goes back. 'unanswerable': such
 * that nobody is answered.
 */
export function answerOptions(
  ns: Netns,
  frame: Uint8Array,
  known: KnownOptions,
): AnswerOptions | 'unanswerable' | null {
  const bytes: number[] = [];
  let recordAt = -1;
  let addressAt = -1;
  let timeAt = -1;
  const optionAt = (at: number) => [
    ...frame.subarray(ETH_HLEN + at, ETH_HLEN + at + frame[ETH_HLEN + at + 1]!),
  ];
  if (known.rr !== 0) {
    const option = optionAt(known.rr);
    const pointer = option[2]!;
    if (known.rrNeedsAddress && pointer <= option.length) {
      if (pointer + 3 > option.length) return 'unanswerable';
      option[2] = pointer + 4;
      recordAt = bytes.length + pointer - 1;
    }
    bytes.push(...option);
  }
  if (known.ts !== 0) {
    const option = optionAt(known.ts);
    let pointer = option[2]!;
    if (pointer <= option.length) {
      if (known.tsNeedsAddress) {
        if (pointer + 3 > option.length) return 'unanswerable';
        addressAt = bytes.length + pointer - 1;
        pointer += 4;
      }
      if (known.tsNeedsTime) {
        if (pointer + 3 > option.length) return 'unanswerable';
        if ((option[3]! & 0x0f) !== TS_PRESPECIFIED) {
          timeAt = bytes.length + pointer - 1;
          pointer += 4;
        } else if (pointer + 7 <= option.length) {
          const addr = u32(frame, ETH_HLEN + known.ts + pointer - 1);
          if (addressType(ns, addr) !== 'UNICAST') {
            timeAt = bytes.length + pointer + 3;
            pointer += 8;
          }
        }
      }
      option[2] = pointer;
    }
    bytes.push(...option);
  }
  const back = known.srr === 0 ? null : routeBack(frame, known.srr);
  const destinationAt = back === null ? -1 : bytes.length + back.option.length - 4;
  if (back !== null) bytes.push(...back.option);
  if (bytes.length === 0) return null;
  while (bytes.length % 4 !== 0) bytes.push(IPOPT_END);
  const via = back?.via ?? null;
  return { bytes: Uint8Array.from(bytes), destinationAt, recordAt, addressAt, timeAt, via };
}

/** The way back that a source route leads; null where there is none but that to the sender. */
function routeBack(
  frame: Uint8Array,
  srr: number,
): { readonly option: readonly number[]; readonly via: number } | null {
  const start = ETH_HLEN + srr;
  const length = frame[start + 1]!;
  const visited: number[] = [];
  for (let at = Math.min(frame[start + 2]!, length + 1) - 4; at > 3; at -= 4) visited.push(start + at - 1);
  const [first, ...others] = visited;
  if (first === undefined) return null;
  const addresses = others.map((at) => [...frame.subarray(at, at + 4)]);
  // The place of the destination, which is written once that is known.
  addresses.push([0, 0, 0, 0]);
  // RFC 1812 §5.2.4.1: the sender is not to be there twice.
  if (u32(frame, visited.at(-1)!) === ipSrc(frame, ETH_HLEN)) addresses.pop();
  if (addresses.length === 0) return null;
  return {
    option: [frame[start]!, addresses.length * 4 + 3, 4, ...addresses.flat()],
    via: u32(frame, first),
  };
}

/** Adds the options to a header that is written without them (`ip_options_build`). */
export function writeOptions(
  packet: Uint8Array,
  { bytes, destinationAt, recordAt, addressAt, timeAt }: AnswerOptions,
  src: number,
  dst: number,
  now: number,
): void {
  const start = ETH_HLEN + IPV4_HLEN;
  packet.set(bytes, start);
  if (destinationAt >= 0) setU32(packet, start + destinationAt, dst);
  if (recordAt >= 0) setU32(packet, start + recordAt, src);
  if (addressAt >= 0) setU32(packet, start + addressAt, src);
  if (timeAt >= 0) setU32(packet, start + timeAt, now);
  const headerLength = IPV4_HLEN + bytes.length;
  packet[ETH_HLEN] = 0x40 | (headerLength / 4);
  setU16(packet, ETH_HLEN + 10, 0);
  setU16(packet, ETH_HLEN + 10, internetChecksum(packet, ETH_HLEN, headerLength));
}
