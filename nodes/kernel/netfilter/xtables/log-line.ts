import { u16, u32 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN, etherType } from '../../../../protocols/ethernet.ts';
import { formatIp4 } from '../../../../protocols/ip4.ts';
import {
  ipDf,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipId,
  ipMf,
  ipProto,
  ipSrc,
  ipTos,
  ipTotalLength,
  ipTtl,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from '../../../../protocols/ipv4.ts';
import { formatMac, readMac } from '../../../../protocols/mac.ts';
import type { Skb } from '../skb.ts';

/** What LOG adds to a line: --log-tcp-sequence, --log-tcp-options, --log-ip-options, --log-macdecode. */
export interface LogFlags {
  readonly tcpSequence: boolean;
  readonly tcpOptions: boolean;
  readonly ipOptions: boolean;
  readonly macDecode: boolean;
}

const TCP_FLAGS = ['CWR', 'ECE', 'URG', 'ACK', 'PSH', 'RST', 'SYN', 'FIN'] as const;

function hexByte(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** A packet as the kernel's log has it (nf_log_syslog.c): `IN=eth0 OUT= MAC=… SRC=… DST=… LEN=… …`. */
export function logLine(skb: Skb, flags: LogFlags): string {
  const { frame, in: input, out, physIn, physOut, mark } = skb;
  const words = [`IN=${input?.name ?? ''}`, `OUT=${out?.name ?? ''}`];
  if (physIn !== null && physIn !== input) words.push(`PHYSIN=${physIn.name}`);
  if (physOut !== null && physOut !== out) words.push(`PHYSOUT=${physOut.name}`);
  if (input !== null) words.push(macWords(frame, input.hasLinkLayer, flags));
  words.push(...ipWords(frame, flags));
  if (mark !== 0) words.push(`MARK=0x${mark.toString(16)}`);
  return `${words.join(' ')} `;
}

function macWords(frame: Uint8Array, hasLinkLayer: boolean, { macDecode }: LogFlags): string {
  if (!hasLinkLayer) return 'MAC=';
  const dst = formatMac(readMac(frame, 0));
  const src = formatMac(readMac(frame, 6));
  const type = etherType(frame).toString(16).padStart(4, '0');
  if (macDecode) return `MACSRC=${src} MACDST=${dst} MACPROTO=${type}`;
  return `MAC=${dst}:${src}:${type.slice(0, 2)}:${type.slice(2)}`;
}

function ipWords(frame: Uint8Array, flags: LogFlags): string[] {
  const off = ETH_HLEN;
  const tos = ipTos(frame, off);
  const words = [
    `SRC=${formatIp4(ipSrc(frame, off))}`,
    `DST=${formatIp4(ipDst(frame, off))}`,
    `LEN=${ipTotalLength(frame, off)}`,
    `TOS=${hexByte(tos & 0x1e)}`,
    `PREC=${hexByte(tos & 0xe0)}`,
    `TTL=${ipTtl(frame, off)}`,
    `ID=${ipId(frame, off)}`,
  ];
  if (ipDf(frame, off)) words.push('DF');
  if (ipMf(frame, off)) words.push('MF');
  const offset = ipFragmentOffset(frame, off);
  if (offset > 0) words.push(`FRAG:${offset / 8}`);
  if (flags.ipOptions) words.push(...optionWords(frame, off + 20, off + ipHeaderLength(frame, off)));
  return [...words, ...transportWords(frame, off + ipHeaderLength(frame, off), offset, flags)];
}

function transportWords(frame: Uint8Array, at: number, offset: number, flags: LogFlags): string[] {
  const proto = ipProto(frame, ETH_HLEN);
  const left = frame.length - at;
  const incomplete = `INCOMPLETE [${Math.max(left, 0)} bytes]`;
  switch (proto) {
    case PROTO_TCP:
      if (offset > 0) return ['PROTO=TCP'];
      return left < 20 ? ['PROTO=TCP', incomplete] : tcpWords(frame, at, flags);
    case PROTO_UDP:
      if (offset > 0) return ['PROTO=UDP'];
      if (left < 8) return ['PROTO=UDP', incomplete];
      return ['PROTO=UDP', `SPT=${u16(frame, at)}`, `DPT=${u16(frame, at + 2)}`, `LEN=${u16(frame, at + 4)}`];
    case PROTO_ICMP: {
      if (offset > 0) return ['PROTO=ICMP'];
      if (left < 8) return ['PROTO=ICMP', incomplete];
      const type = frame[at]!;
      const echo = type === 0 || type === 8 ? [`ID=${u16(frame, at + 4)}`, `SEQ=${u16(frame, at + 6)}`] : [];
      return ['PROTO=ICMP', `TYPE=${type}`, `CODE=${frame[at + 1]}`, ...echo];
    }
    default:
      return [`PROTO=${proto}`];
  }
}

/** `OPT (020405B4…)`, where there are any. */
function optionWords(frame: Uint8Array, from: number, end: number): string[] {
  if (end <= from || end > frame.length) return [];
  const bytes = Array.from(frame.subarray(from, end), (byte) =>
    byte.toString(16).toUpperCase().padStart(2, '0'),
  );
  return [`OPT (${bytes.join('')})`];
}

function tcpWords(frame: Uint8Array, at: number, { tcpSequence, tcpOptions }: LogFlags): string[] {
  const bits = frame[at + 13]!;
  return [
    'PROTO=TCP',
    `SPT=${u16(frame, at)}`,
    `DPT=${u16(frame, at + 2)}`,
    ...(tcpSequence ? [`SEQ=${u32(frame, at + 4)}`, `ACK=${u32(frame, at + 8)}`] : []),
    `WINDOW=${u16(frame, at + 14)}`,
    `RES=${hexByte((frame[at + 12]! & 0x0f) << 2)}`,
    ...TCP_FLAGS.filter((_, i) => (bits & (0x80 >> i)) !== 0),
    `URGP=${u16(frame, at + 18)}`,
    ...(tcpOptions ? optionWords(frame, at + 20, at + (frame[at + 12]! >> 4) * 4) : []),
  ];
}
