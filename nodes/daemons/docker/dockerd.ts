import { parsePrefix } from '../../../protocols/ip4.ts';
import type { DockerConfig } from '../../config.ts';
import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerNetworkFacts,
  DockerPortBinding,
  DockerStateFacts,
} from '../../events/docker.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import type { DockerView } from '../../state/docker-view.ts';
import type { RunningTool, ToolContext, ToolOutput } from '../../tools/tool.ts';
import { type CreateSpec, createContainer, isUserDefined, networkName, unjoined } from './create.ts';
import { DockerError } from './error.ts';
import { ContainerFiles } from './files.ts';
import { findImage } from './images.ts';
import { DockerLedger } from './ledger.ts';
import {
  BRIDGE_NAME,
  BridgeDriver,
  DEFAULT_BRIDGE,
  ENABLE_ICC,
  ENABLE_MASQUERADE,
  HOST_BINDING,
  MTU,
} from './network/drivers/bridge.ts';
import { HostDriver, NullDriver } from './network/drivers/host.ts';
import { Firewall, type Iptables } from './network/firewall.ts';
import { type NetworkSpec, Networks } from './network/networks.ts';
import { LOCAL_POOLS, SubnetPools } from './network/pools.ts';
import { PortAllocator } from './network/port-allocator.ts';
import { startResolver } from './network/resolver.ts';
import { type ContainerProcess, runProgram, startProcess } from './process.ts';
import { type Sandbox, Sandboxes } from './sandbox.ts';

/** Restart delay: doubled each time, begun anew after a run of ten seconds, ms (restartmanager). */
const BACKOFF = 100;
const BACKOFF_MAX = 60_000;
const BACKOFF_RESET = 10_000;

/** What `docker logs` has of a container, characters. */
const LOG_LIMIT = 65_536;

/** Exit codes of what SIGKILL ends, and of what was running when the host went down. */
const EXIT_KILLED = 137;
const EXIT_LOST = 255;
const EXIT_NOT_STARTED = 128;
const EXIT_NOT_FOUND = 127;

interface Exec {
  readonly out: ToolOutput;
  readonly process: ContainerProcess;
}

