import { decodeArp } from '../../../protocols/arp.ts';
import { u16, u32 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { formatIp6, readIp6 } from '../../../protocols/ip6.ts';
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
} from '../../../protocols/ipv4.ts';
import { formatMac, readMac } from '../../../protocols/mac.ts';
import { dnsText } from './dns.ts';
import { icmp6Text, icmpText } from './icmp.ts';
import { TcpText } from './tcp.ts';

export interface PacketTextOptions {
  readonly verbose: boolean;
  readonly quiet: boolean;
  readonly numbers: 'relative' | 'absolute';
}

const IPV6_HLEN = 40;
const PROTO_NAMES: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  4: 'IPIP',
  6: 'TCP',
  17: 'UDP',
  47: 'GRE',
  50: 'ESP',
  58: 'ICMPv6',
  89: 'OSPF',
};
const TYPE_NAMES: Readonly<Record<number, string>> = {
  2048: 'IPv4',
  2054: 'ARP',
  34525: 'IPv6',
  33024: '802.1Q',
};
/** UDP ports of VXLAN: the IANA's, and Linux' own, which tcpdump takes for OTV. */
const VXLAN = 4789;
const OTV = 8472;

/** Lines of tcpdump(8), numeric, for frames one after the other. Takes any bytes. */
export class PacketText {
  readonly #options: PacketTextOptions;
  readonly #tcp: TcpText;

  constructor(options: PacketTextOptions) {
    this.#options = options;
    this.#tcp = new TcpText(options.numbers);
  }

  /** A frame with its Ethernet header, which is shown with `-e`; `length` is what it was on the wire. */
  frame(frame: Uint8Array, length: number, link: 'hidden' | 'shown'): string {
    if (frame.length < ETH_HLEN) return '[|ether]';
    const type = u16(frame, 12);
    if (link === 'hidden') return this.packet(frame, ETH_HLEN, type, 'named');
    const name = TYPE_NAMES[type] ?? 'Unknown';
    const head = `${formatMac(readMac(frame, 6))} > ${formatMac(readMac(frame, 0))}, ethertype ${name} (0x${hex4(type)}), length ${length}: `;
    return head + this.packet(frame, ETH_HLEN, type, 'bare');
  }

  /** What an Ethernet header would name by `type`; 'named' with the protocol's name before it. */
  packet(buf: Uint8Array, at: number, type: number, naming: 'named' | 'bare'): string {
    const name = (text: string) => (naming === 'named' ? text : '');
    switch (type) {
      case ETHERTYPE_ARP:
        return `${name('ARP, ')}${this.#options.verbose ? 'Ethernet (len 6), IPv4 (len 4), ' : ''}${arpText(buf, at)}`;
      case ETHERTYPE_IPV4:
        return `${name('IP ')}${this.#ipv4(buf, at)}`;
      case ETHERTYPE_IPV6:
        return `${name('IP6 ')}${this.#ipv6(buf, at)}`;
      case 0x8100: {
        if (buf.length < at + 4) return '[|vlan]';
        const tag = u16(buf, at);
        return `${name('802.1Q, ')}vlan ${tag & 0xfff}, p ${tag >>> 13}, ${this.packet(buf, at + 4, u16(buf, at + 2), 'named')}`;
      }
      default:
        return `${name(`ethertype Unknown (0x${hex4(type)}), `)}length ${buf.length - at}`;
    }
  }

  #ipv4(buf: Uint8Array, at: number): string {
    if (buf.length < at + IPV4_HLEN) return '[|ip]';
    const headerLength = ipHeaderLength(buf, at);
    const end = Math.min(buf.length, at + ipTotalLength(buf, at));
    const proto = ipProto(buf, at);
    const [src, dst] = [formatIp4(ipSrc(buf, at)), formatIp4(ipDst(buf, at))];
    const offset = ipFragmentOffset(buf, at);
    const body =
      offset > 0
        ? `${src} > ${dst}: ${(PROTO_NAMES[proto] ?? `ip-proto-${proto}`).toLowerCase()}`
        : this.#transport(buf, at + headerLength, end, proto, src, dst);
    if (!this.#options.verbose) return body;
    const flags =
      [ipDf(buf, at) ? 'DF' : '', ipMf(buf, at) ? '+' : ''].filter((flag) => flag !== '').join(', ') ||
      'none';
    const protocol = `${PROTO_NAMES[proto] ?? 'unknown'} (${proto})`;
    return `(tos 0x${ipTos(buf, at).toString(16)}, ttl ${ipTtl(buf, at)}, id ${ipId(buf, at)}, offset ${offset}, flags [${flags}], proto ${protocol}, length ${ipTotalLength(buf, at)})\n    ${body}`;
  }

