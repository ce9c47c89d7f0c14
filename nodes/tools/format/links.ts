import type { LinkFacts } from '../../events/kernel.ts';
import { formatJson, type Json, type JsonStyle } from './json.ts';
import { detailText, limitsText } from './link-details.ts';
import { isTunnel, LinkNames } from './link-names.ts';

/** `full` is `ip link`, `oneline` `-o`, `brief` `-br`, the others `-j` and `-j -p` (`brief` as JSON: `-j -br`). */
interface LinkFormat {
  /** Name of the namespace that the links are in; absent: the root. */
  readonly ns?: string;
  /** Names of those that have netem at their root. */
  readonly netem?: ReadonlySet<string>;
  readonly style?: 'full' | 'oneline' | 'brief';
  readonly json?: JsonStyle;
  /** `-d`: adds a line with what is special to the kind of device. */
  readonly details?: 'shown';
  /** Which to print; the others still give names and numbers to those. */
  readonly only?: (link: LinkFacts) => boolean;
}

/** Text of `ip link show`, byte for byte as iproute2 6.1 prints it. `links` are all those of one namespace. */
export function formatLinks(links: readonly LinkFacts[], format: LinkFormat = {}): string {
  const names = new LinkNames(links, format.ns ?? '', format.netem);
  const shown = selectLinks(links, format.only);
  const style = format.style ?? 'full';
  if (format.json !== undefined) {
    const objects = shown.map((link) =>
      style === 'brief' ? briefObject(names, link) : linkObject(names, link, 'link'),
    );
    return formatJson(objects, format.json);
  }
  if (style === 'brief') {
    return shown.map((link) => `${briefHead(names, link)}${briefTail(names, link)}\n`).join('');
  }
  const newline = style === 'oneline' ? '\\' : '\n';
  return shown
    .map((link) => {
      const details = format.details === 'shown';
      const kind = details ? detailText(link, links, newline) : '';
      const limits = details ? limitsText(link) : '';
      const head = linkHeader(names, link, 'with-mode');
      return `${head}${newline}${linkLayerLine(names, link)}${netnsSuffix(names, link)}${limits}${kind}\n`;
    })
    .join('');
}

/** By interface index, as the kernel lists them. */
export function selectLinks(
  links: readonly LinkFacts[],
  only: (link: LinkFacts) => boolean = () => true,
): LinkFacts[] {
  return links.filter(only).sort((a, b) => a.ifindex - b.ifindex);
}

/**
 * The first line, without its newline. `ip addr` leaves the link mode out; 'bare': a listing of IPv6 alone is not told
 * of the queue and the group.
 */
export function linkHeader(
  names: LinkNames,
  link: LinkFacts,
  mode: 'with-mode' | 'without-mode' | 'bare',
): string {
  const { txqlen } = names.traits(link);
  const master = link.master === '' ? '' : `master ${link.master} `;
  return (
    `${link.ifindex}: ${names.name(link)}: <${names.flags(link).join(',')}> mtu ${link.mtu} ` +
    `${mode === 'bare' ? '' : `qdisc ${names.qdisc(link)} `}${master}state ${names.operstate(link)} ` +
    `${mode === 'with-mode' ? 'mode DEFAULT ' : ''}${mode === 'bare' ? '' : 'group default '}` +
    `${txqlen === 0 ? '' : `qlen ${txqlen}`}`
  );
}

export function linkLayerLine(names: LinkNames, link: LinkFacts): string {
  const layer = names.linkLayer(link);
  const far = names.flags(link).includes('POINTOPOINT') ? 'peer' : 'brd';
  const address = layer === null ? '' : `${layer.address} ${far} ${layer.broadcast}`;
  return `    link/${names.traits(link).linkType} ${address}`;
}

export function netnsSuffix(names: LinkNames, link: LinkFacts): string {
  const id = names.netnsid(link);
  return id === null ? '' : ` link-netnsid ${id}`;
}

/** Name and state of `ip -br`. */
export function briefHead(names: LinkNames, link: LinkFacts): string {
  return `${names.name(link).padEnd(16)} ${names.operstate(link).padEnd(14)} `;
}

function briefTail(names: LinkNames, link: LinkFacts): string {
  const layer = names.linkLayer(link);
  return `${layer === null ? '' : `${layer.address} `}<${names.flags(link).join(',')}> `;
}

/** The names of a link and of what it is linked to. */
export function nameFields(
  names: LinkNames,
  link: LinkFacts,
  listing: 'full' | 'bare' = 'full',
): { [key: string]: Json } {
  const peer = names.peer(link);
  if (peer !== undefined) return { link: peer.name, ifname: link.name };
  if (link.peerIfindex !== 0 && listing === 'bare')
    return { link: `if${link.peerIfindex}`, ifname: link.name };
  if (link.peerIfindex !== 0) return { link_index: link.peerIfindex, ifname: link.name };
  return isTunnel(link) ? { link: null, ifname: link.name } : { ifname: link.name };
}

function briefObject(names: LinkNames, link: LinkFacts): Json {
  const layer = names.linkLayer(link);
  return {
    ...nameFields(names, link),
    operstate: names.operstate(link),
    ...(layer === null ? {} : { address: layer.address }),
    flags: names.flags(link),
  };
}

/** `ip -j link` (with the link mode), `ip -j addr`, and `ip -j -4 addr` and `ip -j -6 addr` (without the link layer). */
export function linkObject(
  names: LinkNames,
  link: LinkFacts,
  command: 'link' | 'addr' | 'addr -4' | 'addr -6',
): { [key: string]: Json } {
  const { txqlen, linkType } = names.traits(link);
  const layer = names.linkLayer(link);
  const netnsid = names.netnsid(link);
  const bare = command === 'addr -4' || command === 'addr -6';
  return {
    ifindex: link.ifindex,
    ...nameFields(names, link, command === 'addr -6' ? 'bare' : 'full'),
    flags: names.flags(link),
    mtu: link.mtu,
    ...(command === 'addr -6' ? {} : { qdisc: names.qdisc(link) }),
    ...(link.master === '' ? {} : { master: link.master }),
    operstate: names.operstate(link),
    ...(command === 'link' ? { linkmode: 'DEFAULT' } : {}),
    ...(command === 'addr -6' ? {} : { group: 'default' }),
    ...(txqlen === 0 ? {} : { txqlen }),
    ...(bare ? {} : { link_type: linkType }),
    ...(bare || layer === null ? {} : { ...layer }),
    ...(netnsid === null || command === 'addr -6' ? {} : { link_netnsid: netnsid }),
  };
}
