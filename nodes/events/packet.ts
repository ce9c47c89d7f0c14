/** One step of a packet that is followed. */
export type PacketStep =
  /** A process gives it to the stack. */
  | { readonly at: 'socket.send' }
  /** A process gets it. */
  | { readonly at: 'socket.receive'; readonly socket: string }
  | { readonly at: 'device.in' | 'device.out'; readonly dev: string; readonly kind: string }
  /** A bridge sends it on: to one port, to all, or up into the host. */
  | { readonly at: 'bridge'; readonly dev: string; readonly to: string }
  /** An OpenFlow table: the flow that takes it, in ovs-ofctl's words; '' for none. */
  | { readonly at: 'flow'; readonly dev: string; readonly table: number; readonly flow: string }
  /** `way`: what `ip route get` would say. */
  | { readonly at: 'route'; readonly way: string }
  | {
      readonly at: 'neighbor';
      readonly dev: string;
      readonly ip: string;
      readonly mac: string;
      readonly state: string;
    }
  | { readonly at: 'encapsulate' | 'decapsulate'; readonly dev: string; readonly how: string }
  | { readonly at: 'drop'; readonly reason: string };

export interface PacketStepEvent {
  readonly type: 'packet.step';
  readonly ns: string;
  readonly step: PacketStep;
  /** The packet in a few words; '' where the step has none at hand. */
  readonly packet: string;
}
