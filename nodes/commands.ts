import type { NetemChanges, NetemParameters } from '../protocols/netem/parameters.ts';
import type { Cut } from './events/kernel.ts';
import type { EventId } from './events/record.ts';

/** What `trace` sends: a SYN, a datagram, an echo request. */
export type TracedPacket =
  | { readonly proto: 'tcp' | 'udp'; readonly port: number }
  | { readonly proto: 'icmp' };

/** What is wrong with what passes a port, beside its carrier. */
export interface Impairment {
  /** Null: nothing. */
  readonly netem: NetemParameters | null;
  readonly cut: Cut;
}

export type ImpairmentChange =
  /** What is not named stays as it is. */
  | { readonly op: 'netem'; readonly changes: NetemChanges }
  /** No netem at all. */
  | { readonly op: 'reset' }
  | { readonly op: 'cut'; readonly cut: Cut };

/** What the orchestrator and the CLI ask of a running node. */
export type NodeCommand =
  /**
   * Runs a tool (ping, ip, birdc, …) in a namespace. `pod` is '' for the node itself, else `namespace/name`.
   * Answers with output as it comes, then `exit`. `stdin` is all that the tool can read; absent: nothing.
   */
  | {
      readonly type: 'exec';
      readonly pod: string;
      readonly argv: readonly string[];
      readonly stdin?: string;
    }
  /** Ctrl-C for an `exec` by its command id. */
  | { readonly type: 'interrupt'; readonly target: string }
  /** Carrier of a physical port, as a pulled cable. */
  | { readonly type: 'carrier'; readonly device: string; readonly carrier: 'up' | 'down' }
  /** Changes what is wrong with a physical port; answers with the `Impairment` that there is now. */
  | { readonly type: 'impair'; readonly device: string; readonly change: ImpairmentChange }
  /**
   * Sends one packet and follows it, and the answer to it, by `packet.step` and `packet.trace` events. Answers with the id of the
   * event that they all follow from.
   */
  | {
      readonly type: 'trace';
      readonly pod: string;
      readonly target: string;
      readonly packet: TracedPacket;
    }
  | { readonly type: 'snapshot' }
  | { readonly type: 'report' }
  /** Answers when the log holds everything up to now. */
  | { readonly type: 'sync' }
  | {
      readonly type: 'probe.start';
      readonly probe: string;
      readonly pod: string;
      readonly target: string;
      /** Time between packets, ms. */
      readonly interval: number;
    }
  | { readonly type: 'probe.target'; readonly probe: string; readonly target: string }
  | { readonly type: 'probe.stop'; readonly probe: string }
  /** Opens a packet socket on a device; `capture` names it from here on. Answers with a `CaptureStarted`. */
  | {
      readonly type: 'capture.start';
      readonly capture: string;
      readonly pod: string;
      readonly device: string;
      /** Most bytes kept of a frame. */
      readonly snapLength: number;
      /** In the language of pcap-filter(7); '' takes all. */
      readonly filter: string;
    }
  /** Answers with a `CaptureBatch`, when there are frames or after a while without. */
  | { readonly type: 'capture.read'; readonly capture: string }
  /** What waits can still be read. */
  | { readonly type: 'capture.stop'; readonly capture: string }
  /** Something that is done to the BGP daemon by hand. */
  | { readonly type: 'bgp'; readonly request: BgpRequest }
  /** Something that is asked of an OpenFlow controller: its switches, their flows, a change to them. */
  | { readonly type: 'openflow'; readonly request: OpenFlowRequest }
  /** Process death: 'reset' lets the kernel answer for the sockets (RST), 'silent' as a power cut. */
  | { readonly type: 'crash'; readonly how: 'reset' | 'silent' }
  /** Orderly end: CEASE to the peers, log flushed. */
  | { readonly type: 'stop'; readonly reason: string };

/** What an operator tells a BGP speaker. */
export type BgpRequest =
  | { readonly op: 'announce' | 'withdraw'; readonly prefix: string }
  /** ROUTE-REFRESH to the peer. */
  | { readonly op: 'refresh'; readonly peer: string; readonly family: 'ipv4' | 'ipv6' }
  /** Originates the routes of UPDATE messages with 4-octet AS numbers, attributes and all. */
  | { readonly op: 'load'; readonly messages: readonly Uint8Array[] }
  /** The daemon dies without a word and is started again, as by a crash; with graceful restart where that is configured. */
  | { readonly op: 'restart' }
  /** CEASE; the session comes up again. */
  | { readonly op: 'reset'; readonly peer: string }
  /** CEASE with a word to the peer's operator (RFC 9003), until it is enabled. */
  | { readonly op: 'disable'; readonly peer: string; readonly communication: string }
  | { readonly op: 'enable'; readonly peer: string }
  /** The policies of a session are these from now on; none of them lets everything through. */
  | {
      readonly op: 'policy';
      readonly peer: string;
      readonly direction: 'import' | 'export';
      readonly names: readonly string[];
    };

/** What an OpenFlow controller does for others. A switch goes by its name in the lab, or by its datapath id. */
export type OpenFlowRequest =
  /** Answers with `{ name, datapathId, address }[]`. */
  | { readonly op: 'switches' }
  /** Answers with null when every switch has agreed. */
  | { readonly op: 'role'; readonly role: 'equal' | 'master' | 'slave' }
  /** Answers with lines as ovs-ofctl's `dump-flows` prints them. */
  | { readonly op: 'flows'; readonly switch: string }
  /** Answers with null when the switch has carried it out. `flow` is in ovs-ofctl's words. */
  | {
      readonly op: 'flow-mod';
      readonly switch: string;
      readonly command: 'add' | 'modify' | 'modify_strict' | 'delete' | 'delete_strict';
      readonly flow: string;
    }
  /** `actions` is in ovs-ofctl's words. */
  | {
      readonly op: 'packet-out';
      readonly switch: string;
      readonly inPort: number;
      readonly actions: string;
      readonly data: Uint8Array;
    };

/** A command as it travels, with what it follows from. */
export interface CommandEnvelope {
  /** Unique in the lab; `interrupt` names it. */
  readonly id: string;
  readonly cause: EventId;
  readonly command: NodeCommand;
}

/** One part of an answer; `exit`, `value` and `error` are the last. */
export type CommandReply =
  | { readonly type: 'stdout'; readonly text: string }
  | { readonly type: 'stderr'; readonly text: string }
  | { readonly type: 'exit'; readonly code: number }
  | { readonly type: 'value'; readonly value: unknown }
  | { readonly type: 'error'; readonly message: string };

export function isFinal(reply: CommandReply): boolean {
  return reply.type !== 'stdout' && reply.type !== 'stderr';
}
