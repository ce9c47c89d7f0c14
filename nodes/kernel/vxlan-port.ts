import type { IpAddress, IpFamily } from '../../protocols/ip.ts';
import { ANY_IP6 } from '../../protocols/ip6.ts';
import { decodeVxlan, VXLAN_HLEN } from '../../protocols/vxlan.ts';
import type { Device } from './device.ts';
import { scopeDevice } from './ipv6/icmp.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { PortInUseError, type ReceivedDatagram } from './udp.ts';
import type { VxlanRemote } from './vxlan-fdb.ts';

/** Where the frames of one VNI go. */
export interface VxlanEndpoint {
  readonly vni: number;
  readonly dstPort: number;
  /** Of the outer packets. */
  readonly family: IpFamily;
  /** What becomes of a datagram over IPv6 without a checksum. */
  readonly zeroChecksum: 'taken' | 'dropped';
  /** An inner Ethernet frame from a VTEP, in a packet of a type of service. */
  decapsulated(inner: Uint8Array, from: VxlanRemote, tos: number): void;
  /** A frame from a device of the same namespace, which has not been on the way. */
  bypassed(frame: Uint8Array): void;
}

interface Port {
  readonly socket: { close(): void };
  readonly zeroChecksum: VxlanEndpoint['zeroChecksum'];
  readonly byVni: Map<number, VxlanEndpoint>;
}

/** The UDP sockets of a namespace's VXLAN devices that are up: one a port and family, its datagrams told apart by VNI (`vxlan_sock`). */
export class VxlanPorts {
  readonly #ns: Netns;
  readonly #ports = { inet: new Map<number, Port>(), inet6: new Map<number, Port>() };

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** @throws NetlinkError when another socket has the port, be it one of VXLAN that takes other datagrams (`vxlan_find_sock`). */
  open(endpoint: VxlanEndpoint): void {
    const { vni, dstPort, family, zeroChecksum } = endpoint;
    const port = this.#ports[family].get(dstPort) ?? this.#bind(endpoint);
    if (port.zeroChecksum !== zeroChecksum) throw inUse();
    port.byVni.set(vni, endpoint);
  }

  close({ vni, dstPort, family }: VxlanEndpoint): void {
    const port = this.#ports[family].get(dstPort);
    if (port === undefined) return;
    port.byVni.delete(vni);
    if (port.byVni.size > 0) return;
    port.socket.close();
    this.#ports[family].delete(dstPort);
  }

  #bind({ dstPort, family, zeroChecksum }: VxlanEndpoint): Port {
    const byVni = new Map<number, VxlanEndpoint>();
    const receive = (datagram: ReceivedDatagram<IpAddress>) => this.#receive(byVni, datagram);
    try {
      const socket =
        family === 'inet'
          ? this.#ns.bindUdp({ addr: 0, port: dstPort }, receive)
          : this.#ns.ipv6.udp.bind({ addr: ANY_IP6, port: dstPort }, receive, 'one', zeroChecksum);
      const port = { socket, zeroChecksum, byVni };
      this.#ports[family].set(dstPort, port);
      return port;
    } catch (error) {
      throw error instanceof PortInUseError ? inUse() : error;
    }
  }

  /** The device of a VNI that is up. */
  find(family: IpFamily, dstPort: number, vni: number): VxlanEndpoint | undefined {
    return this.#ports[family].get(dstPort)?.byVni.get(vni);
  }

  #receive(
    byVni: ReadonlyMap<number, VxlanEndpoint>,
    { payload, src, tos, device }: ReceivedDatagram<IpAddress>,
  ): void {
    const header = decodeVxlan(payload, 0, payload.length);
    if (header === null || payload.length < VXLAN_HLEN + 14) {
      this.#ns.kernel.drop('vxlan-malformed');
      return;
    }
    const endpoint = byVni.get(header.vni);
    if (endpoint === undefined) this.#ns.kernel.drop('vxlan-unknown-vni');
    else
      endpoint.decapsulated(
        payload.subarray(header.payloadOffset),
        { dst: src, via: scope(src, device) },
        tos,
      );
  }
}

/** The link that an address means something on alone. */
function scope(address: IpAddress, device: Device): Device | null {
  return typeof address === 'string' ? (scopeDevice(device, address) ?? null) : null;
}

function inUse(): NetlinkError {
  return new NetlinkError('RTNETLINK answers: Address already in use');
}
