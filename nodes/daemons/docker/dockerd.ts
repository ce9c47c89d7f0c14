import { parsePrefix } from '../../../protocols/ip4.ts';
import type { DockerConfig } from '../../config.ts';
import type { DockerContainerFacts, DockerNetworkFacts } from '../../events/docker.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Runtime } from '../../runtime.ts';
import type { DockerView } from '../../state/docker-view.ts';
import { Attachments } from './attachments.ts';
import { Containers } from './containers.ts';
import { type CreateSpec, checkName, createContainer, isUserDefined, type WantedEndpoint } from './create.ts';
import { DockerError } from './error.ts';
import { ContainerFiles } from './files.ts';
import { DockerLedger } from './ledger.ts';
import { BridgeDriver, defaultBridgeOptions } from './network/drivers/bridge.ts';
import { HostDriver, NullDriver } from './network/drivers/host.ts';
import { IpvlanDriver } from './network/drivers/ipvlan.ts';
import { MacvlanDriver } from './network/drivers/macvlan.ts';
import { Parents } from './network/drivers/parent.ts';
import { Firewall, type Iptables } from './network/firewall.ts';
import { type NetworkSpec, Networks } from './network/networks.ts';
import { LOCAL_POOLS, SubnetPools } from './network/pools.ts';
import { PortAllocator } from './network/port-allocator.ts';
import { Sandboxes } from './sandbox.ts';

export interface DockerdOptions {
  readonly kernel: Kernel;
  readonly node: string;
  readonly config: DockerConfig;
  /** What a reboot finds, null on a new node. */
  readonly disk: DockerView | null;
  /** iptables(8) on the node. */
  readonly iptables: Iptables;
  /** Called before a namespace goes: what runs in it ends. */
  readonly onNamespaceRemoved: (ns: Netns) => void;
}

/** The Docker Engine of one node (profile 20.10): its API, as the client calls it. */
export class Dockerd {
  readonly ledger: DockerLedger;
  readonly containers: Containers;
  readonly #rt: Runtime;
  readonly #options: DockerdOptions;
  readonly #networks: Networks;
  readonly #attachments: Attachments;
  readonly #firewall: Firewall | null;

  constructor(rt: Runtime, options: DockerdOptions) {
    const { kernel, config, disk, onNamespaceRemoved } = options;
    this.#rt = rt;
    this.#options = options;
    const ledger = new DockerLedger(rt, disk);
    this.ledger = ledger;
    this.#firewall = config.iptables ? new Firewall(options.iptables, config.userlandProxy) : null;
    const parents = new Parents(kernel.root, rt.random);
    const { defaultAddressPools: pools, userlandProxy } = config;
    const networks = new Networks(rt, {
      ledger,
      drivers: {
        bridge: new BridgeDriver(rt, kernel, this.#firewall),
        host: new HostDriver(),
        null: new NullDriver(),
        macvlan: new MacvlanDriver(parents),
        ipvlan: new IpvlanDriver(parents),
      },
      pools: new SubnetPools(pools.length > 0 ? pools : LOCAL_POOLS, 'lowest'),
      hostSubnets: () => kernel.root.routes.list().flatMap(({ dst }) => parsePrefix(dst) ?? []),
    });
    this.#networks = networks;
    const ports = new PortAllocator();
    const sandboxes = new Sandboxes(rt, {
      kernel,
      ledger,
      networks,
      ports,
      userlandProxy,
      onNamespaceRemoved,
    });
    const files = new ContainerFiles(kernel.files, ledger, config);
    const attachments = new Attachments(ledger, sandboxes, files, (id) => this.containers.sandboxOf(id));
    this.#attachments = attachments;
    this.containers = new Containers(rt, { kernel, ledger, sandboxes, attachments, files });
  }

  get now(): number {
    return this.#rt.now;
  }

  /** Called once the interfaces are up: networks first, then the containers that are to run again. */
  start(): void {
    this.#firewall?.start();
    if (this.ledger.networks.length === 0) this.#createPredefined();
    else this.#networks.restore();
    this.containers.restore();
  }

  snapshot(): DockerView {
    return this.ledger.view();
  }

  /**
   * What will change state without further input, and the containers that run. One that its policy starts over and over is
   * no work that could be waited for.
   */
  report(): { readonly work: number; readonly running: number } {
    return { work: 0, running: this.containers.running };
  }

  /** @throws DockerError */
  create(spec: CreateSpec): DockerContainerFacts {
    return createContainer(this.#rt, this.ledger, spec, this.#options.node);
  }

  /** @throws DockerError */
  rename(ref: string, name: string): void {
    const container = this.ledger.container(ref);
    checkName(this.ledger, name);
    this.ledger.putContainer({ ...container, name, naming: 'given' });
  }

  /** The namespace that a running container is in. */
  namespaceOf(ref: string): Netns | undefined {
    try {
      return this.containers.sandboxOf(this.ledger.container(ref).id)?.ns;
    } catch (error) {
      if (error instanceof DockerError) return undefined;
      throw error;
    }
  }

  /** @throws DockerError */
  createNetwork(spec: NetworkSpec): DockerNetworkFacts {
    return this.#networks.create(spec);
  }

  /** @throws DockerError */
  removeNetwork(ref: string): void {
    this.#networks.remove(this.ledger.network(ref));
  }

  /** @throws DockerError */
  connect(network: string, container: string, wanted: WantedEndpoint): void {
    this.#attachments.connect(this.ledger.network(network), this.ledger.container(container), wanted);
  }

  /** @throws DockerError */
  disconnect(network: string, container: string): void {
    this.#attachments.disconnect(this.ledger.network(network), this.ledger.container(container));
  }

  /** Networks that people have made and that no running container is in. */
  unusedNetworks(): readonly DockerNetworkFacts[] {
    const used = new Set(
      this.ledger.containers.flatMap(({ endpoints }) =>
        endpoints.flatMap(({ network, endpointId }) => (endpointId === '' ? [] : [network])),
      ),
    );
    return this.ledger.networks.filter(
      ({ name, ingress }) => isUserDefined(name) && !ingress && !used.has(name),
    );
  }

  #createPredefined(): void {
    const { config } = this.#options;
    const plain = { internal: false, attachable: false, ingress: false, labels: {}, options: {}, ipam: [] };
    const gateway = config.bip.split('/')[0] ?? '';
    this.#networks.create({ ...plain, name: 'none', driver: 'null' });
    this.#networks.create({ ...plain, name: 'host', driver: 'host' });
    this.#networks.create({
      ...plain,
      name: 'bridge',
      driver: 'bridge',
      ipam: config.bip === '' ? [] : [{ subnet: config.bip, ipRange: '', gateway, auxAddress: {} }],
      options: defaultBridgeOptions(config),
    });
  }
}
