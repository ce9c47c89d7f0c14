import type { NetemParameters } from '../../protocols/netem/parameters.ts';
import type { IpsetEvent } from './ipset.ts';
import type { IpvsEvent } from './ipvs.ts';
import type { PacketStepEvent } from './packet.ts';
import type { WireguardEvent } from './wireguard.ts';
import type { XfrmEvent } from './xfrm.ts';
import type { XtablesEvent } from './xtables.ts';

/**
 * Events of the emulated kernel. Addresses, prefixes and MACs are text as iproute2 prints them, so that a log
 * line reads as the command would; `ns` is the namespace's name, '' for the node's own (root) namespace.
 */

export type LinkKind =
  | 'loopback'
  | 'ether'
  | 'veth'
  | 'bridge'
  | 'vxlan'
  | 'vlan'
  | 'macvlan'
  | 'ipvlan'
  | 'tun'
  | 'gre'
  | 'gretap'
  | 'dummy'
  | 'ipip'
  | 'sit'
  | 'ip6tnl'
  | 'ip6gre'
  | 'ip6gretap'
  | 'wireguard'
  | 'openvswitch';

/** Static facts of a device, and those that change. */
/** Settings of a bridge port, in iproute2's words. */
export interface BridgePortFacts {
  /** Sends a frame back where it came from. */
  readonly hairpin?: boolean;
  readonly guard?: boolean;
  readonly rootBlock?: boolean;
  readonly fastLeave?: boolean;
  readonly learning?: boolean;
  /** Takes unicast frames to addresses that nobody knows, multicasts, broadcasts. */
  readonly flood?: boolean;
  readonly mcastFlood?: boolean;
  readonly bcastFlood?: boolean;
  readonly mcastToUnicast?: boolean;
  readonly neighSuppress?: boolean;
  /** Reaches no other isolated port. */
  readonly isolated?: boolean;
  readonly locked?: boolean;
  readonly priority?: number;
  readonly cost?: number;
}

/** Settings of a bridge. Times are hundredths of a second. */
export interface BridgeFacts {
  readonly vlanFiltering?: boolean;
  readonly vlanProtocol?: '802.1Q' | '802.1ad';
  readonly defaultPvid?: number;
  readonly ageingTime?: number;
  readonly forwardDelay?: number;
  readonly helloTime?: number;
  readonly maxAge?: number;
  readonly priority?: number;
  /** Bit n: frames to 01:80:c2:00:00:0n are forwarded. */
  readonly groupFwdMask?: number;
  readonly mcastSnooping?: boolean;
}

/** A VLAN that a bridge port, or the bridge itself, is in. */
export interface BridgeVlanFacts {
  readonly vid: number;
  /** What comes without a tag is in it. */
  readonly pvid?: true;
  /** What goes out in it goes without a tag. */
  readonly untagged?: true;
}

export interface LinkFacts {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: LinkKind;
  /** MAC address, '' where the device has none. */
  readonly mac: string;
  readonly mtu: number;
  /** Administratively up (IFF_UP). */
  readonly up: boolean;
  /** Carrier present (LOWER_UP). */
  readonly carrier: boolean;
  /** Name of the bridge this device is a port of, '' if none. */
  readonly master: string;
  /**
   * Of the peer of a veth, or the device that a vlan, macvlan or ipvlan device stands on: its index and its namespace. 0 and
   * '' otherwise.
   */
  readonly peerIfindex: number;
  readonly peerNs: string;
  /** Of a bridge, and of a port of one: what differs from the kernel's first settings. */
  readonly bridge?: BridgeFacts;
  readonly bridgePort?: BridgePortFacts;
  /** Whether it asks nobody for addresses (IFF_NOARP), where that is not so of all devices of its kind. */
  readonly noArp?: true;
  /** A device that stands on it hears all that comes to it: macvlan of mode passthru. */
  readonly promiscuous?: true;
  /** Whether its operational state has been told once, where that is not so of all devices of its kind (RFC 2863). */
  readonly operstate?: 'reported';
  /** Kind-specific facts for display: `vxlan id 1 local 10.0.0.1 dstport 8472 nolearning`; '' if none. */
  readonly detail: string;
}

export type RouteType =
  | 'unicast'
  | 'blackhole'
  | 'unreachable'
  | 'prohibit'
  | 'throw'
  | 'local'
  | 'broadcast'
  | 'multicast';
export type RouteProtocol = 'kernel' | 'boot' | 'static' | 'bird' | 'bgp' | 'flannel' | 'felix' | 'ra';
export type RouteScope = 'global' | 'link' | 'host';

export interface NexthopFacts {
  /**
   * Gateway address, '' for a directly attached destination. An IPv4 route may have an IPv6 address here (`via inet6`, RFC 8950):
   * that of the neighbour whose link-layer address its packets get.
   */
  readonly via: string;
  /** Device name, '' for a blackhole or unreachable route. */
  readonly dev: string;
  readonly onlink: boolean;
  readonly weight: number;
}

