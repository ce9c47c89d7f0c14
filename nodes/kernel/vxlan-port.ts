import { decodeVxlan, VXLAN_HLEN } from '../../protocols/vxlan.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';
import { PortInUseError, type ReceivedDatagram, type UdpSocket } from './udp.ts';

/** Where the frames of one VNI go. */
export interface VxlanEndpoint {
  readonly vni: number;
  readonly dstPort: number;
  /** An inner Ethernet frame from the VTEP `remote`, in a packet of a type of service. */
  decapsulated(inner: Uint8Array, remote: number, tos: number): void;
  /** A frame from a device of the same namespace, which has not been on the way. */
  bypassed(frame: Uint8Array): void;
}

interface Port {
  readonly socket: UdpSocket;
  readonly byVni: Map<number, VxlanEndpoint>;
}

/** The UDP sockets of a namespace's VXLAN devices that are up: one a port, its datagrams told apart by VNI (`vxlan_sock`). */
export class VxlanPorts {
  readonly #ns: Netns;
  readonly #ports = new Map<number, Port>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** @throws NetlinkError when another socket has the port. */
  open(endpoint: VxlanEndpoint): void {
    const { vni, dstPort } = endpoint;
    const port = this.#ports.get(dstPort) ?? this.#bind(dstPort);
    port.byVni.set(vni, endpoint);
  }

  close({ vni, dstPort }: VxlanEndpoint): void {
    const port = this.#ports.get(dstPort);
    if (port === undefined) return;
    port.byVni.delete(vni);
    if (port.byVni.size > 0) return;
    port.socket.close();
    this.#ports.delete(dstPort);
  }

  #bind(dstPort: number): Port {
    const byVni = new Map<number, VxlanEndpoint>();
    try {
      const socket = this.#ns.bindUdp({ addr: 0, port: dstPort }, (datagram) =>
        this.#receive(byVni, datagram),
      );
      const port = { socket, byVni };
      this.#ports.set(dstPort, port);
      return port;
    } catch (error) {
      if (error instanceof PortInUseError)
        throw new NetlinkError('RTNETLINK answers: Address already in use');
      throw error;
    }
  }

  /** The device of a VNI that is up. */
  find(dstPort: number, vni: number): VxlanEndpoint | undefined {
    return this.#ports.get(dstPort)?.byVni.get(vni);
  }

  #receive(byVni: ReadonlyMap<number, VxlanEndpoint>, { payload, src, tos }: ReceivedDatagram): void {
    const header = decodeVxlan(payload, 0, payload.length);
    if (header === null || payload.length < VXLAN_HLEN + 14) {
      this.#ns.kernel.drop('vxlan-malformed');
      return;
    }
    const endpoint = byVni.get(header.vni);
    if (endpoint === undefined) this.#ns.kernel.drop('vxlan-unknown-vni');
    else endpoint.decapsulated(payload.subarray(header.payloadOffset), src, tos);
  }
}
