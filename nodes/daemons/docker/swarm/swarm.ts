import { type Prefix, parseIp4 } from '../../../../protocols/ip4.ts';
import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerSwarmFacts,
} from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import { DockerError } from '../error.ts';
import type { DockerLedger } from '../ledger.ts';
import type { OverlayDriver } from '../network/drivers/overlay.ts';
import type { Networks } from '../network/networks.ts';
import { SwarmAllocator } from './allocator.ts';
import { SwarmEndpoints } from './endpoints.ts';
import { base36 } from './ids.ts';
import { SERVICE_LABEL } from './labels.ts';
import { Liveness } from './liveness.ts';
import type { LoadBalancers } from './load-balancers.ts';
import { Members } from './members.ts';
import { OverlayNetworks } from './overlay-networks.ts';
import type { Peers } from './peers.ts';
import { type ClusterRow, type NodeRow, parseCluster, swarmKeys } from './rows.ts';
import { Sessions } from './sessions.ts';

export const NO_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const NO_MANAGER =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.";
const NO_LEADER =
  "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";
const IN_SWARM =
  'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.';

export interface SwarmOptions {
  readonly node: string;
  /** Address that others reach this node at. */
  readonly address: string;
  readonly ledger: DockerLedger;
  readonly networks: Networks;
  readonly overlay: OverlayDriver;
  readonly peers: Peers;
  readonly balancers: LoadBalancers;
  readonly store: StoreClient;
  /** Makes docker_gwbridge, the way out of containers in overlay networks, where it is not there yet. */
  readonly ensureGateway: () => void;
  /** The node has become a member. */
  readonly onJoined: () => void;
  /** Forgets all services and tasks. */
  readonly eraseServices: () => void;
  /** It is none any more: its tasks end. */
  readonly onLeft: () => void;
  /** Who leads, or whether they can be heard, has changed. */
  readonly onChanged: () => void;
  /** The node's own namespace. */
  readonly root: Netns;
}

type Done = (error: DockerError | null) => void;

/** The node's part in a swarm: membership, and the addresses in overlay networks that it takes. */
export class Swarm {
  readonly #rt: Runtime;
  readonly #options: SwarmOptions;
  readonly #clusters = new StoreView<ClusterRow>(swarmKeys.cluster, (_key, value) => parseCluster(value));
  readonly #allocator: SwarmAllocator;
  readonly networks: OverlayNetworks;
  readonly endpoints: SwarmEndpoints;
  readonly members: Members;
  readonly #sessions: Sessions;
  readonly liveness: Liveness;
  /** Tells this boot from those before. */
  readonly #boot: string;
  /** Whether this node's own row has been seen. */
  #isKnown = false;