export interface RouteFacts {
  /** Destination as a prefix, `0.0.0.0/0` or `::/0` for the default route. */
  readonly dst: string;
  readonly type: RouteType;
  readonly protocol: RouteProtocol;
  readonly scope: RouteScope;
  readonly metric: number;
  /** Preferred source address, '' if none. */
  readonly src: string;
  readonly nexthops: readonly NexthopFacts[];
  /** IPv6, of what a router has advertised: when it ceases, ms at the node. */
  readonly expires?: number;
  /** Largest packet that goes by it, bytes, and hop limit of the host's own; absent: those of the device. */
  readonly mtu?: number;
  readonly hopLimit?: number;
  /** Of a default router (RFC 4191 §2.2); absent: medium. */
  readonly preference?: 'low' | 'high';
}

/** A policy rule; what is absent is not asked for. */
export interface RuleFacts {
  /** The lowest is asked first. */
  readonly priority: number;
  readonly action: 'lookup' | 'goto' | 'nop' | 'blackhole' | 'unreachable' | 'prohibit';
  /** lookup: number of the route table. */
  readonly table?: number;
  /** goto: priority of the rule to go on with. */
  readonly target?: number;
  /** Holds for what the rest does not match. */
  readonly not?: true;
  readonly from?: string;
  readonly to?: string;
  readonly iif?: string;
  readonly oif?: string;
  readonly mark?: number;
  readonly mask?: number;
  readonly tos?: number;
  readonly ipproto?: number;
  /** First and last port. */
  readonly sport?: readonly [number, number];
  readonly dport?: readonly [number, number];
  /** Routes whose prefix is no longer than this do not count. */
  readonly suppressPrefixLength?: number;
  /** Who made it, as in /etc/iproute2/rt_protos; 2 is the kernel, 0 nobody in particular. */
  readonly protocol: number;
}

export type NeighborState =
  | 'INCOMPLETE'
  | 'REACHABLE'
  | 'STALE'
  | 'DELAY'
  | 'PROBE'
  | 'FAILED'
  | 'PERMANENT'
  | 'NOARP';

export interface NeighborFacts {
  readonly dev: string;
  readonly ip: string;
  /** '' while unresolved. */
  readonly mac: string;
  readonly state: NeighborState;
}

export interface FdbFacts {
  /** Bridge or VXLAN device that holds the row. */
  readonly dev: string;
  readonly mac: string;
  /** Bridge: the port's device name. VXLAN: ''. */
  readonly port: string;
  /** VXLAN: the remote VTEP's address. Bridge: ''. */
  readonly dst: string;
  readonly kind: 'learned' | 'static' | 'permanent';
  /** VXLAN: the only device that frames to the VTEP leave by. */
  readonly via?: string;
  /** Bridge that filters VLANs: the row's VLAN. */
  readonly vlan?: number;
}

/** A variable that was written, below `net`. */
export interface SysctlFacts {
  /** Device of a variable that there is for each, or `all` or `default`; '' for others. */
  readonly dev: string;
  /**
   * `ipv4.ip_forward`, `ipv4.conf.*.proxy_arp` with a star for the device. Logs of earlier versions have names below
   * `net.ipv4`: `ip_forward`, `neigh.default.gc_thresh3`, and `proxy_arp` of a device.
   */
  readonly name: string;
  /** A text where the file holds more than one number. */
  readonly value: number | string;
}

/** The MTU of the path to an address, learned from a router on it. */
export interface PathMtuFacts {
  readonly dst: string;
  /** Bytes. */
  readonly mtu: number;
  /** When it will be forgotten, ms at the node. */
  readonly expires: number;
  /** A router asked for less still. */
  readonly locked?: true;
}

/** A better first hop to an address, of which a router has told. */
export interface RedirectFacts {
  readonly dst: string;
  readonly dev: string;
  /** The next hop of the route, in whose place `gateway` is. */
  readonly via: string;
  readonly gateway: string;
  /** When it will be forgotten, ms at the node; absent where that depends on its use. */
  readonly expires?: number;
}

/** Ways in which a wire carries nothing, seen from one end. */
export type Cut = 'none' | 'in' | 'out' | 'both';

/** The netem queueing discipline of a device. */
export interface QdiscFacts {
  readonly dev: string;
  readonly netem: NetemParameters;
}

export interface CutFacts {
  readonly dev: string;
  readonly cut: Exclude<Cut, 'none'>;
}

/** One direction of a flow. Of ICMP: `srcPort` is the id of an echo, `dstPort` is type times 256 plus code. */
export interface CtTupleFacts {
  readonly src: string;
  readonly dst: string;
  /** Number of the protocol (IANA). */
  readonly proto: number;
  readonly srcPort: number;
  readonly dstPort: number;
}

/** A flow that conntrack follows, without the time that it has left: that moves with every packet. */
export interface ConntrackFacts {
  readonly original: CtTupleFacts;
  /** Where it is not the inverse of `original`, there is NAT. */
  readonly reply: CtTupleFacts;
  /** State of a TCP connection (`ESTABLISHED`), '' of any other flow. */
  readonly state: string;
  readonly seenReply: boolean;
  readonly assured: boolean;
  /** Unsigned 32 bits. */
  readonly mark: number;
  readonly srcNat: boolean;
  readonly dstNat: boolean;
}

