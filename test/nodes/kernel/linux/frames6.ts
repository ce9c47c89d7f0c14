import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../../protocols/ethernet.ts';
import {
  encodeIcmpv6Error,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  sealIcmpv6,
  writeEcho6,
} from '../../../../protocols/icmpv6.ts';
import { type Ip6, isMulticastIp6, multicastMac, parseIp6 } from '../../../../protocols/ip6.ts';
import {
  FRAGMENT_HLEN,
  IPV6_HLEN,
  PROTO_ICMPV6,
  writeFragmentHeader,
  writeIpv6Header,
} from '../../../../protocols/ipv6.ts';
import {
  NEXT_DEST_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from '../../../../protocols/ipv6-headers.ts';
import {
  encodeNdp,
  type NdpMessage,
  type NdpOptions,
  type RouterPreference,
} from '../../../../protocols/ndp.ts';
import { PACKET_ID } from '../../../interop/linux/settle.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../../support/router.ts';
import { counted, rest, type Upper as UpperOf } from './transport.ts';

/** Packets of IPv6 as cases tell of them, and the frames that they are. */

export { rest, tcp as tcp6, udp as udp6 } from './transport.ts';

type Upper = UpperOf<Ip6>;

export function ip6(text: string): Ip6 {
  const address = parseIp6(text);
  if (address === null) throw new Error(`no IPv6 address: ${text}`);
  return address;
}

/** An extension header; its first byte, which names the next, is written as the packet is. */
export interface Extension {
  readonly number: number;
  readonly bytes: Uint8Array;
}

export interface Packet6 {
  readonly src: string;
  readonly dst: string;
  readonly headers?: readonly Extension[];
  readonly upper: Upper;
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  /** MAC that it is sent to; that of the group or of the host unless given. */
  readonly to?: number;
}

/** The frame of a packet from a neighbour. */
export function packet6(packet: Packet6): Uint8Array {
  const { headers = [], upper, hopLimit = 64, trafficClass = 0 } = packet;
  const [src, dst] = [ip6(packet.src), ip6(packet.dst)];
  const { to = isMulticastIp6(dst) ? multicastMac(dst) : ROUTER_MAC } = packet;
  const numbers = [...headers.map(({ number }) => number), upper.proto];
  const parts = headers.map(({ bytes }, i) => Uint8Array.of(numbers[i + 1]!, ...bytes.subarray(1)));
  const payload = Uint8Array.of(...parts.flatMap((part) => [...part]), ...upper.bytes(src, dst));
  const frame = new Uint8Array(ETH_HLEN + IPV6_HLEN + payload.length);
  writeEthernet(frame, to, NEIGHBOR_MAC, ETHERTYPE_IPV6);
  const nextHeader = numbers[0]!;
  writeIpv6Header(frame, ETH_HLEN, {
    ...{ src, dst, nextHeader, hopLimit, trafficClass },
    payloadLength: payload.length,
  });
  frame.set(payload, ETH_HLEN + IPV6_HLEN);
  return frame;
}

/** The fragments of a packet, each with so many bytes of what is above its headers, the last one with what is left. */
export function fragments6(packet: Packet6, part: number): Uint8Array[] {
  const { headers = [], upper } = packet;
  const whole = upper.bytes(ip6(packet.src), ip6(packet.dst));
  const frames: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += part) {
    const header = fragment({ offset: at, more: at + part < whole.length });
    const piece = rest(upper.proto, whole.slice(at, at + part));
    frames.push(packet6({ ...packet, headers: [...headers, header], upper: piece }));
  }
  return frames;
}

export function echo6(kind: 'request' | 'reply', id = 7, size = 0): Upper {
  const type = kind === 'request' ? ICMPV6_ECHO_REQUEST : ICMPV6_ECHO_REPLY;
  return icmp6(() => {
    const bytes = counted(8, size);
    writeEcho6(bytes, 0, type, id, 1);
    return bytes;
  });
}

/** A message of nothing but its type and code, and what is in its second word. */
export function icmpType(type: number, code = 0): Upper {
  return icmp6(() => Uint8Array.of(type, code, 0, 0, 0, 0, 0, 0));
}

