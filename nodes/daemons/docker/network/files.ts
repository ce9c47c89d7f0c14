/** /etc/hosts and /etc/resolv.conf of a container, as libnetwork's etchosts and resolvconf write them. */

const BASE_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

export interface HostsLine {
  readonly address: string;
  readonly names: string;
}

/** As it is when a container starts: `extra` is of --add-host and --link. */
export function hostsFile(extra: readonly HostsLine[]): string {
  return addHosts(BASE_HOSTS.map((line) => `${line}\n`).join(''), extra);
}

/** Appends lines (`etchosts.Add`). */
export function addHosts(text: string, lines: readonly HostsLine[]): string {
  return text + lines.map(({ address, names }) => `${address}\t${names}\n`).join('');
}

/** Takes out the lines that are just these (`etchosts.Delete`). */
export function deleteHosts(text: string, lines: readonly HostsLine[]): string {
  const gone = new Set(lines.map(({ address, names }) => `${address}\t${names}`));
  return text
    .split('\n')
    .filter((line) => !gone.has(line))
    .join('\n');
}

/** Gives the lines whose first name is `name` another address (`etchosts.Update`). */
export function updateHosts(text: string, address: string, name: string): string {
  return text
    .split('\n')
    .map((line) => {
      const [, names = ''] = line.split('\t');
      return names.split(' ')[0] === name ? `${address}\t${names}` : line;
    })
    .join('\n');
}

export interface ResolvOptions {
  readonly dns: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

const NAMESERVER = /^\s*nameserver\s+(\S+)/;
const DEFAULT_SERVERS = ['8.8.8.8', '8.8.4.4'];

/** The servers that a resolv.conf names. */
export function nameservers(text: string): string[] {
  return text.split('\n').flatMap((line) => NAMESERVER.exec(line)?.[1] ?? []);
}

function words(text: string, keyword: string): string[] {
  const line = text.split('\n').findLast((candidate) => candidate.trimStart().startsWith(`${keyword} `));
  return line === undefined ? [] : line.trim().split(/\s+/).slice(1);
}

/**
 * On the default bridge: the host's file without servers on its loopback, which are not the container's, or Google's if
 * none is left; or what --dns and its like say.
 */
export function bridgeResolvConf(host: string, { dns, search, options }: ResolvOptions): string {
  if (dns.length + search.length + options.length > 0) {
    const servers = dns.length > 0 ? dns : upstreamServers(host);
    const domains = search.length > 0 ? search : words(host, 'search');
    return build(servers, domains, options.length > 0 ? options : words(host, 'options'));
  }
  const kept = host.split('\n').filter((line) => !isLoopbackServer(line));
  const text = kept.join('\n');
  if (nameservers(text).length > 0) return text;
  const lead = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${lead}${DEFAULT_SERVERS.map((server) => `nameserver ${server}\n`).join('')}`;
}

/** In a user-defined network: the embedded server, which asks on. */
export function embeddedResolvConf(host: string, { search, options }: ResolvOptions): string {
  const domains = search.length > 0 ? search : words(host, 'search');
  const given = options.length > 0 ? options : words(host, 'options');
  const ndots = given.some((option) => option.startsWith('ndots:')) ? [] : ['ndots:0'];
  return build(['127.0.0.11'], domains, [...given, ...ndots]);
}

/** Where the embedded server asks on: --dns, else the host's servers, else Google's. */
export function upstreamServers(host: string, dns: readonly string[] = []): string[] {
  if (dns.length > 0) return [...dns];
  const servers = nameservers(host).filter((server) => !isLoopbackAddress(server));
  return servers.length > 0 ? servers : DEFAULT_SERVERS;
}

function build(servers: readonly string[], search: readonly string[], options: readonly string[]): string {
  // A lone dot switches the search off.
  const domains = search.filter((domain) => domain !== '.');
  const lines = [
    ...(domains.length > 0 ? [`search ${domains.join(' ')}`] : []),
    ...servers.map((server) => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function isLoopbackServer(line: string): boolean {
  const server = NAMESERVER.exec(line)?.[1];
  return server !== undefined && isLoopbackAddress(server);
}

function isLoopbackAddress(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
