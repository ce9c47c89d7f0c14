import type { BridgeFacts, LinkFacts } from '../../events/kernel.ts';
import { BRIDGE_DEFAULTS } from '../../kernel/bridge.ts';
import { PORT_DEFAULTS } from '../../kernel/bridge-port.ts';

/** A bridge as the kernel makes it; times in hundredths of a second. */
const BRIDGE: Required<BridgeFacts> = { ...BRIDGE_DEFAULTS, ageingTime: 30_000 };

/** `min_mtu` and `max_mtu`, by kind, where they are not those of Ethernet. */
const MTU_LIMITS: Readonly<Record<string, readonly [number, number]>> = {
  ...{ sit: [1280, 65_555], ip6gre: [0, 0], ip6gretap: [68, 0] },
  ...{ loopback: [0, 0], dummy: [0, 0], ipip: [0, 0], gre: [0, 0], gretap: [68, 0], vlan: [0, 65_535] },
};
/** Kinds that take no larger segments than a packet may have (`TSO_LEGACY_MAX_SIZE`). */
const LEGACY_SEGMENTS = new Set(['vxlan', 'ipip', 'gre', 'gretap', 'sit', 'ip6tnl', 'ip6gre', 'ip6gretap']);

/** `noop` below, of the listing: what `ip -d link` adds to the line of the link layer. */
export function limitsText(link: LinkFacts): string {
  const [least, most] = MTU_LIMITS[link.kind] ?? [68, 65_535];
  const watched = link.master === '' ? 0 : 1;
  const promiscuity = watched + (link.promiscuous === true ? 1 : 0);
  return ` promiscuity ${promiscuity}  allmulti ${watched} minmtu ${least} maxmtu ${most} `;
}

/**
 * The lines of `ip -d link` on the kind of a link and on its place in a bridge, as iproute2 6.1 prints them (`print_linkinfo`,
 * bridge_print_opt). `links` are all those of the namespace.
 */
export function detailText(link: LinkFacts, links: readonly LinkFacts[], newline: string): string {
  const kind = kindText(link);
  const own = kind === '' ? '' : `${newline}    ${kind} `;
  const port = link.master === '' ? '' : `${newline}    ${portText(link, links)} `;
  const queues = link.kind === 'veth' ? 2 : 1;
  const lone = link.kind === 'bridge' && !links.some(({ master }) => master === link.name);
  const segments = LEGACY_SEGMENTS.has(link.kind) || lone ? 65_536 : 524_280;
  return (
    `${own}${port}addrgenmode eui64 numtxqueues ${queues} numrxqueues ${queues} gso_max_size 65536 ` +
    `gso_max_segs 65535 tso_max_size ${segments} tso_max_segs 65535 gro_max_size 65536 `
  );
}

function kindText(link: LinkFacts): string {
  switch (link.kind) {
    case 'loopback':
    case 'ether':
      return '';
    case 'bridge':
      return bridgeText(link);
    case 'vxlan':
      return vxlanText(link.detail);
    default:
      return link.detail === '' ? link.kind : link.detail;
  }
}

const VXLAN_DETAIL =
  /^(.*? )(?:(srcport \d+ \d+) )?(dstport \d+)((?: (?:nolearning|proxy|l2miss|l3miss))*)(?: (tos \S+))?(?: (ttl \S+))?(?: (df \S+))?(?: (flowlabel \S+))?(?: (ageing \d+))?(?: (noudpcsum))?(?: (udp6zerocsumtx))?(?: (udp6zerocsumrx))?$/;

/** The device says what is special to it; the rest is as the kernel makes it. */
function vxlanText(detail: string): string {
  const [, head = '', srcport = 'srcport 0 0', dstport = '', flags = '', tos, ttl, df, label, ...rest] =
    VXLAN_DETAIL.exec(detail) ?? [];
  const [ageing, checksum, sent6, taken6] = rest;
  return [
    `${head}${srcport} ${dstport}${flags}`,
    ...(tos === undefined ? [] : [tos]),
    ttl ?? 'ttl auto',
    ...(df === undefined ? [] : [df]),
    ...(label === undefined ? [] : [label]),
    ageing ?? 'ageing 300',
    checksum ?? 'udpcsum',
    sent6 ?? 'noudp6zerocsumtx',
    taken6 ?? 'noudp6zerocsumrx',
  ].join(' ');
}