/** An error about a frame. */
export function icmpError(type: number, code: number, about: Uint8Array, extra = 0): Upper {
  return icmp6(() => encodeIcmpv6Error(type, code, extra, about.subarray(ETH_HLEN), 0));
}

function icmp6(make: () => Uint8Array): Upper {
  return {
    proto: PROTO_ICMPV6,
    bytes: (src, dst) => {
      const bytes = make();
      sealIcmpv6(bytes, 0, bytes.length, src, dst);
      return bytes;
    },
  };
}

export interface Ndp {
  readonly src: string;
  readonly dst: string;
  readonly hopLimit?: number;
  readonly to?: number;
}

/** Neighbour discovery from a neighbour. */
export function ndp(message: NdpMessage, { hopLimit = 255, ...packet }: Ndp): Uint8Array {
  return packet6({ ...packet, hopLimit, upper: icmp6(() => encodeNdp(message, 0)) });
}

export function solicit(target: string, between: Ndp, sourceMac?: number): Uint8Array {
  const options = sourceMac === undefined ? {} : { sourceMac };
  return ndp({ type: 'neighbor-solicit', target: ip6(target), options }, between);
}

export interface Advert {
  readonly target: string;
  readonly flags?: readonly ('router' | 'solicited' | 'override')[];
  readonly targetMac?: number;
}

export function advert({ target, flags = [], targetMac }: Advert, between: Ndp): Uint8Array {
  return ndp(
    {
      type: 'neighbor-advert',
      target: ip6(target),
      router: flags.includes('router'),
      solicited: flags.includes('solicited'),
      override: flags.includes('override'),
      options: targetMac === undefined ? {} : { targetMac },
    },
    between,
  );
}

/** A redirect of ND about the head of a frame, whose length 8 divides, or about none. */
export function ndRedirect(about: Uint8Array | null, options: NdpOptions, between: Ndp): Uint8Array {
  const head = about?.subarray(ETH_HLEN);
  const redirected = head?.subarray(0, head.length & ~7);
  return ndp(
    {
      type: 'redirect',
      target: ip6('fe80::9'),
      destination: ip6('2001:db8:1::2'),
      options: redirected === undefined ? options : { ...options, redirected },
    },
    between,
  );
}

export interface Routers {
  readonly src?: string;
  readonly hops?: number;
  readonly hopLimit?: number;
  readonly preference?: RouterPreference;
  readonly lifetime?: number;
  readonly options?: NdpOptions;
}

/** An advertisement of a router to all. */
export function routerAdvert({
  src = 'fe80::9',
  hops = 255,
  hopLimit = 0,
  preference = 'medium',
  lifetime = 1_850,
  options = {},
}: Routers = {}): Uint8Array {
  const flags = { managed: false, otherConfig: false, reachableTime: 0, retransTimer: 0 };
  return ndp(
    { type: 'router-advert', ...flags, hopLimit, preference, routerLifetime: lifetime, options },
    { src, dst: 'ff02::1', hopLimit: hops },
  );
}

/** Options that fill the header, whose length is a multiple of 8 with the two bytes before them. */
export function hopByHop(...options: readonly number[]): Extension {
  return optionsHeader(NEXT_HOP_BY_HOP, options);
}

export function destinationOptions(...options: readonly number[]): Extension {
  return optionsHeader(NEXT_DEST_OPTIONS, options);
}

function optionsHeader(number: number, options: readonly number[]): Extension {
  const length = options.length + 2;
  if (length % 8 !== 0) throw new Error(`a header of ${length} bytes`);
  return { number, bytes: Uint8Array.of(0, length / 8 - 1, ...options) };
}

/** One without segments. */
export function routing(type: number, segmentsLeft: number): Extension {
  return { number: NEXT_ROUTING, bytes: Uint8Array.of(0, 0, type, segmentsLeft, 0, 0, 0, 0) };
}

export interface Fragment {
  readonly offset: number;
  readonly more: boolean;
}

export function fragment({ offset, more }: Fragment): Extension {
  const bytes = new Uint8Array(FRAGMENT_HLEN);
  writeFragmentHeader(bytes, 0, { nextHeader: 0, offset, more, id: PACKET_ID });
  return { number: NEXT_FRAGMENT, bytes };
}
