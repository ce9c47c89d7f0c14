import type { Flow } from '../../../../nodes/kernel/openflow/flow.ts';
import { type PacketIn, Pipeline } from '../../../../nodes/kernel/openflow/pipeline.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { PROTO_TCP } from '../../../../protocols/ipv4.ts';
import { OFP_NO_BUFFER } from '../../../../protocols/openflow/constants.ts';
import { parseFlow } from '../../../../protocols/openflow/flow-text.ts';
import { parseGroup } from '../../../../protocols/openflow/group-text.ts';
import type { FlowMod, FlowRemovedReason } from '../../../../protocols/openflow/message.ts';
import { parseMeter } from '../../../../protocols/openflow/meter-text.ts';
import { encodeTcp } from '../../../../protocols/tcp/segment.ts';
import { frameOf } from '../../../support/router.ts';
import { FakeWorld } from '../../../support/runtime.ts';

export const ip = (text: string): number => parseIp4(text) ?? 0;

/** A SYN in a frame of 58 bytes. */
export function tcp(src: number, dst: number, dstPort: number, srcPort = 1000): Uint8Array {
  const segment = { srcPort, dstPort, seq: 1, ack: 0, flags: 2, window: 1000, urgent: 0 };
  return frameOf(src, dst, PROTO_TCP, encodeTcp({ ...segment, payload: new Uint8Array(4) }, src, dst));
}

/** The tables of a switch whose ports are a list of what was sent. */
export class FakeSwitch {
  readonly world = new FakeWorld();
  readonly rt = this.world.runtime();
  readonly sent: { readonly port: number; readonly frame: Uint8Array }[] = [];
  readonly packetIns: PacketIn[] = [];
  readonly removed: [Flow, FlowRemovedReason][] = [];
  readonly drops: string[] = [];
  /** Ports that are not live. */
  readonly dead = new Set<number>();
  readonly pipeline: Pipeline;

  constructor() {
    const { rt } = this;
    this.pipeline = new Pipeline({
      get now() {
        return rt.now;
      },
      timers: rt.timers,
      output: (port, frame) => this.sent.push({ port, frame }),
      packetIn: (packet) => this.packetIns.push(packet),
      flowSet: () => {},
      flowRemoved: (flow, reason) => this.removed.push([flow, reason]),
      looked: () => {},
      dropped: (reason) => this.drops.push(reason),
      isLive: (port) => !this.dead.has(port),
    });
  }

  mod(command: FlowMod['command'], text: string): void {
    const spec = parseFlow(text, command.startsWith('delete') ? 0xff : 0);
    this.pipeline.flowMod({ ...spec, command, bufferId: OFP_NO_BUFFER });
  }

  add(...texts: readonly string[]): void {
    for (const text of texts) this.mod('add', text);
  }

  group(...texts: readonly string[]): void {
    for (const text of texts)
      this.pipeline.groups.add({ command: 'add', ...parseGroup(text, 'spec') }, this.rt.now);
  }

  meter(text: string): void {
    this.pipeline.meters.add({ command: 'add', ...parseMeter(text, 'spec') }, this.rt.now);
  }

  /** Ports that a packet leaves by. */
  send(frame: Uint8Array, inPort = 1): number[] {
    this.sent.length = 0;
    this.pipeline.process(frame, inPort);
    return this.sent.map(({ port }) => port);
  }

  get priorities(): number[] {
    return this.pipeline.flows().map(({ priority }) => priority);
  }
}
