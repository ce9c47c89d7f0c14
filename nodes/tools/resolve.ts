import type { HostAddress } from '../../protocols/dns/address.ts';
import {
  type GaiError,
  type LookupFamily,
  type NameLookup,
  StubResolver,
} from '../../protocols/dns/resolver.ts';
import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { parseIp6 } from '../../protocols/ip6.ts';
import { dnsHost } from '../dns/host.ts';
import type { ToolContext } from './tool.ts';

export interface Target<A extends IpAddress = number> {
  /** As it was written. */
  readonly text: string;
  /** The name that it is an alias of; an address as it was written. */
  readonly canonical: string;
  readonly addr: A;
  readonly kind: 'address' | 'name';
}

export type Resolved<A extends IpAddress = number> =
  | { readonly ok: true; readonly target: Target<A> }
  | { readonly ok: false; readonly error: GaiError };

/** An address as inet_aton(3) reads it: `10.0.0.1`, `10.1`, `0x7f000001`. Null if it is none. */
export function inetAton(text: string): number | null {
  const parts = text.split('.');
  if (parts.length > 4) return null;
  const numbers: number[] = [];
  for (const part of parts) {
    if (/^0x[0-9a-f]+$/i.test(part)) numbers.push(Number.parseInt(part.slice(2), 16));
    else if (/^0[0-7]*$/.test(part)) numbers.push(Number.parseInt(part, 8));
    else if (/^[1-9]\d*$/.test(part)) numbers.push(Number(part));
    else return null;
  }
  const last = numbers.pop() ?? 0;
  if (numbers.some((number) => number > 255) || last >= 2 ** (32 - 8 * numbers.length)) return null;
  return numbers.reduce((addr, number, i) => addr + number * 2 ** (24 - 8 * i), last);
}

/** The resolver of the namespace that a tool runs in, on the files that it sees there. */
export function resolverOf(ctx: ToolContext): StubResolver {
  const read = (path: string) => ctx.files?.(path) ?? null;
  return new StubResolver(dnsHost(ctx.ns), () => ({
    hosts: read('/etc/hosts'),
    resolvConf: read('/etc/resolv.conf'),
  }));
}

/**
 * The IPv4 address that a host argument means, by getaddrinfo(3). `done` is called once: within this call where no DNS server
 * has to be asked.
 */
export function resolve(
  ctx: ToolContext,
  text: string,
  family: LookupFamily,
  done: (resolved: Resolved) => void,
): { cancel(): void } {
  const numeric = inetAton(text);
  if (numeric !== null) {
    done({ ok: true, target: { text, canonical: text, addr: numeric, kind: 'address' } });
    return { cancel: () => {} };
  }
  return resolverOf(ctx).lookup(text, family, (result) => done(targetOf(text, result)));
}

/** As `resolve`, of either family: the first that a name has, or the one that is asked for. */
export function resolveAny(
  ctx: ToolContext,
  text: string,
  family: LookupFamily,
  done: (resolved: Resolved<IpAddress>) => void,
): { cancel(): void } {
  const addr = inetAton(text) ?? parseIp6(text);
  const wanted = typeof addr === 'number' ? 'ipv4' : 'ipv6';
  if (addr !== null && (family === 'any' || family === wanted)) {
    done({ ok: true, target: { text, canonical: text, addr, kind: 'address' } });
    return { cancel: () => {} };
  }
  if (addr !== null) {
    done({ ok: false, error: 'EAI_ADDRFAMILY' });
    return { cancel: () => {} };
  }
  return resolverOf(ctx).lookup(text, family, (result) => {
    const [first] = result.ok ? result.addresses : [];
    if (!result.ok) done(result);
    else if (first === undefined) done({ ok: false, error: 'EAI_NODATA' });
    else
      done({
        ok: true,
        target: { text, canonical: result.canonical, addr: first.addr, kind: 'name' },
      });
  });
}

function targetOf(text: string, result: NameLookup): Resolved {
  if (!result.ok) return result;
  for (const address of result.addresses) {
    if (address.family !== 4) continue;
    const kind = result.canonical === text && inetAton(text) !== null ? 'address' : 'name';
    return { ok: true, target: { text, canonical: result.canonical, addr: address.addr, kind } };
  }
  // Who asks here has no sockets of IPv6 to reach the others by.
  return { ok: false, error: 'EAI_NODATA' };
}

/** The names of addresses as getnameinfo(3) finds them, each looked up once. */
export class AddressNames {
  readonly #resolver: StubResolver;
  readonly #names = new Map<IpAddress, string | null>();
  #running: { cancel(): void } | null = null;

  constructor(ctx: ToolContext) {
    this.#resolver = resolverOf(ctx);
  }

  /** Null: it has no name; undefined: that is not known yet. */
  get(addr: IpAddress): string | null | undefined {
    return this.#names.get(addr);
  }

  /** Finds out about an address, one at a time. `done` may be called from within. */
  find(addr: IpAddress, done: () => void): void {
    const address: HostAddress = typeof addr === 'number' ? { family: 4, addr } : { family: 6, addr };
    this.#running = this.#resolver.reverse(address, (name) => {
      this.#names.set(addr, name);
      done();
    });
  }

  cancel(): void {
    this.#running?.cancel();
  }

  /** The name, with the address behind it in brackets; without a name, the address. */
  format(addr: IpAddress): string {
    const text = formatIp(addr);
    const name = this.get(addr) ?? null;
    return name === null ? text : `${name} (${text})`;
  }
}
