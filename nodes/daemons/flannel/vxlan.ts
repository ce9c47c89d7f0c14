import { parseIp4 } from '../../../protocols/ip4.ts';
import { formatMac, parseMac } from '../../../protocols/mac.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import type { Netns } from '../../kernel/netns.ts';
import { RouteError } from '../../kernel/route-error.ts';
import { gatewayRoute } from '../route-facts.ts';
import { type Backend, isDirect, type PublicInterface } from './backend.ts';

/** Ethernet, IPv4, UDP and VXLAN headers. */
const OVERHEAD = 50;

export interface VxlanBackendOptions {
  readonly vni: number;
  readonly port: number;
  /** 'on': peers in reach without a gateway get a plain route. */
  readonly directRouting: 'on' | 'off';
  /** MAC of this node's VTEP. */
  readonly mac: number;
}

/** flannel's vxlan: for each peer an ARP row, an FDB row and a route, and never a miss. */
export class VxlanBackend implements Backend {
  readonly type = 'vxlan';
  readonly mtu: number;
  readonly data: Readonly<Record<string, string | number>>;
  readonly #root: Netns;
  readonly #device: string;
  readonly #local: number;
  readonly #options: VxlanBackendOptions;
  /** Peers reached by a plain route. */
  readonly #direct = new Set<string>();

  constructor(root: Netns, iface: PublicInterface, options: VxlanBackendOptions) {
    this.#root = root;
    this.#options = options;
    this.mtu = iface.mtu - OVERHEAD;
    this.data = { VNI: options.vni, VtepMAC: formatMac(options.mac) };
    this.#device = `flannel.${options.vni}`;
    this.#local = parseIp4(iface.address) ?? 0;
  }

  prepare(): void {
    const { vni, port: dstPort, mac } = this.#options;
    const local = this.#local;
    const vxlan = { vni, local, dstPort, learning: 'off', checksum: 'zero' } as const;
    this.#root.addVxlan({ name: this.#device, mac, mtu: this.mtu, ...vxlan });
  }

  up(subnet: string): void {
    // A /32, so that no broadcast route comes of it: it is the source of what the node itself sends to pods.
    this.#root.addAddress(this.#device, `${vtepOf(subnet)}/32`);
    this.#root.setUp(this.#device);
  }

  setPeer(lease: LeaseFacts, old: LeaseFacts | null): boolean {
    const publicIP = parseIp4(lease.publicIP);
    const mac = macOf(lease);
    if (publicIP === null || mac === null) return false;
    if (this.#options.directRouting === 'on' && isDirect(this.#root, publicIP)) {
      if (old !== null && !this.#direct.has(old.subnet)) this.#removeRows(old);
      this.#direct.add(lease.subnet);
      return this.#setRoute(gatewayRoute(lease.subnet, lease.publicIP, ''));
    }
    this.#direct.delete(lease.subnet);
    const vtep = vtepOf(lease.subnet);
    const vtepAddress = parseIp4(vtep)!;
    const oldMac = old === null ? null : macOf(old);
    if (old !== null && oldMac !== null && (oldMac !== mac || old.publicIP !== lease.publicIP)) {
      this.#root.deleteVxlanFdb(this.#device, oldMac, parseIp4(old.publicIP) ?? 0);
    }
    this.#root.setNeighbor(this.#device, vtepAddress, mac);
    this.#root.addVxlanFdb(this.#device, mac, publicIP, 'permanent');
    // Last: with the route in place, the kernel would ask for the gateway's MAC.
    if (this.#setRoute(gatewayRoute(lease.subnet, vtep, this.#device, 'onlink'))) return true;
    this.#root.deleteNeighbor(this.#device, vtepAddress);
    this.#root.deleteVxlanFdb(this.#device, mac, publicIP);
    return false;
  }

  removePeer(lease: LeaseFacts): void {
    if (this.#direct.delete(lease.subnet)) {
      this.#root.routes.delete(lease.subnet);
      return;
    }
    this.#removeRows(lease);
  }

  stop(): void {}

  #removeRows(lease: LeaseFacts): void {
    const mac = macOf(lease);
    this.#root.deleteNeighbor(this.#device, parseIp4(vtepOf(lease.subnet)) ?? 0);
    if (mac !== null) this.#root.deleteVxlanFdb(this.#device, mac, parseIp4(lease.publicIP) ?? 0);
    this.#root.routes.delete(lease.subnet);
  }

  #setRoute(facts: Parameters<Netns['routes']['set']>[0]): boolean {
    try {
      this.#root.routes.set(facts);
      return true;
    } catch (error) {
      if (error instanceof RouteError) return false;
      throw error;
    }
  }
}

/** A subnet's VTEP has the subnet's own address. */
function vtepOf(subnet: string): string {
  return subnet.slice(0, subnet.indexOf('/'));
}

function macOf(lease: LeaseFacts): number | null {
  const { VtepMAC: mac } = lease.backendData;
  return typeof mac === 'string' ? parseMac(mac) : null;
}
