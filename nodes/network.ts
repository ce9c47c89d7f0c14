import { parseMac } from '../protocols/mac.ts';
import type { Impairment } from './commands.ts';
import type { NodeConfig } from './config.ts';
import type { Kernel } from './kernel/kernel.ts';
import type { Netns } from './kernel/netns.ts';

/**
 * Sets up the root namespace as the node's configuration says, as ifupdown or systemd-networkd would at boot.
 * `carrierDown`: names of the interfaces whose cable is pulled; `impaired`: what was done to others since the lab's start.
 */
export function configureNetwork(
  kernel: Kernel,
  config: NodeConfig,
  carrierDown: readonly string[],
  impaired: Readonly<Record<string, Impairment>>,
): void {
  const { root } = kernel;
  writeFiles(kernel, config.name);
  root.ipForward = config.ipForward;
  if (config.ipv6 === true && config.ipForward) root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
  for (const iface of config.interfaces) {
    const { name, mtu, port } = iface;
    root.addPort({ name, mac: parseMac(iface.mac) ?? 0, mtu, port });
    if (carrierDown.includes(name)) kernel.setCarrier(port, 'down');
    const { netem = iface.netem ?? null, cut = 'none' } = impaired[name] ?? {};
    if (netem !== null) root.impairments.setNetem(name, netem);
    root.impairments.setCut(name, cut);
    root.setUp(name);
    for (const address of iface.addresses) root.addAddress(name, address);
  }
  for (const address of config.loopbacks) root.addAddress('lo', address);
  addStaticRoutes(root, config);
}

function addStaticRoutes(root: Netns, config: NodeConfig): void {
  const base = { type: 'unicast', protocol: 'static', metric: 0, src: '' } as const;
  for (const route of config.routes) {
    const nexthops = [{ via: route.via, dev: route.dev, onlink: false, weight: 1 }];
    const { metric = 0 } = route;
    const routes = route.dst.includes(':') ? root.ipv6.routes : root.routes;
    routes.set({
      ...base,
      metric,
      dst: route.dst,
      scope: route.via === '' && !route.dst.includes(':') ? 'link' : 'global',
      nexthops,
    });
  }
  const [first] = config.interfaces;
  const hasDefault = root.routes.get('0.0.0.0/0') !== undefined;
  if (config.cni?.type !== 'calico' || first === undefined || hasDefault) return;
  // Proxy ARP answers a pod for 169.254.1.1 only where a route leads away from the pod, which on a real node the
  // default route does. A lab without a gateway gets one that leads to the wire.
  const nexthops = [{ via: '', dev: first.name, onlink: false, weight: 1 }];
  root.routes.set({ ...base, dst: '0.0.0.0/0', protocol: 'boot', scope: 'link', nexthops });
}

/** What Debian's installer writes below a host's own lines. */
const HOSTS6 = `
# The following lines are desirable for IPv6 capable hosts
::1     localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
`;

/** As an installer leaves them. Without an /etc/resolv.conf, the resolver asks a server on the node itself. */
function writeFiles(kernel: Kernel, name: string): void {
  kernel.files.write('', '/etc/hostname', `${name}\n`);
  const inet6 = kernel.ipv6 === 'off' ? '' : HOSTS6;
  kernel.files.write('', '/etc/hosts', `127.0.0.1\tlocalhost\n127.0.1.1\t${name}\n${inet6}`);
}
