/** Destination unreachable, by code, in iputils' words. */
const UNREACHABLE: readonly string[] = [
  ...['Destination Net Unreachable', 'Destination Host Unreachable', 'Destination Protocol Unreachable'],
  ...['Destination Port Unreachable', '', 'Source Route Failed', 'Destination Net Unknown'],
  ...['Destination Host Unknown', 'Source Host Isolated', 'Destination Net Prohibited'],
  ...['Destination Host Prohibited', 'Destination Net Unreachable for Type of Service'],
  ...['Destination Host Unreachable for Type of Service', 'Packet filtered', 'Precedence Violation'],
  'Precedence Cutoff',
];

/** What an ICMP error says. */
export interface IcmpError {
  readonly type: 'dest-unreachable' | 'time-exceeded' | 'parameter-problem' | 'redirect';
  readonly code: number;
  readonly mtu: number;
}

/** An ICMP error as ping words it (`pr_icmph` of iputils). */
export function icmpErrorText({ type, code, mtu }: IcmpError): string {
  switch (type) {
    case 'dest-unreachable':
      if (code === 4) return `Frag needed and DF set (mtu = ${mtu})`;
      return UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`;
    case 'time-exceeded':
      if (code > 1) return `Time exceeded, Bad Code: ${code}`;
      return code === 0 ? 'Time to live exceeded' : 'Frag reassembly time exceeded';
    case 'parameter-problem':
      return 'Parameter problem';
    case 'redirect':
      return code === 0 ? 'Redirect Network' : 'Redirect Host';
  }
}

/** An ICMP error as traceroute annotates it, '' where it is just the answer hoped for. */
export function icmpErrorMark({ type, code, mtu }: IcmpError): string {
  if (type === 'time-exceeded') return code === 0 ? '' : `!<11-${code}>`;
  if (type === 'parameter-problem') return `!<12-${code}>`;
  switch (code) {
    case 0:
    case 6:
    case 8:
    case 11:
      return '!N';
    case 1:
    case 7:
    case 12:
      return '!H';
    case 2:
      return '!P';
    case 3:
      return '';
    case 4:
      return `!F-${mtu}`;
    case 5:
      return '!S';
    case 9:
    case 10:
    case 13:
      return '!X';
    case 14:
      return '!V';
    case 15:
      return '!C';
    default:
      return `!<${code}>`;
  }
}
