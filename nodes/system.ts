import type { Impairment } from './commands.ts';
import type { BgpConfig, DockerConfig, NodeConfig } from './config.ts';
import { Bfdd } from './daemons/bfdd.ts';
import { RealSockets } from './daemons/bgp/external-sessions.ts';
import { restartTimeOf } from './daemons/bgp/restart-time.ts';
import { Bgpd, type BgpdStart } from './daemons/bgpd.ts';
import { ClusterDaemons } from './daemons/cluster.ts';
import { runAtBoot } from './daemons/docker/cli/docker.ts';
import { Dockerd } from './daemons/docker/dockerd.ts';
import { OpenFlowNode } from './daemons/openflow/node.ts';
import { Radvd } from './daemons/radvd.ts';
import { DropReport } from './drop-report.ts';
import type { EventId } from './events/record.ts';
import { Kernel } from './kernel/kernel.ts';
import type { Netns } from './kernel/netns.ts';
import type { NodeOutputs, NodeReport } from './machine-io.ts';
import { configureNetwork } from './network.ts';
import type { Runtime } from './runtime.ts';
import { EMPTY_BGP_VIEW } from './state/bgp-view.ts';
import type { ClusterView } from './state/cluster-view.ts';
import { EMPTY_DOCKER_VIEW } from './state/docker-view.ts';
import type { NodeDisk, NodeView } from './state/node-fold.ts';
import { runIptables } from './tools/iptables/iptables.ts';

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

/** What kernel and daemons say of themselves in a node's report. */
type SystemReport = Pick<
  NodeReport,
  | 'sessions'
  | 'work'
  | 'workOf'
  | 'updatesSent'
  | 'updatesReceived'
  | 'routes'
  | 'podsRunning'
  | 'containersRunning'
  | 'dropped'
>;

/** What runs on a node from a boot to its end: the kernel, and the daemons that its configuration names. */
export class NodeSystem {
  readonly #rt: Runtime;
  readonly #config: NodeConfig;
  readonly #boot: Boot;
  readonly #out: NodeOutputs;
  readonly #onNamespaceRemoved: (ns: Netns) => void;
  readonly #realSockets: RealSockets;
  #kernel!: Kernel;
  #dropReport!: DropReport;
  #bfdd!: Bfdd;
  #bgpd: Bgpd | null = null;
  /** UPDATEs that daemons before this one have counted. */
  #updatesBefore = { sent: 0, received: 0 };
  #cluster: ClusterDaemons | null = null;
  #dockerd: Dockerd | null = null;
  #openflow!: OpenFlowNode;

  constructor(
    rt: Runtime,
    config: NodeConfig,
    boot: Boot,
    out: NodeOutputs,
    onNamespaceRemoved: (ns: Netns) => void,
  ) {
    this.#rt = rt;
    this.#config = config;
    this.#boot = boot;
    this.#out = out;
    this.#onNamespaceRemoved = onNamespaceRemoved;
    this.#realSockets = new RealSockets((request) => out.external(request));
  }

  /** Of what follows nothing is there before `start`. */
  get kernel(): Kernel {
    return this.#kernel;
  }

  get dropReport(): DropReport {
    return this.#dropReport;
  }

  get bfdd(): Bfdd {
    return this.#bfdd;
  }

  get bgpd(): Bgpd | null {
    return this.#bgpd;
  }

  get cluster(): ClusterDaemons | null {
    return this.#cluster;
  }

  get dockerd(): Dockerd | null {
    return this.#dockerd;
  }

  get openflow(): OpenFlowNode {
    return this.#openflow;
  }

