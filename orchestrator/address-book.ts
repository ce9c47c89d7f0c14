import {
  containerAddress,
  findContainer,
  type LabContainer,
  listContainers,
  type Vantage,
} from './containers.ts';
import { findPod, listPods, type Pod } from './pods.ts';
import type { NodeInfo, RunningLab } from './running-lab.ts';

type Family = 'IPv4' | 'IPv6';

/** Addresses by the names of what a lab has: pods, nodes, containers. */
export class AddressBook {
  readonly #lab: RunningLab;
  readonly #from: Vantage | null;
  readonly #pods: readonly Pod[];
  readonly #nodes: readonly NodeInfo[];
  #containers: readonly LabContainer[] | null = null;

  private constructor(
    lab: RunningLab,
    from: Vantage | null,
    pods: readonly Pod[],
    nodes: readonly NodeInfo[],
  ) {
    this.#lab = lab;
    this.#from = from;
    this.#pods = pods;
    this.#nodes = nodes;
  }

  /** As the lab is now. A container in several networks goes by the address that is nearest to `from`. */
  static async open(lab: RunningLab, from: Vantage | null): Promise<AddressBook> {
    const [pods, nodes] = await Promise.all([listPods(lab), lab.nodes()]);
    return new AddressBook(lab, from, pods, nodes);
  }

  /** '' where nothing that runs has this name. What has no address of the family keeps the one that it has. */
  async addressOf(name: string, family: Family = 'IPv4'): Promise<string> {
    const { podIP = '', podIPs = [] } = findPod(this.#pods, name)?.status ?? {};
    const pod = ofFamily(podIPs, family) ?? podIP;
    if (pod !== '') return pod;
    const node = this.#nodes.find((info) => info.name === name);
    if (node !== undefined) return ofFamily(node.addresses, family) ?? node.addresses[0] ?? '';
    // Every node has to be asked for its containers: only for a name that is nothing else's.
    this.#containers ??= await listContainers(this.#lab);
    const container = findContainer(this.#containers, name, this.#from);
    return container === undefined ? '' : containerAddress(container, this.#containers, this.#from);
  }
}

function ofFamily(addresses: readonly string[], family: Family): string | undefined {
  return addresses.find((address) => address.includes(':') === (family === 'IPv6'));
}
