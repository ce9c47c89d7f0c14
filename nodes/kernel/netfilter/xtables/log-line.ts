import { u16, u32 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN, etherType } from '../../../../protocols/ethernet.ts';
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  UNREACH_FRAG_NEEDED,
} from '../../../../protocols/icmp.ts';
import {
  ICMPV6_DEST_UNREACHABLE,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
} from '../../../../protocols/icmpv6.ts';
import { formatIp4 } from '../../../../protocols/ip4.ts';
import {
  IPV4_HLEN,
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
import {
  FRAGMENT_HLEN,
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  ip6FlowLabel,
  ip6HopLimit,
  ip6NextHeader,
  ip6PayloadLength,
  ip6TrafficClass,
  PROTO_ICMPV6,
  readFragmentHeader,
} from '../../../../protocols/ipv6.ts';
import {
  extensionLength,
  isExtensionHeader,
  NEXT_AH,
  NEXT_FRAGMENT,
  NEXT_NONE,
} from '../../../../protocols/ipv6-headers.ts';
import { formatMac, readMac } from '../../../../protocols/mac.ts';
import type { Skb } from '../skb.ts';
import { isIpv6 } from './packet.ts';

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
  words.push(...(isIpv6(skb) ? ip6Words(frame, ETH_HLEN, flags) : ipWords(frame, ETH_HLEN, flags)));
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

/** The packet at `off` (`dump_ipv4_packet`): one in the frame, or one that an ICMP error quotes. */
function ipWords(frame: Uint8Array, off: number, flags: LogFlags): string[] {
  if (frame.length - off < IPV4_HLEN) return ['TRUNCATED'];
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
  const at = off + ipHeaderLength(frame, off);
  return [...words, ...transportWords(frame, ipProto(frame, off), at, offset > 0, off === ETH_HLEN, flags)];
}

/** The same of IPv6 (`dump_ipv6_packet`). */
function ip6Words(frame: Uint8Array, off: number, flags: LogFlags): string[] {
  if (frame.length - off < IPV6_HLEN) return ['TRUNCATED'];
  const words = [
    `SRC=${wholeIp6(frame, off + IP6_SRC)}`,
    `DST=${wholeIp6(frame, off + IP6_DST)}`,
    `LEN=${ip6PayloadLength(frame, off) + IPV6_HLEN}`,
    `TC=${ip6TrafficClass(frame, off)}`,
    `HOPLIMIT=${ip6HopLimit(frame, off)}`,
    `FLOWLBL=${ip6FlowLabel(frame, off)}`,
  ];
  let proto = ip6NextHeader(frame, off);
  let at = off + IPV6_HLEN;
  let later = false;
  while (isExtensionHeader(proto) && proto !== NEXT_NONE) {
    if (at + 2 > frame.length) return [...words, 'TRUNCATED'];
    if (flags.ipOptions) words.push('OPT (');
    if (proto === NEXT_FRAGMENT) {
      if (at + FRAGMENT_HLEN > frame.length) return [...words, 'FRAG:TRUNCATED'];
      const { offset, more, id } = readFragmentHeader(frame, at);
      words.push(`FRAG:${offset}`, ...(more ? ['INCOMPLETE'] : []), `ID:${id.toString(16).padStart(8, '0')}`);
      if (offset > 0) later = true;
    } else if (later) return flags.ipOptions ? [...words, ')'] : words;
    if (proto === NEXT_AH && flags.ipOptions) words.push('AH', `SPI=0x${u32(frame, at + 4).toString(16)}`);
    if (flags.ipOptions) words.push(')');
    const length = extensionLength(frame, at, proto);
    proto = frame[at]!;
    at += length;
  }
  return [...words, ...transportWords(frame, proto, at, later, off === ETH_HLEN, flags)];
}

/** With every zero, `%pI6`. */
function wholeIp6(frame: Uint8Array, at: number): string {
  return Array.from({ length: 8 }, (_, i) =>
    u16(frame, at + 2 * i)
      .toString(16)
      .padStart(4, '0'),
  ).join(':');
}

/** `later`: a fragment that is not the first. `outer`: the packet itself, and none that it quotes. */
function transportWords(
  frame: Uint8Array,
  proto: number,
  at: number,
  later: boolean,
  outer: boolean,
  flags: LogFlags,
): string[] {
  const left = frame.length - at;
  const incomplete = `INCOMPLETE [${Math.max(left, 0)} bytes]`;
  switch (proto) {
    case PROTO_TCP:
      if (later) return ['PROTO=TCP'];
      return left < 20 ? ['PROTO=TCP', incomplete] : tcpWords(frame, at, flags);
    case PROTO_UDP:
      if (later) return ['PROTO=UDP'];
      if (left < 8) return ['PROTO=UDP', incomplete];
      return ['PROTO=UDP', `SPT=${u16(frame, at)}`, `DPT=${u16(frame, at + 2)}`, `LEN=${u16(frame, at + 4)}`];
    case PROTO_ICMP:
    case PROTO_ICMPV6: {
      const name = proto === PROTO_ICMP ? 'PROTO=ICMP' : 'PROTO=ICMPv6';
      if (later) return [name];
      if (left < 8) return [name, incomplete];
      const type = frame[at]!;
      const more = proto === PROTO_ICMP ? icmpWords : icmp6Words;
      return [name, `TYPE=${type}`, `CODE=${frame[at + 1]}`, ...more(frame, at, outer, flags)];
    }
    default:
      return [`PROTO=${proto}`];
  }
}

function echoWords(frame: Uint8Array, at: number): string[] {
  return [`ID=${u16(frame, at + 4)}`, `SEQ=${u16(frame, at + 6)}`];
}

/** What a message is about, in brackets. */
function quoteWords(words: readonly string[], outer: boolean): string[] {
  return outer ? [`[${words.join(' ')} ]`] : [];
}

function icmpWords(frame: Uint8Array, at: number, outer: boolean, flags: LogFlags): string[] {
  const quoted = () => quoteWords(ipWords(frame, at + 8, flags), outer);
  switch (frame[at]) {
    case 0:
    case 8:
      return echoWords(frame, at);
    case ICMP_PARAMETER_PROBLEM:
      return [`PARAMETER=${frame[at + 4]}`];
    case ICMP_REDIRECT:
      return [`GATEWAY=${formatIp4(u32(frame, at + 4))}`, ...quoted()];
    case ICMP_DEST_UNREACHABLE:
      return [...quoted(), ...(frame[at + 1] === UNREACH_FRAG_NEEDED ? [`MTU=${u16(frame, at + 6)}`] : [])];
    case 4:
    case ICMP_TIME_EXCEEDED:
      return quoted();
    default:
      return [];
  }
}

function icmp6Words(frame: Uint8Array, at: number, outer: boolean, flags: LogFlags): string[] {
  const quoted = () => quoteWords(ip6Words(frame, at + 8, flags), outer);
  switch (frame[at]) {
    case ICMPV6_ECHO_REQUEST:
    case ICMPV6_ECHO_REPLY:
      return echoWords(frame, at);
    case ICMPV6_PARAMETER_PROBLEM:
      return [
        `POINTER=${u32(frame, at + 4)
          .toString(16)
          .padStart(8, '0')}`,
        ...quoted(),
      ];
    case ICMPV6_PACKET_TOO_BIG:
      return [...quoted(), `MTU=${u32(frame, at + 4)}`];
    case ICMPV6_DEST_UNREACHABLE:
    case ICMPV6_TIME_EXCEEDED:
      return quoted();
    default:
      return [];
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
