import type { IpAddress } from '../../protocols/ip.ts';
import { ipPrefixContains } from '../../protocols/ip.ts';
import { eui64, type Ip6, LINK_LOCAL_PREFIX } from '../../protocols/ip6.ts';
import { formatScoped, type ScopedAddress } from '../../protocols/scoped-address.ts';
import { type AddressedPort, type Addressing, hasIpv4 } from './addressing.ts';
import type { Addressing6 } from './addressing6.ts';
import type { Cluster } from './cluster.ts';
import type { ResolvedNode } from './inherit.ts';
import { portMac } from './port-mac.ts';

/**
 * What a session's packets are: IPv4; IPv6 between the addresses of a `subnet6`, or link-local ones where there is none; or
 * IPv6 between link-local addresses whatever else there is, as FRR's `neighbor eth1 interface`.
 */
export const TRANSPORTS = ['ipv4', 'ipv6', 'unnumbered'] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** The two ends of a session, each address with its own node's interface where it is link-local. */
export interface Ends {
  readonly near: ScopedAddress;
  readonly far: ScopedAddress;
  /** Whether they are on one wire. */
  readonly direct: boolean;
}

export function swapped({ near, far, direct }: Ends): Ends {
  return { near: far, far: near, direct };
}

/** The addresses of a session as the near end is configured with them: both of its own link. */
export function endTexts({ near, far }: Ends): { readonly address: string; readonly localAddress: string } {
  return { address: formatScoped({ addr: far.addr, zone: near.zone }), localAddress: formatScoped(near) };
}

/** Which addresses nodes may have sessions between. */
export class BgpEnds {
  readonly #addressing: Addressing;
  readonly #addressing6: Addressing6;
  readonly #cluster: Cluster | null;
  readonly #owners = new Map<IpAddress, ResolvedNode>();

  constructor(
    nodes: readonly ResolvedNode[],
    addressing: Addressing,
    addressing6: Addressing6,
    cluster: Cluster | null,
  ) {
    this.#addressing = addressing;
    this.#addressing6 = addressing6;
    this.#cluster = cluster;
    for (const node of nodes) {
      for (const port of this.portsOf(node))
        for (const addr of this.#addressesOf(port)) this.#owners.set(addr, node);
      for (const addr of addressing.loopbacks.get(node.name) ?? []) this.#owners.set(addr, node);
      for (const addr of addressing6.loopbacksOf(node)) this.#owners.set(addr, node);
    }
  }

  portsOf({ name }: ResolvedNode): readonly AddressedPort[] {
    return this.#addressing.ports.get(name) ?? [];
  }

  /** The other interfaces on a port's wire. */
  othersOn(port: AddressedPort): AddressedPort[] {
    const members = this.#addressing.members.get(port.wire) ?? [];
    return members.filter(({ node }) => node !== port.node);
  }

  /** Who has an address; of a link-local one, on the wire of the port. */
  ownerOf(addr: IpAddress, port: AddressedPort | undefined): ResolvedNode | null {
    const owner = this.#owners.get(addr);
    if (owner !== undefined || port === undefined) return owner ?? null;
    return this.othersOn(port).find((other) => this.linkLocalOf(other) === addr)?.node ?? null;
  }

  /** By EUI-64 from its MAC, as the node's kernel makes it. */
  linkLocalOf(port: AddressedPort): Ip6 {
    const index = this.portsOf(port.node).findIndex(({ iface }) => iface === port.iface);
    return eui64(LINK_LOCAL_PREFIX, portMac(port.node.number, index));
  }

  /** Sessions over IPv4 where both ends have it, unless it is said otherwise. */
  defaultOn(near: AddressedPort, far: AddressedPort): Transport {
    return hasIpv4(near) && hasIpv4(far) ? 'ipv4' : 'ipv6';
  }

  /** Where two interfaces on one wire meet; null if one has no address of the kind. */
  onWire(near: AddressedPort, far: AddressedPort, transport: Transport): Ends | null {
    if (transport === 'ipv4') {
      if (!hasIpv4(near) || !hasIpv4(far)) return null;
      return { near: plain(near.address.addr), far: plain(far.address.addr), direct: true };
    }
    const [own, other] = [near, far].map((port) => this.#addressing6.addressOf(port));
    if (transport === 'ipv6' && own != null && other != null)
      return { near: plain(own.addr), far: plain(other.addr), direct: true };
    return { near: this.#linkLocal(near), far: this.#linkLocal(far), direct: true };
  }

  /** Where two nodes meet that share no wire; undefined for an end that has no address of the family. */
  mainAddress(node: ResolvedNode, transport: 'ipv4' | 'ipv6'): IpAddress | undefined {
    return transport === 'ipv4' ? this.mainIpv4(node) : this.#mainIpv6(node);
  }

  /** The address that a node is known by: its cluster's, its loopback, its first interface's. */
  mainIpv4(node: ResolvedNode): number | undefined {
    const clusterPort = this.#cluster?.ports.get(node.name);
    if (clusterPort !== undefined) return clusterPort.address.addr;
    return this.#addressing.loopbacks.get(node.name)?.[0] ?? this.portsOf(node).find(hasIpv4)?.address.addr;
  }

  #mainIpv6(node: ResolvedNode): Ip6 | undefined {
    const [first] = this.portsOf(node).flatMap((port) => this.#addressing6.addressOf(port) ?? []);
    return this.#addressing6.loopbacksOf(node)[0] ?? first?.addr;
  }

  /** The node's interface that is on the same subnet as an address. */
  portTowards(node: ResolvedNode, address: IpAddress): AddressedPort | undefined {
    return this.portsOf(node).find(({ wire }) => {
      const subnets = [this.#addressing.subnets.get(wire), this.#addressing6.subnets.get(wire)];
      return subnets.some(
        (subnet) => subnet !== undefined && subnet.len > 0 && ipPrefixContains(subnet, address),
      );
    });
  }

  /** The node's own end towards an address of a family. */
  nearEnd(node: ResolvedNode, towards: IpAddress, port: AddressedPort | undefined): IpAddress | undefined {
    if (typeof towards === 'number')
      return port !== undefined && hasIpv4(port) ? port.address.addr : this.mainIpv4(node);
    const own = port === undefined ? null : this.#addressing6.addressOf(port);
    return own?.addr ?? this.#mainIpv6(node);
  }

  /** The interface of a node that has an address. */
  portWith(node: ResolvedNode, address: IpAddress): AddressedPort | undefined {
    return this.portsOf(node).find(
      (port) => this.#addressesOf(port).includes(address) || this.linkLocalOf(port) === address,
    );
  }

  #linkLocal(port: AddressedPort): ScopedAddress {
    return { addr: this.linkLocalOf(port), zone: port.iface };
  }

  #addressesOf(port: AddressedPort): IpAddress[] {
    const ipv6 = this.#addressing6.addressOf(port);
    return [...(hasIpv4(port) ? [port.address.addr] : []), ...(ipv6 === null ? [] : [ipv6.addr])];
  }
}

function plain(addr: IpAddress): ScopedAddress {
  return { addr, zone: '' };
}
