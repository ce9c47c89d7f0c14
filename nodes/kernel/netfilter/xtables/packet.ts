import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { ipFragmentOffset, ipHeaderLength } from '../../../../protocols/ipv4.ts';
import type { Skb } from '../skb.ts';

/** Where the transport header of a packet begins; -1 where there is none of so many bytes: cut off, or a later fragment. */
export function transportAt({ frame }: Skb, length: number): number {
  if (ipFragmentOffset(frame, ETH_HLEN) > 0) return -1;
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  return at + length <= frame.length ? at : -1;
}

/** Where an option of the TCP header at `at` stands (RFC 9293 §3.1); -1 if it has none of that kind. */
export function findTcpOption(frame: Uint8Array, at: number, kind: number): number {
  const end = Math.min(at + (frame[at + 12]! >> 4) * 4, frame.length);
  for (let i = at + 20; i < end; ) {
    if (frame[i] === kind) return i;
    if (frame[i] === 0) return -1;
    i += frame[i] === 1 ? 1 : Math.max(frame[i + 1] ?? 0, 2);
  }
  return -1;
}
