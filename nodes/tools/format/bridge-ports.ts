import type { LinkFacts } from '../../events/kernel.ts';
import { formatJson, type JsonStyle } from './json.ts';
import { LinkNames } from './link-names.ts';
import { selectLinks } from './links.ts';

interface BridgePortFormat {
  /** Name of the namespace that the links are in; absent: the root. */
  readonly ns?: string;
  readonly json?: JsonStyle;
  readonly only?: (link: LinkFacts) => boolean;
}

/** Linux' defaults; without spanning tree nothing depends on them. */
const PRIORITY = 32;
const COST = 2;

/** Text of `bridge link show`, byte for byte as iproute2 6.1 prints it: the links that are bridge ports. */
export function formatBridgePorts(links: readonly LinkFacts[], format: BridgePortFormat = {}): string {
  const names = new LinkNames(links, format.ns ?? '');
  const ports = selectLinks(links, format.only).filter((link) => link.master !== '');
  const state = (link: LinkFacts) => (link.up && link.carrier ? 'forwarding' : 'disabled');
  if (format.json !== undefined) {
    const objects = ports.map((link) => ({
      ifindex: link.ifindex,
      ...(names.linked(link) === '' ? {} : { link: names.linked(link) }),
      ifname: link.name,
      flags: names.flags(link),
      mtu: link.mtu,
      master: link.master,
      state: state(link),
      priority: PRIORITY,
      cost: COST,
    }));
    return formatJson(objects, format.json);
  }
  return ports
    .map(
      (link) =>
        `${link.ifindex}: ${names.name(link)}: <${names.flags(link).join(',')}> mtu ${link.mtu} ` +
        `master ${link.master} state ${state(link)} priority ${PRIORITY} cost ${COST} \n`,
    )
    .join('');
}
