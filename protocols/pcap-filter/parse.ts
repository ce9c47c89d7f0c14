import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../ethernet.ts';
import { formatPrefix, parseIp4, parsePrefix, prefixMask } from '../ip4.ts';
import { formatPrefix6, maskIp6, parseIp6, parsePrefix6 } from '../ip6.ts';
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../ipv4.ts';
import { PROTO_ICMPV6 } from '../ipv6.ts';
import { BROADCAST_MAC, parseMac } from '../mac.ts';
import { Refused } from './arithmetic.ts';
import { comparesNext, comparison } from './comparison.ts';
import { Cursor } from './cursor.ts';
import type { FilterError, Token } from './lexer.ts';
import {
  address6In,
  addressIn,
  behindTags,
  both,
  type End,
  ETHERTYPE_RARP,
  either,
  etherTypeIs,
  type FrameFilter,
  ip6Group,
  ip6ProtocolIs,
  ipGroup,
  ipProtocolIs,
  isMacGroup,
  isVlan,
  macIs,
  not,
  portIn,
} from './match.ts';

/** What the filter language has, for messages. */
export const FILTER_PRIMITIVES =
  'host, net, port, portrange (each with src or dst; port with tcp, udp or sctp), ether host, ether proto, ip proto, ' +
  'ip6 proto, ip, ip6, arp, rarp, icmp, icmp6, tcp, udp, sctp, igmp, esp, ah, vlan, broadcast, multicast, less, greater, ' +
  'comparisons of bytes as tcp[tcpflags] & tcp-syn != 0, and, or, not and parentheses';

type Kind = 'host' | 'net' | 'port' | 'portrange' | 'proto';

interface Qualifiers {
  /** '' for none. */
  readonly protocol: string;
  readonly end: End;
  readonly kind: Kind;
}

const PROTO_SCTP = 132;

/** Of IPv4 and of IPv6. */
function protocolIs(proto: number): FrameFilter {
  return either(ipProtocolIs(proto), ip6ProtocolIs(proto));
}

/** Protocols, and what each means alone; 'ether' means nothing. */
const PROTOCOLS: ReadonlyMap<string, FrameFilter | null> = new Map([
  ['ether', null],
  ['ip', etherTypeIs(ETHERTYPE_IPV4)],
  ['ip6', etherTypeIs(ETHERTYPE_IPV6)],
  ['arp', etherTypeIs(ETHERTYPE_ARP)],
  ['rarp', etherTypeIs(ETHERTYPE_RARP)],
  ['icmp', ipProtocolIs(PROTO_ICMP)],
  ['igmp', ipProtocolIs(2)],
  ['vrrp', ipProtocolIs(112)],
  ['icmp6', ip6ProtocolIs(PROTO_ICMPV6)],
  ['tcp', protocolIs(PROTO_TCP)],
  ['udp', protocolIs(PROTO_UDP)],
  ['sctp', protocolIs(PROTO_SCTP)],
  ['esp', protocolIs(50)],
  ['ah', protocolIs(51)],
  ['pim', protocolIs(103)],
]);
/** As in /etc/protocols, where `ipip` is not IP in IP (4) but what hardly anybody has used. */
const IP_PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', PROTO_ICMP],
  ['igmp', 2],
  ['ipencap', 4],
  ['tcp', PROTO_TCP],
  ['udp', PROTO_UDP],
  ['ipv6', 41],
  ['gre', 47],
  ['esp', 50],
  ['ah', 51],
  ['icmp6', PROTO_ICMPV6],
  ['ipv6-icmp', PROTO_ICMPV6],
  ['ospf', 89],
  ['ipip', 94],
  ['pim', 103],
  ['vrrp', 112],
  ['sctp', PROTO_SCTP],
]);
const ETHER_TYPES: ReadonlyMap<string, number> = new Map([
  ['ip', ETHERTYPE_IPV4],
  ['arp', ETHERTYPE_ARP],
  ['rarp', ETHERTYPE_RARP],
  ['ip6', ETHERTYPE_IPV6],
]);
/** Below stands a length, of a frame with an LLC header. */
const LEAST_ETHER_TYPE = 1536;
const PORTS = new Map<string, number | 'any'>([
  ['', 'any'],
  ['tcp', PROTO_TCP],
  ['udp', PROTO_UDP],
  ['sctp', PROTO_SCTP],
]);
const KINDS: readonly string[] = ['host', 'net', 'port', 'portrange', 'proto'] satisfies Kind[];
const RESERVED: readonly string[] = ['and', 'or', 'not', '(', ')', 'src', 'dst', ...KINDS];

