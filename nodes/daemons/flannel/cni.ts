import { formatIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { exhaustedMessage, hostLocalRange, nextHostLocal } from '../../../protocols/ipam/host-local.ts';
import { formatMac } from '../../../protocols/mac.ts';
import type { Kernel } from '../../kernel/kernel.ts';
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
  /** The host's end of the pair, by container id and interface name. */
  readonly #attached = new Map<string, string>();

  /** `network` is flannel's whole network, as a prefix. */
  constructor(rt: Runtime, kernel: Kernel, flanneld: Flanneld, ledger: IpamLedger, network: string) {
    this.#rt = rt;
    this.#kernel = kernel;
    this.#flanneld = flanneld;
    this.#ledger = ledger;
    this.#network = network;
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
    this.#ledger.assign(addr, containerId);

    const { root } = this.#kernel;
    const gateway = formatIp4(range.gateway);
    const address = `${formatIp4(addr)}/${subnet.len}`;
    const bridgeMac = this.#ensureBridge(`${gateway}/${subnet.len}`, own.mtu);
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
        ips: [{ address, gateway, interface: 2 }],
        routes: [
          { dst: this.#network, gw: gateway },
          { dst: '0.0.0.0/0', gw: gateway },
        ],
      },
    });
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
  #ensureBridge(address: string, mtu: number): number {
    const { root } = this.#kernel;
    const existing = root.device(BRIDGE);
    if (existing !== undefined) return existing.mac;
    const mac = randomMac(this.#rt.random);
    root.ipForward = true;
    root.addBridge({ name: BRIDGE, mac, mtu });
    root.setUp(BRIDGE);
    root.addAddress(BRIDGE, address);
    return mac;
  }
}
