import { ETHERTYPE_8021Q } from '../../../../../protocols/vlan.ts';
import type { DockerNetworkFacts } from '../../../../events/docker.ts';
import type { Device } from '../../../../kernel/device.ts';
import type { Netns } from '../../../../kernel/netns.ts';
import type { Random } from '../../../../runtime.ts';
import { randomMac } from '../../../random-names.ts';
import { DockerError } from '../../error.ts';

/** How macvlan and ipvlan networks stand on a device of the host (`-o parent=eth0`, `-o parent=eth0.10`). */
export class Parents {
  readonly #root: Netns;
  readonly #random: Random;
  /** Networks by the device that they stand on, and whether dockerd has made it. */
  readonly #used = new Map<string, { readonly network: string; readonly made: boolean }>();

  constructor(root: Netns, random: Random) {
    this.#root = root;
    this.#random = random;
  }

  /** @throws DockerError */
  validate(network: DockerNetworkFacts): void {
    const name = parentName(network);
    const used = this.#used.get(name);
    if (used !== undefined)
      throw new DockerError(`network ${used.network} is already using parent interface ${name}`);
    const { parent = '' } = network.options;
    if (parent === '' || this.#root.device(parent) !== undefined) return;
    const [lower = '', vlan, ...more] = parent.split('.');
    if (vlan === undefined) throw new DockerError(`-o parent interface was not found on the host: ${parent}`);
    if (more.length > 0 || !/^\d+$/.test(vlan) || Number(vlan) > 4094 || Number(vlan) < 1)
      throw new DockerError(`invalid subinterface vlan name ${parent}, example formatting is eth0.10`);
    if (this.#root.device(lower) === undefined)
      throw new DockerError(`failed to find master interface ${lower} on the Docker host: Link not found`);
  }

  /** The device, made if need be: a VLAN of one that is there, or one that leads nowhere. */
  open(network: DockerNetworkFacts): void {
    const name = parentName(network);
    const made = this.#root.device(name) === undefined;
    if (made) this.#make(name, network.options.parent ?? '');
    this.#used.set(name, { network: shortName(network), made });
  }

  close(network: DockerNetworkFacts): void {
    const name = parentName(network);
    const used = this.#used.get(name);
    this.#used.delete(name);
    if (used?.made === true && this.#root.device(name) !== undefined) this.#root.removeDevice(name);
  }

  device(network: DockerNetworkFacts): Device {
    const device = this.#root.device(parentName(network));
    if (device === undefined)
      throw new DockerError(`-o parent interface was not found on the host: ${parentName(network)}`);
    return device;
  }

  #make(name: string, parent: string): void {
    const root = this.#root;
    if (parent === '') root.addDummy({ name, mac: randomMac(this.#random), mtu: 1500 });
    else {
      const [lower = '', vlan = ''] = parent.split('.');
      const below = root.device(lower);
      if (below === undefined) return;
      root.links.addUpper({
        name,
        parent: below,
        upper: { kind: 'vlan', protocol: ETHERTYPE_8021Q, id: Number(vlan) },
      });
    }
    root.setUp(name);
  }
}

/** Without a parent, a dummy device that is named by the network: `dm-` for macvlan, `di-` for ipvlan. */
function parentName(network: DockerNetworkFacts): string {
  const { parent = '' } = network.options;
  return parent === '' ? shortName(network) : parent;
}

function shortName({ driver, id }: DockerNetworkFacts): string {
  return `${driver === 'macvlan' ? 'dm' : 'di'}-${id.slice(0, 12)}`;
}