  /** With -v, the packet that an ICMP error quotes. */
  #quoted(buf: Uint8Array, at: number, end: number): string {
    if (!this.#options.verbose || ![3, 5, 11, 12].includes(buf[at]!) || end - at < 8 + IPV4_HLEN) return '';
    return `\n\tIP ${this.#ipv4(buf.subarray(0, end), at + 8)}`;
  }

  #ipv6(buf: Uint8Array, at: number): string {
    if (buf.length < at + IPV6_HLEN) return '[|ip6]';
    const length = u16(buf, at + 4);
    const end = Math.min(buf.length, at + IPV6_HLEN + length);
    const next = buf[at + 6]!;
    const [src, dst] = [formatIp6(readIp6(buf, at + 8)), formatIp6(readIp6(buf, at + 24))];
    // A hop-by-hop header, as MLD's, is stepped over.
    const hopByHop = next === 0 && at + IPV6_HLEN + 8 <= end ? 8 * (buf[at + IPV6_HLEN + 1]! + 1) : 0;
    const proto = hopByHop > 0 ? buf[at + IPV6_HLEN]! : next;
    const body = this.#transport(buf, at + IPV6_HLEN + hopByHop, end, proto, src, dst);
    const shown = hopByHop > 0 ? body.replace(': ', ': HBH ') : body;
    if (!this.#options.verbose) return shown;
    return `(hlim ${buf[at + 7]}, next-header ${PROTO_NAMES[next] ?? 'unknown'} (${next}) payload length: ${length}) ${shown}`;
  }

  #transport(buf: Uint8Array, at: number, end: number, proto: number, src: string, dst: string): string {
    const ends = `${src} > ${dst}: `;
    const room = end - at;
    switch (proto) {
      case 1:
        return ends + (room < 8 ? '[|icmp]' : icmpText(buf, at, end)) + this.#quoted(buf, at, end);
      case 58:
        return ends + (room < 8 ? '[|icmp6]' : icmp6Text(buf, at, end));
      case 4:
        return `${ends}IP ${this.#ipv4(buf.subarray(0, end), at)}`;
      case 6:
        if (room < 20) return `${ends}[|tcp]`;
        break;
      case 17:
        if (room < 8) return `${ends}[|udp]`;
        break;
      default:
        return `${ends}${PROTO_NAMES[proto] ?? `ip-proto-${proto}`}${proto === 47 ? `v0, length ${room}` : ` ${room}`}`;
    }
    const [srcPort, dstPort] = [u16(buf, at), u16(buf, at + 2)];
    const withPorts = `${src}.${srcPort} > ${dst}.${dstPort}: `;
    if (proto === 6) {
      const headerLength = (buf[at + 12]! >>> 4) * 4;
      return (
        withPorts +
        (this.#options.quiet ? `tcp ${room - headerLength}` : this.#tcp.format(buf, at, end, src, dst))
      );
    }
    const length = room - 8;
    if (this.#options.quiet) return `${withPorts}UDP, length ${length}`;
    if (srcPort === 53 || dstPort === 53) return withPorts + dnsText(buf.subarray(at + 8, end));
    if (dstPort === VXLAN && length >= 8) {
      const flags = buf[at + 8]!;
      const head = `VXLAN, flags [${(flags & 8) === 0 ? '.' : 'I'}] (0x${flags.toString(16).padStart(2, '0')}), vni ${u32(buf, at + 12) >>> 8}`;
      return `${withPorts}${head}\n${this.frame(buf.subarray(at + 16, end), length - 8, 'hidden')}`;
    }
    if (dstPort === OTV && length >= 8) {
      const flags = buf[at + 8]!;
      const head = `OTV, flags [${(flags & 8) === 0 ? '.' : 'I'}] (0x${flags.toString(16).padStart(2, '0')}), overlay ${u32(buf, at + 8) & 0xffffff}, instance ${u32(buf, at + 12) >>> 8}`;
      return `${withPorts}${head}\n${this.frame(buf.subarray(at + 16, end), length - 8, 'hidden')}`;
    }
    return `${withPorts}UDP, length ${length}`;
  }
}

function arpText(buf: Uint8Array, at: number): string {
  const arp = decodeArp(buf, at, buf.length - at);
  if (arp === null) return '[|ARP]';
  const length = buf.length - at;
  if (arp.op === 1) {
    const target = arp.tha === 0 ? '' : ` (${formatMac(arp.tha)})`;
    return `Request who-has ${formatIp4(arp.tpa)}${target} tell ${formatIp4(arp.spa)}, length ${length}`;
  }
  if (arp.op === 2) return `Reply ${formatIp4(arp.spa)} is-at ${formatMac(arp.sha)}, length ${length}`;
  return `Unknown (${arp.op}), length ${length}`;
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}
