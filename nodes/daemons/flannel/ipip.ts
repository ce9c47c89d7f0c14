import { parseIp4 } from '../../../protocols/ip4.ts';
import { IPV4_HLEN } from '../../../protocols/ipv4.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Runtime } from '../../runtime.ts';
import { gatewayRoute } from '../route-facts.ts';
import { type Backend, isDirect, type PublicInterface } from './backend.ts';
import { RouteNetwork } from './route-network.ts';

const DEVICE = 'flannel.ipip';

export interface IpipBackendOptions {
  /** Time between two looks at the routes, ms. */
  readonly routeCheck: number;
  /** 'on': peers in reach without a gateway get a plain route. */
  readonly directRouting: 'on' | 'off';
}

/** flannel's ipip: one tunnel without a remote, which sends to whatever gateway the route names: the peer's public address. */
export class IpipBackend implements Backend {
  readonly type = 'ipip';
  readonly mtu: number;
  readonly data = {};
  readonly #root: Netns;
  readonly #local: number;
  readonly #iface: string;
  readonly #directRouting: 'on' | 'off';
  readonly #network: RouteNetwork;

  constructor(rt: Runtime, root: Netns, iface: PublicInterface, options: IpipBackendOptions) {
    this.#root = root;
    this.#iface = iface.name;
    this.#local = parseIp4(iface.address) ?? 0;
    this.mtu = iface.mtu - IPV4_HLEN;
    this.#directRouting = options.directRouting;
    this.#network = new RouteNetwork(rt, root, options.routeCheck);
  }

  prepare(): void {
    this.#root.links.addTunnel(
      { name: DEVICE, mac: 0, mtu: this.mtu },
      {
        kind: 'ipip',
        local: this.#local,
        remote: 0,
        ttl: 0,
        // The netlink library that flanneld uses asks for none unless it is told to.
        pmtudisc: 'off',
        key: null,
        checksum: 'off',
        sequence: 'off',
      },
    );
  }

  up(subnet: string): void {
    // A /32: it is the source of what the node itself sends to pods.
    this.#root.addAddress(DEVICE, `${subnet.slice(0, subnet.indexOf('/'))}/32`);
    this.#root.setUp(DEVICE);
    this.#network.start();
  }

  setPeer({ subnet, publicIP }: LeaseFacts): boolean {
    const address = parseIp4(publicIP);
    if (address === null) return false;
    this.#network.set(
      this.#directRouting === 'on' && isDirect(this.#root, address)
        ? gatewayRoute(subnet, publicIP, this.#iface)
        : gatewayRoute(subnet, publicIP, DEVICE, 'onlink'),
    );
    return true;
  }

  removePeer({ subnet }: LeaseFacts): void {
    this.#network.remove(subnet);
  }

  stop(): void {
    this.#network.stop();
  }
}
