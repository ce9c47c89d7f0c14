import { encodeIcmpError, ICMP_DEST_UNREACHABLE, UNREACH_NET } from '../../../protocols/icmp.ts';
import { formatPrefix, type Prefix, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import {
  decrementTtl,
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipProto,
  ipSrc,
  ipTtl,
  PROTO_ICMP,
  validateIpv4,
  writeIpv4Header,
} from '../../../protocols/ipv4.ts';
import { LpmTrie } from '../../../protocols/trie.ts';
import type { LeaseFacts } from '../../events/cluster.ts';
import type { TunDevice } from '../../kernel/device.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { UdpSocket } from '../../kernel/udp.ts';
import { deviceRoute } from '../route-facts.ts';
import type { Backend, PublicInterface } from './backend.ts';

/** IPv4 and UDP headers: the payload is the packet as it is. */
const OVERHEAD = 28;
const DEVICE = 'flannel0';
/** TTL of the proxy's ICMP errors. */
const ERROR_TTL = 8;

/** flannel's udp: a TUN device and a process that passes packets between it and a UDP socket (proxy_amd64.c). */
export class UdpBackend implements Backend {
  readonly type = 'udp';
  readonly mtu: number;
  readonly data = {};
  readonly #root: Netns;
  readonly #network: Prefix;
  readonly #publicIP: number;
  readonly #port: number;
  readonly #peers = new LpmTrie<number>();
  #tunAddress = 0;
  #tun: TunDevice | null = null;
  #socket: UdpSocket | null = null;

  constructor(
    root: Netns,
    iface: PublicInterface,
    options: { readonly port: number; readonly network: Prefix },
  ) {
    this.#root = root;
    this.#port = options.port;
    this.#network = options.network;
    this.#publicIP = parseIp4(iface.address) ?? 0;
    this.mtu = iface.mtu - OVERHEAD;
  }

  prepare(): void {}

  up(subnet: string): void {
    this.#tunAddress = parsePrefix(subnet)?.addr ?? this.#network.addr;
    this.#tun = this.#root.addTun({ name: DEVICE, mtu: this.mtu }, (packet) => this.#fromTun(packet));
    this.#root.addAddress(DEVICE, `${subnet.slice(0, subnet.indexOf('/'))}/32`);
    this.#root.setUp(DEVICE);
    this.#root.routes.set(deviceRoute(formatPrefix(this.#network), DEVICE));
    this.#socket = this.#root.bindUdp({ addr: this.#publicIP, port: this.#port }, ({ payload }) =>
      this.#fromUdp(payload),
    );
  }

  setPeer(lease: LeaseFacts): boolean {
    const subnet = parsePrefix(lease.subnet);
    const publicIP = parseIp4(lease.publicIP);
    if (subnet === null || publicIP === null) return false;
    this.#peers.set(subnet.addr, subnet.len, publicIP);
    return true;
  }

  removePeer(lease: LeaseFacts): void {
    const subnet = parsePrefix(lease.subnet);
    if (subnet !== null) this.#peers.delete(subnet.addr, subnet.len);
  }

  stop(): void {
    this.#socket?.close();
    if (this.#tun !== null) this.#root.removeDevice(DEVICE);
    this.#tun = null;
  }

  #fromTun(packet: Uint8Array): void {
    if (packet.length < IPV4_HLEN) return;
    const peer = this.#peers.lookup(ipDst(packet, 0));
    if (peer !== undefined) {
      if (this.#hop(packet)) this.#socket?.sendTo(peer, this.#port, packet);
      return;
    }
    const error = netUnreachable(packet, this.#tunAddress);
    if (error !== null) this.#tun?.inject(error);
  }

  #fromUdp(payload: Uint8Array): void {
    if (validateIpv4(payload, 0, payload.length) !== 'ok') return;
    if (this.#hop(payload)) this.#tun?.inject(payload);
  }

  /** Counts a hop; false if it was the last, which the proxy tells nobody. */
  #hop(packet: Uint8Array): boolean {
    if (ipTtl(packet, 0) <= 1) return false;
    decrementTtl(packet, 0);
    return true;
  }
}

/**
 * The proxy's answer to a packet that no lease covers: header and 8 bytes quoted, about the first fragment alone, and
 * never about ICMP (RFC 792), for which it is null. It goes out from the node's own address, so a kernel that
 * does not `accept_local` takes it for a martian, as Linux does.
 */
export function netUnreachable(packet: Uint8Array, from: number): Uint8Array | null {
  if (ipProto(packet, 0) === PROTO_ICMP || ipFragmentOffset(packet, 0) !== 0) return null;
  const quoted = Math.min(packet.length, ipHeaderLength(packet, 0) + 8);
  const message = encodeIcmpError(ICMP_DEST_UNREACHABLE, UNREACH_NET, 0, packet, 0, quoted);
  const error = new Uint8Array(IPV4_HLEN + message.length);
  error.set(message, IPV4_HLEN);
  writeIpv4Header(error, 0, {
    src: from,
    dst: ipSrc(packet, 0),
    proto: PROTO_ICMP,
    ttl: ERROR_TTL,
    totalLength: error.length,
  });
  return error;
}
