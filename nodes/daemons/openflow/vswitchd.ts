import { OpenFlowError } from '../../../protocols/openflow/constants.ts';
import { encodeOpenFlow } from '../../../protocols/openflow/encode.ts';
import { formatFlow } from '../../../protocols/openflow/flow-text.ts';
import { formatGroup } from '../../../protocols/openflow/group-text.ts';
import type { OfBody, OfMessage } from '../../../protocols/openflow/message.ts';
import { meterLine } from '../../../protocols/openflow/meter-text.ts';
import type { OpenFlowSwitchConfig } from '../../config.ts';
import type { Netns } from '../../kernel/netns.ts';
import { OpenFlowBridge, ruleOf, type SwitchPort } from '../../kernel/openflow/bridge.ts';
import type { PacketIn } from '../../kernel/openflow/pipeline.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { fdbKey, inOrder, type OpenFlowBridgeFacts } from '../../state/openflow-view.ts';
import type { OpenFlowChannel } from './channel.ts';
import { OfConn } from './ofconn.ts';
import { asyncMasks, Ofproto } from './ofproto.ts';
import { Rconn, targetOf } from './rconn.ts';

/** Probe intervals without a controller after which a switch stands alone (ovs-vswitchd.conf.db(5), `fail_mode`). */
const FAIL_OPEN_PROBES = 3;

/** One of the controllers, and what it is to the switch while it is connected. */
interface Controller {
  readonly rconn: Rconn;
  conn: OfConn | null;
}

/** ovs-vswitchd: one bridge, its connections to its controllers, and what it does without. */
export class Vswitchd {
  readonly bridge: OpenFlowBridge;
  readonly config: OpenFlowSwitchConfig;
  readonly #rt: Runtime;
  readonly #ns: Netns;
  readonly ofproto: Ofproto;
  readonly #controllers: readonly Controller[];
  failMode: OpenFlowSwitchConfig['failMode'];
  #alone: TimerHandle | null = null;
  /** What was last told of each port. */
  readonly #told = new Map<number, string>();

