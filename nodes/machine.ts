import { parseIp4 } from '../protocols/ip4.ts';
import { parseMac } from '../protocols/mac.ts';
import type { CommandReply, NodeCommand } from './commands.ts';
import type { NodeConfig } from './config.ts';
import { Bgpd } from './daemons/bgpd.ts';
import { ClusterDaemons } from './daemons/cluster.ts';
import { ProbeError, Prober } from './daemons/prober.ts';
import type { LabEvent, LogRecord } from './events/index.ts';
import { EVENT_SCHEMA, type EventId, eventId, NO_CAUSE } from './events/record.ts';
import { Kernel } from './kernel/kernel.ts';
import type { Netns } from './kernel/netns.ts';
import type { NodeInput, NodeOutputs, NodeReport } from './machine-io.ts';
import { deriveSeed, seededRandom } from './random.ts';
import type { Random, Runtime, StoreResult, TimerHandle } from './runtime.ts';
import { EMPTY_BGP_VIEW } from './state/bgp-view.ts';
import type { ClusterDisk, ClusterView } from './state/cluster-view.ts';
import type { NodeView } from './state/node-fold.ts';
import type { StoreOp } from './store.ts';
import { TimerQueue } from './timers.ts';
import { startTool } from './tools/start.ts';
import { EXIT_KILLED, type RunningTool } from './tools/tool.ts';

/** What a boot depends on beside the configuration. */
export interface Boot {
  /** Counts the node's boots, from 1. */
  readonly number: number;
  /** Sequence number of the first event. */
  readonly nextSeq: number;
  /** What the disk holds; null on the first boot. */
  readonly disk: ClusterDisk | null;
  /** Interfaces whose cable is pulled. */
  readonly carrierDown: readonly string[];
  readonly cause: EventId;
}

/** Least time between two `frames.dropped` events, ms. */
const DROP_REPORT = 1_000;

const NO_CLUSTER: ClusterView = {
  sandboxes: [],
  ipam: { blocks: [], assigned: [], last: '' },
  flannel: { own: null, revoked: false, peers: [] },
};

/**
 * One emulated node as a machine: inputs come in by `step`, effects go out by the outputs given at construction. It
 * reads no clock, no randomness but its own seeded generator, no socket; the same inputs at the same times give the
 * same outputs.
 */
export class NodeMachine implements Runtime {
  readonly random: Random;
  readonly timers: TimerQueue;
  cause: EventId;
  readonly #config: NodeConfig;
  readonly #boot: Boot;
  readonly #out: NodeOutputs;
  readonly #requests = new Map<number, ((result: StoreResult) => void) | undefined>();
  readonly #tools = new Map<string, { readonly ns: Netns; readonly tool: RunningTool }>();
  readonly #prober: Prober;
  #now = 0;
  #seq: number;
  #request = 0;
  #kernel!: Kernel;
  #bgpd: Bgpd | null = null;
  #cluster: ClusterDaemons | null = null;
  #fibChanges = 0;
  #lastFibChange = 0;
  #lastFibEvent: EventId = NO_CAUSE;
  #storeRevision = 0;
  #dropsReported = new Map<string, number>();
  #droppedReported = 0;
  #dropTimer: TimerHandle | null = null;
  #ended = false;

  constructor(config: NodeConfig, boot: Boot, outputs: NodeOutputs) {
    this.#config = config;
    this.#boot = boot;
    this.#out = outputs;
    this.#seq = boot.nextSeq;
    this.cause = boot.cause;
    this.random = seededRandom(deriveSeed(config.seed, `${config.name}/${boot.number}`));
    this.timers = new TimerQueue(() => this.cause);
    this.#prober = new Prober(this);
  }

  get now(): number {
    return this.#now;
  }

  /** Patterns of the store keys that the shell is to watch for this node; known after the boot step. */
  get watches(): readonly string[] {
    return this.#cluster?.watches ?? [];
  }

  /** Time at which the machine wants a `time` input, `Infinity` if it wants none. */
  nextDeadline(): number {
    return this.#ended ? Number.POSITIVE_INFINITY : this.timers.next();
  }

