import { parseIp4 } from '../../../protocols/ip4.ts';
import {
  BAD_REQUEST,
  ERROR,
  FLOW_FLAGS,
  OFP_NO_BUFFER,
  OFP_PORT,
  OpenFlowError,
} from '../../../protocols/openflow/constants.ts';
import { encodeOpenFlow } from '../../../protocols/openflow/encode.ts';
import { formatFlow } from '../../../protocols/openflow/flow-text.ts';
import type { FlowMod, FlowRemovedReason, OfMessage } from '../../../protocols/openflow/message.ts';
import type { OpenFlowSwitchConfig } from '../../config.ts';
import type { Device } from '../../kernel/device.ts';
import type { Netns } from '../../kernel/netns.ts';
import { OpenFlowBridge, ruleOf } from '../../kernel/openflow/bridge.ts';
import type { Flow } from '../../kernel/openflow/flow.ts';
import { type PacketIn, TABLES } from '../../kernel/openflow/pipeline.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import { fdbKey, inOrder, type OpenFlowBridgeFacts } from '../../state/openflow-view.ts';
import { OpenFlowChannel } from './channel.ts';
import { answerMultipart } from './multipart.ts';

/** Flow statistics, table statistics, port statistics (§7.3.1 `OFPC_…`). */
const CAPABILITIES = 0x7;
/** Probe intervals without a controller after which a switch stands alone (ovs-vswitchd.conf.db(5), `fail_mode`). */
const FAIL_OPEN_PROBES = 3;

/** ovs-vswitchd: one bridge, its connection to a controller, and what it does without. */
export class Vswitchd {
  readonly bridge: OpenFlowBridge;
  readonly config: OpenFlowSwitchConfig;
  readonly #rt: Runtime;
  readonly #ns: Netns;
  failMode: OpenFlowSwitchConfig['failMode'];
  #socket: TcpSocket | null = null;
  #channel: OpenFlowChannel | null = null;
  #backoff: number;
  #retry: TimerHandle | null = null;
  #alone: TimerHandle | null = null;
  #missSendLen = 128;
  #live = new Map<number, number>();

  constructor(rt: Runtime, ns: Netns, config: OpenFlowSwitchConfig) {
    this.#rt = rt;
    this.#ns = ns;
    this.config = config;
    this.failMode = config.failMode;
    this.#backoff = config.backoff;
    this.bridge = new OpenFlowBridge(ns, config.bridge, {
      packetIn: (packet) => this.#packetIn(packet),
      flowRemoved: (flow, reason) => this.#flowRemoved(flow, reason),
    });
  }

  /** `tcp:ADDRESS:PORT`, '' for none. */
  get target(): string {
    return this.config.controller === '' ? '' : `tcp:${this.config.controller}:${OFP_PORT}`;
  }

  get isConnected(): boolean {
    return this.#channel?.isOpen === true;
  }

  /** 1 while it is still open whether the controller comes: until then nobody knows how packets go. */
  get work(): number {
    return !this.isConnected && this.#alone !== null ? 1 : 0;
  }

