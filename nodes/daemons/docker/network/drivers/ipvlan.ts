import { formatPrefix } from '../../../../../protocols/ip4.ts';
import type { DockerNetworkFacts } from '../../../../events/docker.ts';
import { NetlinkError } from '../../../../kernel/netlink.ts';
import { DockerError } from '../../error.ts';
import { type EndpointPlan, gatewayOf, type JoinInfo, type NetworkDriver } from '../driver.ts';
import type { Parents } from './parent.ts';

const MODES = ['l2', 'l3', 'l3s'] as const;
const FLAGS = ['bridge', 'private', 'vepa'] as const;

/** The ipvlan driver: containers behind the host's own MAC address, switched (l2) or routed (l3, l3s) by the device below. */
export class IpvlanDriver implements NetworkDriver {
  readonly #parents: Parents;

  constructor(parents: Parents) {
    this.#parents = parents;
  }

  validate(network: DockerNetworkFacts): void {
    modeOf(network);
    flagOf(network);
    if (network.options.parent === 'lo')
      throw new DockerError('loopback interface is not a valid ipvlan parent link');
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
    const mode = modeOf(network);
    try {
      ns.links.addUpper({ name: ifname, parent, upper: { kind: 'ipvlan', mode, flag: flagOf(network) } });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      throw new DockerError(`failed to create the ipvlan port: ${error.message}`);
    }
    ns.addAddress(ifname, formatPrefix(address));
    ns.setUp(ifname);
    // In l3 nobody answers for a gateway: whatever leaves is routed by the host.
    return { mac: parent.mac, gateway: mode === 'l2' ? gatewayOf(plan) : { type: 'device' } };
  }

  leave({ ns, ifname }: EndpointPlan): void {
    if (ns.device(ifname) !== undefined) ns.removeDevice(ifname);
  }
}

function modeOf({ options: { ipvlan_mode: text = 'l2' } }: DockerNetworkFacts): (typeof MODES)[number] {
  const mode = MODES.find((known) => known === text);
  if (mode === undefined)
    throw new DockerError(
      `requested ipvlan mode '${text}' is not valid, 'l2' mode is the ipvlan driver default`,
    );
  return mode;
}

function flagOf({ options: { ipvlan_flag: text = 'bridge' } }: DockerNetworkFacts): (typeof FLAGS)[number] {
  const flag = FLAGS.find((known) => known === text);
  if (flag === undefined)
    throw new DockerError(
      `requested ipvlan flag '${text}' is not valid, 'bridge' is the ipvlan driver default`,
    );
  return flag;
}