/** Which protocols may stand before which kind of value. */
const ALLOWED: Readonly<Record<Kind, readonly string[]>> = {
  host: ['', 'ip', 'ip6', 'arp', 'rarp', 'ether'],
  net: ['', 'ip', 'ip6', 'arp', 'rarp'],
  port: [...PORTS.keys()],
  portrange: [...PORTS.keys()],
  proto: ['', 'ip', 'ip6', 'ether'],
};

/**
 * Compiles a filter written as in pcap-filter(7), of whose primitives it has the common ones. `and` and `or` have the same
 * precedence and associate to the left, `not` binds tighter, a bare value takes the qualifiers of the one before it, and
 * behind `vlan` all looks past the tag, all as there. The empty text takes every frame.
 * @throws FilterError
 */
export function compileFilter(source: string): FrameFilter {
  const filter = new Parser(source).filter();
  return (frame) => {
    try {
      return filter(frame);
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    }
  };
}

class Parser {
  readonly #cursor: Cursor;
  #last: Qualifiers | null = null;
  /** VLAN tags that are behind us. */
  #tags = 0;

  constructor(source: string) {
    this.#cursor = new Cursor(source);
  }

  filter(): FrameFilter {
    const cursor = this.#cursor;
    if (cursor.peek() === undefined) return () => true;
    const filter = this.#expression();
    const rest = cursor.peek();
    if (rest === undefined) return filter;
    if (rest.text === ')') throw cursor.error(rest, "')' closes nothing");
    throw cursor.error(rest, `'${rest.text}' follows without and, or or a qualifier before it`);
  }

  #expression(): FrameFilter {
    let left = this.#term();
    for (;;) {
      if (this.#cursor.accept('and')) left = both(left, this.#term());
      else if (this.#cursor.accept('or')) left = either(left, this.#term());
      else return left;
    }
  }

  #term(): FrameFilter {
    const cursor = this.#cursor;
    const token = cursor.peek();
    if (cursor.accept('not')) return not(this.#term());
    if (comparesNext(cursor)) {
      this.#last = null;
      return behindTags(this.#tags, comparison(cursor));
    }
    if (!cursor.accept('(')) return this.#primitive();
    const inner = this.#expression();
    if (!cursor.accept(')')) throw cursor.error(token, "this '(' is not closed");
    return inner;
  }

  #primitive(): FrameFilter {
    const cursor = this.#cursor;
    const token = cursor.next('a primitive');
    switch (token.text) {
      case 'broadcast':
        return macIs('dst', BROADCAST_MAC);
      case 'multicast':
        return isMacGroup;
      case 'less':
      case 'greater':
        return this.#size(token.text);
      case 'vlan':
        return this.#vlan();
    }
    cursor.skip(-1);
    return behindTags(this.#tags, this.#packet(token));
  }

  #packet(token: Token): FrameFilter {
    const cursor = this.#cursor;
    const protocol = this.#protocol();
    if (protocol === 'ether' && cursor.accept('broadcast')) return macIs('dst', BROADCAST_MAC);
    if (cursor.peek()?.text === 'multicast') {
      const group = GROUPS.get(protocol);
      if (group !== undefined) {
        cursor.skip();
        return group;
      }
    }
    const end = this.#end();
    const kind = this.#kind();
    const value = cursor.peek();
    if (protocol !== '' && end === null && kind === null) {
      const alone = PROTOCOLS.get(protocol) ?? null;
      if (alone === null)
        throw cursor.error(token, "'ether' stands before host, proto, broadcast or multicast");
      this.#last = null;
      return alone;
    }
    if (end !== null || kind !== null) {
      const qualifiers = { protocol, end: end ?? 'src or dst', kind: kind ?? 'host' };
      if (!ALLOWED[qualifiers.kind].includes(protocol))
        throw cursor.error(token, `'${protocol}' does not go with '${qualifiers.kind}'`);
      this.#last = qualifiers;
      return this.#value(qualifiers, cursor.next(`a value after '${cursor.peek(-1)?.text}'`));
    }
    if (value === undefined) throw cursor.error(token, 'a value is missing');
    cursor.skip();
    if (this.#last !== null && looksLikeValue(value.text)) return this.#value(this.#last, value);
    if (parseIp4(value.text) !== null || parseIp6(value.text) !== null)
      return this.#value({ protocol: '', end: 'src or dst', kind: 'host' }, value);
    throw this.#unknown(value);
  }

  #protocol(): string {
    const text = this.#cursor.peek()?.text ?? '';
    if (!PROTOCOLS.has(text)) return '';
    this.#cursor.skip();
    return text;
  }

  #end(): End | null {
    const first = this.#cursor.peek()?.text;
    if (first !== 'src' && first !== 'dst') return null;
    this.#cursor.skip();
    const joint = this.#cursor.peek()?.text;
    const second = this.#cursor.peek(1)?.text;
    const other = first === 'src' ? 'dst' : 'src';
    if ((joint !== 'or' && joint !== 'and') || second !== other) return first;
    // `src or dst port 179` joins the ends, `src host A or dst host B` two primitives.
    this.#cursor.skip(2);
    return joint === 'or' ? 'src or dst' : 'src and dst';
  }

