import { formatHostAddress, parseHostAddress } from '../../../protocols/dns/address.ts';
import { type HostsEntry, hostsByAddress, hostsByName, parseHosts } from '../../../protocols/dns/files.ts';
import type { LookupFamily } from '../../../protocols/dns/resolver.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { mapIp4 } from '../../../protocols/ip6.ts';
import { type ResolvedHost, resolveHost, resolverOf } from '../resolve.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from '../tool.ts';

const HINT = "Try `getent --help' or `getent --usage' for more information.";
const DATABASES = ['hosts', 'ahosts', 'ahostsv4', 'ahostsv6'];
/** One of the keys was not found. */
const NOT_FOUND = 2;

/** getent(1) on hosts, ahosts, ahostsv4 and ahostsv6. */
export const getent: Tool = endingOnError((args, ctx, out) => {
  const [database, ...keys] = args;
  if (database === undefined) {
    out.stdout(`${HINT}\n`);
    throw new ToolError('getent: wrong number of arguments', 1);
  }
  if (!DATABASES.includes(database)) {
    out.stdout(`${HINT}\n`);
    throw new ToolError(`Unknown database: ${database}`, 1);
  }
  return new Getent(ctx, out, database, keys);
});

class Getent implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #keys: string[];
  #running: { cancel(): void } = { cancel: () => {} };
  #ended = false;
  #code = 0;

  constructor(ctx: ToolContext, out: ToolOutput, database: string, keys: readonly string[]) {
    this.#ctx = ctx;
    this.#out = out;
    this.#keys = [...keys];
    if (keys.length === 0 && database === 'hosts') for (const entry of this.#entries()) this.#entry(entry);
    if (database === 'hosts') this.#nextHost();
    else this.#nextAll(database === 'ahosts' ? 'any' : database === 'ahostsv4' ? 'ipv4' : 'ipv6');
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  #entries(): HostsEntry[] {
    return parseHosts(this.#ctx.files?.('/etc/hosts') ?? '');
  }

  /** gethostbyaddr(3) for an address; for a name gethostbyname2(3), IPv6 first. */
  #nextHost(): void {
    const key = this.#keys.shift();
    if (key === undefined) {
      this.#exit(this.#code);
      return;
    }
    const address = parseHostAddress(key);
    const entries = this.#entries();
    const entry =
      address === null
        ? (hostsByName(entries, key, 6) ?? hostsByName(entries, key, 4))
        : hostsByAddress(entries, address);
    if (entry !== null) {
      this.#entry(entry);
      this.#nextHost();
    } else if (address !== null)
      this.#running = resolverOf(this.#ctx).reverse(address, (name) => {
        if (this.#ended) return;
        if (name === null) this.#code = NOT_FOUND;
        else this.#line(formatHostAddress(address), name);
        this.#nextHost();
      });
    else this.#byName(key, ['ipv6', 'ipv4']);
  }

  #byName(key: string, families: readonly LookupFamily[]): void {
    const [family, ...others] = families;
    if (family === undefined) {
      this.#code = NOT_FOUND;
      this.#nextHost();
      return;
    }
    this.#running = resolverOf(this.#ctx).lookup(key, family, (result) => {
      if (this.#ended) return;
      if (!result.ok) {
        this.#byName(key, others);
        return;
      }
      const alias = result.canonical.toLowerCase() === key.toLowerCase() ? '' : ` ${key}`;
      for (const address of result.addresses)
        this.#line(formatHostAddress(address), `${result.canonical}${alias}`);
      this.#nextHost();
    });
  }

  /** getaddrinfo(3) with AI_V4MAPPED and AI_ADDRCONFIG, each address for each type of socket. */
  #nextAll(family: LookupFamily): void {
    const key = this.#keys.shift();
    if (key === undefined) {
      this.#exit(this.#code);
      return;
    }
    const wanted = this.#configured(family);
    if (wanted === null) {
      this.#code = NOT_FOUND;
      this.#nextAll(family);
      return;
    }
    this.#running = resolveHost(this.#ctx, key, wanted, (resolved) => {
      if (this.#ended) return;
      if (resolved.ok || wanted !== 'ipv6') this.#all(resolved, family);
      else {
        // AI_V4MAPPED
        this.#running = resolveHost(this.#ctx, key, 'ipv4', (inet) => {
          if (!this.#ended) this.#all(inet, family);
        });
      }
    });
  }

  #all(resolved: ResolvedHost, family: LookupFamily): void {
    if (!resolved.ok) this.#code = NOT_FOUND;
    else
      for (const [i, { addr, device }] of resolved.peers.entries()) {
        const mapped = typeof addr === 'number' && family === 'ipv6' ? mapIp4(addr) : addr;
        const zone = device === undefined ? '' : `%${device.ifindex}`;
        const shown = `${formatIp(mapped)}${zone}`.padEnd(15 - zone.length);
        for (const type of ['STREAM', 'DGRAM', 'RAW']) {
          const canonical = i === 0 && type === 'STREAM' ? resolved.canonical : '';
          this.#out.stdout(`${shown} ${type.padEnd(6)} ${canonical}\n`);
        }
      }
    this.#nextAll(family);
  }

  /** AI_ADDRCONFIG: of two families the one that there are addresses of besides the loopback's, null where there is none. */
  #configured(family: LookupFamily): LookupFamily | null {
    const devices = this.#ctx.ns.devices().filter(({ kind }) => kind !== 'loopback');
    const inet = devices.some(({ addresses }) => addresses.length > 0);
    const inet6 = devices.some(({ inet6: { addresses } }) => addresses.length > 0);
    if (family === 'any') return inet === inet6 ? family : inet ? 'ipv4' : 'ipv6';
    return (family === 'ipv4' ? inet : inet6) ? family : null;
  }

  #entry({ address, names }: HostsEntry): void {
    this.#line(formatHostAddress(address), names.join(' '));
  }

  #line(address: string, names: string): void {
    this.#out.stdout(`${address.padEnd(15)} ${names}\n`);
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#running.cancel();
    this.#out.exit(code);
  }
}
