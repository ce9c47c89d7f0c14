import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMPV6_DEST_UNREACHABLE, UNREACH6_PORT } from '../../../protocols/icmpv6.ts';
import { ANY_IP6, type Ip6, isLinkLocal, isMulticastIp6, readIp6Cached } from '../../../protocols/ip6.ts';
import { PROTO_TCP } from '../../../protocols/ipv4.ts';
import {
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  IPV6_MIN_MTU,
  ip6HopLimit,
  ip6TrafficClass,
} from '../../../protocols/ipv6.ts';
import type { InetLayer } from '../inet.ts';
import type { Path } from '../ip/path.ts';
import { NetfilterHooks } from '../netfilter/hooks.ts';
import { Nat } from '../netfilter/nat.ts';
import { Xtables } from '../netfilter/xtables/xtables.ts';
import type { Netns } from '../netns.ts';
import { PathMtuCache } from '../path-mtu.ts';
import { RedirectCache } from '../redirect-cache.ts';
import type { RouteTable } from '../route-table.ts';
import type { RouteTables } from '../route-tables.ts';
import { RuleTable } from '../rules.ts';
import { TcpLayer } from '../tcp.ts';
import { UdpLayer } from '../udp.ts';
import { AddressTable6 } from './addresses.ts';
import { Icmp6Layer, scopeDevice } from './icmp.ts';
import { InetPeers } from './inet-peers.ts';
import { Ip6Layer } from './layer.ts';
import { NdpLayer } from './ndp.ts';
import { RedirectSender6 } from './redirect.ts';
import { inet6RouteTables } from './route-table.ts';
import { INET6_RULES } from './rules.ts';
import { Ipv6Sysctls } from './sysctl.ts';

/** IPv6 of a namespace: addresses, routes and sockets beside those of IPv4. */
export class Ipv6 {
  readonly sysctls: Ipv6Sysctls;
  /** The main table. */
  readonly routes: RouteTable<Ip6>;
  readonly tables: RouteTables<Ip6>;
  readonly rules: RuleTable<Ip6>;
  readonly addresses: AddressTable6;
  readonly layer: Ip6Layer;
  readonly icmp: Icmp6Layer;
  readonly ndp: NdpLayer;
  readonly udp: UdpLayer<Ip6>;
  readonly tcp: TcpLayer<Ip6>;
  readonly pathMtus: PathMtuCache<Ip6>;
  readonly redirects: RedirectCache<Ip6>;
  readonly redirectSender: RedirectSender6;
  readonly peers: InetPeers;
  readonly netfilter = new NetfilterHooks();
  readonly nat: Nat;
  readonly xtables: Xtables;

  constructor(ns: Netns) {
    this.sysctls = new Ipv6Sysctls(ns, ns.kernel.ipv6);
    this.tables = inet6RouteTables(ns);
    this.routes = this.tables.main;
    this.rules = new RuleTable(ns, INET6_RULES);
    this.addresses = new AddressTable6(ns);
    this.layer = new Ip6Layer(ns);
    this.icmp = new Icmp6Layer(ns);
    this.ndp = new NdpLayer(ns);
    this.nat = new Nat(ns, 'inet6');
    this.xtables = new Xtables(ns, 'inet6');
    const inet = this.#inet();
    this.udp = new UdpLayer(ns, inet);
    this.tcp = new TcpLayer(ns, inet);
    // `ip6_rt_gc_timeout`: one that nothing goes by for so long is forgotten.
    this.redirects = new RedirectCache(ns, { from: 'used', ms: 60_000 });
    this.redirectSender = new RedirectSender6(ns);
    this.peers = new InetPeers(ns.kernel.rt);
    this.pathMtus = new PathMtuCache(ns, {
      least: IPV6_MIN_MTU,
      unspecified: ANY_IP6,
      lookup: (dst) => (isMulticastIp6(dst) ? null : this.layer.lookup(dst, 0, null)),
      route: (dst) => this.layer.lookup(dst, 0, null)?.route ?? null,
    });
  }

  /** The address to send from by a path to a destination; `::` while there is none. */
  sourceFor(path: Path<Ip6>, dst: Ip6): Ip6 {
    if (path.src !== ANY_IP6) return path.src;
    return path.type === 'local' ? dst : (this.addresses.sourceFor(dst, path.device) ?? ANY_IP6);
  }

  #inet(): InetLayer<Ip6> {
    const { layer, addresses } = this;
    // One for each segment of a stream would be as much garbage as the segment: the last is kept.
    let last: { readonly addr: Ip6; readonly port: number; readonly key: string } | null = null;
    return {
      unspecified: ANY_IP6,
      headerLength: IPV6_HLEN,
      source: (frame) => readIp6Cached(frame, ETH_HLEN + IP6_SRC),
      destination: (frame) => readIp6Cached(frame, ETH_HLEN + IP6_DST),
      ttl: (frame) => ip6HopLimit(frame, ETH_HLEN),
      tos: (frame) => ip6TrafficClass(frame, ETH_HLEN),
      output: (buffer, options, fill) => layer.output(buffer, options, fill),
      lookup: (dst, device) => layer.lookup(dst, 0, device ?? null),
      sourceFor: (path, dst) => this.sourceFor(path, dst),
      isLocal: (addr) => addresses.isLocal(addr, null),
      reachesAll: isMulticastIp6,
      pathMtu: (dst, path) =>
        layer.flowMtu(
          { src: this.sourceFor(path, dst), dst, proto: PROTO_TCP, sport: null, dport: null },
          path,
        ),
      confirm: ({ device, nexthop }) => device.inet6.neighbors.confirm(nexthop),
      portUnreachable: (frame, device) =>
        this.icmp.sendError(ICMPV6_DEST_UNREACHABLE, UNREACH6_PORT, 0, frame, device),
      scope: (addr, device) => scopeDevice(device, addr),
      needsScope: isLinkLocal,
      hasAddress: () => addresses.usable,
      remoteKey: (addr, port, scope) => {
        if (scope !== undefined) return `${addr}${port}%${scope.ifindex}`;
        if (last?.addr !== addr || last.port !== port) last = { addr, port, key: `${addr}${port}` };
        return last.key;
      },
    };
  }
}
