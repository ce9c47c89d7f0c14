import { formatIp, type IpAddress, type IpPrefix } from '../../../protocols/ip.ts';
import { broadcastOf, formatIp4, parseAddress, parsePrefix } from '../../../protocols/ip4.ts';
import { type Ip6, parseAddress6 } from '../../../protocols/ip6.ts';
import type { AddressFacts, LinkFacts } from '../../events/kernel.ts';
import { formatJson, type Json, type JsonStyle } from './json.ts';
import { LinkNames } from './link-names.ts';
import {
  briefHead,
  linkHeader,
  linkLayerLine,
  linkObject,
  nameFields,
  netnsSuffix,
  selectLinks,
} from './links.ts';

interface AddressFormat {
  /** Name of the namespace that the links are in; absent: the root. */
  readonly ns?: string;
  /** Names of those that have netem at their root. */
  readonly netem?: ReadonlySet<string>;
  readonly style?: 'full' | 'oneline' | 'brief';
  readonly json?: JsonStyle;
  /**
   * `ip -4 addr`, `ip -6 addr`, `ip addr show to`: leaves out the link-layer address, and the links on which no address
   * is left.
   */
  readonly family?: 'any' | 'inet' | 'inet6';
  /** Whether one device was asked for, of which the kernel tells all even where the listing is of IPv6 alone. */
  readonly links?: 'all' | 'one';
  /** Now, ms: for what is left of lifetimes. */
  readonly now?: number;
  readonly only?: (link: LinkFacts) => boolean;
  readonly onlyAddress?: (address: ShownAddress) => boolean;
}

/** An address as it is shown. */
export interface ShownAddress<A extends IpAddress = IpAddress> {
  readonly facts: AddressFacts;
  readonly prefix: IpPrefix<A>;
  /** 0: none is shown. */
  readonly broadcast: number;
  readonly role: 'primary' | 'secondary';
}

const SCOPE_ORDER = { host: 0, link: 1, global: 2 } as const;

/**
 * Text of `ip addr show`, byte for byte as iproute2 6.1 prints it. `links` and `addresses` are all those of one
 * namespace, the addresses of a device in the order they were added.
 */
export function formatAddresses(
  links: readonly LinkFacts[],
  addresses: readonly AddressFacts[],
  format: AddressFormat = {},
): string {
  const names = new LinkNames(links, format.ns ?? '', format.netem);
  const { family = 'any', links: which = 'all', now = 0, onlyAddress = () => true } = format;
  const bare = family === 'inet6' && which === 'all';
  const rows = selectLinks(links, format.only).flatMap((link) => {
    const all: ShownAddress[] = [
      ...(family === 'inet6' ? [] : addressesOf(link, addresses)),
      ...(family === 'inet' ? [] : addresses6Of(link, addresses)),
    ];
    const own = all.filter(onlyAddress);
    // `ipaddr_filter`: a link that never had an address is still a link.
    return own.length > 0 || (family === 'any' && all.length === 0) ? [{ link, own }] : [];
  });
  const style = format.style ?? 'full';
  if (format.json !== undefined) {
    const objects = rows.map(({ link, own }) =>
      style === 'brief'
        ? briefObject(names, link, own, bare ? 'bare' : 'full')
        : fullObject(names, link, own, format),
    );
    return formatJson(objects, format.json);
  }
  return rows
    .map(({ link, own }) => {
      if (style === 'brief') {
        return `${briefHead(names, link)}${own.map(({ facts }) => `${facts.address} `).join('')}\n`;
      }
      if (style === 'oneline') {
        return own
          .map((item) => `${link.ifindex}: ${link.name}${addressLines(item, link, '\\', now)}\n`)
          .join('');
      }
      const header = linkHeader(names, link, bare ? 'bare' : 'without-mode');
      const layer = family === 'any' ? `\n${linkLayerLine(names, link)}` : '';
      const lines = own.map((item) => `${addressLines(item, link, '\n', now)}\n`).join('');
      const suffix = bare ? '' : netnsSuffix(names, link);
      return `${header}${layer}${suffix}
${lines}`;
    })
    .join('');
}

/** A device's addresses in the kernel's order: primaries from narrow to wide scope, then secondaries. */
export function addressesOf(link: LinkFacts, addresses: readonly AddressFacts[]): ShownAddress<number>[] {
  const shown: ShownAddress<number>[] = [];
  for (const facts of addresses) {
    const prefix = facts.dev === link.name ? parseAddress(facts.address) : null;
    const subnet = parsePrefix(facts.address);
    if (prefix === null || subnet === null) continue;
    shown.push({
      facts,
      prefix,
      broadcast: prefix.len < 31 && link.kind !== 'loopback' ? broadcastOf(subnet) : 0,
      role: facts.secondary === true ? 'secondary' : 'primary',
    });
  }
  const rank = ({ role, facts }: ShownAddress) => (role === 'secondary' ? 3 : SCOPE_ORDER[facts.scope]);
  return shown.sort((a, b) => rank(a) - rank(b));
}

