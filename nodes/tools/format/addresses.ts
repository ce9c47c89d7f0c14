import { broadcastOf, formatIp4, type Prefix, parseAddress, parsePrefix } from '../../../protocols/ip4.ts';
import type { LinkFacts } from '../../events/kernel.ts';
import type { AddressFacts } from '../../state/kernel-view.ts';
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
  readonly style?: 'full' | 'oneline' | 'brief';
  readonly json?: JsonStyle;
  /**
   * `ip -4 addr`, `ip addr show to`: leaves out the link-layer address, and the links on which no address is left.
   * `ip -6 addr` is empty: the emulated kernel has no IPv6.
   */
  readonly family?: 'any' | 'inet' | 'inet6';
  readonly only?: (link: LinkFacts) => boolean;
  readonly onlyAddress?: (address: ShownAddress) => boolean;
}

/** An address as it is shown. */
export interface ShownAddress {
  readonly facts: AddressFacts;
  readonly prefix: Prefix;
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
  const names = new LinkNames(links, format.ns ?? '');
  const { family = 'any', onlyAddress = () => true } = format;
  const rows = selectLinks(links, format.only).flatMap((link) => {
    const all = family === 'inet6' ? [] : addressesOf(link, addresses);
    const own = all.filter(onlyAddress);
    // `ipaddr_filter`: a link that never had an address is still a link.
    return own.length > 0 || (family === 'any' && all.length === 0) ? [{ link, own }] : [];
  });
  const style = format.style ?? 'full';
  if (format.json !== undefined) {
    const objects = rows.map(({ link, own }) =>
      style === 'brief' ? briefObject(names, link, own) : fullObject(names, link, own, family),
    );
    return formatJson(objects, format.json);
  }
  return rows
    .map(({ link, own }) => {
      if (style === 'brief') {
        return `${briefHead(names, link)}${own.map(({ facts }) => `${facts.address} `).join('')}\n`;
      }
      if (style === 'oneline') {
        return own.map((item) => `${link.ifindex}: ${link.name}${addressLines(item, link, '\\')}\n`).join('');
      }
      const header = linkHeader(names, link, 'without-mode');
      const layer = family === 'any' ? `\n${linkLayerLine(names, link)}` : '';
      const lines = own.map((item) => `${addressLines(item, link, '\n')}\n`).join('');
      return `${header}${layer}${netnsSuffix(names, link)}\n${lines}`;
    })
    .join('');
}

/** A device's addresses in the kernel's order: primaries from narrow to wide scope, then secondaries. */
export function addressesOf(link: LinkFacts, addresses: readonly AddressFacts[]): ShownAddress[] {
  const shown: ShownAddress[] = [];
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

function addressLines(address: ShownAddress, link: LinkFacts, newline: string): string {
  const { facts, broadcast, role } = address;
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
  family: 'any' | 'inet' | 'inet6',
): Json {
  return {
    ...linkObject(names, link, family === 'any' ? 'addr' : 'addr -4'),
    addr_info: own.map(({ facts, prefix, broadcast, role }) => ({
      family: 'inet',
      local: formatIp4(prefix.addr),
      prefixlen: prefix.len,
      ...(broadcast === 0 ? {} : { broadcast: formatIp4(broadcast) }),
      scope: facts.scope,
      ...(role === 'secondary' ? { secondary: true } : {}),
      label: link.name,
      valid_life_time: FOREVER,
      preferred_life_time: FOREVER,
    })),
  };
}

function briefObject(names: LinkNames, link: LinkFacts, own: readonly ShownAddress[]): Json {
  return {
    ...nameFields(names, link),
    operstate: names.operstate(link),
    addr_info: own.map(({ prefix }) => ({ local: formatIp4(prefix.addr), prefixlen: prefix.len })),
  };
}
