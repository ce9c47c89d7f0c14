import { formatIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { formatIp6, parsePrefix6 } from '../../../protocols/ip6.ts';
import { exhaustedMessage, hostLocalRange, nextHostLocal } from '../../../protocols/ipam/host-local.ts';
import { formatMac } from '../../../protocols/mac.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Runtime } from '../../runtime.ts';
import {
  CNI_INTERNAL,
  CNI_NOT_AVAILABLE,
  CNI_TRY_AGAIN_LATER,
  type CniAddRequest,
  type CniDelRequest,
  type CniError,
  type CniOutcome,
  type CniPlugin,
  cniError,
} from '../cni.ts';
import type { IpamLedger } from '../ipam-ledger.ts';
import { randomHex, randomMac } from '../random-names.ts';
import { gatewayRoute } from '../route-facts.ts';
import { address6Of } from './dual-stack.ts';
import type { Flanneld } from './flanneld.ts';

const BRIDGE = 'cni0';

/** The flannel plug-in with what it delegates to: bridge (isDefaultGateway) and host-local. */
export class FlannelCni implements CniPlugin {
  readonly name = 'flannel';
  readonly #rt: Runtime;
  readonly #kernel: Kernel;
  readonly #flanneld: Flanneld;
  readonly #ledger: IpamLedger;
  readonly #network: string;
  readonly #network6: string | null;
  /** The host's end of the pair, by container id and interface name. */
  readonly #attached = new Map<string, string>();

  /** `network` is flannel's whole network, as a prefix; `network6` that of IPv6, null without. */
  constructor(
    rt: Runtime,
    kernel: Kernel,
    flanneld: Flanneld,
    ledger: IpamLedger,
    networks: { readonly network: string; readonly network6: string | null },
  ) {
    this.#rt = rt;
    this.#kernel = kernel;
    this.#flanneld = flanneld;
    this.#ledger = ledger;
    this.#network = networks.network;
    this.#network6 = networks.network6;
  }

  status(): CniError | null {
    const { state } = this.#flanneld;
    switch (state.type) {
      case 'starting':
        return cniError(
          CNI_TRY_AGAIN_LATER,
          'loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory',
        );
      case 'failed':
        return cniError(CNI_NOT_AVAILABLE, state.message);
      case 'running':
      // The file outlives the daemon, and the plug-in asks for no more than the file.
      case 'revoked':
        return null;
    }
  }

  add(request: CniAddRequest, done: (outcome: CniOutcome) => void): void {
    const unready = this.status();
    const own = this.#flanneld.own;
    const subnet = own === null ? null : parsePrefix(own.lease.subnet);
    if (own === null || subnet === null || unready !== null) {
      done({ type: 'error', error: unready ?? cniError(CNI_INTERNAL, 'subnet.env holds no subnet') });
      return;
    }
    const { containerId, netns, ifname } = request;
    const [held] = this.#ledger.addressesOf(containerId).filter((addr) => typeof addr === 'number');
    if (held !== undefined) {
      const problem = `${formatIp4(held)} has been allocated to ${containerId}, duplicate allocation is not allowed`;
      done({ type: 'error', error: cniError(CNI_INTERNAL, problem) });
      return;
    }
    const range = hostLocalRange(subnet);
    const { last } = this.#ledger;
    const from = typeof last === 'number' ? last : null;
    const addr = nextHostLocal(range, from, (candidate) => this.#ledger.isAssigned(candidate));
    if (addr === null) {
      const problem = `failed to delegate add: failed to allocate for range 0: ${exhaustedMessage(range)}`;
      done({ type: 'error', error: cniError(CNI_INTERNAL, problem) });
      return;
    }
    const subnet6 = parsePrefix6(own.lease.ipv6?.subnet ?? '');
    const six =
      subnet6 === null
        ? null
        : {
            address: `${formatIp6(address6Of(subnet, addr, subnet6))}/${subnet6.len}`,
            gateway: formatIp6(address6Of(subnet, range.gateway, subnet6)),
            len: subnet6.len,
          };
    // That of IPv4 last: host-local goes on from it.
    if (subnet6 !== null) this.#ledger.assign(address6Of(subnet, addr, subnet6), containerId);
    this.#ledger.assign(addr, containerId);

    const { root } = this.#kernel;
    const gateway = formatIp4(range.gateway);
    const address = `${formatIp4(addr)}/${subnet.len}`;
    const gateway6 = six === null ? null : `${six.gateway}/${six.len}`;
    const bridgeMac = this.#ensureBridge(`${gateway}/${subnet.len}`, gateway6, own.mtu);
    const hostDevice = `veth${randomHex(this.#rt.random, 8)}`;
    const hostMac = randomMac(this.#rt.random);
    const podMac = randomMac(this.#rt.random);
    root.addVeth({
      name: hostDevice,
      mac: hostMac,
      mtu: own.mtu,
      peer: { ns: netns, name: ifname, mac: podMac },
    });
    root.setMaster(hostDevice, BRIDGE);
    root.setUp(hostDevice);
    netns.setUp(ifname);
    netns.addAddress(ifname, address);
    netns.routes.set(gatewayRoute(this.#network, gateway, ifname));
    netns.routes.set(gatewayRoute('0.0.0.0/0', gateway, ifname));
    const routes6 = six === null ? [] : this.#configure6(netns, ifname, six);
    // The bridge plug-in sets arp_notify: neighbours that still know the address by an earlier pod's MAC learn the new one.
    netns.device(ifname)?.neighbors.announce(addr);
    this.#attached.set(`${containerId}/${ifname}`, hostDevice);
    done({
      type: 'result',
      result: {
        cniVersion: '1.1.0',
        interfaces: [
          { name: BRIDGE, mac: formatMac(bridgeMac), sandbox: '' },
          { name: hostDevice, mac: formatMac(hostMac), sandbox: '' },
          { name: ifname, mac: formatMac(podMac), sandbox: netns.name },
        ],
        ips: [
          { address, gateway, interface: 2 },
          ...(six === null ? [] : [{ address: six.address, gateway: six.gateway, interface: 2 }]),
        ],
        routes: [{ dst: this.#network, gw: gateway }, { dst: '0.0.0.0/0', gw: gateway }, ...routes6],
      },
    });
  }

  /** The pod's second family; its routes. */
  #configure6(
    netns: Netns,
    ifname: string,
    { address, gateway }: { readonly address: string; readonly gateway: string },
  ): { readonly dst: string; readonly gw: string }[] {
    netns.sysctls.set('ipv6.conf.*.disable_ipv6', 0, 'all');
    const device = netns.device(ifname);
    // The address is IPAM's to give, and nobody else's on the bridge.
    if (device !== undefined) netns.ipv6.addresses.add(device, address, { dad: 'none' });
    const routes = [this.#network6 ?? '', '::/0'].filter((dst) => dst !== '');
    for (const dst of routes) netns.ipv6.routes.set(gatewayRoute(dst, gateway, ifname));
    return routes.map((dst) => ({ dst, gw: gateway }));
  }

  del(request: CniDelRequest, done: () => void): void {
    const key = `${request.containerId}/${request.ifname}`;
    const hostDevice = this.#attached.get(key);
    if (hostDevice !== undefined) {
      this.#attached.delete(key);
      if (this.#kernel.root.device(hostDevice) !== undefined) this.#kernel.root.removeDevice(hostDevice);
    }
    for (const addr of this.#ledger.addressesOf(request.containerId)) this.#ledger.release(addr);
    done();
  }

  gc(valid: ReadonlySet<string>): void {
    for (const addr of this.#ledger.addressesWhere((handle) => !valid.has(handle)))
      this.#ledger.release(addr);
  }

  /** The bridge comes with the first pod; its MAC. A fixed MAC, for a bridge would else take on those of its ports. */
  #ensureBridge(address: string, address6: string | null, mtu: number): number {
    const { root } = this.#kernel;
    const existing = root.device(BRIDGE);
    if (existing !== undefined) return existing.mac;
    const mac = randomMac(this.#rt.random);
    root.ipForward = true;
    root.addBridge({ name: BRIDGE, mac, mtu });
    root.setUp(BRIDGE);
    root.addAddress(BRIDGE, address);
    const bridge = root.device(BRIDGE);
    if (address6 !== null && bridge !== undefined) {
      root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
      root.ipv6.addresses.add(bridge, address6, { dad: 'none' });
    }
    return mac;
  }
}
