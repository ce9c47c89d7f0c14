import { ETHERTYPE_ARP, ETHERTYPE_IPV4 } from '../ethernet.ts';
import { formatPrefix, parseIp4, parsePrefix, prefixMask } from '../ip4.ts';
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../ipv4.ts';
import { BROADCAST_MAC, parseMac } from '../mac.ts';
import { FilterError, type Token, tokenize } from './lexer.ts';
import {
  addressIn,
  both,
  type End,
  either,
  etherTypeIs,
  type FrameFilter,
  ipProtocolIs,
  isMacGroup,
  macIs,
  not,
  portIn,
} from './match.ts';

/** What the filter language has, for messages. */
export const FILTER_PRIMITIVES =
  'host, net, port, portrange (each with src or dst; port with tcp or udp), ether host, ip, arp, icmp, tcp, udp, ' +
  'ip proto, broadcast, multicast, less, greater, and, or, not and parentheses';

type Protocol = 'ether' | 'ip' | 'arp' | 'icmp' | 'tcp' | 'udp';
type Kind = 'host' | 'net' | 'port' | 'portrange' | 'proto';

interface Qualifiers {
  readonly protocol: Protocol | null;
  readonly end: End;
  readonly kind: Kind;
}

const PROTOCOLS: Readonly<Record<Protocol, FrameFilter | null>> = {
  ether: null,
  ip: etherTypeIs(ETHERTYPE_IPV4),
  arp: etherTypeIs(ETHERTYPE_ARP),
  icmp: ipProtocolIs(PROTO_ICMP),
  tcp: ipProtocolIs(PROTO_TCP),
  udp: ipProtocolIs(PROTO_UDP),
};
const IP_PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', PROTO_ICMP],
  ['tcp', PROTO_TCP],
  ['udp', PROTO_UDP],
]);
const KINDS: readonly string[] = ['host', 'net', 'port', 'portrange', 'proto'] satisfies Kind[];
const RESERVED: readonly string[] = ['and', 'or', 'not', '(', ')', 'src', 'dst', ...KINDS];

/** Which protocols may stand before which kind of value. */
const ALLOWED: Readonly<Record<Kind, readonly (Protocol | null)[]>> = {
  host: [null, 'ip', 'arp', 'ether'],
  net: [null, 'ip', 'arp'],
  port: [null, 'tcp', 'udp'],
  portrange: [null, 'tcp', 'udp'],
  proto: [null, 'ip'],
};

/**
 * Compiles a filter written as in pcap-filter(7), of whose primitives it has the common ones for IPv4. `and` and `or`
 * have the same precedence and associate to the left, `not` binds tighter, and a bare value takes the qualifiers of
 * the one before it, all as there. The empty text takes every frame.
 * @throws FilterError
 */