  /** The one way in. `now` must not be less than at the last call. */
  step(input: NodeInput, now: number): void {
    if (this.#ended) return;
    this.#now = now;
    if (input.type === 'boot') this.#start();
    this.#runTimers();
    this.#take(input);
    this.#runTimers();
  }

  #take(input: NodeInput): void {
    switch (input.type) {
      case 'batch':
        this.#bgpd?.holdDecisions();
        for (const one of input.inputs) if (!this.#ended) this.#take(one);
        this.cause = NO_CAUSE;
        this.#bgpd?.releaseDecisions();
        break;
      case 'frame':
        this.cause = input.cause;
        this.#kernel.receive(input.port, input.frame);
        if (this.#kernel.dropped !== this.#droppedReported) this.#armDropReport();
        break;
      case 'command':
        this.cause = input.cause;
        this.#command(input.id, input.command);
        break;
      case 'store':
        this.cause = input.change.cause;
        if (input.change.key.startsWith('flannel.subnets.')) this.#sawRevision(input.change.revision);
        this.#cluster?.storeChanged(input.change);
        break;
      case 'stored': {
        const done = this.#requests.get(input.request);
        this.#requests.delete(input.request);
        done?.(input.result);
        break;
      }
      default:
    }
  }

  emit(event: LabEvent): EventId {
    const id = eventId(this.#config.number, this.#seq++);
    const record: LogRecord = { v: EVENT_SCHEMA, id, cause: this.cause, at: this.#now, event };
    this.#out.record(record);
    this.cause = id;
    if (isForwardingChange(event)) {
      this.#fibChanges++;
      this.#lastFibChange = this.#now;
      this.#lastFibEvent = id;
    }
    return id;
  }

  store(op: StoreOp, done?: (result: StoreResult) => void): void {
    const request = ++this.#request;
    const cause = this.cause;
    this.#requests.set(request, (result) => {
      this.cause = cause;
      if (result.ok && op.key.startsWith('flannel.subnets.')) this.#sawRevision(result.revision);
      done?.(result);
    });
    this.#out.store(request, op, cause);
  }

  #sawRevision(revision: number): void {
    this.#storeRevision = Math.max(this.#storeRevision, revision);
  }

  #runTimers(): void {
    this.timers.run(this.#now, (fire, cause) => {
      if (this.#ended) return;
      this.cause = cause;
      fire();
    });
  }

