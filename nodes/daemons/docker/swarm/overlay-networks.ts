import { formatIp4, formatPrefix, parsePrefix } from '../../../../protocols/ip4.ts';
import type { DockerEndpointFacts, DockerNetworkFacts } from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import { DockerError } from '../error.ts';
import type { DockerLedger } from '../ledger.ts';
import { VXLAN_IDS } from '../network/drivers/overlay.ts';
import type { NetworkSpec, Networks } from '../network/networks.ts';
import { FIRST_VNI, INGRESS_SUBNET, type SwarmAllocator } from './allocator.ts';
import { base36 } from './ids.ts';
import type { LoadBalancers } from './load-balancers.ts';
import { parseNetwork, swarmKeys } from './rows.ts';

interface OverlayNetworksOptions {
  readonly ledger: DockerLedger;
  readonly networks: Networks;
  readonly balancers: LoadBalancers;
  readonly store: StoreClient;
  readonly allocator: SwarmAllocator;
  /** Why this node cannot be asked about the swarm; null if it can. */
  readonly refuseManager: () => DockerError | null;
  /** Whether a container has an endpoint in a network, on any node. */
  readonly isUsed: (networkId: string) => boolean;
}

type Done = (error: DockerError | null) => void;

/** The swarm's overlay networks, and which of them are in this node's own list. */
export class OverlayNetworks {
  readonly #rt: Runtime;
  readonly #options: OverlayNetworksOptions;
  readonly #networks = new StoreView('docker.network.', (_key, value) => parseNetwork(value));

  constructor(rt: Runtime, options: OverlayNetworksOptions) {
    this.#rt = rt;
    this.#options = options;
  }

  /** Keys of all in the store. */
  keys(): Iterable<string> {
    return this.#networks.keys();
  }

  storeChanged(change: StoreChange): void {
    if (this.#networks.apply(change)) this.#changed(change.key);
  }

  /** The node has become a member. */
  joined(): void {
    for (const key of this.#networks.keys()) this.#changed(key);
  }

  /** `docker network create -d overlay` */
  create(spec: NetworkSpec, done: (error: DockerError | null, id: string) => void): void {
    const refusal = this.#options.refuseManager();
    if (refusal !== null) {
      done(refusal, '');
      return;
    }
    if (this.named(spec.name) !== undefined) {
      done(new DockerError(`network with name ${spec.name} already exists`), '');
      return;
    }
    this.#options.allocator.takeSubnet(spec.ipam[0]?.subnet ?? '', (result) => {
      if (result instanceof DockerError) done(result, '');
      else this.#publish(spec, result.subnet, result.vni, done);
    });
  }

  /** `docker network rm` of an overlay network */
  remove(network: DockerNetworkFacts, done: Done): void {
    const refusal = this.#options.refuseManager();
    if (refusal !== null || network.ingress) {
      done(refusal ?? new DockerError('the ingress network goes with the swarm'));
      return;
    }
    if (this.#options.isUsed(network.id)) {
      done(
        new DockerError(
          `error while removing network: network ${network.name} id ${network.id} has active endpoints`,
        ),
      );
      return;
    }
    const { store } = this.#options;
    this.#options.allocator.freeSubnet(network.ipam[0]?.subnet ?? '');
    store.request({ op: 'delete', key: swarmKeys.addresses(network.id) }, () => {});
    store.request({ op: 'delete', key: swarmKeys.network(network.id) }, () => {
      if (this.#options.ledger.networks.some(({ id }) => id === network.id))
        this.#options.networks.disown(network);
      done(null);
    });
  }

  /** Overlay networks by name or id that are not in this node's own list: a worker learns of one when it uses it. */
  adopt(ref: string): void {
    if (this.#options.ledger.swarm === null) return;
    const network = this.named(ref);
    if (network !== undefined) this.#options.networks.adopt(network);
  }

  /** Whether an endpoint is, or is to be, in an overlay network. */
  has({ network }: DockerEndpointFacts): boolean {
    return this.#options.ledger.swarm !== null && this.named(network) !== undefined;
  }

  /** The network of that name or id. */
  named(ref: string): DockerNetworkFacts | undefined {
    for (const key of this.#networks.keys()) {
      const network = this.#networks.get(key);
      if (network !== null && (network.name === ref || network.id === ref)) return network;
    }
    // After a boot the store has not told yet what the disk has.
    return this.#options.ledger.networks.find(
      (it) => it.scope === 'swarm' && (it.name === ref || it.id === ref),
    );
  }

  createIngress(done: Done): void {
    const spec: NetworkSpec = {
      name: 'ingress',
      driver: 'overlay',
      internal: false,
      attachable: false,
      ingress: true,
      ipam: [],
      options: {},
      labels: {},
    };
    this.#options.allocator.begin(() => {
      this.#publish(spec, INGRESS_SUBNET, FIRST_VNI, (error) => done(error));
    });
  }

  #publish(
    spec: NetworkSpec,
    subnet: string,
    vni: number,
    done: (error: DockerError | null, id: string) => void,
  ): void {
    const prefix = parsePrefix(subnet)!;
    const [asked] = spec.ipam;
    const gateway =
      asked?.gateway === undefined || asked.gateway === '' ? formatIp4(prefix.addr + 1) : asked.gateway;
    const network: DockerNetworkFacts = {
      id: base36(this.#rt.random, 25),
      name: spec.name,
      created: this.#rt.now,
      driver: 'overlay',
      scope: 'swarm',
      internal: spec.internal,
      attachable: spec.attachable,
      ingress: spec.ingress,
      ipam: [{ subnet: formatPrefix(prefix), ipRange: asked?.ipRange ?? '', gateway, auxAddress: {} }],
      options: { [VXLAN_IDS]: String(vni), ...spec.options },
      labels: spec.labels,
    };
    const key = swarmKeys.network(network.id);
    this.#options.store.request({ op: 'create', key, value: { network } }, (answer) => {
      if (answer.type === 'done') this.#networks.wrote(key, { network }, answer.revision);
      this.#changed(key);
      done(null, network.id);
    });
  }

  /** Managers know all networks; workers the ingress network, and those that they use. */
  #changed(key: string): void {
    const { ledger, networks } = this.#options;
    const network = this.#networks.get(key);
    if (network === null) {
      const id = key.slice('docker.network.'.length);
      const gone = ledger.networks.find((other) => other.id === id);
      if (gone !== undefined) networks.disown(gone);
    } else if (ledger.swarm?.role === 'manager' || (ledger.swarm !== null && network.ingress)) {
      networks.adopt(network);
      if (network.ingress) this.#options.balancers.open(network);
    }
  }
}
