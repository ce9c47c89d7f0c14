import type { IcmpErrorReport } from '../kernel/icmp.ts';

const UNREACHABLE = [
  'No route',
  'Administratively prohibited',
  'Beyond scope of source address',
  'Address unreachable',
  'Port unreachable',
];
const PROBLEM = ['Wrong header field ', 'Unknown header ', 'Unknown option '];

/** An ICMPv6 error as traceroute annotates it, '' where it is just the answer hoped for. */
export function icmp6ErrorMark({
  type,
  code,
  mtu,
}: Pick<IcmpErrorReport<string>, 'type' | 'code' | 'mtu'>): string {
  if (type === 'time-exceeded') return code === 0 ? '' : `!<3-${code}>`;
  if (type === 'packet-too-big') return `!F-${mtu}`;
  if (type !== 'dest-unreachable') return `!<4-${code}>`;
  return ['!N', '!X', '!H', '!H', ''][code] ?? `!<${code}>`;
}

/** An ICMPv6 error as ping words it (`pr_icmph` of iputils' ping6_common.c); null for what it passes over. */
export function icmp6ErrorText({
  type,
  code,
  mtu,
}: Pick<IcmpErrorReport<string>, 'type' | 'code' | 'mtu'>): string | null {
  switch (type) {
    case 'dest-unreachable':
      return `Destination unreachable: ${UNREACHABLE[code] ?? `Unknown code ${code}`}`;
    case 'packet-too-big':
      return `Packet too big: mtu=${mtu}${code === 0 ? '' : `, code=${code}`}`;
    case 'time-exceeded':
      if (code > 1) return `Time exceeded: code ${code}`;
      return `Time exceeded: ${code === 0 ? 'Hop limit' : 'Defragmentation failure'}`;
    case 'parameter-problem':
      return `Parameter problem: ${PROBLEM[code] ?? `code ${code} `}at 0`;
    case 'redirect':
      return null;
  }
}