export function compileFilter(source: string): FrameFilter {
  const parser = new Parser(source);
  return parser.filter();
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #length: number;
  #at = 0;
  #last: Qualifiers | null = null;

  constructor(source: string) {
    this.#tokens = tokenize(source);
    this.#length = source.length;
  }

  filter(): FrameFilter {
    if (this.#tokens.length === 0) return () => true;
    const filter = this.#expression();
    const rest = this.#peek();
    if (rest === undefined) return filter;
    if (rest.text === ')') throw this.#error(rest, "')' closes nothing");
    throw this.#error(rest, `'${rest.text}' follows without and, or or a qualifier before it`);
  }

  #expression(): FrameFilter {
    let left = this.#term();
    for (;;) {
      if (this.#accept('and')) left = both(left, this.#term());
      else if (this.#accept('or')) left = either(left, this.#term());
      else return left;
    }
  }

  #term(): FrameFilter {
    const token = this.#peek();
    if (this.#accept('not')) return not(this.#term());
    if (!this.#accept('(')) return this.#primitive();
    const inner = this.#expression();
    if (!this.#accept(')')) throw this.#error(token, "this '(' is not closed");
    return inner;
  }

  #primitive(): FrameFilter {
    const token = this.#next('a primitive');
    const { text } = token;
    switch (text) {
      case 'broadcast':
        return macIs('dst', BROADCAST_MAC);
      case 'multicast':
        return isMacGroup;
      case 'less':
      case 'greater':
        return this.#size(text);
    }
    this.#at--;
    const protocol = this.#protocol();
    if (protocol === 'ether' && this.#accept('broadcast')) return macIs('dst', BROADCAST_MAC);
    if (protocol === 'ether' && this.#accept('multicast')) return isMacGroup;
    const end = this.#end();
    const kind = this.#kind();
    const value = this.#peek();
    if (protocol !== null && end === null && kind === null) {
      const alone = PROTOCOLS[protocol];
      if (alone === null) throw this.#error(token, "'ether' stands before host, broadcast or multicast");
      this.#last = null;
      return alone;
    }
    if (end !== null || kind !== null) {
      const qualifiers = { protocol, end: end ?? 'src or dst', kind: kind ?? 'host' };
      if (!ALLOWED[qualifiers.kind].includes(protocol))
        throw this.#error(token, `'${protocol}' does not go with '${qualifiers.kind}'`);
      this.#last = qualifiers;
      return this.#value(qualifiers, this.#next(`a value after '${this.#tokens[this.#at - 1]?.text}'`));
    }
    if (value === undefined) throw this.#error(token, 'a value is missing');
    this.#at++;
    if (this.#last !== null && looksLikeValue(value.text)) return this.#value(this.#last, value);
    if (parseIp4(value.text) !== null)
      return this.#value({ protocol: null, end: 'src or dst', kind: 'host' }, value);
    throw this.#unknown(value);
  }

  #protocol(): Protocol | null {
    const token = this.#peek();
    if (token === undefined || !Object.hasOwn(PROTOCOLS, token.text)) return null;
    this.#at++;
    return token.text as Protocol;
  }

  #end(): End | null {
    const first = this.#peek()?.text;
    if (first !== 'src' && first !== 'dst') return null;
    this.#at++;
    const joint = this.#peek()?.text;
    const second = this.#tokens[this.#at + 1]?.text;
    const other = first === 'src' ? 'dst' : 'src';
    if ((joint !== 'or' && joint !== 'and') || second !== other) return first;
    // `src or dst port 179` joins the ends, `src host A or dst host B` two primitives.
    this.#at += 2;
    return joint === 'or' ? 'src or dst' : 'src and dst';
  }

  #kind(): Kind | null {
    const token = this.#peek();
    if (token === undefined || !KINDS.includes(token.text)) return null;
    this.#at++;
    return token.text as Kind;
  }

  #value({ protocol, end, kind }: Qualifiers, token: Token): FrameFilter {
    const { text } = token;
    if (RESERVED.includes(text)) throw this.#error(token, `a value is missing before '${text}'`);
    switch (kind) {
      case 'host': {
        if (protocol === 'ether') {
          const mac = parseMac(text);
          if (mac === null) throw this.#error(token, `'${text}' is no MAC address like 02:42:0a:00:00:01`);
          return macIs(end, mac);
        }
        const addr = parseIp4(text);
        if (addr === null) {
          const mend = parsePrefix(text) === null ? 'names are not looked up' : 'write net for a prefix';
          throw this.#error(token, `'${text}' is no IPv4 address; ${mend}`);
        }
        return addressIn(end, scopeOf(protocol), addr, prefixMask(32));
      }
      case 'net': {
        const prefix = parseNet(text);
        if (prefix === null) throw this.#error(token, `'${text}' is no IPv4 prefix like 10.244.0.0/16`);
        const mask = prefixMask(prefix.len);
        if ((prefix.addr & ~mask) !== 0) {
          const network = formatPrefix({ addr: (prefix.addr & mask) >>> 0, len: prefix.len });
          throw this.#error(token, `'${text}' has bits set beyond its mask; write ${network}`);
        }
        return addressIn(end, scopeOf(protocol), prefix.addr, mask);
      }
      case 'port': {
        const port = number(text, 0xffff);
        if (port === null) throw this.#error(token, `'${text}' is no port number`);
        return portIn(end, portScope(protocol), port, port);
      }
      case 'portrange': {
        const [, low = '', high = ''] = /^(\d+)-(\d+)$/.exec(text) ?? [];
        const from = number(low, 0xffff);
        const to = number(high, 0xffff);
        if (from === null || to === null || from > to)
          throw this.#error(token, `'${text}' is no range of ports like 8000-8080`);
        return portIn(end, portScope(protocol), from, to);
      }
      case 'proto': {
        const proto = IP_PROTOCOLS.get(text) ?? number(text, 0xff);
        if (proto === null) throw this.#error(token, `'${text}' is no protocol number`);
        return ipProtocolIs(proto);
      }
    }
  }

  #size(word: 'less' | 'greater'): FrameFilter {
    const token = this.#next(`a length after '${word}'`);
    const length = number(token.text, 0xffff_ffff);
    if (length === null) throw this.#error(token, `'${token.text}' is no length in bytes`);
    return word === 'less' ? (frame) => frame.length <= length : (frame) => frame.length >= length;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #accept(text: string): boolean {
    if (this.#peek()?.text !== text) return false;
    this.#at++;
    return true;
  }

  #next(wanted: string): Token {
    const token = this.#peek();
    if (token === undefined) throw this.#error(undefined, `the filter ends where ${wanted} should stand`);
    this.#at++;
    return token;
  }

  #unknown(token: Token): FilterError {
    if (RESERVED.includes(token.text)) return this.#error(token, `'${token.text}' stands where none can`);
    if (/[[\]<>=&|]/.test(token.text))
      return this.#error(token, `'${token.text}': bytes and arithmetic are not known; ${KNOWN}`);
    return this.#error(token, `'${token.text}' is not known; ${KNOWN}`);
  }

  #error(token: Token | undefined, message: string): FilterError {
    return new FilterError(`filter, column ${token?.column ?? this.#length + 1}: ${message}`);
  }
}

const KNOWN = `there are ${FILTER_PRIMITIVES}`;

function looksLikeValue(text: string): boolean {
  return /^[\d.:/-]+$/.test(text) || parseMac(text) !== null;
}

function scopeOf(protocol: Protocol | null): 'ip' | 'arp' | 'any' {
  return protocol === 'ip' || protocol === 'arp' ? protocol : 'any';
}

function portScope(protocol: Protocol | null): 'tcp' | 'udp' | 'any' {
  return protocol === 'tcp' || protocol === 'udp' ? protocol : 'any';
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
