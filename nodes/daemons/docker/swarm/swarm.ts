import { formatIp4, formatPrefix, type Prefix, parseIp4, parsePrefix } from '../../../../protocols/ip4.ts';
import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerPeerFacts,
  DockerSwarmFacts,
} from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import { DockerError } from '../error.ts';
import type { DockerLedger } from '../ledger.ts';
import { type OverlayDriver, type SegmentChange, VXLAN_IDS } from '../network/drivers/overlay.ts';
import type { NetworkSpec, Networks } from '../network/networks.ts';
import { plainAddress } from '../sandbox.ts';
import { FIRST_VNI, INGRESS_SUBNET, SwarmAllocator } from './allocator.ts';
import { base36 } from './ids.ts';
import { SERVICE_LABEL } from './labels.ts';
import { Liveness } from './liveness.ts';
import { balancerPeer, type LoadBalancers } from './load-balancers.ts';
import { Members } from './members.ts';
import type { Peers } from './peers.ts';
import { type ClusterRow, type NodeRow, parseCluster, parseNetwork, parsePeer, swarmKeys } from './rows.ts';
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

/** The node's part in a swarm: membership, overlay networks, the addresses in them and the peers that have them. */
export class Swarm {
  readonly #rt: Runtime;
  /** Endpoints that others have been told of since the boot. */
  readonly #told = new Set<string>();
  readonly #options: SwarmOptions;
  readonly #clusters = new StoreView<ClusterRow>(swarmKeys.cluster, (_key, value) => parseCluster(value));
  readonly #allocator: SwarmAllocator;
  readonly #networks = new StoreView('docker.network.', (_key, value) => parseNetwork(value));
  readonly #peers = new StoreView('docker.peer.', (_key, value) => parsePeer(value));
  /** Endpoints of this node as others were told of them. */
  readonly #live = new Map<string, DockerPeerFacts>();
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
    const { node, store, root } = options;
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
      onDown: ({ hostname }) => this.#lose(hostname),
      onChanged: () => {
        this.#tellAgain();
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
    if (this.#networks.apply(change)) this.#networkChanged(change.key);
    if (this.#peers.apply(change)) this.#peerChanged(change.key);
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
      this.#enter('manager', address, () => this.#createIngress(done));
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
        endpoints.some((it) => it.endpointId !== '' && this.#isOverlay(it)),
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

  /** `docker network create -d overlay` */
  createNetwork(spec: NetworkSpec, done: (error: DockerError | null, id: string) => void): void {
    const refusal = this.refuseManager();
    if (refusal !== null) {
      done(refusal, '');
      return;
    }
    if (this.#named(spec.name) !== undefined) {
      done(new DockerError(`network with name ${spec.name} already exists`), '');
      return;
    }
    this.#allocator.takeSubnet(spec.ipam[0]?.subnet ?? '', (result) => {
      if (result instanceof DockerError) done(result, '');
      else this.#publishNetwork(spec, result.subnet, result.vni, done);
    });
  }

  /** `docker network rm` of an overlay network */
  removeNetwork(network: DockerNetworkFacts, done: Done): void {
    const refusal = this.refuseManager();
    if (refusal !== null || network.ingress) {
      done(refusal ?? new DockerError('the ingress network goes with the swarm'));
      return;
    }
    const used = [...this.#peers.keys()].some((key) => {
      const peer = this.#peers.get(key)?.peer;
      return peer?.networkId === network.id && peer.role === undefined;
    });
    if (used) {
      done(
        new DockerError(
          `error while removing network: network ${network.name} id ${network.id} has active endpoints`,
        ),
      );
      return;
    }
    const { store } = this.#options;
    this.#allocator.freeSubnet(network.ipam[0]?.subnet ?? '');
    store.request({ op: 'delete', key: swarmKeys.addresses(network.id) }, () => {});
    store.request({ op: 'delete', key: swarmKeys.network(network.id) }, () => {
      if (this.#options.ledger.networks.some(({ id }) => id === network.id))
        this.#options.networks.disown(network);
      done(null);
    });
  }

  /** Overlay networks by name or id that are not in this node's own list: a worker learns of one when it uses it. */
  adopt(ref: string): void {
    if (this.member === null) return;
    const network = this.#named(ref);
    if (network !== undefined) this.#options.networks.adopt(network);
  }

  /** Gets an address for every overlay network that a container is to be in: its attachments. */
  attach(container: DockerContainerFacts, endpoints: readonly DockerEndpointFacts[], done: Done): void {
    for (const { network } of endpoints) this.adopt(network);
    const [next, ...rest] = endpoints.filter((endpoint) => this.#isOverlay(endpoint));
    if (next === undefined) {
      done(null);
      return;
    }
    const network = this.#named(next.network)!;
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

  /** An endpoint has joined an overlay network: the others are told where it is. */
  joined(container: DockerContainerFacts, endpoint: DockerEndpointFacts): void {
    const { node, balancers } = this.#options;
    const { networkId, endpointId, mac, service } = endpoint;
    const names =
      container.naming === 'given' ? [container.name, ...endpoint.aliases] : [...endpoint.aliases];
    this.#tell({
      networkId,
      endpointId,
      address: plainAddress(endpoint),
      mac,
      vtep: this.member?.address ?? '',
      node,
      names,
      ...(service === undefined ? {} : { service }),
    });
    balancers.bind(networkId, endpointId, endpoint.address, service);
  }

  /** This node's load balancer has joined a network. */
  balancerJoined(endpoint: DockerEndpointFacts): void {
    this.#tell(balancerPeer(endpoint, this.member?.address ?? '', this.#options.node));
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
    const known = new Set(
      [...this.#peers.keys()].flatMap((key) => {
        const peer = this.#peers.get(key)?.peer;
        return peer?.node === this.#options.node ? [parseIp4(peer.address)] : [];
      }),
    );
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
    for (const key of this.#peers.keys())
      if (this.#peers.get(key)?.peer.node === hostname)
        this.#options.store.request({ op: 'delete', key }, () => {});
    this.#allocator.freeHeld((holder) => holder.startsWith(`${hostname}.`) && !holder.endsWith('.vip'));
  }

  get #holder(): string {
    return `${this.#options.node}.${this.#boot}`;
  }

  #isOwn(holder: string): boolean {
    return holder.startsWith(`${this.#options.node}.`) && !holder.endsWith('.vip');
  }

  #tell(peer: DockerPeerFacts): void {
    const { networkId, endpointId } = peer;
    this.#told.add(endpointId);
    this.#live.set(endpointId, peer);
    this.#options.store.request(
      { op: 'put', key: swarmKeys.peer(networkId, endpointId), value: { peer } },
      () => {},
    );
  }

  /** An endpoint has left, or ('') was never made: its address is free once all have been told. */
  released(networkId: string, endpointId: string, address: Prefix): void {
    const { store } = this.#options;
    if (endpointId === '') {
      this.freeAddress(networkId, address.addr);
      return;
    }
    this.#live.delete(endpointId);
    this.#options.balancers.unbind(networkId, endpointId);
    store.request({ op: 'delete', key: swarmKeys.peer(networkId, endpointId) }, () =>
      this.freeAddress(networkId, address.addr),
    );
  }

  segmentChanged(network: DockerNetworkFacts, change: SegmentChange): void {
    const { peers, node, balancers } = this.#options;
    if (change === 'closed') {
      peers.forget(network.id);
      balancers.forget(network.id);
    }
    // The routing mesh is there whether or not the node has a task of it.
    if (!network.ingress && change === 'used') balancers.open(network);
    if (!network.ingress && change === 'idle') balancers.close(network.id);
    if (change !== 'opened') return;
    for (const key of this.#peers.keys()) {
      const row = this.#peers.get(key);
      if (row?.lost === false && row.peer.networkId === network.id && row.peer.node !== node)
        peers.set(row.peer);
    }
  }

  /** What this node has told before this boot, of an endpoint that is no more. */
  #takeBack(key: string, peer: DockerPeerFacts): void {
    if (this.#told.has(peer.endpointId)) return;
    this.#told.add(peer.endpointId);
    this.#options.store.request({ op: 'delete', key }, () =>
      this.freeAddress(peer.networkId, parseIp4(peer.address) ?? 0),
    );
  }

  /** A node is down: what it has told of its endpoints is kept for it, but not gone by. */
  #lose(node: string): void {
    const { cause } = this.#rt;
    for (const key of this.#peers.keys()) {
      const row = this.#peers.get(key);
      if (row?.peer.node !== node || row.lost) continue;
      this.#rt.cause = cause;
      this.#options.store.request({ op: 'put', key, value: { peer: row.peer, lost: true } }, () => {});
    }
    this.#rt.cause = cause;
  }

  /** This node can be heard again: its endpoints are where they were. */
  #tellAgain(): void {
    if (!this.liveness.takesOrders) return;
    const { cause } = this.#rt;
    for (const peer of [...this.#live.values()]) {
      this.#rt.cause = cause;
      if (this.#peers.get(swarmKeys.peer(peer.networkId, peer.endpointId))?.lost === true) this.#tell(peer);
    }
    this.#rt.cause = cause;
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

  #isOverlay({ network }: DockerEndpointFacts): boolean {
    return this.member !== null && this.#named(network) !== undefined;
  }

  #named(ref: string): DockerNetworkFacts | undefined {
    for (const key of this.#networks.keys()) {
      const network = this.#networks.get(key);
      if (network !== null && (network.name === ref || network.id === ref)) return network;
    }
    // After a boot the store has not told yet what the disk has.
    return this.#options.ledger.networks.find(
      (it) => it.scope === 'swarm' && (it.name === ref || it.id === ref),
    );
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
      for (const key of this.#networks.keys()) this.#networkChanged(key);
      this.#options.onJoined();
      done();
    });
  }

  /** The last manager has left: there is no swarm any more. */
  #erase(done: Done): void {
    const { store } = this.#options;
    const keys = [...this.#networks.keys(), ...this.#peers.keys()];
    for (const { hostname } of this.members.all) {
      keys.push(swarmKeys.nodeStatus(hostname));
      if (hostname === this.#options.node) keys.push(swarmKeys.node(hostname));
    }
    for (const key of [...keys, swarmKeys.leader]) store.request({ op: 'delete', key }, () => {});
    this.#options.eraseServices();
    store.request({ op: 'delete', key: swarmKeys.cluster }, () => done(null));
  }

  #createIngress(done: Done): void {
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
    this.#allocator.begin(() => {
      this.#publishNetwork(spec, INGRESS_SUBNET, FIRST_VNI, (error) => done(error));
    });
  }

  #publishNetwork(
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
      this.#networkChanged(key);
      done(null, network.id);
    });
  }

  /** Managers know all networks; workers the ingress network, and those that they use. */
  #networkChanged(key: string): void {
    const { ledger, networks } = this.#options;
    const network = this.#networks.get(key);
    if (network === null) {
      const id = key.slice('docker.network.'.length);
      const gone = ledger.networks.find((other) => other.id === id);
      if (gone !== undefined) networks.disown(gone);
    } else if (this.member?.role === 'manager' || (this.member !== null && network.ingress)) {
      networks.adopt(network);
      if (network.ingress) this.#options.balancers.open(network);
    }
  }

  #peerChanged(key: string): void {
    const { peers, node, overlay } = this.#options;
    const row = this.#peers.get(key);
    const peer = row === null || row.lost ? null : row.peer;
    const [, , networkId = '', endpointId = ''] = key.split('.');
    if (row?.peer.node === node) this.#takeBack(key, row.peer);
    if (!overlay.isOpen(networkId)) return;
    if (peer === null) peers.remove(networkId, endpointId);
    else if (peer.node !== node) peers.set(peer);
  }
}
