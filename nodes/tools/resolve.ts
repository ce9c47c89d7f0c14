import type { HostAddress } from '../../protocols/dns/address.ts';
import {
  type GaiError,
  type LookupFamily,
  type NameLookup,
  StubResolver,
} from '../../protocols/dns/resolver.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { dnsHost } from '../dns/host.ts';
import type { ToolContext } from './tool.ts';

export interface Target {
  /** As it was written. */
  readonly text: string;
  /** The name that it is an alias of; an address as it was written. */
  readonly canonical: string;
  readonly addr: number;
  readonly kind: 'address' | 'name';
}

export type Resolved =
  | { readonly ok: true; readonly target: Target }
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

function targetOf(text: string, result: NameLookup): Resolved {
  if (!result.ok) return result;
  for (const address of result.addresses) {
    if (address.family !== 4) continue;
    const kind = result.canonical === text && inetAton(text) !== null ? 'address' : 'name';
    return { ok: true, target: { text, canonical: result.canonical, addr: address.addr, kind } };
  }
  // There are no sockets of IPv6 to reach the others by.
  return { ok: false, error: 'EAI_NODATA' };
}

/** The names of addresses as getnameinfo(3) finds them, each looked up once. */
export class AddressNames {
  readonly #resolver: StubResolver;
  readonly #names = new Map<number, string | null>();
  #running: { cancel(): void } | null = null;

  constructor(ctx: ToolContext) {
    this.#resolver = resolverOf(ctx);
  }

  /** Null: it has no name; undefined: that is not known yet. */
  get(addr: number): string | null | undefined {
    return this.#names.get(addr);
  }

  /** Finds out about an address, one at a time. `done` may be called from within. */
  find(addr: number, done: () => void): void {
    const address: HostAddress = { family: 4, addr };
    this.#running = this.#resolver.reverse(address, (name) => {
      this.#names.set(addr, name);
      done();
    });
  }

  cancel(): void {
    this.#running?.cancel();
  }

  /** The name, with the address behind it in brackets; without a name, the address. */
  format(addr: number): string {
    const text = formatIp4(addr);
    const name = this.get(addr) ?? null;
    return name === null ? text : `${name} (${text})`;
  }
}
