import { type Prefix, parsePrefix, prefixContains } from '../../../../protocols/ip4.ts';
import type { DockerNetworkFacts, DockerPortBinding } from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';

/** An endpoint as a driver is given it: the address is reserved already. */
export interface EndpointPlan {
  readonly endpointId: string;
  readonly network: DockerNetworkFacts;
  readonly containerId: string;
  /** null where the network has no addresses. */
  readonly address: Prefix | null;
  /** 0 for the driver to choose. */
  readonly mac: number;
  readonly ns: Netns;
  /** Name that its interface is to have. */
  readonly ifname: string;
  readonly role: 'container' | 'load-balancer';
}

/** What there is after a join. */
export interface JoinInfo {
  readonly mac: number;
  /** How the container reaches what is elsewhere by this network. */
  readonly gateway:
    | { readonly type: 'address'; readonly address: string }
    | { readonly type: 'device' }
    | { readonly type: 'none' };
}

/** A libnetwork driver: makes networks of one kind on this host, and puts containers into them. */
export interface NetworkDriver {
  /** Checks what was asked for, before an address is taken. @throws DockerError */
  validate(network: DockerNetworkFacts): void;
  /** Brings up what the network has on the host; at a boot too. @throws DockerError */
  createNetwork(network: DockerNetworkFacts): void;
  deleteNetwork(network: DockerNetworkFacts): void;
  /** @throws DockerError */
  join(plan: EndpointPlan): JoinInfo;
  leave(plan: EndpointPlan): void;
  /** Publishes ports of an endpoint. @throws DockerError */
  publish?(plan: EndpointPlan, ports: readonly DockerPortBinding[]): void;
  unpublish?(plan: EndpointPlan, ports: readonly DockerPortBinding[]): void;
}

/** The gateway of the subnet that an endpoint's address is of. */
export function gatewayOf({ network, address }: EndpointPlan): JoinInfo['gateway'] {
  const subnet = network.ipam.find(({ subnet: text }) => {
    const prefix = parsePrefix(text);
    return prefix !== null && address !== null && prefixContains(prefix, address.addr);
  });
  if (network.internal || subnet === undefined || subnet.gateway === '') return { type: 'none' };
  return { type: 'address', address: subnet.gateway };
}