function flag(on: boolean): number {
  return on ? 1 : 0;
}

function onOff(on: boolean): string {
  return on ? 'on' : 'off';
}

function bridgeId(link: LinkFacts): string {
  const priority = link.bridge?.priority ?? BRIDGE.priority;
  // `ether_ntoa` writes no leading zeros.
  const mac = link.mac === '' ? '0:0:0:0:0:0' : link.mac.replace(/\b0/g, '');
  return `${priority.toString(16).padStart(4, '0')}.${mac}`;
}

function bridgeText(link: LinkFacts): string {
  const bridge = { ...BRIDGE, ...link.bridge };
  const id = bridgeId(link);
  const none = '   0.00';
  return [
    `bridge forward_delay ${bridge.forwardDelay} hello_time ${bridge.helloTime} max_age ${bridge.maxAge}`,
    `ageing_time ${bridge.ageingTime} stp_state 0 priority ${bridge.priority}`,
    `vlan_filtering ${flag(bridge.vlanFiltering)} vlan_protocol ${bridge.vlanProtocol}`,
    `bridge_id ${id} designated_root ${id} root_port 0 root_path_cost 0`,
    'topology_change 0 topology_change_detected 0',
    `hello_timer ${none} tcn_timer ${none} topology_change_timer ${none} gc_timer ${none}`,
    `vlan_default_pvid ${bridge.defaultPvid} vlan_stats_enabled 0 vlan_stats_per_port 0`,
    `group_fwd_mask ${maskText(bridge.groupFwdMask)} group_address 01:80:c2:00:00:00`,
    `mcast_snooping ${flag(bridge.mcastSnooping)} no_linklocal_learn 0 mcast_vlan_snooping 0 mcast_router 1`,
    'mcast_query_use_ifaddr 0 mcast_querier 0 mcast_hash_elasticity 16 mcast_hash_max 4096',
    'mcast_last_member_count 2 mcast_startup_query_count 2 mcast_last_member_interval 100',
    'mcast_membership_interval 26000 mcast_querier_interval 25500 mcast_query_interval 12500',
    'mcast_query_response_interval 1000 mcast_startup_query_interval 3124 mcast_stats_enabled 0',
    'mcast_igmp_version 2 mcast_mld_version 1 nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0',
  ].join(' ');
}

function maskText(mask: number): string {
  return mask === 0 ? '0' : `0x${mask.toString(16)}`;
}

function portText(link: LinkFacts, links: readonly LinkFacts[]): string {
  const port = { ...PORT_DEFAULTS, ...link.bridgePort };
  const bridge = links.find(({ name }) => name === link.master);
  const id = bridge === undefined ? '8000.0:0:0:0:0:0' : bridgeId(bridge);
  // The kernel numbers ports as they come; here they are told apart by their indices.
  const ports = links.filter(({ master }) => master === link.master).sort((a, b) => a.ifindex - b.ifindex);
  const number = ports.findIndex(({ name }) => name === link.name) + 1;
  const portId = (port.priority << 10) | number;
  const none = '   0.00';
  return [
    `bridge_slave state ${link.up && link.carrier ? 'forwarding' : 'disabled'} priority ${port.priority}`,
    `cost ${port.cost} hairpin ${onOff(port.hairpin)} guard ${onOff(port.guard)}`,
    `root_block ${onOff(port.rootBlock)} fastleave ${onOff(port.fastLeave)} learning ${onOff(port.learning)}`,
    `flood ${onOff(port.flood)} port_id 0x${portId.toString(16)} port_no 0x${number.toString(16)}`,
    `designated_port ${portId} designated_cost 0 designated_bridge ${id} designated_root ${id}`,
    `hold_timer ${none} message_age_timer ${none} forward_delay_timer ${none}`,
    'topology_change_ack 0 config_pending 0 proxy_arp off proxy_arp_wifi off mcast_router 1',
    `mcast_fast_leave ${onOff(port.fastLeave)} mcast_flood ${onOff(port.mcastFlood)}`,
    `bcast_flood ${onOff(port.bcastFlood)} mcast_to_unicast ${onOff(port.mcastToUnicast)}`,
    `neigh_suppress ${onOff(port.neighSuppress)} group_fwd_mask 0 group_fwd_mask_str 0x0 vlan_tunnel off`,
    `isolated ${onOff(port.isolated)} locked ${onOff(port.locked)}`,
  ].join(' ');
}
