import { formatPrefix } from '../../../../../protocols/ip4.ts';
import { dockerMac } from '../../../../../protocols/mac.ts';
import type { DockerNetworkFacts } from '../../../../events/docker.ts';
import { NetlinkError } from '../../../../kernel/netlink.ts';
import { DockerError } from '../../error.ts';
import { type EndpointPlan, gatewayOf, type JoinInfo, type NetworkDriver } from '../driver.ts';
import type { Parents } from './parent.ts';

const MACVLAN_MODES = ['bridge', 'private', 'vepa', 'passthru'] as const;
const IPVLAN_MODES = ['l2', 'l3', 'l3s'] as const;
const IPVLAN_FLAGS = ['bridge', 'private', 'vepa'] as const;

/** An option of a network that is one of several words, the first where it is not given. @throws DockerError */
function choice<T extends string>(
  { options }: DockerNetworkFacts,
  option: string,
  words: readonly [T, ...T[]],
  fallback: string,
): T {
  const text = options[option] ?? words[0];
  const word = words.find((known) => known === text);
  if (word === undefined)
    throw new DockerError(`requested ${option.replace('_', ' ')} '${text}' is not valid, ${fallback}`);
  return word;
}

/** What a network asks of its devices. @throws DockerError */
function upperOf(network: DockerNetworkFacts) {
  if (network.driver === 'macvlan') {
    const fallback = "'bridge' mode is the macvlan driver default";
    return { kind: 'macvlan', mode: choice(network, 'macvlan_mode', MACVLAN_MODES, fallback) } as const;
  }
  return {
    kind: 'ipvlan',
    mode: choice(network, 'ipvlan_mode', IPVLAN_MODES, "'l2' mode is the ipvlan driver default"),
    flag: choice(network, 'ipvlan_flag', IPVLAN_FLAGS, "'bridge' is the ipvlan driver default"),
  } as const;
}

/**
 * The macvlan and ipvlan drivers: containers on a device of the host's, which does not reach them by it. With macvlan each has a MAC
 * address of its own on the wire; with ipvlan all are behind the device's, switched (l2) or routed (l3, l3s) by it.
 */
export class UpperDriver implements NetworkDriver {
  readonly #parents: Parents;

  constructor(parents: Parents) {
    this.#parents = parents;
  }

  validate(network: DockerNetworkFacts): void {
    upperOf(network);
    if (network.options.parent === 'lo')
      throw new DockerError(`loopback interface is not a valid ${network.driver} parent link`);
    this.#parents.validate(network);
  }

  createNetwork(network: DockerNetworkFacts): void {
    this.#parents.open(network);
  }

  deleteNetwork(network: DockerNetworkFacts): void {
    this.#parents.close(network);
  }

  join(plan: EndpointPlan): JoinInfo {
    const { network, ns, ifname, address } = plan;
    if (address === null) throw new DockerError('invalid interface address: none given');
    const parent = this.#parents.device(network);
    const upper = upperOf(network);
    const own = upper.kind === 'macvlan' ? { mac: plan.mac === 0 ? dockerMac(address.addr) : plan.mac } : {};
    try {
      ns.links.addUpper({ name: ifname, parent, upper, ...own });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      throw new DockerError(`failed to create the ${upper.kind} port: ${error.message}`);
    }
    ns.addAddress(ifname, formatPrefix(address));
    ns.setUp(ifname);
    // Where the device routes, nobody answers for a gateway: whatever leaves is the host's.
    const routed = upper.kind === 'ipvlan' && upper.mode !== 'l2';
    return { mac: own.mac ?? parent.mac, gateway: routed ? { type: 'device' } : gatewayOf(plan) };
  }

  leave({ ns, ifname }: EndpointPlan): void {
    if (ns.device(ifname) !== undefined) ns.removeDevice(ifname);
  }
}