  #start(): void {
    const config = this.#config;
    this.emit({ type: 'node.booted', boot: this.#boot.number, config: config.name });
    this.#kernel = new Kernel(this, {
      timings: config.timers,
      transmit: (port, frame, cause) => this.#out.transmit(port, frame, cause),
    });
    const { root } = this.#kernel;
    root.ipForward = config.ipForward;
    for (const iface of config.interfaces) {
      const { name, mtu, port } = iface;
      root.addPort({ name, mac: parseMac(iface.mac) ?? 0, mtu, port });
      if (this.#boot.carrierDown.includes(name)) this.#kernel.setCarrier(port, 'down');
      root.setUp(name);
      for (const address of iface.addresses) root.addAddress(name, address);
    }
    for (const address of config.loopbacks) root.addAddress('lo', address);
    this.#addStaticRoutes(root);
    if (config.bgp !== undefined) {
      const bgpd = new Bgpd(this, root, config.bgp, config.timers.bgp);
      this.#bgpd = bgpd;
      this.#kernel.onFibChange = () => bgpd.fibChanged();
      this.#kernel.onLinkChange = (device) => bgpd.onLinkChange(device);
      bgpd.start();
    }
    if (config.cni !== undefined) {
      this.#cluster = new ClusterDaemons(this, {
        kernel: this.#kernel,
        config: { ...config, cni: config.cni },
        disk: this.#boot.disk,
        originator: {
          originate: (prefix) => this.#bgpd?.originate(prefix),
          withdraw: (prefix) => this.#bgpd?.withdraw(prefix),
        },
        onNamespaceRemoved: (ns) => this.#namespaceRemoved(ns),
      });
      this.#cluster.start();
    }
  }

  #addStaticRoutes(root: Netns): void {
    const base = { type: 'unicast', protocol: 'static', metric: 0, src: '' } as const;
    for (const route of this.#config.routes) {
      const nexthops = [{ via: route.via, dev: route.dev, onlink: false, weight: 1 }];
      root.routes.set({ ...base, dst: route.dst, scope: route.via === '' ? 'link' : 'global', nexthops });
    }
    const [first] = this.#config.interfaces;
    if (
      this.#config.cni?.type !== 'calico' ||
      first === undefined ||
      root.routes.get('0.0.0.0/0') !== undefined
    )
      return;
    // Proxy ARP answers a pod for 169.254.1.1 only where a route leads away from the pod, which on a real node the
    // default route does. A lab without a gateway gets one that leads to the wire.
    const nexthops = [{ via: '', dev: first.name, onlink: false, weight: 1 }];
    root.routes.set({ ...base, dst: '0.0.0.0/0', protocol: 'boot', scope: 'link', nexthops });
  }

  /** What runs in a namespace ends with it. */
  #namespaceRemoved(ns: Netns): void {
    this.#prober.namespaceRemoved(ns);
    for (const [id, running] of [...this.#tools]) {
      if (running.ns !== ns) continue;
      this.#tools.delete(id);
      this.#out.reply(id, { type: 'exit', code: EXIT_KILLED });
    }
  }

  #command(id: string, command: NodeCommand): void {
    const answer = (reply: CommandReply) => this.#out.reply(id, reply);
    switch (command.type) {
      case 'report':
        answer({ type: 'value', value: this.report() });
        return;
      case 'sync':
        answer({ type: 'value', value: null });
        return;
      case 'snapshot':
        answer({ type: 'value', value: { seq: this.#seq - 1, view: this.snapshot() } });
        return;
      case 'exec':
        this.#exec(id, command.pod, command.argv);
        return;
      case 'interrupt':
        this.#tools.get(command.target)?.tool.interrupt();
        answer({ type: 'value', value: null });
        return;
      case 'carrier': {
        const iface = this.#config.interfaces.find((candidate) => candidate.name === command.device);
        if (iface === undefined) {
          answer({ type: 'error', message: `no interface ${command.device}` });
          return;
        }
        this.emit({
          type: 'command.received',
          command: 'carrier',
          detail: `${command.device} ${command.carrier}`,
        });
        this.#kernel.setCarrier(iface.port, command.carrier);
        answer({ type: 'value', value: null });
        return;
      }
      case 'probe.start':
      case 'probe.target':
      case 'probe.stop':
        answer(this.#probe(command));
        return;
      case 'crash':
        this.emit({ type: 'command.received', command: 'crash', detail: command.how });
        if (command.how === 'reset') this.#kernel.abortAll();
        answer({ type: 'value', value: null });
        this.#end('halt');
        return;
      case 'stop':
        this.#bgpd?.shutdown();
        this.emit({ type: 'node.stopped', reason: command.reason });
        answer({ type: 'value', value: null });
        this.#end('exit');
    }
  }

  #end(how: 'halt' | 'exit'): void {
    // What TCP and ARP still hold for this very moment goes out first.
    this.#runTimers();
    this.#ended = true;
    this.#out.end(how);
  }

  #exec(id: string, pod: string, argv: readonly string[]): void {
    const ns = this.#namespaceOf(pod);
    if (ns === undefined) {
      this.#out.reply(id, { type: 'error', message: `no pod ${pod} runs on ${this.#config.name}` });
      return;
    }
    this.emit({ type: 'command.received', command: 'exec', detail: `${pod} ${argv.join(' ')}`.trim() });
    const [name = '', ...args] = argv;
    if (pod === '' && (name === 'birdc' || name === 'calicoctl')) {
      this.#bird(id, name, args);
      return;
    }
    let running = true;
    const out = {
      stdout: (text: string) => {
        if (running) this.#out.reply(id, { type: 'stdout', text });
      },
      stderr: (text: string) => {
        if (running) this.#out.reply(id, { type: 'stderr', text });
      },
      exit: (code: number) => {
        if (running) this.#out.reply(id, { type: 'exit', code });
        running = false;
        this.#tools.delete(id);
      },
    };
    const hostname = pod === '' ? this.#config.name : (pod.split('/')[1] ?? pod);
    const tool = startTool(argv, { rt: this, kernel: this.#kernel, ns, hostname }, out);
    if (running) this.#tools.set(id, { ns, tool });
  }

  /** birdc and calicoctl, which talk to the node's own BGP daemon. */
  #bird(id: string, name: 'birdc' | 'calicoctl', args: readonly string[]): void {
    const bgpd = this.#bgpd;
    if (bgpd === null) {
      this.#out.reply(id, { type: 'stderr', text: `${name}: no BGP daemon runs on ${this.#config.name}\n` });
      this.#out.reply(id, { type: 'exit', code: 1 });
      return;
    }
    const status = name === 'calicoctl' && args.join(' ') === 'node status';
    const { text, code } = status ? { text: bgpd.nodeStatus(), code: 0 } : bgpd.show(args);
    this.#out.reply(id, { type: code === 0 ? 'stdout' : 'stderr', text });
    this.#out.reply(id, { type: 'exit', code });
  }

  #namespaceOf(pod: string): Netns | undefined {
    return pod === '' ? this.#kernel.root : this.#cluster?.namespaceOf(pod);
  }

  #probe(command: Extract<NodeCommand, { type: `probe.${string}` }>): CommandReply {
    try {
      if (command.type === 'probe.stop') return { type: 'value', value: this.#prober.stop(command.probe) };
      const target = parseIp4(command.target);
      if (target === null) return { type: 'error', message: `${command.target} is no IPv4 address` };
      if (command.type === 'probe.target') this.#prober.retarget(command.probe, target);
      else {
        const ns = this.#namespaceOf(command.pod);
        if (ns === undefined) return { type: 'error', message: `no pod ${command.pod} runs here` };
        this.#prober.start({ id: command.probe, ns, target, interval: command.interval });
      }
      return { type: 'value', value: null };
    } catch (error) {
      if (error instanceof ProbeError) return { type: 'error', message: error.message };
      throw error;
    }
  }

  #armDropReport(): void {
    if (this.#dropTimer !== null) return;
    this.#dropTimer = this.timers.set(this.#now + DROP_REPORT, () => {
      this.#dropTimer = null;
      const reasons: Record<string, number> = {};
      for (const [reason, count] of this.#kernel.drops) {
        const fresh = count - (this.#dropsReported.get(reason) ?? 0);
        if (fresh > 0) reasons[reason] = fresh;
      }
      this.#dropsReported = new Map(this.#kernel.drops);
      this.#droppedReported = this.#kernel.dropped;
      this.cause = NO_CAUSE;
      this.emit({ type: 'frames.dropped', reasons });
    });
  }

  report(): NodeReport {
    const bgp = this.#bgpd?.report();
    const stats = this.#bgpd?.stats;
    const cluster = this.#cluster?.report();
    const workOf = { bgp: bgp?.pendingWork ?? 0, cluster: cluster?.work ?? 0 };
    return {
      node: this.#config.name,
      boot: this.#boot.number,
      at: this.#now,
      sessions: bgp?.sessions ?? [],
      work: workOf.bgp + workOf.cluster,
      workOf,
      storeRevision: this.#storeRevision,
      fibChanges: this.#fibChanges,
      lastFibChange: this.#lastFibChange,
      lastFibEvent: this.#lastFibEvent,
      updatesSent: stats?.updatesSent ?? 0,
      updatesReceived: stats?.updatesReceived ?? 0,
      routes: this.#kernel.root.routes.size,
      podsRunning: cluster?.podsRunning ?? 0,
      dropped: Object.fromEntries(this.#kernel.drops),
    };
  }

  /** The live state, in the shape that the fold of the log has. */
  snapshot(): NodeView {
    return {
      kernel: this.#kernel.snapshot(),
      bgp: this.#bgpd?.snapshot() ?? EMPTY_BGP_VIEW,
      cluster: this.#cluster?.snapshot() ?? NO_CLUSTER,
    };
  }
}

function isForwardingChange(event: LabEvent): boolean {
  switch (event.type) {
    case 'route.changed':
      return event.ns === '';
    case 'neighbor.set':
      return event.ns === '' && event.neighbor.state === 'PERMANENT';
    case 'fdb.set':
      return event.ns === '' && event.fdb.kind === 'permanent';
    default:
      return false;
  }
}