/** A container whose process runs. */
interface Live {
  readonly sandbox: Sandbox;
  process: ContainerProcess | null;
  readonly execs: Set<Exec>;
  readonly attached: Set<ToolOutput>;
  /** The embedded DNS server of its namespace. */
  resolver: { close(): void } | null;
}

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
  readonly #rt: Runtime;
  readonly #options: DockerdOptions;
  readonly #networks: Networks;
  readonly #sandboxes: Sandboxes;
  readonly #firewall: Firewall | null;
  readonly #files: ContainerFiles;
  readonly #live = new Map<string, Live>();
  readonly #logs = new Map<string, string>();
  readonly #waiting = new Map<string, ((code: number) => void)[]>();
  readonly #restarts = new Map<string, { timer: TimerHandle; delay: number }>();
  readonly #delays = new Map<string, number>();
  #pids = 1000;

  constructor(rt: Runtime, options: DockerdOptions) {
    const { kernel, config, disk } = options;
    this.#rt = rt;
    this.#options = options;
    this.ledger = new DockerLedger(rt, disk);
    this.#firewall = config.iptables ? new Firewall(options.iptables, config.userlandProxy) : null;
    this.#files = new ContainerFiles(kernel.files, this.ledger, config);
    this.#networks = new Networks(rt, {
      ledger: this.ledger,
      drivers: {
        bridge: new BridgeDriver(rt, kernel, this.#firewall),
        host: new HostDriver(),
        null: new NullDriver(),
      },
      pools: new SubnetPools(
        config.defaultAddressPools.length > 0 ? config.defaultAddressPools : LOCAL_POOLS,
        'lowest',
      ),
      hostSubnets: () => kernel.root.routes.list().flatMap(({ dst }) => parsePrefix(dst) ?? []),
    });
    this.#sandboxes = new Sandboxes(rt, {
      kernel,
      ledger: this.ledger,
      networks: this.#networks,
      ports: new PortAllocator(),
      userlandProxy: config.userlandProxy,
      onNamespaceRemoved: options.onNamespaceRemoved,
    });
  }

  get now(): number {
    return this.#rt.now;
  }

  /** Called once the interfaces are up: networks first, then the containers that are to run again. */
  start(): void {
    this.#firewall?.start();
    if (this.ledger.networks.length === 0) this.#createPredefined();
    else this.#networks.restore();
    const { cause } = this.#rt;
    for (const container of this.ledger.containers) {
      this.#rt.cause = cause;
      const { status, exitCode } = container.state;
      const wasUp = status === 'running' || status === 'paused' || status === 'restarting';
      const stopped = wasUp ? this.#setStopped(container, EXIT_LOST) : container;
      if (stopped.autoRemove && wasUp) {
        this.ledger.removeContainer(stopped);
        continue;
      }
      const { name } = stopped.restart;
      const again =
        name === 'always' ||
        (name === 'unless-stopped' && !stopped.state.stoppedByHand) ||
        (name === 'on-failure' && wasUp && exitCode !== 0);
      if (again && stopped.state.startedAt !== null) this.#startAgain(stopped.id);
    }
    this.#rt.cause = cause;
  }

  snapshot(): DockerView {
    return this.ledger.view();
  }

  report(): { readonly work: number; readonly running: number } {
    return { work: this.#restarts.size, running: this.#live.size };
  }

  // ---- containers

  /** @throws DockerError */
  create(spec: CreateSpec): DockerContainerFacts {
    return createContainer(this.#rt, this.ledger, spec, this.#options.node);
  }

  /** Starts a container; what its process writes goes to `attach` too. @throws DockerError */
  startContainer(ref: string, attach: ToolOutput | null = null): void {
    const container = this.ledger.container(ref);
    const { status } = container.state;
    if (status === 'paused') throw new DockerError('cannot start a paused container, try unpause instead');
    if (status === 'running') return;
    this.#cancelRestart(container.id);
    this.#delays.delete(container.id);
    this.#run(container, attach, 0);
  }

  /** SIGTERM, and SIGKILL when that has done nothing for `grace` ms. */
  stopContainer(ref: string, grace: number, done: () => void): void {
    const { id, state } = this.ledger.container(ref);
    this.#byHand(id);
    if (state.status === 'restarting') {
      this.#cancelRestart(id);
      this.#patchState(id, { status: 'exited' });
      done();
      return;
    }
    const live = this.#live.get(id);
    if (live === undefined) {
      done();
      return;
    }
    this.onExit(id, done);
    if (live.process?.terminate('SIGTERM') !== 'ignored') return;
    this.#rt.timers.set(this.#rt.now + grace, () => {
      if (this.#live.get(id) === live) this.#kill(id, live);
    });
  }

  /** @throws DockerError */
  killContainer(ref: string, signal: 'SIGKILL' | 'SIGINT' | 'SIGTERM'): void {
    const container = this.ledger.container(ref);
    const live = this.#live.get(container.id);
    if (live === undefined)
      throw new DockerError(`Cannot kill container: ${ref}: Container ${container.id} is not running`);
    this.#byHand(container.id);
    if (signal === 'SIGKILL') this.#kill(container.id, live);
    else live.process?.terminate(signal);
  }

  /** @throws DockerError */
  restartContainer(ref: string, grace: number, done: (error: DockerError | null) => void): void {
    const { id } = this.ledger.container(ref);
    this.stopContainer(id, grace, () => {
      try {
        this.startContainer(id);
        done(null);
      } catch (error) {
        if (!(error instanceof DockerError)) throw error;
        done(error);
      }
    });
  }

  /** @throws DockerError for one that runs, without force */
  removeContainer(ref: string, force: boolean): void {
    const container = this.ledger.container(ref);
    const { id } = container;
    const live = this.#live.get(id);
    if (live !== undefined || container.state.status === 'restarting') {
      if (!force) {
        const how =
          container.state.status === 'paused'
            ? `You cannot remove a paused container ${id}. Unpause and then stop the container before attempting removal or force remove`
            : `You cannot remove a ${container.state.status} container ${id}. Stop the container before attempting removal or force remove`;
        throw new DockerError(how);
      }
      this.#cancelRestart(id);
      this.#byHand(id);
      if (live !== undefined) this.#kill(id, live);
    }
    const left = this.ledger.containerById(id);
    if (left !== undefined) this.#forget(left);
  }

  /** @throws DockerError */
  renameContainer(ref: string, name: string): void {
    const container = this.ledger.container(ref);
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
      throw new DockerError(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
    const namesake = this.ledger.containers.find((other) => other.name === name);
    if (namesake !== undefined)
      throw new DockerError(
        `Conflict. The container name "/${name}" is already in use by container "${namesake.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    this.ledger.putContainer({ ...container, name, naming: 'given' });
  }

  /** Runs a command in a container that runs. @throws DockerError */
  exec(ref: string, argv: readonly string[], stdin: 'open' | 'at-end', out: ToolOutput): RunningTool {
    const container = this.ledger.container(ref);
    const live = this.#live.get(container.id);
    if (container.state.status === 'paused')
      throw new DockerError(`Container ${ref} is paused, unpause the container before exec`);
    if (live === undefined)
      throw new DockerError(
        container.state.status === 'restarting'
          ? `Container ${container.id} is restarting, wait until the container is running`
          : `Container ${container.id} is not running`,
      );
    let ended = false;
    const guarded: ToolOutput = {
      stdout: (text) => void (ended || out.stdout(text)),
      stderr: (text) => void (ended || out.stderr(text)),
      exit: (code) => {
        if (ended) return;
        ended = true;
        if (exec !== null) live.execs.delete(exec);
        out.exit(code);
      },
    };
    let exec: Exec | null = null;
    const program = runProgram(argv, this.#context(container, live.sandbox.ns), guarded, argv[0], stdin);
    exec = { out: guarded, process: program };
    if (!ended) live.execs.add(exec);
    return {
      interrupt: () => {
        if (program.terminate('SIGINT') === 'ignored') {
          program.kill();
          guarded.exit(130);
        }
      },
    };
  }

  /** Calls back when a container's process has ended, now if none runs. */
  onExit(id: string, done: (code: number) => void): void {
    if (this.#live.has(id)) this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), done]);
    else done(this.ledger.containerById(id)?.state.exitCode ?? 0);
  }

  /** Ctrl-C of whoever is attached. */
  interrupt(id: string): void {
    this.#live.get(id)?.process?.terminate('SIGINT');
  }

  detach(id: string, out: ToolOutput): void {
    this.#live.get(id)?.attached.delete(out);
  }

  logs(id: string): string {
    return this.#logs.get(id) ?? '';
  }

  /** The namespace that a running container is in. */
  namespaceOf(ref: string): Netns | undefined {
    try {
      return this.#live.get(this.ledger.container(ref).id)?.sandbox.ns;
    } catch (error) {
      if (error instanceof DockerError) return undefined;
      throw error;
    }
  }

  sandboxOf(id: string): Sandbox | undefined {
    return this.#live.get(id)?.sandbox;
  }

  // ---- networks

  /** @throws DockerError */
  createNetwork(spec: NetworkSpec): DockerNetworkFacts {
    return this.#networks.create(spec);
  }

  /** @throws DockerError */
  removeNetwork(ref: string): void {
    this.#networks.remove(this.ledger.network(ref));
  }

  /** @throws DockerError */
  connect(
    networkRef: string,
    ref: string,
    wanted: { readonly ip: string; readonly aliases: readonly string[]; readonly links: readonly string[] },
  ): void {
    const network = this.ledger.network(networkRef);
    const container = this.ledger.container(ref);
    const live = this.#live.get(container.id);
    const { networkMode } = container;
    if (networkMode.startsWith('container:'))
      throw new DockerError(
        'container sharing network namespace with another container or host cannot be connected to any other network',
      );
    if (networkMode === 'host' || network.driver === 'host')
      throw new DockerError(
        networkMode === 'host'
          ? 'container cannot be connected to host network or disconnected from it'.replace(
              'connected to host network or disconnected from it',
              'disconnected from host network or connected to host network',
            )
          : 'container cannot be disconnected from host network or connected to host network',
      );
    if (
      network.driver === 'null' ||
      (networkMode === 'none' && container.endpoints.some((it) => it.network === 'none'))
    )
      throw new DockerError(
        'container cannot be connected to multiple networks with one of the networks in private (none) mode',
      );
    if (container.endpoints.some((it) => it.network === network.name)) {
      throw new DockerError(
        live === undefined
          ? `endpoint with name ${container.name} already exists in network ${network.name}`
          : `endpoint with name ${container.name} already exists in network ${network.name}`,
      );
    }
    if (!isUserDefined(network.name)) {
      if (wanted.ip !== '')
        throw new DockerError('user specified IP address is supported on user defined networks only');
      if (wanted.aliases.length > 0)
        throw new DockerError(
          'network-scoped alias is supported only for containers in user defined networks',
        );
    }
    const endpoint = unjoined(network.name, wanted);
    const joined = live === undefined ? endpoint : this.#join(live.sandbox, container, endpoint);
    const updated = this.ledger.putContainer({ ...container, endpoints: [...container.endpoints, joined] });
    if (live === undefined) return;
    this.#files.joined(updated, joined);
    this.#resolve(updated, live);
    this.#publish(updated, live.sandbox);
  }

  /** @throws DockerError */
  disconnect(networkRef: string, ref: string, force: boolean): void {
    const network = this.ledger.network(networkRef);
    const container = this.#ofNetwork(ref, network, force);
    if (network.driver === 'host')
      throw new DockerError(
        'container cannot be disconnected from host network or connected to host network',
      );
    if (!container.endpoints.some((it) => it.network === network.name))
      throw new DockerError(`container ${container.id} is not connected to network ${network.name}`);
    const live = this.#live.get(container.id);
    const place = container.endpoints.find((it) => it.network === network.name);
    if (live !== undefined && place !== undefined) {
      this.#files.left(container, place);
      this.#sandboxes.leave(live.sandbox, network.id);
    }
    const left = this.ledger.putContainer({
      ...container,
      endpoints: container.endpoints.filter((it) => it.network !== network.name),
      published: live?.sandbox.published.slice() ?? [],
    });
    if (live !== undefined) this.#publish(left, live.sandbox);
  }

  /** Networks that people have made and that no container has a place in. */
  unusedNetworks(): readonly DockerNetworkFacts[] {
    return this.ledger.networks.filter(
      ({ name, ingress }) =>
        isUserDefined(name) &&
        !ingress &&
        !this.ledger.containers.some(({ endpoints }) =>
          endpoints.some(({ network, endpointId }) => network === name && endpointId !== ''),
        ),
    );
  }

  // ---- within

  #createPredefined(): void {
    const { config } = this.#options;
    const none = { internal: false, attachable: false, ingress: false, labels: {}, options: {}, ipam: [] };
    const bip = config.bip === '' ? null : config.bip.split('/');
    const bridge = {
      ...none,
      name: 'bridge',
      driver: 'bridge',
      ipam: bip === null ? [] : [{ subnet: config.bip, ipRange: '', gateway: bip[0] ?? '', auxAddress: {} }],
      options: {
        [DEFAULT_BRIDGE]: 'true',
        [ENABLE_ICC]: String(config.icc),
        [ENABLE_MASQUERADE]: 'true',
        [HOST_BINDING]: '0.0.0.0',
        [BRIDGE_NAME]: 'docker0',
        [MTU]: String(config.mtu),
      },
    };
    this.#networks.create({ ...none, name: 'none', driver: 'null' });
    this.#networks.create({ ...none, name: 'host', driver: 'host' });
    this.#networks.create(bridge);
  }

  /** Puts a container into its networks and starts its process. @throws DockerError; it does not run then */
  #run(container: DockerContainerFacts, attach: ToolOutput | null, restartCount: number): void {
    const { id } = container;
    let sandbox: Sandbox;
    let prepared: DockerContainerFacts;
    try {
      sandbox = this.#openSandbox(container);
    } catch (error) {
      throw this.#notStarted(container, error);
    }
    const shares = container.networkMode.startsWith('container:');
    try {
      prepared = shares ? container : this.#joinAll(container, sandbox);
    } catch (error) {
      if (!shares) this.#sandboxes.delete(sandbox);
      throw this.#notStarted(container, error);
    }
    const live: Live = { sandbox, process: null, execs: new Set(), attached: new Set(), resolver: null };
    if (attach !== null) live.attached.add(attach);
    const running = this.ledger.putContainer({
      ...prepared,
      sandboxId: shares ? '' : sandbox.id,
      state: {
        ...prepared.state,
        status: 'running',
        pid: ++this.#pids,
        exitCode: 0,
        error: '',
        startedAt: this.#rt.now,
        restartCount,
        stoppedByHand: false,
      },
    });
    this.#live.set(id, live);
    this.#logs.delete(id);
    this.#files.started(running, this.#files.links(running));
    this.#resolve(running, live);
    this.#files.tellParents(running);
    let early: number | null = null;
    let starting = true;
    const out = this.#outputOf(id, live, (code) => {
      if (starting) early = code;
      else this.#exited(id, live, code);
    });
    try {
      const image = findImage(container.image);
      const context = this.#context(running, sandbox.ns);
      live.process = startProcess({ container: running, image, ns: sandbox.ns, context }, out);
    } catch (error) {
      this.#live.delete(id);
      this.#close(running, live);
      throw this.#notStarted(this.#released(running), error);
    }
    starting = false;
    if (early !== null) this.#exited(id, live, early);
  }

  #openSandbox(container: DockerContainerFacts): Sandbox {
    const { networkMode } = container;
    if (networkMode === 'host') return this.#sandboxes.host();
    if (!networkMode.startsWith('container:')) return this.#sandboxes.create();
    const target = networkMode.slice('container:'.length);
    const live = this.#live.get(target);
    if (live !== undefined) return live.sandbox;
    if (this.ledger.containerById(target) === undefined)
      throw new DockerError(`No such container: ${target}`);
    throw new DockerError(`cannot join network of a non running container: ${target}`);
  }

  #joinAll(container: DockerContainerFacts, sandbox: Sandbox): DockerContainerFacts {
    // What it is linked to has to run, before anything is done.
    this.#files.links(container);
    const first = networkName(container.networkMode);
    const order = container.endpoints.toSorted(
      (a, b) => Number(b.network === first) - Number(a.network === first),
    );
    const endpoints = order.map((endpoint) => this.#join(sandbox, container, endpoint));
    const joined = { ...container, endpoints };
    this.#sandboxes.publish(sandbox, joined, this.#portsOf(joined));
    return { ...joined, published: sandbox.published.slice() };
  }

  #join(
    sandbox: Sandbox,
    container: DockerContainerFacts,
    endpoint: DockerEndpointFacts,
  ): DockerEndpointFacts {
    const aliases = isUserDefined(endpoint.network)
      ? [...new Set([...endpoint.aliases, container.id.slice(0, 12)])]
      : endpoint.aliases;
    return this.#sandboxes.join(sandbox, container, { ...endpoint, aliases });
  }

  #publish(container: DockerContainerFacts, sandbox: Sandbox): void {
    if (sandbox.publishedBy !== null) return;
    this.#sandboxes.publish(sandbox, container, this.#portsOf(container));
    if (sandbox.published.length > 0)
      this.ledger.putContainer({ ...container, published: sandbox.published.slice() });
  }

  /** What is to be published: what was asked for, and with -P what is exposed beside it. */
  #portsOf(container: DockerContainerFacts): DockerPortBinding[] {
    const wanted = [...container.portBindings];
    if (!container.publishAll) return wanted;
    for (const exposed of container.exposed) {
      const [port = '', proto = 'tcp'] = exposed.split('/');
      if (wanted.some((binding) => `${binding.port}/${binding.proto}` === exposed)) continue;
      if (proto === 'tcp' || proto === 'udp' || proto === 'sctp')
        wanted.push({ port: Number(port), proto, hostIp: '0.0.0.0', hostPort: 0 });
    }
    return wanted;
  }

  /** Starts the embedded DNS server once the container is in a network that has one; it stays as long as the namespace. */
  #resolve(container: DockerContainerFacts, live: Live): void {
    const { id, networkMode } = container;
    if (live.resolver !== null || networkMode.startsWith('container:')) return;
    if (!container.endpoints.some(({ network, endpointId }) => isUserDefined(network) && endpointId !== ''))
      return;
    const current = () => this.ledger.containerById(id) ?? container;
    live.resolver = startResolver(live.sandbox.ns, {
      ledger: this.ledger,
      container: current,
      upstream: () => this.#files.upstream(current()),
      hasGateway: () => current().endpoints.some(({ gateway }) => gateway !== ''),
    });
  }

  #outputOf(id: string, live: Live, exit: (code: number) => void): ToolOutput {
    const write = (stream: 'stdout' | 'stderr', text: string) => {
      this.#logs.set(id, `${this.#logs.get(id) ?? ''}${text}`.slice(-LOG_LIMIT));
      for (const out of live.attached) out[stream](text);
    };
    return {
      stdout: (text) => write('stdout', text),
      stderr: (text) => write('stderr', text),
      exit,
    };
  }

  #kill(id: string, live: Live): void {
    live.process?.kill();
    this.#exited(id, live, EXIT_KILLED);
  }

  /** The process has ended: its networks are left, and it may be started again. */
  #exited(id: string, live: Live, code: number): void {
    if (this.#live.get(id) !== live) return;
    this.#live.delete(id);
    const container = this.ledger.containerById(id);
    if (container === undefined) return;
    this.#close(container, live);
    const stopped = this.#setStopped(this.#released(container), code);
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    if (this.#shouldRestart(stopped, code)) this.#scheduleRestart(stopped);
    else if (stopped.autoRemove) this.#forget(stopped);
    for (const done of waiting) done(code);
  }

  /** Ends what else runs in the container, and its sandbox where nobody shares it. */
  #close(container: DockerContainerFacts, live: Live): void {
    for (const { out, process: program } of [...live.execs]) {
      program.kill();
      out.exit(EXIT_KILLED);
    }
    live.resolver?.close();
    if (container.networkMode.startsWith('container:')) return;
    for (const [id, other] of [...this.#live]) if (other.sandbox === live.sandbox) this.#orphan(id, other);
    this.#sandboxes.delete(live.sandbox);
  }

  /** Whoever shares a namespace whose owner has gone: what it did there is over. */
  #orphan(id: string, live: Live): void {
    this.#kill(id, live);
  }

  #released(container: DockerContainerFacts): DockerContainerFacts {
    return {
      ...container,
      sandboxId: '',
      published: [],
      endpoints: container.endpoints.map((endpoint) => ({
        ...endpoint,
        endpointId: '',
        address: '',
        gateway: '',
        mac: '',
        ifname: '',
      })),
    };
  }

  #setStopped(container: DockerContainerFacts, exitCode: number): DockerContainerFacts {
    return this.ledger.putContainer({
      ...this.#released(container),
      state: { ...container.state, status: 'exited', pid: 0, exitCode, finishedAt: this.#rt.now },
    });
  }

  /** Notes why a container could not be started, and tells it. */
  #notStarted(container: DockerContainerFacts, error: unknown): DockerError {
    if (!(error instanceof DockerError)) throw error;
    const { message, kind } = error;
    const text =
      kind === 'not-found' ? `OCI runtime create failed: container_linux.go:380: ${message}` : message;
    const exitCode = kind === 'not-found' ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
    const status =
      container.state.startedAt !== null && container.state.status !== 'running' ? 'exited' : 'created';
    this.ledger.putContainer({
      ...container,
      state: { ...container.state, status, pid: 0, exitCode, error: text },
    });
    return new DockerError(text, kind);
  }

  #shouldRestart({ restart, state }: DockerContainerFacts, code: number): boolean {
    if (state.stoppedByHand) return false;
    if (restart.name === 'always' || restart.name === 'unless-stopped') return true;
    const { maximumRetryCount: limit } = restart;
    return restart.name === 'on-failure' && code !== 0 && (limit === 0 || state.restartCount < limit);
  }

  #scheduleRestart(container: DockerContainerFacts): void {
    const { id, state } = container;
    const ranLong = this.#rt.now - (state.startedAt ?? 0) >= BACKOFF_RESET;
    const last = ranLong ? 0 : (this.#delays.get(id) ?? 0);
    const delay = last === 0 ? BACKOFF : Math.min(last * 2, BACKOFF_MAX);
    this.#delays.set(id, delay);
    this.#patchState(id, { status: 'restarting' });
    const timer = this.#rt.timers.set(this.#rt.now + delay, () => {
      this.#restarts.delete(id);
      this.#startAgain(id);
    });
    this.#restarts.set(id, { timer, delay });
  }

  #startAgain(id: string): void {
    const container = this.ledger.containerById(id);
    if (container === undefined) return;
    try {
      this.#run(container, null, container.state.restartCount + 1);
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
    }
  }

  #cancelRestart(id: string): void {
    const restart = this.#restarts.get(id);
    if (restart === undefined) return;
    this.#rt.timers.cancel(restart.timer);
    this.#restarts.delete(id);
  }

  #byHand(id: string): void {
    this.#patchState(id, { stoppedByHand: true });
  }

  #patchState(id: string, patch: Partial<DockerStateFacts>): void {
    const container = this.ledger.containerById(id);
    if (container === undefined) return;
    this.ledger.putContainer({ ...container, state: { ...container.state, ...patch } });
  }

  #forget(container: DockerContainerFacts): void {
    this.#logs.delete(container.id);
    this.#delays.delete(container.id);
    this.#files.removed(container);
    this.ledger.removeContainer(container);
  }

  #ofNetwork(ref: string, network: DockerNetworkFacts, force: boolean): DockerContainerFacts {
    try {
      return this.ledger.container(ref);
    } catch (error) {
      if (!force || !(error instanceof DockerError)) throw error;
      throw new DockerError(`unable to find container ${ref} in network ${network.name} to disconnect`);
    }
  }

  // ---- what a process in a container sees

  #context(container: DockerContainerFacts, ns: Netns): ToolContext {
    return {
      rt: this.#rt,
      kernel: this.#options.kernel,
      ns,
      hostname: this.#files.owner(container).hostname,
      files: (path) => this.#files.read(container, path),
    };
  }
}
