import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { invalidArgument } from './words.ts';

/** A number, decimal or hexadecimal, of at most `max`. @throws ToolError with `message` */
export function numberOf(word: string, max: number, message: string): number {
  const value = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(word) ? Number(word) : Number.NaN;
  if (!(value <= max)) throw invalidArgument(word, message);
  return value;
}

const IP_PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: PROTO_ICMP,
  tcp: PROTO_TCP,
  udp: PROTO_UDP,
  sctp: 132,
};

/** A protocol above IP by name or number. @throws ToolError */
export function ipProtocolOf(word: string): number {
  const known = Object.hasOwn(IP_PROTOCOLS, word) ? IP_PROTOCOLS[word] : undefined;
  return known ?? numberOf(word, 255, 'Invalid "ipproto" value\n');
}
