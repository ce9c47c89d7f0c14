import type { AsyncConfig, OfBody } from '../../../protocols/openflow/message.ts';
import type { OpenFlowRole } from '../../events/openflow.ts';

/**
 * What a controller is sent unasked where it has not said (§6.3.6), as Open vSwitch has it: packets, but for those whose TTL has
 * run out, and flows as master or equal, ports always.
 */
export const ASYNC_DEFAULT: AsyncConfig = { packetIn: [3, 0], portStatus: [7, 7], flowRemoved: [15, 0] };

/** Somebody who speaks OpenFlow to the switch: a controller, or ovs-ofctl on the switch itself. */
export class OfConn {
  /** `tcp:ADDRESS:PORT`; '' for ovs-ofctl, which no events tell of. */
  readonly name: string;
  readonly send: (body: OfBody, xid?: number) => void;
  role: OpenFlowRole = 'equal';
  /** Null for the default. */
  asyncConfig: AsyncConfig | null = null;
  /** Nobody is sent what ovs-ofctl is not asked to watch. */
  missSendLen: number;

  constructor(name: string, send: (body: OfBody, xid?: number) => void) {
    this.name = name;
    this.missSendLen = name === '' ? 0 : 128;
    this.send = send;
  }

  /** Whether it is sent a message that nobody asked for, by the bit of its reason. */
  wants(what: keyof AsyncConfig, reason: number): boolean {
    const masks = (this.asyncConfig ?? ASYNC_DEFAULT)[what];
    return (masks[this.role === 'slave' ? 1 : 0] & (1 << reason)) !== 0;
  }
}
