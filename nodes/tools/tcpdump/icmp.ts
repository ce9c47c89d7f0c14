import { u16 } from '../../../protocols/bytes.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { formatIp6, readIp6 } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipDst, ipHeaderLength, ipProto } from '../../../protocols/ipv4.ts';

/** What tcpdump prints of ICMP (`icmp_print`); 8 bytes are there. */
export function icmpText(buf: Uint8Array, at: number, end: number): string {
  const length = `, length ${end - at}`;
  const [type, code] = [buf[at]!, buf[at + 1]!];
  switch (type) {
    case 0:
    case 8:
      return `ICMP echo ${type === 8 ? 'request' : 'reply'}, id ${u16(buf, at + 4)}, seq ${u16(buf, at + 6)}${length}`;
    case 3:
      return `ICMP ${unreachableText(buf, at, end, code)}${length}`;
    case 5:
      return `ICMP redirect ${innerDst(buf, at, end)} to ${code === 0 ? 'net' : 'host'} ${formatIp4(((buf[at + 4]! << 24) | (buf[at + 5]! << 16) | (buf[at + 6]! << 8) | buf[at + 7]!) >>> 0)}${length}`;
    case 11:
      return `ICMP ${code === 0 ? 'time exceeded in-transit' : 'ip reassembly time exceeded'}${length}`;
    case 12:
      return `ICMP parameter problem - octet ${buf[at + 4]}${length}`;
    default:
      return `ICMP type-#${type}${length}`;
  }
}

function innerDst(buf: Uint8Array, at: number, end: number): string {
  return at + 8 + IPV4_HLEN <= end ? formatIp4(ipDst(buf, at + 8)) : '?';
}

function unreachableText(buf: Uint8Array, at: number, end: number, code: number): string {
  const dst = innerDst(buf, at, end);
  switch (code) {
    case 0:
      return `net ${dst} unreachable`;
    case 1:
      return `host ${dst} unreachable`;
    case 2:
      return `${dst} protocol ${at + 8 + IPV4_HLEN <= end ? ipProto(buf, at + 8) : '?'} unreachable`;
    case 3: {
      const inner = at + 8;
      if (inner + IPV4_HLEN > end || inner + ipHeaderLength(buf, inner) + 4 > end)
        return `${dst} port unreachable`;
      const proto = ipProto(buf, inner);
      const port = u16(buf, inner + ipHeaderLength(buf, inner) + 2);
      return `${dst} ${proto === 17 ? 'udp' : proto === 6 ? 'tcp' : `protocol ${proto}`} port ${port} unreachable`;
    }
    case 4: {
      const mtu = u16(buf, at + 6);
      return `${dst} unreachable - need to frag${mtu === 0 ? '' : ` (mtu ${mtu})`}`;
    }
    case 9:
      return `net ${dst} unreachable - admin prohibited`;
    case 10:
      return `host ${dst} unreachable - admin prohibited`;
    case 13:
      return `host ${dst} unreachable - admin prohibited filter`;
    default:
      return `${dst} unreachable - #${code}`;
  }
}

/** The same of ICMPv6 (`icmp6_print`). */
export function icmp6Text(buf: Uint8Array, at: number, end: number): string {
  const length = `, length ${end - at}`;
  const [type, code] = [buf[at]!, buf[at + 1]!];
  const target = () => (at + 24 <= end ? formatIp6(readIp6(buf, at + 8)) : '?');
  switch (type) {
    case 1:
      return `ICMP6, destination unreachable, unreachable ${code === 4 ? 'port' : code === 3 ? 'address' : 'route'}${length}`;
    case 2:
      return `ICMP6, packet too big, mtu ${(u16(buf, at + 4) << 16) | u16(buf, at + 6)}${length}`;
    case 3:
      return `ICMP6, time exceeded in-transit${length}`;
    case 128:
    case 129:
      return `ICMP6, echo ${type === 128 ? 'request' : 'reply'}, id ${u16(buf, at + 4)}, seq ${u16(buf, at + 6)}${length}`;
    case 133:
      return `ICMP6, router solicitation${length}`;
    case 134:
      return `ICMP6, router advertisement${length}`;
    case 135:
      return `ICMP6, neighbor solicitation, who has ${target()}${length}`;
    case 136:
      return `ICMP6, neighbor advertisement, tgt is ${target()}${length}`;
    case 143:
      return `ICMP6, multicast listener report v2, ${u16(buf, at + 6)} group record(s)${length}`;
    default:
      return `ICMP6, type-#${type}${length}`;
  }
}
