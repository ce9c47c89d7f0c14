import { formatPrefix } from '../../../../../protocols/ip4.ts';
import { dockerMac } from '../../../../../protocols/mac.ts';
import type { DockerNetworkFacts } from '../../../../events/docker.ts';
import { DockerError } from '../../error.ts';
import { type EndpointPlan, gatewayOf, type JoinInfo, type NetworkDriver } from '../driver.ts';
import type { Parents } from './parent.ts';

const MODES = ['bridge', 'private', 'vepa', 'passthru'] as const;

/** The macvlan driver: each container has a MAC address of its own on the host's wire. The host does not reach it. */
export class MacvlanDriver implements NetworkDriver {
  readonly #parents: Parents;

  constructor(parents: Parents) {
    this.#parents = parents;
  }

  validate(network: DockerNetworkFacts): void {
    modeOf(network);
    if (network.options.parent === 'lo')
      throw new DockerError('loopback interface is not a valid macvlan parent link');
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
    const mac = plan.mac === 0 ? dockerMac(address.addr) : plan.mac;
    const upper = { kind: 'macvlan', mode: modeOf(network) } as const;
    ns.links.addUpper({ name: ifname, parent: this.#parents.device(network), upper, mac });
    ns.addAddress(ifname, formatPrefix(address));
    ns.setUp(ifname);
    return { mac, gateway: gatewayOf(plan) };
  }

  leave({ ns, ifname }: EndpointPlan): void {
    if (ns.device(ifname) !== undefined) ns.removeDevice(ifname);
  }
}

function modeOf({ options: { macvlan_mode: text = 'bridge' } }: DockerNetworkFacts): (typeof MODES)[number] {
  const mode = MODES.find((known) => known === text);
  if (mode === undefined)
    throw new DockerError(
      `requested macvlan mode '${text}' is not valid, 'bridge' mode is the macvlan driver default`,
    );
  return mode;
}
