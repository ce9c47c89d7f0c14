import { copyFrame } from '../../../protocols/frame-buffer.ts';
import { readMac } from '../../../protocols/mac.ts';
import type { Action } from '../../../protocols/openflow/action.ts';
import { RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import { formatFlow, formatRule } from '../../../protocols/openflow/flow-text.ts';
import type { FlowRemovedReason, OfPort } from '../../../protocols/openflow/message.ts';
import type { BridgeMaster, Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { Flow } from './flow.ts';
import { NormalForwarding } from './normal.ts';
import { type PacketIn, Pipeline } from './pipeline.ts';

/** A device as a port of the switch, and what it has counted. */
export interface SwitchPort {
  readonly number: number;
  readonly device: Device;
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  txDropped: number;
}

/** What the bridge tells its daemon. */
export interface BridgeListener {
  packetIn(packet: PacketIn): void;
  flowRemoved(flow: Flow, reason: FlowRemovedReason): void;
}

/** Frames to 01:80:c2:00:00:00 to 0f are not for NORMAL (IEEE 802.1D §7.12.6). */
const LINK_LOCAL = 0x0180c2000000;

/** An OpenFlow bridge as Open vSwitch has one: its ports' frames go through flow tables, or to NORMAL while it stands alone. */
export class OpenFlowBridge implements BridgeMaster {
  /** What `ip link` shows as the master of a port of any bridge of Open vSwitch. */
  readonly name = 'ovs-system';
  readonly bridge: string;
  readonly pipeline: Pipeline;
  readonly normal: NormalForwarding;
  readonly ports: SwitchPort[] = [];
  readonly created: number;
  mode: 'controlled' | 'standalone' = 'controlled';
  readonly #ns: Netns;
  readonly #listener: BridgeListener;
  readonly #byDevice = new Map<Device, SwitchPort>();

  constructor(ns: Netns, bridge: string, listener: BridgeListener) {
    const { rt, timings } = ns.kernel;
    this.#ns = ns;
    this.bridge = bridge;
    this.#listener = listener;
    this.created = rt.now;
    this.normal = new NormalForwarding(rt, bridge, timings.bridge.ageing);
    this.pipeline = new Pipeline({
      get now() {
        return rt.now;
      },
      timers: rt.timers,
      output: (port, frame, inPort) => this.output(port, frame, inPort),
      packetIn: (packet) => listener.packetIn(packet),
      flowSet: (flow) => this.#flowSet(flow),
      flowRemoved: (flow, reason) => this.#flowRemoved(flow, reason),
      dropped: (reason) => ns.kernel.drop(reason),
    });
  }

  /** Takes a device as the port with the next number. */
  addPort(device: Device): void {
    const number = this.ports.length + 1;
    const port = { number, device, rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, txDropped: 0 };
    this.ports.push(port);
    this.#byDevice.set(device, port);
    this.#ns.links.enslave(device, this);
  }

  portOf(device: Device): SwitchPort | undefined {
    return this.#byDevice.get(device);
  }

  portFacts(): Record<string, never> {
    return {};
  }

  receiveFrom(device: Device, frame: Uint8Array): void {
    const port = this.#byDevice.get(device);
    if (port === undefined) return;
    port.rxPackets++;
    port.rxBytes += frame.length;
    if (this.mode === 'standalone') this.output(RESERVED_PORTS.NORMAL, frame, port.number);
    else this.pipeline.process(frame, port.number);
  }

  /** @throws OpenFlowError */
  packetOut(frame: Uint8Array, inPort: number, actions: readonly Action[]): void {
    this.pipeline.packetOut(frame, inPort, actions);
  }

  output(port: number, frame: Uint8Array, inPort: number): void {
    switch (port) {
      case RESERVED_PORTS.IN_PORT:
        this.#send(this.ports[inPort - 1], frame);
        break;
      case RESERVED_PORTS.FLOOD:
      case RESERVED_PORTS.ALL:
        this.#flood(frame, inPort);
        break;
      case RESERVED_PORTS.NORMAL: {
        const dst = readMac(frame, 0);
        if (dst >= LINK_LOCAL && dst < LINK_LOCAL + 16) {
          this.#ns.kernel.drop('link-local');
          break;
        }
        const to = this.normal.port(frame, inPort);
        if (to === null) this.#flood(frame, inPort);
        else if (to !== inPort) this.#send(this.ports[to - 1], frame);
        break;
      }
      case inPort:
        // Only IN_PORT sends back (§7.2.5).
        this.#ns.kernel.drop('openflow-in-port');
        break;
      default:
        this.#send(this.ports[port - 1], frame);
    }
  }

  #flood(frame: Uint8Array, inPort: number): void {
    for (const port of this.ports)
      if (port.number !== inPort && port.device.usable) this.#send(port, copyFrame(frame));
  }

  #send(port: SwitchPort | undefined, frame: Uint8Array): void {
    const { kernel } = this.#ns;
    if (port === undefined) {
      kernel.drop('openflow-no-port');
      return;
    }
    if (!port.device.usable) port.txDropped++;
    else {
      port.txPackets++;
      port.txBytes += frame.length;
    }
    const { rt, tracer } = kernel;
    if (rt.cause < 0) tracer.step(this.#ns, { at: 'bridge', dev: this.bridge, to: port.device.name }, frame);
    port.device.transmit(frame);
  }

  /** What a port says of itself (§7.2.1). */
  describe({ number, device }: SwitchPort): OfPort {
    return {
      port: number,
      mac: device.mac,
      name: device.name,
      config: device.up ? 0 : 1,
      state: device.usable ? 4 : 1,
    };
  }

  #flowSet(flow: Flow): void {
    const rule = ruleOf(flow);
    this.#ns.kernel.rt.emit({ type: 'openflow.flow', bridge: this.bridge, rule, flow: formatFlow(flow) });
  }

  #flowRemoved(flow: Flow, reason: FlowRemovedReason): void {
    const rule = ruleOf(flow);
    this.#ns.kernel.rt.emit({ type: 'openflow.flow.removed', bridge: this.bridge, rule, reason });
    this.#listener.flowRemoved(flow, reason);
  }
}

/** What names a flow: its table, priority and match. */
export function ruleOf({ table, priority, match }: Flow): string {
  return `table=${table} ${formatRule(priority, match)}`;
}
