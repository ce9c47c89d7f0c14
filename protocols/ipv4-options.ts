/**
 * Options of the IPv4 header (RFC 791 §3.1, RFC 2113). All but the first two: kind (1), length (1) of all of it, and of those with
 * room for addresses or times the pointer (1) to the next free place, counted from 1.
 */
export const IPOPT_END = 0;
export const IPOPT_NOP = 1;
/** Record route: pointer, addresses (4 each). */
export const IPOPT_RR = 7;
/** Timestamp: pointer, overflow (4 bits) and flag (4 bits), then times (4), or pairs of address and time (8). */
export const IPOPT_TIMESTAMP = 68;
/** Loose and strict source route: pointer, addresses. */
export const IPOPT_LSRR = 131;
export const IPOPT_SSRR = 137;
/** Router alert (RFC 2113): a value (2), 0. */
export const IPOPT_RA = 148;

/** Flags of a timestamp: times alone; with addresses; of those whose addresses are given. */
export const TS_ONLY = 0;
export const TS_AND_ADDRESS = 1;
export const TS_PRESPECIFIED = 3;

/** The bit of a kind that every fragment has to have (RFC 791 §3.1). */
const COPIED = 0x80;

/** Puts NOPs in the place of options that only the first fragment has (`ip_options_fragment`). */
export function blankUncopiedOptions(packet: Uint8Array, start: number, end: number): void {
  let at = start;
  while (at < end && packet[at] !== IPOPT_END) {
    const kind = packet[at]!;
    if (kind === IPOPT_NOP) {
      at++;
      continue;
    }
    const length = packet[at + 1]!;
    if (length < 2 || at + length > end) return;
    if ((kind & COPIED) === 0) packet.fill(IPOPT_NOP, at, at + length);
    at += length;
  }
}