  start(): void {
    const rt = this.#rt;
    const config = this.#config;
    const out = this.#out;
    this.#kernel = new Kernel(rt, {
      timings: config.timers,
      ipv6: config.ipv6 === true ? 'on' : 'off',
      transmit: (port, frame, cause) => out.transmit(port, frame, cause),
      txQueue: () => out.txQueue?.() ?? 'room',
      filter: (port, filter) => out.filter?.(port, filter),
    });
    const { root } = this.#kernel;
    this.#dropReport = new DropReport(rt, this.#kernel);
    configureNetwork(this.#kernel, config, this.#boot.carrierDown, this.#boot.impaired);
    this.#bfdd = new Bfdd(rt, root, {
      ...config.timers.bfd,
      sendReal: (peer, payload) => out.external({ type: 'bfd', peer, payload }),
    });
    const advertised = config.interfaces.filter(({ ra }) => ra === true);
    if (advertised.length > 0)
      new Radvd(
        rt,
        root,
        advertised.flatMap(({ name }) => root.device(name) ?? []),
      ).start();
    if (config.bgp !== undefined) this.#startBgp(config.bgp, this.#boot.number === 1 ? 'boot' : 'reboot', []);
    if (config.cni !== undefined) {
      this.#cluster = new ClusterDaemons(rt, {
        kernel: this.#kernel,
        config: { ...config, cni: config.cni },
        disk: this.#boot.disk,
        originator: {
          originate: (prefix) => this.#bgpd?.originate(prefix),
          withdraw: (prefix) => this.#bgpd?.withdraw(prefix),
        },
        onNamespaceRemoved: this.#onNamespaceRemoved,
      });
      this.#cluster.start();
    }
    if (config.docker !== undefined) this.#startDocker(config.docker);
    this.#openflow = new OpenFlowNode(rt, this.#kernel, config);
    this.#openflow.start();
  }

  #startDocker(config: DockerConfig): void {
    const rt = this.#rt;
    this.#dockerd = new Dockerd(rt, {
      kernel: this.#kernel,
      node: this.#config.name,
      config,
      disk: this.#boot.disk?.docker ?? null,
      iptables: (words) => runIptables(this.#kernel.root, words),
      address: this.#config.interfaces[0]?.addresses[0]?.split('/')[0] ?? '',
      onNamespaceRemoved: this.#onNamespaceRemoved,
    });
    const dockerd = this.#dockerd;
    const { cause } = rt;
    const commands = this.#boot.disk === null ? config.containers : [];
    dockerd.start(() => runAtBoot(rt, dockerd, commands));
    rt.cause = cause;
  }

  #startBgp(bgp: BgpConfig, start: BgpdStart, prefixes: readonly string[]): void {
    const bgpd = new Bgpd(this.#rt, {
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
  restartBgp(): string | null {
    const { bgp } = this.#config;
    const old = this.#bgpd;
    if (bgp === undefined || old === null) return 'this node speaks no BGP';
    const forwarding = restartTimeOf(bgp) === null ? 'lost' : 'kept';
    const { originated, stats } = old;
    this.#updatesBefore = {
      sent: this.#updatesBefore.sent + stats.updatesSent,
      received: this.#updatesBefore.received + stats.updatesReceived,
    };
    old.die();
    this.#rt.emit({ type: 'bgp.restarted', forwarding });
    if (forwarding === 'lost') Bgpd.removeRoutes(this.#kernel.root);
    this.#startBgp(bgp, forwarding === 'kept' ? 'forwarding-kept' : 'forwarding-lost', originated);
    return null;
  }

  /** The namespace of a pod or container, the node's own for ''. */
  namespaceOf(pod: string): Netns | undefined {
    if (pod === '') return this.#kernel.root;
    return this.#cluster?.namespaceOf(pod) ?? this.#dockerd?.namespaceOf(pod);
  }

  /** Says goodbye to whom the daemons have sessions with. */
  shutdown(): void {
    this.#bgpd?.shutdown();
    this.#bfdd.shutdown();
    this.#openflow.shutdown();
  }

  report(): SystemReport {
    const bgp = this.#bgpd?.report();
    const stats = this.#bgpd?.stats;
    const cluster = this.#cluster?.report();
    const docker = this.#dockerd?.report();
    const workOf = {
      bgp: bgp?.pendingWork ?? 0,
      cluster: (cluster?.work ?? 0) + (docker?.work ?? 0),
      openflow: this.#openflow.work,
      dad: this.#kernel.claiming,
    };
    return {
      sessions: bgp?.sessions ?? [],
      work: workOf.bgp + workOf.cluster + workOf.openflow + workOf.dad,
      workOf,
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