  #kind(): Kind | null {
    const token = this.#cursor.peek();
    if (token === undefined || !KINDS.includes(token.text)) return null;
    this.#cursor.skip();
    return token.text as Kind;
  }

  #value({ protocol, end, kind }: Qualifiers, token: Token): FrameFilter {
    const { text } = token;
    if (RESERVED.includes(text)) throw this.#cursor.error(token, `a value is missing before '${text}'`);
    switch (kind) {
      case 'host':
        return protocol === 'ether' ? this.#mac(end, token) : this.#host(protocol, end, token);
      case 'net':
        return this.#net(protocol, end, token);
      case 'port': {
        const port = number(text, 0xffff);
        if (port === null) throw this.#cursor.error(token, `'${text}' is no port number`);
        return portIn(end, PORTS.get(protocol) ?? 'any', port, port);
      }
      case 'portrange': {
        const [, low = '', high = ''] = /^(\d+)-(\d+)$/.exec(text) ?? [];
        const from = number(low, 0xffff);
        const to = number(high, 0xffff);
        if (from === null || to === null || from > to)
          throw this.#cursor.error(token, `'${text}' is no range of ports like 8000-8080`);
        return portIn(end, PORTS.get(protocol) ?? 'any', from, to);
      }
      case 'proto':
        return this.#proto(protocol, token);
    }
  }

  #mac(end: End, token: Token): FrameFilter {
    const mac = parseMac(token.text);
    if (mac !== null) return macIs(end, mac);
    throw this.#cursor.error(token, `'${token.text}' is no MAC address like 02:42:0a:00:00:01`);
  }

  #host(protocol: string, end: End, token: Token): FrameFilter {
    const { text } = token;
    const addr = protocol === 'ip6' ? null : parseIp4(text);
    if (addr !== null) return inScope(protocol, addressIn(end, scopeOf(protocol), addr, prefixMask(32)));
    const addr6 = protocol === '' || protocol === 'ip6' ? parseIp6(text) : null;
    if (addr6 !== null) return address6In(end, addr6, 128);
    const isPrefix = parsePrefix(text) !== null || parsePrefix6(text) !== null;
    const mend = isPrefix ? 'write net for a prefix' : 'names are not looked up';
    throw this.#cursor.error(token, `'${text}' is no ${familyOf(protocol)} address; ${mend}`);
  }

  #net(protocol: string, end: End, token: Token): FrameFilter {
    const { text } = token;
    const beyond = (network: string) =>
      this.#cursor.error(token, `'${text}' has bits set beyond its mask; write ${network}`);
    const prefix = protocol === 'ip6' ? null : parseNet(text);
    if (prefix !== null) {
      const mask = prefixMask(prefix.len);
      if ((prefix.addr & ~mask) !== 0)
        throw beyond(formatPrefix({ addr: (prefix.addr & mask) >>> 0, len: prefix.len }));
      return inScope(protocol, addressIn(end, scopeOf(protocol), prefix.addr, mask));
    }
    const [address = '', length = '128'] = text.split('/');
    const addr = protocol === '' || protocol === 'ip6' ? parseIp6(address) : null;
    const len = number(length, 128);
    if (addr === null || len === null)
      throw this.#cursor.error(token, `'${text}' is no ${familyOf(protocol)} prefix like 10.244.0.0/16`);
    const network = maskIp6(addr, len);
    if (network !== addr) throw beyond(formatPrefix6({ addr: network, len }));
    return address6In(end, addr, len);
  }

  /** A name may have a backslash, as tcpdump wants it before words that it knows. */
  #proto(protocol: string, token: Token): FrameFilter {
    const text = token.text.replace(/^\\/, '');
    if (protocol === 'ether') {
      const type =
        ETHER_TYPES.get(text) ?? (/^0x[0-9a-f]+$/i.test(text) ? Number(text) : number(text, 0xffff));
      if (type === null || type > 0xffff || type < LEAST_ETHER_TYPE)
        throw this.#cursor.error(token, `'${token.text}' is no EtherType like 0x0800`);
      return etherTypeIs(type);
    }
    const proto = IP_PROTOCOLS.get(text) ?? number(text, 0xff);
    if (proto === null) throw this.#cursor.error(token, `'${token.text}' is no protocol number`);
    if (protocol === 'ip') return ipProtocolIs(proto);
    return protocol === 'ip6' ? ip6ProtocolIs(proto) : protocolIs(proto);
  }

  /** What stands behind it looks past the tag, also behind an `or`. */
  #vlan(): FrameFilter {
    const token = this.#cursor.peek();
    const id = token !== undefined && /^\d/.test(token.text) ? number(token.text, 0xfff) : null;
    if (token !== undefined && /^\d/.test(token.text)) {
      if (id === null) throw this.#cursor.error(token, `'${token.text}' is no VLAN: 0 to 4095`);
      this.#cursor.skip();
    }
    this.#last = null;
    return behindTags(this.#tags++, isVlan(id));
  }

  #size(word: 'less' | 'greater'): FrameFilter {
    const token = this.#cursor.next(`a length after '${word}'`);
    const length = number(token.text, 0xffff_ffff);
    if (length === null) throw this.#cursor.error(token, `'${token.text}' is no length in bytes`);
    return word === 'less' ? (frame) => frame.length <= length : (frame) => frame.length >= length;
  }

  #unknown(token: Token): FilterError {
    if (RESERVED.includes(token.text))
      return this.#cursor.error(token, `'${token.text}' stands where none can`);
    return this.#cursor.error(token, `'${token.text}' is not known; ${KNOWN}`);
  }
}

