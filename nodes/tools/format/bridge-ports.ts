import type { BridgePortFacts, LinkFacts } from '../../events/kernel.ts';
import { PORT_DEFAULTS } from '../../kernel/bridge-port.ts';
import { formatJson, type JsonStyle } from './json.ts';
import { LinkNames } from './link-names.ts';
import { selectLinks } from './links.ts';

interface BridgePortFormat {
  /** Name of the namespace that the links are in; absent: the root. */
  readonly ns?: string;
  readonly json?: JsonStyle;
  readonly only?: (link: LinkFacts) => boolean;
  /** `-d`: a line with the flags of the port. */
  readonly details?: 'shown';
}

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
      priority: portOf(link).priority,
      cost: portOf(link).cost,
      ...(format.details === undefined ? {} : Object.fromEntries(flagsOf(link))),
    }));
    return formatJson(objects, format.json);
  }
  return ports
    .map(
      (link) =>
        `${link.ifindex}: ${names.name(link)}: <${names.flags(link).join(',')}> mtu ${link.mtu} ` +
        `master ${link.master} state ${state(link)} priority ${portOf(link).priority} cost ${portOf(link).cost} \n` +
        (format.details === undefined ? '' : `    ${flagsText(link)} \n`),
    )
    .join('');
}

function portOf(link: LinkFacts): Required<BridgePortFacts> {
  return { ...PORT_DEFAULTS, ...link.bridgePort };
}

/** In the order of bridge/link.c's `print_protinfo`. */
function flagsOf(link: LinkFacts): [string, boolean | number][] {
  const port = portOf(link);
  return [
    ['hairpin', port.hairpin],
    ['guard', port.guard],
    ['root_block', port.rootBlock],
    ['fastleave', port.fastLeave],
    ['learning', port.learning],
    ['flood', port.flood],
    ['mcast_flood', port.mcastFlood],
    ['bcast_flood', port.bcastFlood],
    ['mcast_router', 1],
    ['mcast_to_unicast', port.mcastToUnicast],
    ['neigh_suppress', port.neighSuppress],
    ['vlan_tunnel', false],
    ['isolated', port.isolated],
    ['locked', port.locked],
  ];
}

function flagsText(link: LinkFacts): string {
  return flagsOf(link)
    .map(([name, value]) => `${name} ${value === true ? 'on' : value === false ? 'off' : value}`)
    .join(' ');
}
