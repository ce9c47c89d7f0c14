import { formatPrefix, type Prefix, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { formatPrefix6, type Prefix6, parseIp6, parsePrefix6 } from '../../../protocols/ip6.ts';
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
import { deviceRoute, linkRoute } from '../route-facts.ts';
import type { Backend, PublicInterface } from './backend.ts';

const DEVICE = 'flannel-wg';
/** That of IPv6 in flannel's mode `separate`, and how far its port is from the other's. */
const DEVICE6 = 'flannel-wg-v6';
const PORT6_OFFSET = 1;
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
  readonly data6?: Readonly<Record<string, string | number>>;
  readonly #root: Netns;
  readonly #network: Prefix;
  readonly #network6: Prefix6 | null;
  readonly #port: number;
  readonly #privateKey: Uint8Array;
  readonly #privateKey6: Uint8Array | null = null;
  #device: WireguardDevice | null = null;
  #device6: WireguardDevice | null = null;

  constructor(
    root: Netns,
    iface: PublicInterface,
    options: {
      readonly port: number;
      readonly network: Prefix;
      readonly network6: Prefix6 | null;
      readonly random: Random;
    },
  ) {
    this.#root = root;
    this.#network = options.network;
    this.#port = options.port;
    this.mtu = iface.mtu - OVERHEAD;
    this.#network6 = options.network6;
    this.#privateKey = newKey(options.random);
    this.data = { PublicKey: formatKey(publicKeyOf(this.#privateKey)) };
    if (this.#network6 === null) return;
    this.#privateKey6 = newKey(options.random);
    this.data6 = { PublicKey: formatKey(publicKeyOf(this.#privateKey6)) };
  }

  prepare(): void {
    this.#device = this.#root.links.addWireguard({ name: DEVICE, mtu: this.mtu });
    this.#device.configure({ privateKey: this.#privateKey, listenPort: this.#port });
    if (this.#network6 === null) return;
    this.#device6 = this.#root.links.addWireguard({ name: DEVICE6, mtu: this.mtu });
    this.#device6.configure({ privateKey: this.#privateKey6, listenPort: this.#port + PORT6_OFFSET });
  }

  up(subnet: string, subnet6: string | null): void {
    this.#root.addAddress(DEVICE, `${subnet.slice(0, subnet.indexOf('/'))}/32`);
    this.#root.setUp(DEVICE);
    this.#root.routes.set(linkRoute(formatPrefix(this.#network), DEVICE));
    if (this.#device6 === null || this.#network6 === null || subnet6 === null) return;
    const address = `${subnet6.slice(0, subnet6.indexOf('/'))}/128`;
    this.#root.setUp(DEVICE6);
    this.#root.ipv6.addresses.add(this.#device6, address, { dad: 'none' });
    this.#root.ipv6.routes.set(deviceRoute(formatPrefix6(this.#network6), DEVICE6));
  }

  setPeer(lease: LeaseFacts, old: LeaseFacts | null): boolean {
    const addr = parseIp4(lease.publicIP);
    const subnet = parsePrefix(lease.subnet);
    const key = keyOf(lease);
    if (addr === null || subnet === null || key === null) return false;
    if (old !== null && old.backendData.PublicKey !== lease.backendData.PublicKey) this.removePeer(old);
    this.#device?.setPeer(key, { endpoint: { addr, port: this.#port }, allowedIps: [subnet] });
    this.#setPeer6(lease, old);
    return true;
  }

  #setPeer6({ ipv6 }: LeaseFacts, old: LeaseFacts | null): void {
    const addr = parseIp6(ipv6?.publicIP ?? '');
    const subnet = parsePrefix6(ipv6?.subnet ?? '');
    const key = ipv6 === undefined ? null : keyOf(ipv6);
    if (addr === null || subnet === null || key === null) return;
    const before = old?.ipv6 === undefined ? null : keyOf(old.ipv6);
    if (before !== null && formatKey(before) !== formatKey(key)) this.#device6?.removePeer(before);
    const endpoint = { addr, port: this.#port + PORT6_OFFSET };
    this.#device6?.setPeer(key, { endpoint, allowedIps: [subnet] });
  }

  removePeer(lease: LeaseFacts): void {
    const key = keyOf(lease);
    if (key !== null) this.#device?.removePeer(key);
    const key6 = lease.ipv6 === undefined ? null : keyOf(lease.ipv6);
    if (key6 !== null) this.#device6?.removePeer(key6);
  }

  stop(): void {}
}

function newKey(random: Random): Uint8Array {
  return clampKey(Uint8Array.from({ length: KEY_LENGTH }, () => random.int(0, 255)));
}

function keyOf(lease: Pick<LeaseFacts, 'backendData'>): Uint8Array | null {
  const { PublicKey: text } = lease.backendData;
  return typeof text === 'string' ? parseKey(text) : null;
}
