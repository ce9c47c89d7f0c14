import { formatPrefix, type Prefix, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import {
  clampKey,
  formatKey,
  KEY_LENGTH,
  parseKey,
  publicKeyOf,
} from '../../../protocols/wireguard/crypto.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { WireguardDevice } from '../../kernel/tunnels/wireguard.ts';
import type { Random } from '../../runtime.ts';
import { linkRoute } from '../route-facts.ts';
import type { Backend, PublicInterface } from './backend.ts';

const DEVICE = 'flannel-wg';
/** Outer IPv6 header, UDP header, header and tag of transport data, as if all were IPv6. */
const OVERHEAD = 80;

/**
 * flannel's wireguard: one device for all peers, each with the public key of its lease and its subnet as allowed IPs. The private
 * key is made when flanneld starts, as where /run is empty after a boot, and is nowhere but in the device.
 */
export class WireguardBackend implements Backend {
  readonly type = 'wireguard';
  readonly mtu: number;
  readonly data: Readonly<Record<string, string | number>>;
  readonly #root: Netns;
  readonly #network: Prefix;
  readonly #port: number;
  readonly #privateKey: Uint8Array;
  #device: WireguardDevice | null = null;

  constructor(
    root: Netns,
    iface: PublicInterface,
    options: { readonly port: number; readonly network: Prefix; readonly random: Random },
  ) {
    this.#root = root;
    this.#network = options.network;
    this.#port = options.port;
    this.mtu = iface.mtu - OVERHEAD;
    this.#privateKey = clampKey(Uint8Array.from({ length: KEY_LENGTH }, () => options.random.int(0, 255)));
    this.data = { PublicKey: formatKey(publicKeyOf(this.#privateKey)) };
  }

  prepare(): void {
    this.#device = this.#root.links.addWireguard({ name: DEVICE, mtu: this.mtu });
    this.#device.configure({ privateKey: this.#privateKey, listenPort: this.#port });
  }

  up(subnet: string): void {
    this.#root.addAddress(DEVICE, `${subnet.slice(0, subnet.indexOf('/'))}/32`);
    this.#root.setUp(DEVICE);
    this.#root.routes.set(linkRoute(formatPrefix(this.#network), DEVICE));
  }

  setPeer(lease: LeaseFacts, old: LeaseFacts | null): boolean {
    const addr = parseIp4(lease.publicIP);
    const subnet = parsePrefix(lease.subnet);
    const key = keyOf(lease);
    if (addr === null || subnet === null || key === null) return false;
    if (old !== null && old.backendData.PublicKey !== lease.backendData.PublicKey) this.removePeer(old);
    this.#device?.setPeer(key, { endpoint: { addr, port: this.#port }, allowedIps: [subnet] });
    return true;
  }

  removePeer(lease: LeaseFacts): void {
    const key = keyOf(lease);
    if (key !== null) this.#device?.removePeer(key);
  }

  stop(): void {}
}

function keyOf(lease: LeaseFacts): Uint8Array | null {
  const { PublicKey: text } = lease.backendData;
  return typeof text === 'string' ? parseKey(text) : null;
}
