import { formatPrefix, parseAddress } from '../../../../protocols/ip4.ts';
import type { DockerNetworkFacts } from '../../../events/docker.ts';
import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { WatchSync } from '../../watch-sync.ts';
import { DockerError } from '../error.ts';
import { Agent, type AgentOptions } from './agent.ts';
import { base36 } from './ids.ts';
import { Leader } from './leader.ts';
import { ConstraintError, parseConstraint } from './scheduler.ts';
import type {
  ServiceNetwork,
  ServicePort,
  ServiceRow,
  ServiceSpec,
  TaskTemplate,
  VirtualAddress,
} from './service-rows.ts';
import type { Swarm } from './swarm.ts';
import { TaskStore } from './task-store.ts';

/** Ports of the routing mesh that nobody has asked for (swarmkit's `dynamicPortStart`). */
const DYNAMIC_PORTS = { from: 30_000, to: 32_767 };

export interface ServicesOptions extends Omit<AgentOptions, 'tasks' | 'assigned' | 'ingress'> {
  readonly store: StoreClient;
  readonly swarm: Swarm;
  readonly networks: () => readonly DockerNetworkFacts[];
}

type Done<T> = (result: T | DockerError) => void;

/** Services of the swarm: what a manager is asked for, and this node's parts in bringing it about. */
export class Services {
  readonly #rt: Runtime;
  readonly #options: ServicesOptions;
  readonly store: TaskStore;
  readonly #sync: WatchSync;
  readonly #leader: Leader;
  readonly #agent: Agent;
  /** Who waits for something to change. */
  readonly #watchers = new Set<() => void>();

