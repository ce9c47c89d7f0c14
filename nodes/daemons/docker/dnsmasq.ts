import { addressOfReverse, type HostAddress } from '../../../protocols/dns/address.ts';
import { hostsByAddress, hostsByName, parseHosts, parseResolvConf } from '../../../protocols/dns/files.ts';
import {
  CLASS_IN,
  type DnsQuestion,
  RCODE,
  type RecordData,
  RR_TYPE,
} from '../../../protocols/dns/message.ts';
import { DnsServer, type ZoneAnswer } from '../../../protocols/dns/server.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { dnsHost } from '../../dns/host.ts';
import { serveDns } from '../../dns/serve.ts';
import type { Netns } from '../../kernel/netns.ts';
import { type Flag, parseFlags } from './cli/flags.ts';

const FLAGS: readonly Flag[] = [
  { name: 'address', short: 'A', type: 'list', help: 'Return ipaddr for all hosts in specified domains.' },
  { name: 'domain-needed', short: 'D', type: 'bool', help: 'Do NOT forward queries with no domain part.' },
  {
    name: 'keep-in-foreground',
    short: 'k',
    type: 'bool',
    help: 'Do NOT fork into the background, do NOT run in debug mode.',
  },
  { name: 'local', type: 'list', help: 'Never forward queries to specified domains.' },
  { name: 'no-hosts', short: 'h', type: 'bool', help: 'Do NOT load /etc/hosts file.' },
  { name: 'no-resolv', short: 'R', type: 'bool', help: 'Do NOT read resolv.conf.' },
  {
    name: 'server',
    short: 'S',
    type: 'list',
    help: 'Specify address(es) of upstream servers with optional domains.',
  },
  { name: 'log-facility', short: '8', type: 'string', help: 'Log to this syslog facility or file.' },
  { name: 'log-queries', short: 'q', type: 'bool', help: 'Log DNS queries.' },
];

/** A rule for a domain and all below it; '' for every name. */
interface Domain {
  readonly domain: string;
  /** '' where the name is not to be found, nor asked for elsewhere. */
  readonly address: string;
}

/**
 * dnsmasq(8) as a DNS server: /etc/hosts, `--address=/domain/ip`, `--local=/domain/`, `--server=ip`, resolv.conf's servers.
 * @throws FlagError, PortInUseError
 */
export function startDnsmasq(
  ns: Netns,
  args: readonly string[],
  files: (path: string) => string | null,
): { close(): void } {
  const flags = parseFlags(args, FLAGS, 'interspersed');
  if (flags === 'help') return { close: () => {} };
  const fixed = [...flags.list('address'), ...flags.list('local')].flatMap(parseDomains);
  const given = flags.list('server').filter((text) => parseIp4(text) !== null);
  const servers = () => {
    if (given.length > 0 || flags.has('no-resolv')) return given;
    return parseResolvConf(files('/etc/resolv.conf') ?? '').nameservers.filter(
      (address) => !address.startsWith('127.'),
    );
  };
  const zone = (question: DnsQuestion): ZoneAnswer => {
    const name = question.name.toLowerCase();
    const known = answerOf(question, flags.has('no-hosts') ? '' : (files('/etc/hosts') ?? ''), fixed);
    if (known !== null) return known;
    const plain = !name.includes('.') && (question.type === RR_TYPE.A || question.type === RR_TYPE.AAAA);
    if (plain && flags.has('domain-needed')) return NXDOMAIN;
    const upstream = servers();
    if (upstream.length > 0) return { type: 'forward', servers: upstream };
    return { type: 'rcode', rcode: RCODE.REFUSED, authority: 'cached' };
  };
  return serveDns(ns, 0, new DnsServer({ host: dnsHost(ns), recursion: 'available', zone }));
}

const NXDOMAIN: ZoneAnswer = { type: 'rcode', rcode: RCODE.NXDOMAIN, authority: 'cached' };

/** `/one/two/10.0.0.1` is for two domains. */
function parseDomains(text: string): Domain[] {
  const parts = text.split('/');
  const address = parts.at(-1) ?? '';
  return parts
    .slice(1, -1)
    .map((domain) => ({ domain: domain === '#' ? '' : domain.toLowerCase(), address }));
}

function answerOf({ name, type }: DnsQuestion, hosts: string, fixed: readonly Domain[]): ZoneAnswer | null {
  const entries = parseHosts(hosts);
  const records = (list: readonly RecordData[]): ZoneAnswer => ({
    type: 'answer',
    authority: 'authoritative',
    answers: list.map((data) => ({ name, class: CLASS_IN, ttl: 0, data })),
  });
  if (type === RR_TYPE.PTR) {
    const address = addressOfReverse(name);
    const entry = address === null ? null : hostsByAddress(entries, address);
    return entry === null ? null : records([{ type: 'PTR', target: entry.names[0]! }]);
  }
  if (type !== RR_TYPE.A && type !== RR_TYPE.AAAA) return null;
  const family = type === RR_TYPE.A ? 4 : 6;
  const found = hostsByName(entries, name, family);
  if (found !== null) return records([record(found.address)]);
  if (hostsByName(entries, name, family === 4 ? 6 : 4) !== null) return records([]);
  const lower = name.toLowerCase();
  const rule = fixed
    .filter(({ domain }) => domain === '' || lower === domain || lower.endsWith(`.${domain}`))
    .toSorted((a, b) => b.domain.length - a.domain.length)[0];
  if (rule === undefined) return null;
  const address = parseIp4(rule.address);
  if (rule.address === '') return NXDOMAIN;
  return records(address !== null && family === 4 ? [record({ family: 4, addr: address })] : []);
}

function record(address: HostAddress): RecordData {
  return address.family === 4
    ? { type: 'A', address: address.addr }
    : { type: 'AAAA', address: address.addr };
}
