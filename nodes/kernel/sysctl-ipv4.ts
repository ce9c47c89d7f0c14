import { neighborLimits } from './neighbor-sysctl.ts';
import type { Netns } from './netns.ts';
import { parseInteger, type SysctlDirectory, type SysctlSpec, type Sysctls } from './sysctl.ts';

/**
 * `net.ipv4.conf.<dev>` (`struct ipv4_devconf`), in the kernel's own names and with its initial values. What the variables
 * do is in Documentation/networking/ip-sysctl.rst.
 */
const CONF = {
  accept_local: 0,
  accept_redirects: 1,
  accept_source_route: 1,
  arp_accept: 0,
  arp_announce: 0,
  arp_evict_nocarrier: 1,
  arp_filter: 0,
  arp_ignore: 0,
  arp_notify: 0,
  bc_forwarding: 0,
  bootp_relay: 0,
  disable_policy: 0,
  disable_xfrm: 0,
  drop_gratuitous_arp: 0,
  drop_unicast_in_l2_multicast: 0,
  force_igmp_version: 0,
  forwarding: 0,
  igmpv2_unsolicited_report_interval: 10_000,
  igmpv3_unsolicited_report_interval: 1_000,
  ignore_routes_with_linkdown: 0,
  log_martians: 0,
  mc_forwarding: 0,
  medium_id: 0,
  promote_secondaries: 0,
  proxy_arp: 0,
  proxy_arp_pvlan: 0,
  route_localnet: 0,
  rp_filter: 0,
  secure_redirects: 1,
  send_redirects: 1,
  shared_media: 1,
  src_valid_mark: 0,
  tag: 0,
};

/** The variables of one device, or those of `all` and `default`. */
export type Ipv4Conf = typeof CONF;

type ConfName = keyof Ipv4Conf;

export function initialConf(): Ipv4Conf {
  return { ...CONF };
}

/** `ipv4_devconf` of devinet.c, the first `all`: no device takes source routes. */
export function initialConfOfAll(): Ipv4Conf {
  return { ...CONF, accept_source_route: 0 };
}

type Specs = Readonly<Record<string, SysctlSpec>>;

const CONF_SPECS: Specs = Object.fromEntries(Object.keys(CONF).map((name) => [name, {}]));

const flag = { min: 0, max: 1 };
const byte = { min: 0, max: 255 };

/** Two numbers; the second stays where one is given. */
function pair(min: number, max: number): NonNullable<SysctlSpec['parse']> {
  return (text, old) => {
    const [first = '', second = String(old).split('\t')[1] ?? ''] = text.trim().split(/\s+/);
    const low = parseInteger(first);
    const high = parseInteger(second);
    if (low === null || high === null || low < min || high > max || high < low) return null;
    return `${low}\t${high}`;
  };
}

/** `net.ipv4` of a new namespace. */
const IPV4 = {
  /** A kernel begins with 0. Here a router is set up as a fabric's are, to spread the flows of two hosts too. */
  fib_multipath_hash_policy: 1,
  fwmark_reflect: 0,
  icmp_echo_ignore_all: 0,
  icmp_echo_ignore_broadcasts: 1,
  icmp_errors_use_inbound_ifaddr: 0,
  icmp_ratelimit: 1000,
  icmp_ratemask: 6168,
  ip_default_ttl: 64,
  ip_forward_use_pmtu: 0,
  ip_local_port_range: '32768\t60999',
  ip_no_pmtu_disc: 0,
  ip_nonlocal_bind: 0,
  ip_unprivileged_port_start: 1024,
  /** Seconds that the fragments of a packet wait for one another. */
  ipfrag_time: 30,
  ping_group_range: '1\t0',
  tcp_mtu_probing: 0,
};

export type Ipv4Sysctls = typeof IPV4;

const IPV4_SPECS: Readonly<Record<keyof Ipv4Sysctls | 'ip_forward', SysctlSpec>> = {
  fib_multipath_hash_policy: { min: 0, max: 3 },
  fwmark_reflect: byte,
  icmp_echo_ignore_all: flag,
  icmp_echo_ignore_broadcasts: flag,
  icmp_errors_use_inbound_ifaddr: flag,
  icmp_ratelimit: { min: 0 },
  icmp_ratemask: { min: 0 },
  ip_default_ttl: { min: 1, max: 255 },
  ip_forward: {},
  ip_forward_use_pmtu: byte,
  ip_local_port_range: { parse: pair(1, 65_535) },
  ip_no_pmtu_disc: byte,
  ip_nonlocal_bind: byte,
  ip_unprivileged_port_start: { min: 0, max: 65_535 },
  ipfrag_time: { min: 0 },
  ping_group_range: { parse: pair(0, 0x7fff_ffff) },
  tcp_mtu_probing: byte,
};

/** `net.ipv4.neigh.<dev>` as far as it is no timer of the lab. */
const NEIGH = {
  /** Hundredths of a second that an answer in another's place waits at most. */
  proxy_delay: 80,
  /** Hundredths of a second for which the first of several answers holds. */
  locktime: 100,
};

export type NeighConf = typeof NEIGH;

export function initialNeighConf(): NeighConf {
  return { ...NEIGH };
}

export function initialIpv4(): Ipv4Sysctls {
  return { ...IPV4 };
}

/** The directories of IPv4. */
export function ipv4Directories(ns: Netns, sysctls: Sysctls): SysctlDirectory[] {
  const { ipv4, all, defaults, neighDefaults } = sysctls;
  // `conf.all.forwarding` under its older name.
  const own = Object.defineProperty(ipv4, 'ip_forward', {
    get: () => all.forwarding,
    set: (value: number) => {
      all.forwarding = value;
    },
  });
  const conf = (dev: string) => (dev === 'all' ? all : dev === 'default' ? defaults : ns.device(dev)?.conf);
  const directories: SysctlDirectory[] = [
    {
      path: 'ipv4',
      variables: IPV4_SPECS,
      values: () => own,
      written: (name) => {
        if (name === 'ip_forward') forwardingChanged(ns, sysctls);
      },
    },
    {
      path: 'ipv4.conf.*',
      variables: CONF_SPECS,
      values: conf,
      written: (name, dev) => {
        if (name === 'forwarding' && dev === 'all') forwardingChanged(ns, sysctls);
        else if (dev === 'default') defaultChanged(ns, sysctls, name as ConfName);
      },
    },
    {
      path: 'ipv4.neigh.*',
      variables: { proxy_delay: { min: 0 }, locktime: { min: 0 } },
      values: (dev) => (dev === 'default' ? neighDefaults : ns.device(dev)?.neighConf),
    },
  ];
  // The neighbour table is one for all namespaces; the root has its limits.
  if (ns.name === '') directories.push(neighborLimits('ipv4', ns.kernel.neighborPool));
  return directories;
}

/** `inet_forward_change`: a host that becomes a router does so on every device, and believes no redirects. */
function forwardingChanged(ns: Netns, sysctls: Sysctls): void {
  const on = sysctls.all.forwarding;
  sysctls.follow('ipv4.conf.*.accept_redirects', on === 0 ? 1 : 0, 'all');
  for (const dev of ['default', ...ns.devices().map(({ name }) => name)])
    sysctls.follow('ipv4.conf.*.forwarding', on, dev);
}

/** `devinet_copy_dflt_conf`: devices that have not been configured by themselves go with the default. */
function defaultChanged(ns: Netns, sysctls: Sysctls, name: ConfName): void {
  for (const device of ns.devices())
    if (sysctls.followsDefault(device, name))
      sysctls.follow(`ipv4.conf.*.${name}`, sysctls.defaults[name], device.name);
}