const KNOWN = `there are ${FILTER_PRIMITIVES}`;

function looksLikeValue(text: string): boolean {
  return /^[\d.:/-]+$/.test(text) || parseMac(text) !== null || parseIp6(text.split('/')[0] ?? '') !== null;
}

const GROUPS: ReadonlyMap<string, FrameFilter> = new Map([
  ['ether', isMacGroup],
  ['ip', ipGroup],
  ['ip6', ip6Group],
]);

function scopeOf(protocol: string): 'ip' | 'arp' | 'any' {
  if (protocol === '') return 'any';
  return protocol === 'ip' ? 'ip' : 'arp';
}

/** ARP and RARP have the same layout, and are not the same. */
function inScope(protocol: string, filter: FrameFilter): FrameFilter {
  const type = protocol === 'ip' ? undefined : ETHER_TYPES.get(protocol);
  return type === undefined ? filter : both(etherTypeIs(type), filter);
}

function familyOf(protocol: string): string {
  if (protocol === '') return 'IPv4 or IPv6';
  return protocol === 'ip6' ? 'IPv6' : 'IPv4';
}

function number(text: string, max: number): number | null {
  if (!/^\d{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}

/** `10.244.0.0/16`, or the first octets alone as `10.244`, which mean as many bits. Host bits are kept. */
function parseNet(text: string): { readonly addr: number; readonly len: number } | null {
  const [address = '', length] = text.split('/');
  const octets = address.split('.');
  if (octets.length > 4) return null;
  const addr = parseIp4([...octets, '0', '0', '0'].slice(0, 4).join('.'));
  const len = length === undefined ? octets.length * 8 : number(length, 32);
  return addr === null || len === null ? null : { addr, len };
}