/** A device's IPv6 addresses, as the kernel lists them: in the order given. */
export function addresses6Of(link: LinkFacts, addresses: readonly AddressFacts[]): ShownAddress<Ip6>[] {
  return addresses.flatMap((facts) => {
    const prefix = facts.dev === link.name ? parseAddress6(facts.address) : null;
    return prefix === null ? [] : [{ facts, prefix, broadcast: 0, role: 'primary' as const }];
  });
}

/** In the order of iproute2's `ifa_flag_names`. */
function flags6(facts: AddressFacts, now: number): string[] {
  const { advertised, dad, nodad, noprefixroute, preferredUntil, validUntil } = facts;
  return [
    ...(nodad === true ? ['nodad'] : []),
    ...(dad === 'failed' ? ['dadfailed'] : []),
    ...(preferredUntil !== undefined && preferredUntil <= now ? ['deprecated'] : []),
    ...(dad === undefined ? [] : ['tentative']),
    ...(validUntil === undefined && advertised === undefined ? [] : ['dynamic', 'mngtmpaddr']),
    ...(noprefixroute === true ? ['noprefixroute'] : []),
  ];
}

/** `INFINITY_LIFE_TIME`, or what is left, s. */
function lifetime(until: number | undefined, now: number): number {
  return until === undefined ? FOREVER : Math.max(0, Math.floor((until - now) / 1000));
}

function lifetimeText(until: number | undefined, now: number): string {
  return until === undefined ? 'forever' : `${lifetime(until, now)}sec`;
}

function address6Lines(facts: AddressFacts, newline: string, now: number): string {
  const flags = flags6(facts, now)
    .map((flag) => `${flag} `)
    .join('');
  return (
    `    inet6 ${facts.address} scope ${facts.scope} ${flags}` +
    `${newline}       valid_lft ${lifetimeText(facts.validUntil, now)} ` +
    `preferred_lft ${lifetimeText(facts.preferredUntil, now)}`
  );
}

function addressLines(address: ShownAddress, link: LinkFacts, newline: string, now: number): string {
  const { facts, broadcast, role, prefix } = address;
  if (typeof prefix.addr === 'string') return address6Lines(facts, newline, now);
  const brd = broadcast === 0 ? '' : `brd ${formatIp4(broadcast)} `;
  const secondary = role === 'secondary' ? 'secondary ' : '';
  return (
    `    inet ${facts.address} ${brd}scope ${facts.scope} ${secondary}${link.name}` +
    `${newline}       valid_lft forever preferred_lft forever`
  );
}

/** `INFINITY_LIFE_TIME` */
const FOREVER = 0xffffffff;

function fullObject(
  names: LinkNames,
  link: LinkFacts,
  own: readonly ShownAddress[],
  { family = 'any', links = 'all', now = 0 }: AddressFormat,
): Json {
  const command = family === 'any' ? 'addr' : family === 'inet6' && links === 'all' ? 'addr -6' : 'addr -4';
  return {
    ...linkObject(names, link, command),
    addr_info: own.map(({ facts, prefix, broadcast, role }) =>
      typeof prefix.addr === 'string'
        ? {
            family: 'inet6',
            local: formatIp(prefix.addr),
            prefixlen: prefix.len,
            scope: facts.scope,
            ...Object.fromEntries(flags6(facts, now).map((flag) => [flag, true])),
            valid_life_time: lifetime(facts.validUntil, now),
            preferred_life_time: lifetime(facts.preferredUntil, now),
          }
        : {
            family: 'inet',
            local: formatIp(prefix.addr),
            prefixlen: prefix.len,
            ...(broadcast === 0 ? {} : { broadcast: formatIp4(broadcast) }),
            scope: facts.scope,
            ...(role === 'secondary' ? { secondary: true } : {}),
            label: link.name,
            valid_life_time: FOREVER,
            preferred_life_time: FOREVER,
          },
    ),
  };
}

function briefObject(
  names: LinkNames,
  link: LinkFacts,
  own: readonly ShownAddress[],
  listing: 'full' | 'bare',
): Json {
  return {
    ...nameFields(names, link, listing),
    operstate: names.operstate(link),
    addr_info: own.map(({ prefix }) => ({ local: formatIp(prefix.addr), prefixlen: prefix.len })),
  };
}