  start(): void {
    const { bridge, datapathId, ports } = this.config;
    const { cause } = this.#rt;
    this.#rt.emit({
      type: 'openflow.bridge',
      bridge,
      datapathId,
      failMode: this.failMode,
      controller: this.target,
      ports,
    });
    for (const name of ports) this.bridge.addPort(this.#ns.links.require(name));
    for (const port of this.bridge.ports) this.#live.set(port.number, this.bridge.describe(port).state);
    if (this.target === '') this.#standAlone();
    else {
      this.#lost();
      this.#connect();
    }
    this.#rt.cause = cause;
  }

  shutdown(): void {
    if (this.#retry !== null) this.#rt.timers.cancel(this.#retry);
    this.#channel?.close('shut down');
  }

  setFailMode(mode: OpenFlowSwitchConfig['failMode']): void {
    if (mode === this.failMode) return;
    this.failMode = mode;
    this.#rt.emit({ type: 'openflow.fail-mode', bridge: this.config.bridge, failMode: mode });
    if (mode === 'secure') this.#setMode('controlled');
    else if (!this.isConnected && this.#alone === null) this.#standAlone();
  }

  /** A device has gained or lost its carrier. */
  linkChanged(device: Device): void {
    const port = this.bridge.portOf(device);
    if (port === undefined) return;
    const description = this.bridge.describe(port);
    if (this.#live.get(port.number) === description.state) return;
    this.#live.set(port.number, description.state);
    if (!device.usable) this.bridge.normal.flush(port.number);
    this.#channel?.send({ type: 'port_status', reason: 'modify', port: description });
  }

  /** What ovs-ofctl asks for on the switch itself. @throws OpenFlowError */
  flowMod(mod: FlowMod): void {
    const { cause } = this.#rt;
    this.bridge.pipeline.flowMod(mod);
    this.#rt.cause = cause;
  }

  facts(): OpenFlowBridgeFacts {
    const { bridge, datapathId, ports } = this.config;
    const flows = this.bridge.pipeline.flows().map((flow) => [ruleOf(flow), formatFlow(flow)] as const);
    return {
      bridge,
      datapathId,
      failMode: this.failMode,
      controller: this.target,
      ports,
      channel: this.isConnected ? 'connected' : 'disconnected',
      mode: this.bridge.mode,
      flows: inOrder(flows, ([rule]) => rule).map(([, flow]) => flow),
      fdb: inOrder(this.bridge.normal.rows(), fdbKey),
    };
  }

  #connect(): void {
    const dst = parseIp4(this.config.controller) ?? 0;
    const socket = this.#ns.connectTcp({ src: 0, dst, port: OFP_PORT });
    this.#socket = socket;
    socket.onConnected = () => {
      this.#channel = new OpenFlowChannel(this.#rt, socket, this.config.inactivityProbe, {
        opened: () => this.#opened(),
        message: (message) => this.#message(message),
        closed: (reason) => this.#closed(reason),
      });
    };
    socket.onClosed = (reason) => this.#closed(reason);
    // rconn gives an attempt up after its backoff, or a second.
    this.#retry = this.#rt.timers.set(this.#rt.now + Math.max(this.config.backoff, this.#backoff), () => {
      this.#retry = null;
      if (this.#channel === null && this.#socket === socket) {
        socket.onClosed = null;
        socket.abort();
        this.#closed('connection timed out');
      }
    });
  }

  #opened(): void {
    this.#backoff = this.config.backoff;
    if (this.#alone !== null) this.#rt.timers.cancel(this.#alone);
    this.#alone = null;
    this.#rt.emit({
      type: 'openflow.channel',
      bridge: this.config.bridge,
      state: 'connected',
      reason: this.target,
    });
    this.#setMode('controlled');
  }

  #closed(reason: string): void {
    const was = this.#channel;
    this.#channel = null;
    this.#socket = null;
    if (this.#retry !== null) this.#rt.timers.cancel(this.#retry);
    if (was !== null && this.#alone === null) {
      this.#rt.emit({
        type: 'openflow.channel',
        bridge: this.config.bridge,
        state: 'disconnected',
        reason,
      });
      this.#lost();
    }
    this.#retry = this.#rt.timers.set(this.#rt.now + this.#backoff, () => {
      this.#retry = null;
      this.#connect();
    });
    this.#backoff = Math.min(2 * this.#backoff, this.config.maxBackoff);
  }

  /** From here on the time runs after which the controller counts as gone. */
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

  #message(message: OfMessage): void {
    const { body, xid } = message;
    const channel = this.#channel;
    if (channel === null) return;
    try {
      this.#serve(channel, message);
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      this.#rt.emit({
        type: 'openflow.error',
        datapathId: this.config.datapathId,
        errorType: error.errorType,
        code: error.code,
      });
      channel.refuse(error, encodeOpenFlow({ xid, body }), xid);
    }
  }

  #serve(channel: OpenFlowChannel, { body, xid }: OfMessage): void {
    switch (body.type) {
      case 'features_request':
        channel.send(
          {
            type: 'features_reply',
            datapathId: BigInt(`0x${this.config.datapathId}`),
            buffers: 0,
            tables: TABLES,
            auxiliaryId: 0,
            capabilities: CAPABILITIES,
          },
          xid,
        );
        break;
      case 'set_config':
        this.#missSendLen = body.missSendLen;
        break;
      case 'get_config_request':
        channel.send({ type: 'get_config_reply', flags: 0, missSendLen: this.#missSendLen }, xid);
        break;
      case 'barrier_request':
        // Every message is worked off before the next one is read.
        channel.send({ type: 'barrier_reply' }, xid);
        break;
      case 'flow_mod':
        this.#needNoBuffer(body.bufferId);
        this.bridge.pipeline.flowMod(body);
        break;
      case 'packet_out':
        this.#needNoBuffer(body.bufferId);
        if (body.data.length < 14)
          throw new OpenFlowError('no frame', ERROR.BAD_REQUEST, BAD_REQUEST.BAD_PACKET);
        this.bridge.packetOut(body.data.slice(), body.inPort, body.actions);
        break;
      case 'multipart_request':
        for (const reply of answerMultipart(this, body.request, this.#rt.now)) channel.send(reply, xid);
        break;
      case 'role_request':
        // One controller is the master of all that it asks for.
        channel.send(
          {
            type: 'role_reply',
            role: body.role === 'nochange' ? 'equal' : body.role,
            generationId: body.generationId,
          },
          xid,
        );
        break;
      case 'error':
        break;
      default:
        throw new OpenFlowError(`a switch takes no ${body.type}`, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_TYPE);
    }
  }

  /** Nothing is buffered here: n_buffers is 0. */
  #needNoBuffer(bufferId: number): void {
    if (bufferId !== OFP_NO_BUFFER)
      throw new OpenFlowError('no such buffer', ERROR.BAD_REQUEST, BAD_REQUEST.BUFFER_UNKNOWN);
  }

  #packetIn({ frame, inPort, reason, table, cookie }: PacketIn): void {
    if (!this.isConnected) {
      this.#ns.kernel.drop('openflow-no-controller');
      return;
    }
    // Without buffers the controller is sent all of it, whatever max_len says (§7.2.5).
    this.#channel?.send({
      type: 'packet_in',
      bufferId: OFP_NO_BUFFER,
      totalLen: frame.length,
      reason,
      table,
      cookie,
      match: [{ field: 'in_port', value: BigInt(inPort), mask: null }],
      data: frame,
    });
  }

  #flowRemoved(flow: Flow, reason: FlowRemovedReason): void {
    if ((flow.flags & FLOW_FLAGS.SEND_FLOW_REM) === 0) return;
    const age = this.#rt.now - flow.created;
    this.#channel?.send({
      type: 'flow_removed',
      cookie: flow.cookie,
      priority: flow.priority,
      reason,
      table: flow.table,
      durationSec: Math.floor(age / 1000),
      durationNsec: Math.floor((age % 1000) * 1e6),
      idleTimeout: flow.idleTimeout,
      hardTimeout: flow.hardTimeout,
      packets: BigInt(flow.packets),
      bytes: BigInt(flow.bytes),
      match: flow.match,
    });
  }
}
