import { formatIp4, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import type { DockerConfig } from '../../config.ts';
import type { DockerContainerFacts, DockerNetworkFacts } from '../../events/docker.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Random, Runtime } from '../../runtime.ts';
import type { DockerView } from '../../state/docker-view.ts';
import type { StoreChange } from '../../store.ts';
import { StoreClient } from '../store-client.ts';
import { Attachments } from './attachments.ts';
import { Containers } from './containers.ts';
import {
  type CreateSpec,
  checkName,
  createContainer,
  isUserDefined,
  unjoined,
  type WantedEndpoint,
} from './create.ts';
import { DockerError } from './error.ts';
import { ContainerFiles } from './files.ts';
import { DockerLedger } from './ledger.ts';
import { LinkRules } from './link-rules.ts';
import { BridgeDriver, defaultBridgeOptions, gatewayBridgeOptions } from './network/drivers/bridge.ts';
import { HostDriver, NullDriver } from './network/drivers/host.ts';
import { OverlayDriver } from './network/drivers/overlay.ts';
import { Parents } from './network/drivers/parent.ts';
import { UpperDriver } from './network/drivers/upper.ts';
import { Firewall, type Iptables } from './network/firewall.ts';
import { IngressFirewall } from './network/ingress-firewall.ts';
import { type NetworkSpec, Networks } from './network/networks.ts';
import { LOCAL_POOLS, SubnetPools } from './network/pools.ts';
import { PortAllocator } from './network/port-allocator.ts';
import { GATEWAY_NETWORK, Sandboxes } from './sandbox.ts';
import { LoadBalancers } from './swarm/load-balancers.ts';
import { Peers } from './swarm/peers.ts';
import { swarmKeys } from './swarm/rows.ts';
import { Services } from './swarm/services.ts';
import { Swarm } from './swarm/swarm.ts';

export interface DockerdOptions {
  readonly kernel: Kernel;
  readonly node: string;
  readonly config: DockerConfig;
  /** What a reboot finds, null on a new node. */
  readonly disk: DockerView | null;
  /** Address that other nodes reach this one at. */
  readonly address: string;
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
  readonly #store: StoreClient;
  readonly swarm: Swarm;
  readonly services: Services;
  readonly balancers: LoadBalancers;
  readonly #firewall: Firewall | null;

  constructor(rt: Runtime, options: DockerdOptions) {
    const { kernel, config, disk, onNamespaceRemoved } = options;
    this.#rt = rt;
    this.#options = options;
    const ledger = new DockerLedger(rt, disk);
    this.ledger = ledger;
    this.#firewall = config.iptables ? new Firewall(options.iptables, config.userlandProxy) : null;
    const upper = new UpperDriver(new Parents(kernel.root, rt.random));
    const { defaultAddressPools: pools, userlandProxy } = config;
    this.#store = new StoreClient(rt);
    const overlay = new OverlayDriver(rt, kernel, {
      vtep: () => ledger.swarm?.address ?? null,
      onSegment: (network, change) => this.swarm.endpoints.segmentChanged(network, change),
    });
    const networks = new Networks(rt, {
      ledger,
      drivers: {
        bridge: new BridgeDriver(rt, kernel, this.#firewall, config.userlandProxy ? 'proxy' : 'bridge'),
        host: new HostDriver(),
        null: new NullDriver(),
        macvlan: upper,
        ipvlan: upper,
        overlay,
      },
      pools: new SubnetPools(pools.length > 0 ? pools : LOCAL_POOLS, 'lowest'),
      onSwarmRelease: (network, endpoint, address) =>
        this.swarm.endpoints.released(network, endpoint, address),
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
    const firewall = config.icc ? null : this.#firewall;
    const attachments = new Attachments({
      ledger,
      sandboxes,
      files,
      sandboxOf: (id) => this.containers.sandboxOf(id),
      onSwarmJoin: (container, endpoint) => this.swarm.endpoints.joined(container, endpoint),
      linkRules: firewall === null ? null : new LinkRules(ledger, firewall, 'docker0'),
    });
    this.#attachments = attachments;
    this.containers = new Containers(rt, {
      kernel,
      ledger,
      sandboxes,
      attachments,
      files,
      prepare: (container, done) => this.swarm.attach(container, container.endpoints, done),
      unprepare: ({ id }) => networks.dropAttachments(id),
    });
    this.balancers = new LoadBalancers({
      sandboxes,
      networks,
      allocate: (network, done) => this.swarm.takeAddress(network, 'endpoint', done),
      free: (networkId, { addr }) => this.swarm.freeAddress(networkId, addr),
      onJoined: (endpoint) => this.swarm.endpoints.balancerJoined(endpoint),
      ingress: (gateway) => new IngressFirewall(kernel.root, this.#firewall, GATEWAY_NETWORK, gateway),
    });
    this.swarm = new Swarm(rt, {
      node: options.node,
      address: options.address,
      ledger,
      networks,
      overlay,
      peers: new Peers(ledger, overlay, this.balancers),
      balancers: this.balancers,
      store: this.#store,
      ensureGateway: () => this.#ensureGateway(),
      root: kernel.root,
      onJoined: () => this.services.start(),
      onLeft: () => this.services.leave(),
      onChanged: () => this.services.changed(),
      eraseServices: () => this.services.erase(),
    });
    this.services = new Services(rt, {
      node: options.node,
      store: this.#store,
      swarm: this.swarm,
      networks: () => ledger.networks,
      containers: () => ledger.containers,
      create: (spec) => this.create(spec),
      start: (id, done) => this.containers.start(id, null, done),
      stop: (id, grace, done) => this.containers.stop(id, grace, done),
      remove: (id) => this.containers.remove(id, true),
      onExit: (id, done) => this.containers.onExit(id, done),
      disable: (id) => this.#disable(id),
    });
  }

  get node(): string {
    return this.#options.node;
  }

  /** Whether the host forwards packets. */
  get forwards(): boolean {
    return this.#options.kernel.root.ipForward;
  }

  get bridgeNfIptables(): boolean {
    return this.#options.kernel.root.sysctls.get('bridge.bridge-nf-call-iptables') === 1;
  }

  get now(): number {
    return this.#rt.now;
  }

  /**
   * Called once the interfaces are up: networks first, then the containers that are to run again, then the swarm that the
   * lab file has the node in. `done` is called when it is.
   */
  start(done: () => void): void {
    this.#firewall?.start();
    if (this.ledger.networks.length === 0) this.#createPredefined();
    else this.#networks.restore();
    this.containers.restore();
    if (this.swarm.member !== null) this.services.start();
    const { swarm } = this.#options.config;
    if (swarm === '') done();
    else this.swarm.enterAtBoot(swarm, done);
  }

  snapshot(): DockerView {
    return this.ledger.view();
  }

  /**
   * What will change state without further input, and the containers that run. One that its policy starts over and over is
   * no work that could be waited for.
   */
  report(): { readonly work: number; readonly running: number } {
    return { work: this.#store.outstanding, running: this.containers.running };
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

  /** Calls back after so many ms. */
  later(ms: number, act: () => void): void {
    this.#rt.timers.set(this.#rt.now + ms, act);
  }

  /** A name for a service that was given none. */
  serviceName(make: (random: Random, isTaken: (name: string) => boolean) => string): string {
    return make(this.#rt.random, (name) => this.services.store.services.some((other) => other.name === name));
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

  /** An address to tell others, as `--advertise-addr` gives it: itself, an interface's, the node's own for ''. @throws DockerError */
  addressOf(text: string): string {
    const [word = ''] = text.split(':');
    if (word === '') return this.#options.address;
    const device = this.#options.kernel.root.device(word);
    const [first] = device?.addresses ?? [];
    const addr = first?.addr ?? parseIp4(word);
    if (addr === null || !this.#options.kernel.root.isLocal(addr))
      throw new DockerError(
        "must specify a listening address because the address to advertise is not recognized as a system address, and a system's IP address to use could not be uniquely identified",
      );
    return formatIp4(addr);
  }

  /** Patterns of the store's keys whose changes are to be handed in. */
  get watches(): readonly string[] {
    return [swarmKeys.all];
  }

  storeChanged(change: StoreChange): void {
    this.swarm.storeChanged(change);
    this.services.storeChanged(change);
  }

  /** @throws DockerError, or calls back with one */
  createNetwork(spec: NetworkSpec, done: (error: DockerError | null, id: string) => void): void {
    if (spec.driver === 'overlay') this.swarm.networks.create(spec, done);
    else done(null, this.#networks.create(spec).id);
  }

  /** @throws DockerError, or calls back with one */
  removeNetwork(ref: string, done: (error: DockerError | null) => void): void {
    const network = this.ledger.network(ref);
    if (network.scope === 'swarm') {
      this.swarm.networks.remove(network, done);
      return;
    }
    this.#networks.remove(network);
    done(null);
  }

  /** @throws DockerError, or calls back with one */
  connect(
    network: string,
    ref: string,
    wanted: WantedEndpoint,
    done: (error: DockerError | null) => void,
  ): void {
    this.swarm.networks.adopt(network);
    const target = this.ledger.network(network);
    const container = this.ledger.container(ref);
    if (target.scope !== 'swarm' || this.containers.sandboxOf(container.id) === undefined) {
      this.#attachments.connect(target, container, wanted);
      done(null);
      return;
    }
    this.#attachments.checkConnect(target, container, wanted);
    this.swarm.attach(container, [unjoined(target.name, wanted)], (problem) => {
      try {
        if (problem !== null) throw problem;
        this.#attachments.connect(target, this.ledger.container(container.id), wanted);
        done(null);
      } catch (error) {
        this.#networks.dropAttachments(container.id);
        if (!(error instanceof DockerError)) throw error;
        done(error);
      }
    });
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

  /** A task is on its way out: those who balance its services send nobody new to it. */
  #disable(id: string): void {
    const { ledger } = this;
    const container = ledger.containerById(id);
    if (container === undefined) return;
    const endpoints = container.endpoints.map((endpoint) =>
      endpoint.service === undefined
        ? endpoint
        : { ...endpoint, service: { ...endpoint.service, disabled: true as const } },
    );
    const disabled = ledger.putContainer({ ...container, endpoints });
    for (const endpoint of endpoints)
      if (endpoint.service !== undefined && endpoint.endpointId !== '')
        this.swarm.endpoints.joined(disabled, endpoint);
  }

  #ensureGateway(): void {
    if (this.ledger.networks.some(({ name }) => name === GATEWAY_NETWORK)) return;
    this.#networks.create({
      name: GATEWAY_NETWORK,
      driver: 'bridge',
      internal: false,
      attachable: false,
      ingress: false,
      ipam: [],
      options: gatewayBridgeOptions(GATEWAY_NETWORK),
      labels: {},
    });
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