  constructor(rt: Runtime, options: SwarmOptions) {
    this.#rt = rt;
    this.#options = options;
    this.#allocator = new SwarmAllocator(rt, options.store);
    this.#boot = base36(rt.random, 8);
    const { node, ledger, networks, balancers, overlay, peers, store, root } = options;
    const allocator = this.#allocator;
    this.networks = new OverlayNetworks(rt, {
      ...{ ledger, networks, balancers, store, allocator },
      refuseManager: () => this.refuseManager(),
      isUsed: (networkId) => this.endpoints.areIn(networkId),
    });
    this.endpoints = new SwarmEndpoints(rt, {
      ...{ node, ledger, overlay, peers, balancers, store },
      freeAddress: (networkId, addr) => this.freeAddress(networkId, addr),
    });
    this.members = new Members(rt, store);
    this.#sessions = new Sessions(rt, {
      node,
      root,
      role: () => this.member?.role ?? 'worker',
      onHeard: (hostname) => this.liveness.heard(hostname),
    });
    this.liveness = new Liveness(rt, {
      node,
      members: this.members,
      sessions: this.#sessions,
      role: () => this.member?.role ?? null,
      onDown: ({ hostname }) => this.endpoints.lose(hostname),
      onChanged: () => {
        if (this.liveness.takesOrders) this.endpoints.tellAgain();
        options.onChanged();
      },
    });
  }

  /** This node as a member, null if it is none. */
  get member(): DockerSwarmFacts | null {
    return this.#options.ledger.swarm;
  }

  get tokens(): ClusterRow | null {
    return this.#clusters.get(swarmKeys.cluster);
  }

  /** A change below `docker.`. */
  storeChanged(change: StoreChange): void {
    this.#clusters.apply(change);
    this.#allocator.storeChanged(change);
    this.networks.storeChanged(change);
    this.endpoints.storeChanged(change);
    if (this.members.storeChanged(change)) this.#membersChanged();
  }

  /** Members that have an endpoint in an overlay network, as far as this node is in it itself. */
  peersOf({ id }: DockerNetworkFacts): readonly NodeRow[] {
    const { ledger, overlay, node } = this.#options;
    if (!overlay.isOpen(id)) return [];
    const nodes = new Set(ledger.peers.flatMap((peer) => (peer.networkId === id ? [peer.node] : [])));
    return this.members.all.filter(({ hostname }) => hostname === node || nodes.has(hostname));
  }

  /** `docker swarm init` */
  init(address: string, done: Done): void {
    if (this.member !== null) {
      done(new DockerError(IN_SWARM));
      return;
    }
    const { random } = this.#rt;
    const secret = () => `SWMTKN-1-${base36(random, 50)}-${base36(random, 25)}`;
    const cluster: ClusterRow = { id: base36(random, 25), workerToken: secret(), managerToken: secret() };
    this.#options.store.request({ op: 'create', key: swarmKeys.cluster, value: cluster }, (answer) => {
      if (answer.type === 'conflict') {
        done(new DockerError('there is a swarm in this lab already, and no second one so far: join it'));
        return;
      }
      this.#clusters.wrote(swarmKeys.cluster, cluster, answer.revision);
      this.#enter('manager', address, () => this.networks.createIngress(done));
    });
  }

  /** `docker swarm join` */
  join(
    token: string,
    manager: { readonly host: string; readonly port: number },
    address: string,
    done: (error: DockerError | null, role: NodeRow['role']) => void,
  ): void {
    const cluster = this.tokens;
    const role = token === cluster?.managerToken ? 'manager' : 'worker';
    if (this.member !== null) done(new DockerError(IN_SWARM), role);
    else if (cluster === null)
      done(
        new DockerError(
          'Timeout was reached before node joined: there is no swarm in this lab; begin one with docker swarm init',
        ),
        role,
      );
    else if (token !== cluster.managerToken && token !== cluster.workerToken)
      done(new DockerError('invalid join token'), role);
    else
      this.#sessions.dial(parseIp4(manager.host) ?? 0, manager.port, (problem) => {
        if (problem === '') this.#enter(role, address, () => done(null, role));
        else
          done(
            new DockerError(
              `rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing dial tcp ${manager.host}:${manager.port}: ${problem}"`,
            ),
            role,
          );
      });
  }

  /** What the lab file says: the first node begins the swarm, the others join it. */
  enterAtBoot(role: NodeRow['role'], done: () => void): void {
    const { address } = this.#options;
    if (this.member !== null) done();
    else if (role === 'worker') this.#enter(role, address, done);
    else
      this.init(address, (error) => {
        if (error === null) done();
        else this.#enter(role, address, done);
      });
  }

  /** `docker swarm leave` */
  leave(force: boolean, done: Done): void {
    const { ledger, node } = this.#options;
    if (this.member === null) {
      done(new DockerError('This node is not part of a swarm'));
      return;
    }
    if (this.member.role === 'manager' && !force) {
      done(
        new DockerError(
          'You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message.',
        ),
      );
      return;
    }
    const used = ledger.containers.find(
      ({ endpoints, labels }) =>
        !Object.hasOwn(labels, SERVICE_LABEL) &&
        endpoints.some((it) => it.endpointId !== '' && this.networks.has(it)),
    );
    if (used !== undefined) {
      done(new DockerError(`container ${used.name} is in an overlay network; stop it first`));
      return;
    }
    const isLast =
      this.member.role === 'manager' && this.members.managers.every(({ hostname }) => hostname === node);
    this.#leaveNow();
    // The others find it to be down, until somebody forgets it.
    if (isLast) this.#erase(done);
    else done(null);
  }

  /** Gets an address for every overlay network that a container is to be in: its attachments. */
  attach(container: DockerContainerFacts, endpoints: readonly DockerEndpointFacts[], done: Done): void {
    for (const { network } of endpoints) this.networks.adopt(network);
    const [next, ...rest] = endpoints.filter((endpoint) => this.networks.has(endpoint));
    if (next === undefined) {
      done(null);
      return;
    }
    const network = this.networks.named(next.network)!;
    if (!network.attachable && !Object.hasOwn(container.labels, SERVICE_LABEL)) {
      done(
        new DockerError(
          `Could not attach to network ${network.name}: rpc error: code = PermissionDenied desc = network ${network.name} not manually attachable`,
        ),
      );
      return;
    }
    this.#allocator.takeAddress(network, next.requestedIp, this.#holder, (result) => {
      if (result instanceof DockerError) {
        done(result);
        return;
      }
      this.#options.networks.attached(container.id, network.id, result);
      this.attach(container, rest, done);
    });
  }

  /** Gets an address of a network, the next after the last: for this node, or for a service. */
  takeAddress(
    network: DockerNetworkFacts,
    use: 'endpoint' | 'vip',
    done: (result: Prefix | DockerError) => void,
  ): void {
    const holder = use === 'vip' ? `${this.#holder}.vip` : this.#holder;
    this.#allocator.takeAddress(network, '', holder, done);
  }

  /** Gives back one that this node has for itself. */
  freeAddress(networkId: string, addr: number): void {
    this.#allocator.freeAddress(networkId, addr, (holder) => this.#isOwn(holder));
  }

  /** Gives back a service's. */
  freeVirtualAddress(networkId: string, addr: number): void {
    this.#allocator.freeAddress(networkId, addr, (holder) => holder.endsWith('.vip'));
  }

  /** What this node had taken before this boot and nobody has been told of: it went down with it. */
  reclaim(isVirtual: (addr: number) => boolean): void {
    const known = this.endpoints.ownAddresses();
    this.#allocator.freeHeld((holder, addr) => {
      if (holder === `${this.#options.node}.${this.#boot}` || known.has(addr)) return false;
      if (holder.endsWith('.vip'))
        return (
          holder.startsWith(`${this.#options.node}.`) && !holder.includes(this.#boot) && !isVirtual(addr)
        );
      return this.#isOwn(holder);
    });
  }

  /** A member that is forgotten leaves nothing behind. */
  forget(hostname: string): void {
    this.endpoints.forget(hostname);
    this.#allocator.freeHeld((holder) => holder.startsWith(`${hostname}.`) && !holder.endsWith('.vip'));
  }

  get #holder(): string {
    return `${this.#options.node}.${this.#boot}`;
  }

  #isOwn(holder: string): boolean {
    return holder.startsWith(`${this.#options.node}.`) && !holder.endsWith('.vip');
  }

  /** Members, their roles or who leads them have changed. */
  #membersChanged(): void {
    const { ledger, node } = this.#options;
    const { member } = this;
    const own = this.members.get(node);
    if (member !== null && own?.id === member.id) {
      this.#isKnown = true;
      if (own.role !== member.role) ledger.setSwarm({ ...member, role: own.role });
    } else if (member !== null && this.#isKnown) this.#leaveNow();
    this.#sessions.set(this.member === null ? [] : this.members.managers);
    this.liveness.look();
  }

  /** What there is of the swarm on this node goes. */
  #leaveNow(): void {
    const { ledger, networks, balancers, onLeft } = this.#options;
    this.#isKnown = false;
    onLeft();
    ledger.setSwarm(null);
    for (const network of ledger.networks) {
      if (network.scope !== 'swarm') continue;
      balancers.close(network.id);
      networks.disown(network);
    }
    this.#sessions.set([]);
    this.liveness.look();
  }

  /** Why this node cannot be asked about the swarm; null if it can. */
  refuseManager(): DockerError | null {
    if (this.member === null) return new DockerError(NO_SWARM);
    if (this.member.role !== 'manager') return new DockerError(NO_MANAGER);
    return this.liveness.hasLeader ? null : new DockerError(NO_LEADER);
  }

  #enter(role: NodeRow['role'], address: string, done: () => void): void {
    const { store, node, ledger, ensureGateway } = this.#options;
    const id = base36(this.#rt.random, 25);
    const row: NodeRow = { id, hostname: node, address, role, availability: 'active', labels: {} };
    ensureGateway();
    store.request({ op: 'put', key: swarmKeys.node(node), value: row }, (answer) => {
      if (answer.type === 'done') this.members.wrote(row, answer.revision);
      ledger.setSwarm({ id, role, address });
      this.#membersChanged();
      this.networks.joined();
      this.#options.onJoined();
      done();
    });
  }

  /** The last manager has left: there is no swarm any more. */
  #erase(done: Done): void {
    const { store } = this.#options;
    const keys = [...this.networks.keys(), ...this.endpoints.keys()];
    for (const { hostname } of this.members.all) {
      keys.push(swarmKeys.nodeStatus(hostname));
      if (hostname === this.#options.node) keys.push(swarmKeys.node(hostname));
    }
    for (const key of [...keys, swarmKeys.leader]) store.request({ op: 'delete', key }, () => {});
    this.#options.eraseServices();
    store.request({ op: 'delete', key: swarmKeys.cluster }, () => done(null));
  }
}