  constructor(rt: Runtime, options: ServicesOptions) {
    this.#rt = rt;
    this.#options = options;
    const { swarm, store, node, networks } = options;
    this.store = new TaskStore(store);
    this.#leader = new Leader(rt, {
      tasks: this.store,
      isLeader: () => this.#sync.synced && swarm.liveness.isLeader,
      nodes: () => swarm.members.swarmNodes,
    });
    this.#agent = new Agent(rt, {
      ...options,
      tasks: this.store,
      assigned: () => this.#sync.synced && swarm.member !== null && swarm.liveness.takesOrders,
      ingress: () => networks().find(({ ingress }) => ingress) ?? null,
    });
    this.#sync = new WatchSync(store, 'docker', node, () => {
      this.#reclaim();
      this.changed();
    });
  }

  /** Called at boot of a node that is in a swarm, and when it joins one. */
  start(): void {
    this.#sync.start();
    if (this.#sync.synced) this.changed();
  }

  /** The node leaves the swarm. */
  leave(): void {
    this.#agent.removeAll();
  }

  storeChanged(change: StoreChange): void {
    this.#sync.storeChanged(change);
    const ours = this.store.storeChanged(change);
    if (ours || /^docker\.(node|network|leader)/.test(change.key)) this.changed();
  }

  /** Calls back at every change until it is stopped. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  /** By name, id or the beginning of an id. @throws DockerError */
  find(ref: string): ServiceRow {
    const { services } = this.store;
    const exact = services.find(({ id, name }) => id === ref || name === ref);
    const found = exact === undefined ? services.filter(({ id }) => id.startsWith(ref)) : [exact];
    const [service] = found;
    if (service === undefined) throw new DockerError(`service ${ref} not found`);
    if (found.length > 1)
      throw new DockerError(`service ${ref} is ambiguous (${found.length} matches found)`);
    return service;
  }

  /** A network that a service is to be in, as the manager knows it. @throws DockerError */
  network(ref: string, aliases: readonly string[]): ServiceNetwork {
    const network = this.#options
      .networks()
      .find(({ id, name }) => id === ref || name === ref || (ref.length >= 12 && id.startsWith(ref)));
    if (network === undefined) throw new DockerError(`network ${ref} not found`);
    const { id, name, scope, driver, ingress } = network;
    if (ingress)
      throw new DockerError(
        `rpc error: code = InvalidArgument desc = Service cannot be explicitly attached to the ingress network "${name}"`,
      );
    if (scope !== 'swarm' && driver !== 'host' && driver !== 'null')
      throw new DockerError(
        `rpc error: code = InvalidArgument desc = network ${name} cannot be used with services. Only networks scoped to the swarm can be used, such as those created with the overlay driver.`,
      );
    return { id: scope === 'swarm' ? id : '', name, aliases };
  }

  /** @throws DockerError */
  create(spec: ServiceSpec, done: Done<ServiceRow>): void {
    this.#refuse();
    const ports = this.#check(spec, null);
    const { now, random } = this.#rt;
    const row: ServiceRow = {
      ...spec,
      ports,
      id: base36(random, 25),
      created: now,
      updated: now,
      version: 1,
      previous: null,
      virtualIps: [],
      updateStatus: null,
    };
    this.#put(row, 'new', (_written, whole) => done(whole));
  }

  /** @throws DockerError */
  update(ref: string, change: (spec: ServiceSpec) => ServiceSpec, done: Done<ServiceRow>): void {
    this.#refuse();
    const service = this.find(ref);
    const before = specOf(service);
    const spec = change(before);
    if (spec.name !== service.name)
      throw new DockerError('rpc error: code = Unimplemented desc = renaming services is not supported');
    if (spec.mode !== service.mode)
      throw new DockerError('rpc error: code = Unimplemented desc = service mode change is not allowed');
    const ports = this.#check(spec, service);
    const replaces =
      JSON.stringify([spec.template, ports, spec.endpointMode]) !==
      JSON.stringify([service.template, service.ports, service.endpointMode]);
    const { now } = this.#rt;
    const row: ServiceRow = {
      ...service,
      ...spec,
      ports,
      updated: now,
      previous: before,
      version: service.version + (replaces ? 1 : 0),
      updateStatus: replaces
        ? { state: 'updating', startedAt: now, completedAt: null }
        : service.updateStatus,
    };
    this.#put(row, 'changed', (written, whole) => {
      if (written) {
        done(whole);
        return;
      }
      // The leader has noted something of it meanwhile, or it has gone.
      try {
        this.update(ref, change, done);
      } catch (error) {
        if (!(error instanceof DockerError)) throw error;
        done(error);
      }
    });
  }

  /** @throws DockerError */
  remove(ref: string, done: () => void): void {
    this.#refuse();
    const { id, virtualIps } = this.find(ref);
    this.store.removeService(id, () => {
      for (const { networkId, address } of virtualIps)
        this.#options.swarm.freeVirtualAddress(networkId, parseAddress(address)?.addr ?? 0);
      this.changed();
      done();
    });
  }

  /** What a service has come to: tasks that run, and how many are to. */
  progress(service: ServiceRow): { readonly running: number; readonly wanted: number } {
    const tasks = this.store
      .tasksOf(service)
      .filter(({ desired }) => desired === 'running' || desired === 'ready');
    const alive = new Set(
      this.#options.swarm.members.swarmNodes.flatMap(({ hostname, state }) =>
        state === 'down' ? [] : [hostname],
      ),
    );
    const running = tasks.filter(
      ({ id, node, desired }) =>
        desired === 'running' && alive.has(node) && this.store.statusOf(id)?.state === 'running',
    );
    return {
      running: running.length,
      wanted: service.mode === 'global' ? tasks.length : service.replicas,
    };
  }

  /** Addresses that went down with this node before anybody was told of them are free. */
  #reclaim(): void {
    const virtual = new Set(
      this.store.services.flatMap(({ virtualIps }) =>
        virtualIps.map(({ address }) => parseAddress(address)?.addr),
      ),
    );
    this.#options.swarm.reclaim((addr) => virtual.has(addr));
  }

  /** There is no swarm any more, nor any service. */
  erase(): void {
    for (const { id } of this.store.tasks) this.store.dropTask(id, () => {});
    for (const { id } of this.store.services) this.store.removeService(id, () => {});
  }

  /** Something that services depend on has changed. */
  changed(): void {
    const { cause } = this.#rt;
    this.#leader.look();
    this.#rt.cause = cause;
    this.#agent.look();
    for (const watcher of [...this.#watchers]) {
      this.#rt.cause = cause;
      watcher();
    }
    this.#rt.cause = cause;
  }

  /** @throws DockerError */
  #refuse(): void {
    const refusal = this.#options.swarm.refuseManager();
    if (refusal !== null) throw refusal;
  }

  /** Checks a specification and gives its ports, each with a number. @throws DockerError */
  #check(spec: ServiceSpec, service: ServiceRow | null): ServicePort[] {
    const invalid = (what: string) => new DockerError(`rpc error: code = InvalidArgument desc = ${what}`);
    const { name, template, endpointMode } = spec;
    if (!/^[a-zA-Z0-9]([-_a-zA-Z0-9]*[A-Za-z0-9])?$/.test(name) || name.length > 63)
      throw invalid('name must be valid as a DNS name component');
    const namesake = this.store.services.find((other) => other.name === name && other.id !== service?.id);
    if (namesake !== undefined)
      throw new DockerError(
        `rpc error: code = AlreadyExists desc = name conflicts with an existing object: service ${name} already exists`,
      );
    checkTemplate(template, invalid);
    const mesh = spec.ports.filter(({ mode }) => mode === 'ingress');
    if (endpointMode === 'dnsrr' && mesh.length > 0)
      throw invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
    const seen = new Set<string>();
    for (const { published, proto } of spec.ports) {
      const key = `${published}/${proto}`;
      if (published !== 0 && seen.has(key)) throw invalid('EndpointSpec: duplicate published ports provided');
      seen.add(key);
    }
    for (const other of this.store.services) {
      if (other.id === service?.id) continue;
      for (const taken of other.ports)
        if (
          spec.ports.some(
            ({ published, proto, mode }) =>
              published !== 0 &&
              published === taken.published &&
              proto === taken.proto &&
              (mode === 'ingress' || taken.mode === 'ingress'),
          )
        )
          throw invalid(
            `port '${taken.published}' is already in use by service '${other.name}' (${other.id}) as ${taken.mode === 'ingress' ? 'an ingress' : 'a host-published'} port`,
          );
    }
    return this.#numbered(spec.ports, service);
  }

  /** Gives the ports of the mesh that have no number the lowest that is free. @throws DockerError */
  #numbered(ports: readonly ServicePort[], service: ServiceRow | null): ServicePort[] {
    const taken = new Set(
      this.store.services.flatMap(({ id, ports: others }) =>
        id === service?.id ? [] : others.map(({ published, proto }) => `${published}/${proto}`),
      ),
    );
    for (const { published, proto } of ports) taken.add(`${published}/${proto}`);
    return ports.map((port) => {
      if (port.mode === 'host' || port.published !== 0) return port;
      // It keeps the one that it had.
      const had = service?.ports.find(
        ({ mode, target, proto, published }) =>
          mode === 'ingress' &&
          target === port.target &&
          proto === port.proto &&
          published >= DYNAMIC_PORTS.from,
      );
      if (had !== undefined && !taken.has(`${had.published}/${had.proto}`)) return had;
      for (let published = DYNAMIC_PORTS.from; published <= DYNAMIC_PORTS.to; published++) {
        if (taken.has(`${published}/${port.proto}`)) continue;
        taken.add(`${published}/${port.proto}`);
        return { ...port, published };
      }
      throw new DockerError('rpc error: code = InvalidArgument desc = dynamic port space is exhausted');
    });
  }

  /** Writes a service with the virtual addresses that it is to have; those that it has no more are free once that is done. */
  #put(row: ServiceRow, kind: 'new' | 'changed', done: (written: boolean, row: ServiceRow) => void): void {
    const { swarm, networks } = this.#options;
    const ids = virtualNetworks(row, networks());
    const isKept = ({ networkId }: VirtualAddress) => ids.includes(networkId);
    const gone = row.virtualIps.filter((one) => !isKept(one));
    const kept = row.virtualIps.filter(isKept);
    const missing = ids.filter((id) => !kept.some(({ networkId }) => networkId === id));
    const taken: VirtualAddress[] = [];
    const free = (addresses: readonly VirtualAddress[]) => {
      for (const { networkId, address } of addresses)
        swarm.freeVirtualAddress(networkId, parseAddress(address)?.addr ?? 0);
    };
    const next = () => {
      const network = networks().find(({ id }) => id === missing[0]);
      missing.shift();
      if (network === undefined) {
        const whole: ServiceRow = { ...row, virtualIps: [...kept, ...taken] };
        this.store.putService(whole, kind, (written) => {
          // Somebody else was faster: what was taken for this is nobody's.
          free(written ? gone : taken);
          this.changed();
          done(written, whole);
        });
        return;
      }
      swarm.takeAddress(network, 'vip', (result) => {
        if (!(result instanceof DockerError))
          taken.push({ networkId: network.id, address: formatPrefix(result) });
        next();
      });
    };
    next();
  }
}

/** What was asked for, without what has come of it. */
export function specOf(row: ServiceRow): ServiceSpec {
  const { name, labels, mode, replicas, template, endpointMode, ports, update } = row;
  return { name, labels, mode, replicas, template, endpointMode, ports, update };
}

/** Networks in which a service has an address of its own. */
function virtualNetworks(
  { endpointMode, template, ports }: ServiceSpec,
  networks: readonly DockerNetworkFacts[],
): string[] {
  const mesh = ports.some(({ mode }) => mode === 'ingress')
    ? networks.flatMap(({ id, ingress }) => (ingress ? [id] : []))
    : [];
  const own = template.networks.flatMap(({ id }) => (id === '' ? [] : [id]));
  return endpointMode === 'dnsrr' ? [] : [...mesh, ...own];
}

/** @throws DockerError */
function checkTemplate(
  { constraints, networks }: TaskTemplate,
  invalid: (what: string) => DockerError,
): void {
  for (const text of constraints) {
    try {
      parseConstraint(text);
    } catch (error) {
      if (error instanceof ConstraintError) throw invalid(error.message);
      throw error;
    }
  }
  const ids = networks.map(({ name }) => name);
  if (new Set(ids).size < ids.length) throw invalid('networks must be used only once');
}