  constructor(rt: Runtime, ns: Netns, config: OpenFlowSwitchConfig) {
    this.#rt = rt;
    this.#ns = ns;
    this.config = config;
    this.failMode = config.failMode;
    this.bridge = new OpenFlowBridge(ns, config.bridge, {
      packetIn: (packet) => this.#packetIn(packet),
      flowRemoved: (flow, reason) => this.ofproto.flowRemoved(flow, reason),
      portChanged: (port) => this.#portChanged(port),
    });
    this.ofproto = new Ofproto(rt, this.bridge, config.datapathId);
    this.#controllers = addresses(config).map((address) => {
      const controller: Controller = {
        rconn: new Rconn(rt, ns, address, config, {
          opened: (channel) => this.#opened(controller, channel),
          message: (channel, message) => this.#message(controller, channel, message),
          closed: (reason) => this.#closed(controller, reason),
        }),
        conn: null,
      };
      return controller;
    });
  }

  /** `tcp:ADDRESS:PORT` of each controller. */
  get targets(): string[] {
    return addresses(this.config).map(targetOf);
  }

  /** Of each controller in turn: null while it is not connected. */
  connections(): { readonly target: string; readonly conn: OfConn | null }[] {
    return this.#controllers.map(({ rconn, conn }) => ({ target: rconn.target, conn }));
  }

  /** 1 while it is still open whether a controller comes: until then nobody knows how packets go. */
  get work(): number {
    return !this.ofproto.hasController && this.#alone !== null ? 1 : 0;
  }

  start(): void {
    const { bridge, datapathId, ports } = this.config;
    const { cause } = this.#rt;
    this.#rt.emit({
      type: 'openflow.bridge',
      bridge,
      datapathId,
      failMode: this.failMode,
      controller: this.targets.join(' '),
      ports,
    });
    for (const name of ports) this.bridge.addPort(this.#ns.links.require(name));
    this.bridge.addLocal();
    for (const port of this.bridge.ports) this.#told.set(port.number, this.#words(port));
    if (this.#controllers.length === 0) this.#standAlone();
    else {
      this.#lost();
      for (const { rconn } of this.#controllers) rconn.connect();
    }
    this.#rt.cause = cause;
  }

  shutdown(): void {
    for (const { rconn } of this.#controllers) rconn.shutdown();
  }

  setFailMode(mode: OpenFlowSwitchConfig['failMode']): void {
    if (mode === this.failMode) return;
    this.failMode = mode;
    this.#rt.emit({ type: 'openflow.fail-mode', bridge: this.config.bridge, failMode: mode });
    if (mode === 'secure') this.#setMode('controlled');
    else if (!this.ofproto.hasController && this.#alone === null) this.#standAlone();
  }

  /** What ovs-ofctl says to the switch from the switch itself, and what it is answered; an ERROR is one of the answers. */
  request(body: OfBody): OfBody[] {
    const { cause } = this.#rt;
    const answers: OfBody[] = [];
    const conn = new OfConn('', (answer) => answers.push(answer));
    try {
      this.ofproto.serve(conn, { xid: 0, body });
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      const { errorType, code } = error;
      answers.push({ type: 'error', errorType, code, data: new Uint8Array(0) });
    }
    this.#rt.cause = cause;
    return answers;
  }

  facts(): OpenFlowBridgeFacts {
    const { bridge, datapathId, ports } = this.config;
    const { pipeline, normal, mode } = this.bridge;
    const flows = pipeline.flows().map((flow) => [ruleOf(flow), formatFlow(flow)] as const);
    return {
      bridge,
      datapathId,
      failMode: this.failMode,
      controller: this.targets.join(' '),
      ports,
      connections: this.connections().map(({ target, conn }) => ({
        controller: target,
        state: conn === null ? 'disconnected' : 'connected',
        role: conn?.role ?? 'equal',
        async: conn === null || conn.asyncConfig === null ? null : asyncMasks(conn.asyncConfig),
      })),
      generation: this.ofproto.generation,
      mode,
      flows: inOrder(flows, ([rule]) => rule).map(([, flow]) => flow),
      fdb: inOrder(normal.rows(), fdbKey),
      groups: pipeline.groups.list().map(({ spec }) => formatGroup(spec)),
      meters: pipeline.meters.list().map(({ spec }) => meterLine(spec)),
      portConfigs: this.bridge.ports
        .filter(({ config }) => config !== 0)
        .map(({ number, config }) => ({ port: number, config })),
    };
  }

  #opened(controller: Controller, channel: OpenFlowChannel): void {
    const { target } = controller.rconn;
    controller.conn = new OfConn(target, (body, xid) => channel.send(body, xid));
    this.ofproto.attach(controller.conn);
    if (this.#alone !== null) this.#rt.timers.cancel(this.#alone);
    this.#alone = null;
    this.#tell(target, 'connected', target);
    this.#setMode('controlled');
  }

  #closed(controller: Controller, reason: string): void {
    if (controller.conn !== null) this.ofproto.detach(controller.conn);
    controller.conn = null;
    this.#tell(controller.rconn.target, 'disconnected', reason);
    if (!this.ofproto.hasController) this.#lost();
  }

  #tell(controller: string, state: 'connected' | 'disconnected', reason: string): void {
    this.#rt.emit({ type: 'openflow.channel', bridge: this.config.bridge, state, reason, controller });
  }

  #message({ conn }: Controller, channel: OpenFlowChannel, message: OfMessage): void {
    if (conn === null) return;
    try {
      this.ofproto.serve(conn, message);
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      const { errorType, code } = error;
      this.#rt.emit({ type: 'openflow.error', datapathId: this.config.datapathId, errorType, code });
      channel.refuse(error, encodeOpenFlow(message), message.xid);
    }
  }

  /** From here on the time runs after which the controllers count as gone. */
  #lost(): void {
    if (this.#alone !== null || this.bridge.mode === 'standalone') return;
    this.#alone = this.#rt.timers.set(this.#rt.now + FAIL_OPEN_PROBES * this.config.inactivityProbe, () => {
      this.#alone = null;
      this.#standAlone();
    });
  }

  #standAlone(): void {
    if (this.failMode === 'standalone') this.#setMode('standalone');
  }

  #setMode(mode: 'controlled' | 'standalone'): void {
    if (this.bridge.mode === mode) return;
    this.bridge.mode = mode;
    this.#rt.emit({ type: 'openflow.mode', bridge: this.config.bridge, mode });
    this.bridge.normal.flush();
  }

  /** A port has come up or gone down, or has other settings: told where it is news. */
  #portChanged(port: SwitchPort): void {
    const words = this.#words(port);
    const before = this.#told.get(port.number);
    if (before === words || before === undefined) return;
    this.#told.set(port.number, words);
    if (!port.device.usable || port.isGone) this.bridge.normal.flush(port.number);
    this.ofproto.portChanged(port);
  }

  #words(port: SwitchPort): string {
    const { config, state } = this.bridge.describe(port);
    return `${config} ${state}`;
  }

  #packetIn(packet: PacketIn): void {
    if (!this.ofproto.hasController) this.#ns.kernel.drop('openflow-no-controller');
    else if (this.ofproto.packetIn(packet) === 'unwanted') this.#ns.kernel.drop('openflow-unwanted');
  }
}

function addresses({ controller, controllers = [] }: OpenFlowSwitchConfig): readonly string[] {
  if (controllers.length > 0) return controllers;
  return controller === '' ? [] : [controller];
}
