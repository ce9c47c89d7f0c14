import { parseIp } from '../protocols/ip.ts';
import { parseIp4 } from '../protocols/ip4.ts';
import type { BgpRequest, CommandReply, Impairment, NodeCommand } from './commands.ts';
import type { BgpConfig, DockerConfig, NodeConfig } from './config.ts';
import { Bfdd } from './daemons/bfdd.ts';
import { RealSockets } from './daemons/bgp/external-sessions.ts';
import { restartTimeOf } from './daemons/bgp/restart-time.ts';
import { Bgpd, type BgpdStart } from './daemons/bgpd.ts';
import { Capturer } from './daemons/capturer.ts';
import { ClusterDaemons } from './daemons/cluster.ts';
import { runAtBoot } from './daemons/docker/cli/docker.ts';
import { Dockerd } from './daemons/docker/dockerd.ts';
import { OpenFlowNode } from './daemons/openflow/node.ts';
import { openflowWords } from './daemons/openflow/request.ts';
import { ProbeError, Prober } from './daemons/prober.ts';
import { Radvd } from './daemons/radvd.ts';
import { DropReport } from './drop-report.ts';
import type { LabEvent, LogRecord } from './events/index.ts';
import { EVENT_SCHEMA, type EventId, eventId, NO_CAUSE } from './events/record.ts';
import { Executor } from './exec.ts';
import { ForwardingChanges } from './forwarding-changes.ts';
import { impair, impairmentWords } from './impair.ts';
import { Kernel } from './kernel/kernel.ts';
import type { Netns } from './kernel/netns.ts';
import type { NodeInput, NodeOutputs, NodeReport } from './machine-io.ts';
import { configureNetwork } from './network.ts';
import { deriveSeed, seededRandom } from './random.ts';
import type { Random, Runtime, StoreResult } from './runtime.ts';
import { EMPTY_BGP_VIEW } from './state/bgp-view.ts';
import type { ClusterView } from './state/cluster-view.ts';
import { EMPTY_DOCKER_VIEW } from './state/docker-view.ts';
import type { NodeDisk, NodeView } from './state/node-fold.ts';
import type { StoreOp } from './store.ts';
import { TimerQueue } from './timers.ts';
import { runIptables } from './tools/iptables/iptables.ts';
import { sendTraced } from './traced-packet.ts';

