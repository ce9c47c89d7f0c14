import { copyFrame } from '../../../protocols/frame-buffer.ts';
import { readMac } from '../../../protocols/mac.ts';
import type { Action } from '../../../protocols/openflow/action.ts';
import { PORT_CONFIG, RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import { formatFlow, formatRule, formatTail } from '../../../protocols/openflow/flow-text.ts';
import type { GroupMod } from '../../../protocols/openflow/group.ts';
import { formatGroup } from '../../../protocols/openflow/group-text.ts';
import type { FlowRemovedReason, OfPort } from '../../../protocols/openflow/message.ts';
import type { MeterMod } from '../../../protocols/openflow/meter.ts';
import { meterLine } from '../../../protocols/openflow/meter-text.ts';
import type { BridgeMaster, Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import type { Flow } from './flow.ts';
import { NormalForwarding } from './normal.ts';
import { type PacketIn, Pipeline } from './pipeline.ts';

/** A device as a port of the switch, and what it has counted. */
export interface SwitchPort {
  readonly number: number;
  readonly device: Device;
  /** PORT_CONFIG but for PORT_DOWN, which is the device's. */
  config: number;
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  txDropped: number;
  /** Its device has left the namespace: nothing goes by it any more. */
  isGone: boolean;
}

/** What the bridge tells its daemon. */
export interface BridgeListener {
  packetIn(packet: PacketIn): void;
  flowRemoved(flow: Flow, reason: FlowRemovedReason): void;
  portChanged(port: SwitchPort): void;
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
  /** By number; LOCAL, if there are others, is the last. */
  readonly ports: SwitchPort[] = [];
  readonly created: number;
  mode: 'controlled' | 'standalone' = 'controlled';
  readonly #ns: Netns;
  readonly #listener: BridgeListener;
  readonly #byDevice = new Map<Device, SwitchPort>();
  #local: SwitchPort | null = null;

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
      packetIn: (packet) => this.#packetIn(packet),
      flowSet: (flow) => this.#flowSet(flow),
      flowRemoved: (flow, reason) => this.#flowRemoved(flow, reason),
      looked: (table, flow) => {
        if (rt.cause < 0) this.#traceFlow(table, flow);
      },
      dropped: (reason) => ns.kernel.drop(reason),
      isLive: (port) => isLive(this.port(port)),
    });
  }

  /** Takes a device as the port with the next number. */
  addPort(device: Device): void {
    this.#add(this.ports.length + 1, device);
    this.#ns.links.enslave(device, this);
  }

  /** Makes the bridge's own device, its port LOCAL; it is down, as any that is new. Its address is the lowest of the ports'. */
  addLocal(): void {
    const macs = this.ports.map(({ device }) => device.mac);
    const options = { name: this.bridge, mac: Math.min(...macs), mtu: 1500 };
    this.#local = this.#add(RESERVED_PORTS.LOCAL, this.#ns.links.addInternal(options, this));
  }

  #add(number: number, device: Device): SwitchPort {
    const counts = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, txDropped: 0, isGone: false };
    const port = { number, device, config: 0, ...counts };
    this.ports.push(port);
    this.#byDevice.set(device, port);
    return port;
  }

  portOf(device: Device): SwitchPort | undefined {
    return this.#byDevice.get(device);
  }

  /** By its number. */
  port(number: number): SwitchPort | undefined {
    return number === RESERVED_PORTS.LOCAL ? (this.#local ?? undefined) : this.ports[number - 1];
  }

  portFacts(): Record<string, never> {
    return {};
  }

  portChanged(device: Device): void {
    const port = this.#byDevice.get(device);
    if (port !== undefined) this.#listener.portChanged(port);
  }

  portGone(device: Device): void {
    const port = this.#byDevice.get(device);
    if (port === undefined) return;
    port.isGone = true;
    this.#byDevice.delete(device);
    this.#listener.portChanged(port);
  }

  receiveFrom(device: Device, frame: Uint8Array): void {
    const port = this.#byDevice.get(device);
    if (port === undefined) return;
    port.rxPackets++;
    port.rxBytes += frame.length;
    if ((port.config & PORT_CONFIG.NO_RECV) !== 0) this.#ns.kernel.drop('openflow-no-recv');
    else if (this.mode === 'standalone') this.output(RESERVED_PORTS.NORMAL, frame, port.number);
    else this.pipeline.process(frame, port.number);
  }

  packetOut(frame: Uint8Array, inPort: number, actions: readonly Action[]): void {
    this.pipeline.packetOut(frame, inPort, actions);
  }

  output(port: number, frame: Uint8Array, inPort: number): void {
    switch (port) {
      case RESERVED_PORTS.IN_PORT:
        this.#send(this.port(inPort), frame);
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
        else if (to !== inPort) this.#send(this.port(to), frame);
        break;
      }
      case inPort:
        // Only IN_PORT sends back (§7.2.5).
        this.#ns.kernel.drop('openflow-in-port');
        break;
      default:
        this.#send(this.port(port), frame);
    }
  }

  #flood(frame: Uint8Array, inPort: number): void {
    for (const port of this.ports)
      if (port.number !== inPort && isLive(port)) this.#send(port, copyFrame(frame));
  }

  #send(port: SwitchPort | undefined, frame: Uint8Array): void {
    const { kernel } = this.#ns;
    if (port === undefined) {
      kernel.drop('openflow-no-port');
      return;
    }
    if ((port.config & PORT_CONFIG.NO_FWD) !== 0) {
      kernel.drop('openflow-no-fwd');
      return;
    }
    if (!isLive(port)) {
      port.txDropped++;
      if (port.isGone) return;
    } else {
      port.txPackets++;
      port.txBytes += frame.length;
    }
    const { rt, tracer } = kernel;
    if (rt.cause < 0) tracer.step(this.#ns, { at: 'bridge', dev: this.bridge, to: port.device.name }, frame);
    // What goes out by LOCAL has come in by the bridge's device, to the stack above it.
    if (port === this.#local) kernel.enqueue(port.device, frame);
    else port.device.transmit(frame);
  }

  #traceFlow(table: number, flow: Flow | null): void {
    const step = {
      at: 'flow',
      dev: this.bridge,
      table,
      flow: flow === null ? '' : formatTail(flow),
    } as const;
    this.#ns.kernel.tracer.step(this.#ns, step, null);
  }

  #packetIn(packet: PacketIn): void {
    const port = this.port(packet.inPort);
    if (port !== undefined && (port.config & PORT_CONFIG.NO_PACKET_IN) !== 0)
      this.#ns.kernel.drop('openflow-no-packet-in');
    else this.#listener.packetIn(packet);
  }

  /** @throws OpenFlowError */
  groupMod(mod: GroupMod): void {
    const { rt } = this.#ns.kernel;
    const { groups } = this.pipeline;
    if (mod.command === 'delete') {
      for (const { spec } of groups.delete(mod.group)) {
        rt.emit({ type: 'openflow.group.removed', bridge: this.bridge, group: spec.group });
        this.pipeline.dropUsers((flow) => flow.sendsTo(spec.group) > 0, 'group_delete');
      }
      return;
    }
    const { spec } = mod.command === 'add' ? groups.add(mod, rt.now) : groups.modify(mod);
    rt.emit({ type: 'openflow.group', bridge: this.bridge, group: spec.group, spec: formatGroup(spec) });
  }

  /** @throws OpenFlowError */
  meterMod(mod: MeterMod): void {
    const { rt } = this.#ns.kernel;
    const { meters } = this.pipeline;
    if (mod.command === 'delete') {
      for (const { spec } of meters.delete(mod.meter)) {
        rt.emit({ type: 'openflow.meter.removed', bridge: this.bridge, meter: spec.meter });
        this.pipeline.dropUsers((flow) => flow.isMetered(spec.meter), 'delete');
      }
      return;
    }
    const { spec } = mod.command === 'add' ? meters.add(mod, rt.now) : meters.modify(mod, rt.now);
    rt.emit({ type: 'openflow.meter', bridge: this.bridge, meter: spec.meter, spec: meterLine(spec) });
  }

  /** What a PORT_MOD says (§7.3.4.3): `config` where `mask` has bits. */
  portMod(port: SwitchPort, config: number, mask: number): void {
    const { links, kernel } = this.#ns;
    if ((mask & PORT_CONFIG.PORT_DOWN) !== 0 && !port.isGone) {
      if ((config & PORT_CONFIG.PORT_DOWN) !== 0) links.setDown(port.device.name);
      else links.setUp(port.device.name);
    }
    const kept = PORT_CONFIG.NO_RECV | PORT_CONFIG.NO_FWD | PORT_CONFIG.NO_PACKET_IN;
    const next = (port.config & ~mask) | (config & mask & kept);
    if (next === port.config) return;
    port.config = next;
    kernel.rt.emit({ type: 'openflow.port', bridge: this.bridge, port: port.number, config: next });
    this.#listener.portChanged(port);
  }

  /** What a port says of itself (§7.2.1). */
  describe(port: SwitchPort): OfPort {
    const { number, device, config } = port;
    return {
      port: number,
      mac: device.mac,
      name: device.name,
      config: config | (device.up && !port.isGone ? 0 : PORT_CONFIG.PORT_DOWN),
      state: isLive(port) ? 4 : 1,
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

function isLive(port: SwitchPort | undefined): boolean {
  return port?.device.usable === true && !port.isGone;
}

/** What names a flow: its table, priority and match. */
export function ruleOf({ table, priority, match }: Flow): string {
  return `table=${table} ${formatRule(priority, match)}`;
}
