import type { HostAddress } from '../../protocols/dns/address.ts';
import { type GaiError, type LookupFamily, StubResolver } from '../../protocols/dns/resolver.ts';
import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { isLinkLocal, parseIp6 } from '../../protocols/ip6.ts';
import { dnsHost } from '../dns/host.ts';
import type { Device } from '../kernel/device.ts';
import type { Netns } from '../kernel/netns.ts';
import { inOrder } from './address-order.ts';
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

/** An address of a name or of a text, to be connected to. */
export interface HostPeer {
  readonly addr: IpAddress;
  /** The device that `%DEV` names. */
  readonly device?: Device | undefined;
}

export type ResolvedHost =
  | {
      readonly ok: true;
      /** The name at the end of all aliases; an address as it was written. */
      readonly canonical: string;
      /** One at least, in the order in which they are to be tried. */
      readonly peers: readonly [HostPeer, ...HostPeer[]];
      readonly kind: 'address' | 'name';
    }
  | { readonly ok: false; readonly error: GaiError };

/**
 * The addresses that a host argument means, by getaddrinfo(3) with AF_UNSPEC, AF_INET or AF_INET6. `done` is called once: within
 * this call where no DNS server has to be asked.
 */
export function resolveHost(
  ctx: ToolContext,
  text: string,
  family: LookupFamily,
  done: (resolved: ResolvedHost) => void,
): { cancel(): void } {
  const numeric = parsePeer(ctx.ns, text);
  if (numeric === 'no-device') {
    done({ ok: false, error: 'EAI_NONAME' });
    return { cancel: () => {} };
  }
  if (numeric !== null) {
    const wanted = typeof numeric.addr === 'number' ? 'ipv4' : 'ipv6';
    const fits = family === 'any' || family === wanted;
    if (fits) done({ ok: true, canonical: text, peers: [numeric], kind: 'address' });
    else done({ ok: false, error: 'EAI_ADDRFAMILY' });
    return { cancel: () => {} };
  }
  return resolverOf(ctx).lookup(text, family, (result) => {
    if (!result.ok) {
      done(result);
      return;
    }
    const [first, ...others] = inOrder(
      ctx.ns,
      result.addresses.map(({ addr }): HostPeer => ({ addr })),
    );
    if (first === undefined) done({ ok: false, error: 'EAI_NODATA' });
    else done({ ok: true, canonical: result.canonical, peers: [first, ...others], kind: 'name' });
  });
}

/**
 * An address of either family as getaddrinfo(3) reads it, an IPv6 one of a link with its device, by name or index:
 * `fe80::1%eth0` (RFC 4007 §11). Null if it is none.
 */
export function parsePeer(ns: Netns, text: string): HostPeer | 'no-device' | null {
  const inet = inetAton(text);
  if (inet !== null) return { addr: inet };
  const [, plain = text, zone = ''] = /^([^%]*)%(.*)$/.exec(text) ?? [];
  const addr = parseIp6(plain);
  if (addr === null) return null;
  if (!text.includes('%')) return { addr };
  const device = ns.device(zone) ?? ns.devices().find(({ ifindex }) => String(ifindex) === zone);
  return device === undefined ? 'no-device' : { addr, device };
}

/** An address as getnameinfo(3) writes it: one of a link with its device. */
export function formatPeer({ addr, device }: HostPeer): string {
  const linked = device !== undefined && typeof addr === 'string' && isLinkLocal(addr);
  return linked ? `${formatIp(addr)}%${device.name}` : formatIp(addr);
}

/** As `resolveHost`, the first of them as the one to speak to. */
export function resolveAny(
  ctx: ToolContext,
  text: string,
  family: LookupFamily,
  done: (resolved: Resolved<IpAddress>) => void,
): { cancel(): void } {
  return resolveHost(ctx, text, family, (resolved) => {
    if (!resolved.ok) done(resolved);
    else {
      const { canonical, kind, peers } = resolved;
      done({ ok: true, target: { text, canonical, addr: peers[0].addr, kind } });
    }
  });
}

/** As `resolveAny`, of IPv4 alone. */
export function resolveInet(
  ctx: ToolContext,
  text: string,
  done: (resolved: Resolved) => void,
): { cancel(): void } {
  return resolveAny(ctx, text, 'ipv4', (resolved) => {
    if (!resolved.ok) done(resolved);
    else {
      const { target } = resolved;
      // What was asked for by AF_INET is of that family.
      if (typeof target.addr === 'number') done({ ok: true, target: { ...target, addr: target.addr } });
    }
  });
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
