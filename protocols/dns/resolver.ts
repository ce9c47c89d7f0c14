import { formatHostAddress, type HostAddress, parseHostAddress, reverseName } from './address.ts';
import { type ExchangeResult, exchange } from './exchange.ts';
import { allHostsByName, hostsByAddress, parseHosts, parseResolvConf, type ResolvConf } from './files.ts';
import { type DnsMessage, query, RCODE, RR_TYPE } from './message.ts';
import { nameKey, parseName } from './name.ts';
import type { DnsHost } from './transport.ts';

/** Error codes of getaddrinfo(3), by what gai_strerror(3) says of them. */
export const GAI_ERRORS = {
  EAI_NONAME: 'Name or service not known',
  EAI_AGAIN: 'Temporary failure in name resolution',
  EAI_NODATA: 'No address associated with hostname',
  EAI_ADDRFAMILY: 'Address family for hostname not supported',
} as const;

export type GaiError = keyof typeof GAI_ERRORS;

export type NameLookup =
  /** `canonical` is the name at the end of all aliases. */
  | { readonly ok: true; readonly canonical: string; readonly addresses: readonly HostAddress[] }
  | { readonly ok: false; readonly error: GaiError };

/** Which addresses are wanted: AF_UNSPEC, AF_INET, AF_INET6. */
export type LookupFamily = 'any' | 'ipv4' | 'ipv6';

export interface ResolverFiles {
  /** Text of /etc/hosts and of /etc/resolv.conf, null where there is none. */
  readonly hosts: string | null;
  readonly resolvConf: string | null;
}

type Families = readonly (4 | 6)[];

const FAMILIES: Readonly<Record<LookupFamily, Families>> = { any: [4, 6], ipv4: [4], ipv6: [6] };

/** What a query for one name came to: `next` says that the search list may go on. */
type Answer =
  | { readonly type: 'found'; readonly canonical: string; readonly addresses: readonly HostAddress[] }
  | { readonly type: 'nodata' | 'nxdomain' | 'servfail' | 'down' };

/** The resolver of glibc with nsswitch's `hosts: files dns`. */
export class StubResolver {
  readonly #host: DnsHost;
  readonly #files: () => ResolverFiles;

  /** The files are read for every lookup. */
  constructor(host: DnsHost, files: () => ResolverFiles) {
    this.#host = host;
    this.#files = files;
  }

  /** getaddrinfo(3). `done` is called once, from within this call where the files or the text itself have the answer. */
  lookup(name: string, family: LookupFamily, done: (result: NameLookup) => void): { cancel(): void } {
    const files = this.#files();
    const families = FAMILIES[family];
    const known = ofText(name, families) ?? ofHosts(files.hosts, name, families);
    if (known !== null) {
      done(known);
      return IDLE;
    }
    if (parseName(name) === null || name === '') {
      done({ ok: false, error: 'EAI_NONAME' });
      return IDLE;
    }
    const search = new Search(this.#host, parseResolvConf(files.resolvConf ?? ''), name, families, done);
    search.start();
    return search;
  }

  /** The name of an address as getnameinfo(3) finds it; null if it has none, or nobody tells. */
  reverse(address: HostAddress, done: (name: string | null) => void): { cancel(): void } {
    const files = this.#files();
    const entry = hostsByAddress(parseHosts(files.hosts ?? ''), address);
    if (entry !== null) {
      done(entry.names[0] ?? null);
      return IDLE;
    }
    const conf = parseResolvConf(files.resolvConf ?? '');
    const question = query(0, reverseName(address), RR_TYPE.PTR);
    return exchange(this.#host, [question], { ...conf, servers: conf.nameservers }, ([result]) => {
      done(result?.type === 'response' ? pointerOf(result.message) : null);
    });
  }
}

const IDLE = { cancel: () => {} };

function ofText(name: string, families: Families): NameLookup | null {
  const address = parseHostAddress(name);
  if (address === null) return null;
  if (!families.includes(address.family)) return { ok: false, error: 'EAI_ADDRFAMILY' };
  return { ok: true, canonical: name, addresses: [address] };
}

function ofHosts(text: string | null, name: string, families: Families): NameLookup | null {
  const entries = parseHosts(text ?? '');
  const found = families.flatMap((family) => allHostsByName(entries, name.replace(/\.$/, ''), family));
  if (found.length === 0) return null;
  return { ok: true, canonical: found[0]!.names[0]!, addresses: found.map(({ address }) => address) };
}