/** What a boot depends on beside the configuration. */
export interface Boot {
  /** Counts the node's boots, from 1. */
  readonly number: number;
  /** Sequence number of the first event. */
  readonly nextSeq: number;
  /** What the disk holds; null on the first boot. */
  readonly disk: NodeDisk | null;
  /** Interfaces whose cable is pulled. */
  readonly carrierDown: readonly string[];
  /** What is wrong with interfaces, by name, where that is not what the configuration says. */
  readonly impaired: Readonly<Record<string, Impairment>>;
  readonly cause: EventId;
}

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
  readonly #executor: Executor;
  readonly #prober: Prober;
  readonly #capturer: Capturer;
  readonly #forwardingChanges = new ForwardingChanges();
  readonly #realSockets = new RealSockets((request) => this.#out.external(request));
  #now = 0;
  #seq: number;
  #request = 0;
  #kernel!: Kernel;
  #dropReport!: DropReport;
  #bfdd!: Bfdd;
  #bgpd: Bgpd | null = null;
  /** UPDATEs that daemons before this one have counted. */
  #updatesBefore = { sent: 0, received: 0 };
  #cluster: ClusterDaemons | null = null;
  #dockerd: Dockerd | null = null;
  #openflow!: OpenFlowNode;
  #storeRevision = 0;
  #ended = false;

  constructor(config: NodeConfig, boot: Boot, outputs: NodeOutputs) {
    this.#config = config;
    this.#boot = boot;
    this.#out = outputs;
    this.#seq = boot.nextSeq;
    this.cause = boot.cause;
    this.random = seededRandom(deriveSeed(config.seed, `${config.name}/${boot.number}`));
    this.timers = new TimerQueue(() => this.cause);
    this.#executor = new Executor(this, (id, reply) => outputs.reply(id, reply));
    this.#prober = new Prober(this);
    this.#capturer = new Capturer(this);
  }

  get now(): number {
    return this.#now;
  }

  /** Patterns of the store keys that the shell is to watch for this node; known after the boot step. */
  get watches(): readonly string[] {
    return [...(this.#cluster?.watches ?? []), ...(this.#dockerd?.watches ?? [])];
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
    this.#dropReport.check();
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
        break;
      case 'overrun':
        this.#kernel.drop('rx-queue-full', input.frames);
        break;
      case 'command':
        this.cause = input.cause;
        this.#command(input.id, input.command);
        break;
      case 'store':
        this.cause = input.change.cause;
        if (input.change.key.startsWith('flannel.subnets.')) this.#sawRevision(input.change.revision);
        if (input.change.key.startsWith('docker.')) this.#dockerd?.storeChanged(input.change);
        else this.#cluster?.storeChanged(input.change);
        break;
      case 'stored': {
        const done = this.#requests.get(input.request);
        this.#requests.delete(input.request);
        done?.(input.result);
        break;
      }
      case 'external':
        this.cause = NO_CAUSE;
        this.#bgpd?.external(input.socket, input.event);
        break;
      case 'bfd':
        this.cause = NO_CAUSE;
        this.#bfdd.receiveReal(input.peer, input.payload);
        break;
      default:
    }
  }

  emit(event: LabEvent): EventId {
    const id = eventId(this.#config.number, this.#seq++);
    const record: LogRecord = { v: EVENT_SCHEMA, id, cause: Math.abs(this.cause), at: this.#now, event };
    this.#out.record(record);
    // A packet that is followed stays so.
    this.cause = this.cause < 0 ? -id : id;
    this.#forwardingChanges.seen(event, id, this.#now);
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
    this.#out.store(request, op, Math.abs(cause));
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
      ipv6: config.ipv6 === true ? 'on' : 'off',
      transmit: (port, frame, cause) => this.#out.transmit(port, frame, cause),
      txQueue: () => this.#out.txQueue?.() ?? 'room',
      filter: (port, filter) => this.#out.filter?.(port, filter),
    });
    const { root } = this.#kernel;
    this.#dropReport = new DropReport(this, this.#kernel);
    configureNetwork(this.#kernel, config, this.#boot.carrierDown, this.#boot.impaired);
    this.#bfdd = new Bfdd(this, root, {
      ...config.timers.bfd,
      sendReal: (peer, payload) => this.#out.external({ type: 'bfd', peer, payload }),
    });
    const advertised = config.interfaces.filter(({ ra }) => ra === true);
    if (advertised.length > 0)
      new Radvd(
        this,
        root,
        advertised.flatMap(({ name }) => root.device(name) ?? []),
      ).start();
    if (config.bgp !== undefined) this.#startBgp(config.bgp, this.#boot.number === 1 ? 'boot' : 'reboot', []);
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
    if (config.docker !== undefined) this.#startDocker(config.docker);
    this.#openflow = new OpenFlowNode(this, this.#kernel, config);
    this.#openflow.start();
  }

  #namespaceRemoved(ns: Netns): void {
    this.#prober.namespaceRemoved(ns);
    this.#executor.namespaceRemoved(ns);
  }

  #startDocker(config: DockerConfig): void {
    this.#dockerd = new Dockerd(this, {
      kernel: this.#kernel,
      node: this.#config.name,
      config,
      disk: this.#boot.disk?.docker ?? null,
      iptables: (words) => runIptables(this.#kernel.root, words),
      address: this.#config.interfaces[0]?.addresses[0]?.split('/')[0] ?? '',
      onNamespaceRemoved: (ns) => this.#namespaceRemoved(ns),
    });
    const dockerd = this.#dockerd;
    const { cause } = this;
    const commands = this.#boot.disk === null ? config.containers : [];
    dockerd.start(() => runAtBoot(this, dockerd, commands));
    this.cause = cause;
  }

  #startBgp(bgp: BgpConfig, start: BgpdStart, prefixes: readonly string[]): void {
    const bgpd = new Bgpd(this, {
      netns: this.#kernel.root,
      config: bgp,
      timings: this.#config.timers.bgp,
      sockets: this.#realSockets,
      start,
      bfdd: this.#bfdd,
    });
    this.#bgpd = bgpd;
    this.#kernel.onFibChange = () => bgpd.fibChanged();
    this.#kernel.onLinkChange = (device) => bgpd.onLinkChange(device);
    this.#kernel.onAddressReady = (device) => bgpd.onAddressReady(device);
    for (const prefix of prefixes) bgpd.originate(prefix);
    bgpd.start();
  }

  /** The BGP daemon crashes and is started again; what is wrong with that, or null. */
  #restartBgp(old: Bgpd): string | null {
    const { bgp } = this.#config;
    if (bgp === undefined) return 'this node speaks no BGP';
    const forwarding = restartTimeOf(bgp) === null ? 'lost' : 'kept';
    const { originated, stats } = old;
    this.#updatesBefore = {
      sent: this.#updatesBefore.sent + stats.updatesSent,
      received: this.#updatesBefore.received + stats.updatesReceived,
    };
    old.die();
    this.emit({ type: 'bgp.restarted', forwarding });
    if (forwarding === 'lost') Bgpd.removeRoutes(this.#kernel.root);
    this.#startBgp(bgp, forwarding === 'kept' ? 'forwarding-kept' : 'forwarding-lost', originated);
    return null;
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
        this.#exec(id, command);
        return;
      case 'interrupt':
        this.#executor.interrupt(command.target);
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
      case 'impair':
        this.emit({
          type: 'command.received',
          command: 'impair',
          detail: `${command.device} ${impairmentWords(command.change)}`,
        });
        answer(impair(this.#kernel.root, command.device, command.change));
        return;
      case 'trace':
        answer(this.#trace(command));
        return;
      case 'probe.start':
      case 'probe.target':
      case 'probe.stop':
        answer(this.#probe(command));
        return;
      case 'capture.start':
        this.#capturer.command(command, this.#namespaceOf(command.pod), answer);
        return;
      case 'capture.read':
      case 'capture.stop':
        this.#capturer.command(command, undefined, answer);
        return;
      case 'bgp': {
        if (this.#bgpd === null) {
          answer({ type: 'error', message: 'this node speaks no BGP' });
          return;
        }
        this.emit({ type: 'command.received', command: 'bgp', detail: detailOf(command.request) });
        const { request } = command;
        const problem = request.op === 'restart' ? this.#restartBgp(this.#bgpd) : this.#bgpd.control(request);
        answer(problem === null ? { type: 'value', value: null } : { type: 'error', message: problem });
        return;
      }
      case 'openflow':
        if (command.request.op !== 'switches' && command.request.op !== 'flows')
          this.emit({
            type: 'command.received',
            command: 'openflow',
            detail: openflowWords(command.request),
          });
        this.#openflow.command(command.request, answer);
        return;
      case 'crash':
        this.emit({ type: 'command.received', command: 'crash', detail: command.how });
        if (command.how === 'reset') this.#kernel.abortAll();
        this.#end('halt', () => answer({ type: 'value', value: null }));
        return;
      case 'stop':
        this.#bgpd?.shutdown();
        this.#bfdd.shutdown();
        this.#openflow.shutdown();
        this.emit({ type: 'node.stopped', reason: command.reason });
        this.#end('exit', () => answer({ type: 'value', value: null }));
    }
  }

  #end(how: 'halt' | 'exit', answer: () => void): void {
    // What TCP and ARP still hold for this very moment goes out first: whoever gets the answer may kill the process.
    this.#runTimers();
    answer();
    this.#ended = true;
    this.#out.end(how);
  }

  #exec(id: string, { pod, argv, stdin }: Extract<NodeCommand, { type: 'exec' }>): void {
    const container = pod !== '' && this.#cluster?.namespaceOf(pod) === undefined;
    const ns = this.#namespaceOf(pod);
    if (ns === undefined) {
      this.#out.reply(id, {
        type: 'error',
        message: `no pod or container ${pod} runs on ${this.#config.name}`,
      });
      return;
    }
    this.emit({ type: 'command.received', command: 'exec', detail: `${pod} ${argv.join(' ')}`.trim() });
    const place = {
      kernel: this.#kernel,
      ns,
      pod: container ? '' : pod,
      node: this.#config.name,
      bgpd: this.#bgpd,
      bfdd: this.#bfdd,
      dockerd: this.#dockerd,
      vswitchd: this.#openflow.vswitchd,
      ...(stdin === undefined ? {} : { stdin }),
    };
    const docker = ['docker', 'exec', ...(stdin === undefined ? [] : ['-i']), pod];
    this.#executor.start(id, container ? [...docker, ...argv] : argv, place);
  }

  #namespaceOf(pod: string): Netns | undefined {
    if (pod === '') return this.#kernel.root;
    return this.#cluster?.namespaceOf(pod) ?? this.#dockerd?.namespaceOf(pod);
  }

  #trace({ pod, target, packet }: Extract<NodeCommand, { type: 'trace' }>): CommandReply {
    const ns = this.#namespaceOf(pod);
    const addr = parseIp(target);
    if (ns === undefined)
      return { type: 'error', message: `no pod or container ${pod} runs on ${this.#config.name}` };
    if (addr === null) return { type: 'error', message: `${target} is no address` };
    const detail = `${pod} -> ${target} ${packet.proto}${packet.proto === 'icmp' ? '' : ` ${packet.port}`}`;
    const start = this.emit({ type: 'command.received', command: 'trace', detail: detail.trim() });
    this.#kernel.tracer.begin(ns);
    const problem = sendTraced(ns, addr, packet);
    return problem === null ? { type: 'value', value: start } : { type: 'error', message: problem };
  }

  #probe(command: Extract<NodeCommand, { type: `probe.${string}` }>): CommandReply {
    try {
      if (command.type === 'probe.stop') return { type: 'value', value: this.#prober.stop(command.probe) };
      const target = parseIp4(command.target);
      if (target === null) return { type: 'error', message: `${command.target} is no IPv4 address` };
      if (command.type === 'probe.target') this.#prober.retarget(command.probe, target);
      else {
        const ns = this.#namespaceOf(command.pod);
        if (ns === undefined)
          return { type: 'error', message: `no pod or container ${command.pod} runs here` };
        this.#prober.start({ id: command.probe, ns, target, interval: command.interval });
      }
      return { type: 'value', value: null };
    } catch (error) {
      if (error instanceof ProbeError) return { type: 'error', message: error.message };
      throw error;
    }
  }

  report(): NodeReport {
    const bgp = this.#bgpd?.report();
    const stats = this.#bgpd?.stats;
    const cluster = this.#cluster?.report();
    const docker = this.#dockerd?.report();
    const changes = this.#forwardingChanges;
    const workOf = {
      bgp: bgp?.pendingWork ?? 0,
      cluster: (cluster?.work ?? 0) + (docker?.work ?? 0),
      openflow: this.#openflow.work,
      dad: this.#kernel.claiming,
    };
    return {
      node: this.#config.name,
      boot: this.#boot.number,
      at: this.#now,
      sessions: bgp?.sessions ?? [],
      work: workOf.bgp + workOf.cluster + workOf.openflow + workOf.dad,
      workOf,
      storeRevision: this.#storeRevision,
      fibChanges: changes.count,
      lastFibChange: changes.lastAt,
      lastFibEvent: changes.last,
      updatesSent: this.#updatesBefore.sent + (stats?.updatesSent ?? 0),
      updatesReceived: this.#updatesBefore.received + (stats?.updatesReceived ?? 0),
      routes: this.#kernel.root.routes.size,
      podsRunning: cluster?.podsRunning ?? 0,
      containersRunning: docker?.running ?? 0,
      dropped: Object.fromEntries(this.#kernel.drops),
    };
  }

  /** The live state, in the shape that the fold of the log has. */
  snapshot(): NodeView {
    return {
      kernel: this.#kernel.snapshot(),
      bgp: this.#bgpd?.snapshot() ?? EMPTY_BGP_VIEW,
      bfd: this.#bfdd.snapshot(),
      cluster: this.#cluster?.snapshot() ?? NO_CLUSTER,
      files: this.#kernel.files.snapshot(),
      docker: this.#dockerd?.snapshot() ?? this.#boot.disk?.docker ?? EMPTY_DOCKER_VIEW,
      openflow: this.#openflow.snapshot(),
    };
  }
}

function detailOf(request: BgpRequest): string {
  return request.op === 'load' ? `load ${request.messages.length} UPDATEs` : JSON.stringify(request);
}
