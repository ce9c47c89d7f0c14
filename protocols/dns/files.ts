import { formatHostAddress, type HostAddress, parseHostAddress } from './address.ts';

/** A line of hosts(5). */
export interface HostsEntry {
  readonly address: HostAddress;
  /** The canonical name, then its aliases. */
  readonly names: readonly string[];
}

/** Parses hosts(5); lines that are none are passed over, as glibc does. */
export function parseHosts(text: string): HostsEntry[] {
  return text.split('\n').flatMap((line) => {
    const [first = '', ...names] = words(line.replace(/#.*/, ''));
    const address = parseHostAddress(first);
    return address === null || names.length === 0 ? [] : [{ address, names }];
  });
}

export function hostsByName(entries: readonly HostsEntry[], name: string, family: 4 | 6): HostsEntry | null {
  return allHostsByName(entries, name, family)[0] ?? null;
}

/** All lines of a name, as with `multi on` of host.conf(5). */
export function allHostsByName(entries: readonly HostsEntry[], name: string, family: 4 | 6): HostsEntry[] {
  const key = name.toLowerCase();
  return entries.filter(
    ({ address, names }) => address.family === family && names.some((other) => other.toLowerCase() === key),
  );
}

export function hostsByAddress(entries: readonly HostsEntry[], address: HostAddress): HostsEntry | null {
  const text = formatHostAddress(address);
  return entries.find((entry) => formatHostAddress(entry.address) === text) ?? null;
}

/** resolv.conf(5) */
export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  /** Names with so many dots are tried as they are first. */
  readonly ndots: number;
  /** ms */
  readonly timeout: number;
  readonly attempts: number;
}

const MAX_NAMESERVERS = 3;
/** The resolver's default where no server is named: one on the host itself. */
const LOCAL_SERVER = '127.0.0.1';

/** Parses resolv.conf(5) as glibc does: the last `search` or `domain` counts, three servers, values limited as there. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: readonly string[] = [];
  const options = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (/^[#;]/.test(line)) continue;
    const [keyword, ...values] = words(line);
    switch (keyword) {
      case 'nameserver': {
        const [address = ''] = values;
        if (parseHostAddress(address) !== null && nameservers.length < MAX_NAMESERVERS)
          nameservers.push(address);
        break;
      }
      case 'domain':
        search = values.slice(0, 1);
        break;
      case 'search':
        search = values;
        break;
      case 'options':
        for (const value of values) {
          const [, name, number] = /^(ndots|timeout|attempts):(\d+)/.exec(value) ?? [];
          if (name !== undefined) options.set(name, Number(number));
        }
        break;
      default:
    }
  }
  return {
    nameservers: nameservers.length === 0 ? [LOCAL_SERVER] : nameservers,
    search: search.filter((domain) => domain !== '.').map((domain) => domain.replace(/\.$/, '')),
    ndots: Math.min(options.get('ndots') ?? 1, 15),
    timeout: Math.min(Math.max(options.get('timeout') ?? 5, 1), 30) * 1000,
    attempts: Math.min(Math.max(options.get('attempts') ?? 2, 1), 5),
  };
}

function words(line: string): string[] {
  return line.split(/[ \t\r]+/).filter((word) => word !== '');
}