/** One name with the search list of resolv.conf (`__res_context_search`). */
class Search {
  readonly #host: DnsHost;
  readonly #conf: ResolvConf;
  readonly #families: Families;
  readonly #done: (result: NameLookup) => void;
  /** Names that are left to try. */
  readonly #names: string[];
  #seen: { nodata: boolean; servfail: boolean } = { nodata: false, servfail: false };
  #running: { cancel(): void } | null = null;

  constructor(
    host: DnsHost,
    conf: ResolvConf,
    name: string,
    families: Families,
    done: (result: NameLookup) => void,
  ) {
    this.#host = host;
    this.#conf = conf;
    this.#families = families;
    this.#done = done;
    this.#names = searchNames(name, conf);
  }

  start(): void {
    this.#try();
  }

  cancel(): void {
    this.#running?.cancel();
  }

  #try(): void {
    const name = this.#names.shift();
    if (name === undefined) {
      this.#fail();
      return;
    }
    const queries = this.#families.map((family) => query(0, name, family === 4 ? RR_TYPE.A : RR_TYPE.AAAA));
    const options = { ...this.#conf, servers: this.#conf.nameservers };
    this.#running = exchange(this.#host, queries, options, (results) => this.#took(answerOf(name, results)));
  }

  #took(answer: Answer): void {
    switch (answer.type) {
      case 'found':
        this.#done({ ok: true, canonical: answer.canonical, addresses: answer.addresses });
        return;
      case 'down':
        this.#done({ ok: false, error: 'EAI_AGAIN' });
        return;
      case 'nodata':
        this.#seen.nodata = true;
        break;
      case 'servfail':
        this.#seen.servfail = true;
        break;
      case 'nxdomain':
    }
    this.#try();
  }

  #fail(): void {
    const { nodata, servfail } = this.#seen;
    this.#done({ ok: false, error: nodata ? 'EAI_NODATA' : servfail ? 'EAI_AGAIN' : 'EAI_NONAME' });
  }
}

/** The names that the search list makes of one, in the order in which glibc tries them. */
export function searchNames(name: string, conf: ResolvConf): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const dots = name.split('.').length - 1;
  const searched = conf.search
    .map((domain) => `${name}.${domain}`)
    .filter((longer) => parseName(longer) !== null);
  return dots >= conf.ndots ? [name, ...searched] : [...searched, name];
}

function answerOf(name: string, results: readonly ExchangeResult[]): Answer {
  const addresses: HostAddress[] = [];
  let canonical = name;
  for (const result of results) {
    if (result.type !== 'response') continue;
    const found = addressesOf(result.message, name);
    if (found.addresses.length > 0 && addresses.length === 0) canonical = found.canonical;
    addresses.push(...found.addresses);
  }
  if (addresses.length > 0) return { type: 'found', canonical, addresses };
  const failures = results.flatMap((result) => (result.type === 'failed' ? [result] : []));
  if (failures.length > 0)
    return {
      type: failures.some((one) => one.answer?.message.rcode === RCODE.SERVFAIL) ? 'servfail' : 'down',
    };
  const rcodes = results.map((result) => (result.type === 'response' ? result.message.rcode : 0));
  if (rcodes.every((rcode) => rcode === RCODE.NXDOMAIN)) return { type: 'nxdomain' };
  return { type: rcodes.includes(RCODE.NOERROR) ? 'nodata' : 'servfail' };
}

/** Longest chain of aliases that is followed. */
const MAX_ALIASES = 16;

function addressesOf(
  { answers }: DnsMessage,
  name: string,
): { readonly canonical: string; readonly addresses: readonly HostAddress[] } {
  let canonical = name;
  for (let i = 0; i < MAX_ALIASES; i++) {
    const alias = answers.find(
      ({ name: owner, data }) => data.type === 'CNAME' && nameKey(owner) === nameKey(canonical),
    )?.data;
    if (alias?.type !== 'CNAME') break;
    canonical = alias.target;
  }
  const seen = new Set<string>();
  const addresses: HostAddress[] = [];
  for (const { name: owner, data } of answers) {
    if (nameKey(owner) !== nameKey(canonical)) continue;
    const address: HostAddress | null =
      data.type === 'A'
        ? { family: 4, addr: data.address }
        : data.type === 'AAAA'
          ? { family: 6, addr: data.address }
          : null;
    if (address === null || seen.has(formatHostAddress(address))) continue;
    seen.add(formatHostAddress(address));
    addresses.push(address);
  }
  return { canonical, addresses };
}

function pointerOf({ answers }: DnsMessage): string | null {
  for (const { data } of answers) if (data.type === 'PTR') return data.target;
  return null;
}
