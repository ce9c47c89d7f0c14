import type { Device } from '../device.ts';
import { neighborLimits } from '../neighbor-sysctl.ts';
import type { Netns } from '../netns.ts';
import type { SysctlDirectory, SysctlSpec } from '../sysctl.ts';

/**
 * `net.ipv6.conf.<dev>` (`struct ipv6_devconf`): those variables that the emulated kernel minds, in its own names and with
 * its initial values (Documentation/networking/ip-sysctl.rst).
 */
const CONF = {
  accept_dad: 1,
  accept_ra: 1,
  accept_ra_defrtr: 1,
  accept_ra_from_local: 0,
  accept_ra_min_hop_limit: 1,
  accept_ra_mtu: 1,
  accept_ra_pinfo: 1,
  accept_ra_rtr_pref: 1,
  accept_redirects: 1,
  addr_gen_mode: 0,
  autoconf: 1,
  dad_transmits: 1,
  disable_ipv6: 0,
  forwarding: 0,
  hop_limit: 64,
  ignore_routes_with_linkdown: 0,
  keep_addr_on_down: 0,
  ndisc_evict_nocarrier: 1,
  router_solicitation_delay: 1,
  router_solicitation_interval: 4,
  router_solicitation_max_interval: 3600,
  router_solicitations: -1,
};

export type Ipv6Conf = typeof CONF;

const SPECS: Readonly<Record<keyof Ipv6Conf, SysctlSpec>> = {
  accept_dad: {},
  accept_ra: {},
  accept_ra_defrtr: {},
  accept_ra_from_local: {},
  accept_ra_min_hop_limit: {},
  accept_ra_mtu: {},
  accept_ra_pinfo: {},
  accept_ra_rtr_pref: {},
  accept_redirects: {},
  // 1: no link-local address. The modes of secrets and chance are not emulated.
  addr_gen_mode: { min: 0, max: 1 },
  autoconf: {},
  dad_transmits: { min: 0 },
  disable_ipv6: {},
  forwarding: {},
  hop_limit: { min: 1, max: 255 },
  ignore_routes_with_linkdown: {},
  keep_addr_on_down: {},
  ndisc_evict_nocarrier: { min: 0, max: 1 },
  router_solicitation_delay: { min: 0 },
  router_solicitation_interval: { min: 0 },
  router_solicitation_max_interval: { min: 0 },
  router_solicitations: { min: -1 },
};

/** `ipv6`: as booted with `ipv6.disable_ipv6=1` where it is off, which new namespaces begin with too. */
export function initialIpv6Conf(ipv6: 'on' | 'off'): Ipv6Conf {
  return { ...CONF, disable_ipv6: ipv6 === 'on' ? 0 : 1 };
}

/** `net.ipv6.icmp` and what else there is below `net.ipv6`. */
const ICMP = {
  /** Least time between errors to one host, ms: a token of a bucket of six. */
  ratelimit: 1000,
};

const LINKDOWN = 'ignore_routes_with_linkdown';

export class Ipv6Sysctls {
  /** `net.ipv6.conf.all` and `default`. */
  readonly all: Ipv6Conf;
  readonly defaults: Ipv6Conf;
  readonly icmp = { ...ICMP };
  readonly #ns: Netns;

  constructor(ns: Netns, ipv6: 'on' | 'off') {
    this.#ns = ns;
    // Of `all` and a device the greater counts.
    this.all = { ...initialIpv6Conf(ipv6), accept_dad: 0 };
    this.defaults = initialIpv6Conf(ipv6);
    for (const directory of this.#directories()) ns.sysctls.add(directory);
  }

  #directories(): SysctlDirectory[] {
    const ns = this.#ns;
    const conf = (dev: string) =>
      dev === 'all' ? this.all : dev === 'default' ? this.defaults : ns.device(dev)?.inet6.conf;
    const directories: SysctlDirectory[] = [
      {
        path: 'ipv6.conf.*',
        variables: SPECS,
        values: conf,
        written: (name, dev) => this.#written(name, dev),
      },
      { path: 'ipv6.icmp', variables: { ratelimit: { min: 0 } }, values: () => this.icmp },
    ];
    // The neighbour table is one for all namespaces; the root has its limits.
    if (ns.name === '') directories.push(neighborLimits('ipv6', ns.kernel.neighborPool6));
    return directories;
  }

  /** `addrconf_fixup_forwarding`, `addrconf_fixup_linkdown` and `addrconf_disable_ipv6`: `all` goes for every device, and for those to come. */
  #written(name: string, dev: string): void {
    const ns = this.#ns;
    const conf = dev === 'all' ? this.all : dev === 'default' ? this.defaults : ns.device(dev)?.inet6.conf;
    if (conf === undefined || (name !== 'forwarding' && name !== 'disable_ipv6' && name !== LINKDOWN)) return;
    const value = conf[name];
    if (name === 'forwarding' && value !== 0 && dev !== 'default')
      for (const device of ns.devices()) device.inet6.discovery.purge();
    if (dev === 'all') {
      ns.sysctls.follow(`ipv6.conf.*.${name}`, value, 'default');
      for (const device of ns.devices()) {
        ns.sysctls.follow(`ipv6.conf.*.${name}`, value, device.name);
        if (name === 'disable_ipv6') device.inet6.refresh();
      }
    } else if (name === 'disable_ipv6' && dev !== 'default') (ns.device(dev) as Device).inet6.refresh();
  }
}