/**
 * One change to a route table: a route that is there now, or the key of one that went: dst, metric, and in IPv6 the device
 * of a destination that is attached (every device has its own fe80::/64). A route takes the place of the one of its key, or of
 * the row `at` among those of its dst and metric; or it is one more, the `first` or the `last` of them. `at` tells of one that
 * went which of several it was.
 */
export type RouteChange =
  | ({ readonly op: 'set'; readonly place?: 'first' | 'last'; readonly at?: number } & RouteFacts)
  | {
      readonly op: 'del';
      readonly dst: string;
      readonly metric: number;
      readonly dev?: string;
      readonly at?: number;
    };

export interface AddressFacts {
  readonly dev: string;
  /** Address with prefix length, `172.17.0.2/16`. */
  readonly address: string;
  readonly scope: RouteScope;
  /** Another address of the same subnet was there before it. */
  readonly secondary?: true;
  /** IPv6: not yet known to be nobody else's, or known to be (RFC 4862 §5.4). */
  readonly dad?: 'tentative' | 'failed';
  /** IPv6: what it was added with. */
  readonly nodad?: true;
  readonly noprefixroute?: true;
  /** IPv6, of an advertised prefix: when it ceases to be preferred and valid, ms at the node; absent for ever. */
  readonly preferredUntil?: number;
  readonly validUntil?: number;
  /** IPv6: of an advertised prefix. Those that have an end are so too where an older log does not say it. */
  readonly advertised?: true;
}

export type KernelEvent =
  | IpsetEvent
  | IpvsEvent
  | PacketStepEvent
  | WireguardEvent
  | XfrmEvent
  | XtablesEvent
  | { readonly type: 'netns.added'; readonly ns: string }
  | { readonly type: 'netns.removed'; readonly ns: string }
  /** Added, or any fact of it changed: the link's whole state now. */
  | { readonly type: 'link.set'; readonly ns: string; readonly link: LinkFacts }
  | { readonly type: 'link.removed'; readonly ns: string; readonly name: string }
  /** Added, made its subnet's primary address, or changed in what follows. */
  | ({ readonly type: 'addr.added'; readonly ns: string } & AddressFacts)
  | { readonly type: 'addr.removed'; readonly ns: string; readonly dev: string; readonly address: string }
  /** `table` 254 is main. Route tables change in batches: a BGP update can touch thousands of rows. */
  | {
      readonly type: 'route.changed';
      readonly ns: string;
      readonly table: number;
      readonly changes: readonly RouteChange[];
    }
  /** A rule came behind all of its priority; or the first that is the same went. Of IPv4 where no family is named. */
  | {
      readonly type: 'rule.added' | 'rule.removed';
      readonly ns: string;
      readonly rule: RuleFacts;
      readonly family?: 'inet6';
    }
  | { readonly type: 'neighbor.set'; readonly ns: string; readonly neighbor: NeighborFacts }
  | { readonly type: 'neighbor.removed'; readonly ns: string; readonly dev: string; readonly ip: string }
  | { readonly type: 'fdb.set'; readonly ns: string; readonly fdb: FdbFacts }
  | {
      readonly type: 'fdb.removed';
      readonly ns: string;
      readonly dev: string;
      readonly mac: string;
      readonly dst: string;
      readonly vlan?: number;
    }
  /** The VLANs that a bridge or a port of one is in, once they are others than those of all. */
  | {
      readonly type: 'bridge-vlan.set';
      readonly ns: string;
      readonly dev: string;
      readonly vlans: readonly BridgeVlanFacts[];
    }
  /** They are those of all again, or it is no port any more. */
  | { readonly type: 'bridge-vlan.reset'; readonly ns: string; readonly dev: string }
  | { readonly type: 'sysctl.set'; readonly ns: string; readonly sysctl: SysctlFacts }
  | { readonly type: 'qdisc.set'; readonly ns: string; readonly qdisc: QdiscFacts }
  | { readonly type: 'qdisc.removed'; readonly ns: string; readonly dev: string }
  | { readonly type: 'link.cut'; readonly ns: string; readonly dev: string; readonly cut: Cut }
  | { readonly type: 'pmtu.set'; readonly ns: string; readonly pmtu: PathMtuFacts }
  | { readonly type: 'pmtu.removed'; readonly ns: string; readonly dst: string }
  | { readonly type: 'redirect.set'; readonly ns: string; readonly redirect: RedirectFacts }
  | { readonly type: 'redirect.removed'; readonly ns: string; readonly dst: string }
  /** Its first packet has got through all hooks. */
  | { readonly type: 'conntrack.new'; readonly ns: string; readonly flow: ConntrackFacts }
  /** Answered, assured, marked, or in another state: the whole flow now. */
  | { readonly type: 'conntrack.updated'; readonly ns: string; readonly flow: ConntrackFacts }
  /** Its time was over, it was deleted, or it had to make room. */
  | { readonly type: 'conntrack.destroyed'; readonly ns: string; readonly original: CtTupleFacts };
