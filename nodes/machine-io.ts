import type { CommandReply, NodeCommand } from './commands.ts';
import type { LogRecord } from './events/index.ts';
import type { EventId } from './events/record.ts';
import type { PortFilter } from './kernel/device.ts';
import type { StoreResult } from './runtime.ts';
import type { StoreChange, StoreOp } from './store.ts';

/** Everything that can happen to a node. There is no other way in. */
export type NodeInput =
  | { readonly type: 'boot' }
  /** A frame on a physical port. The machine owns the buffer from here on. A shell may reuse the input object. */
  | { readonly type: 'frame'; readonly port: number; readonly frame: Uint8Array; readonly cause: EventId }
  /** So many frames came while the shell could hold no more, and are gone. */
  | { readonly type: 'overrun'; readonly frames: number }
  /** Inputs that came together, in order. They are handled one by one; routes are decided after the last. */
  | { readonly type: 'batch'; readonly inputs: readonly NodeInput[] }
  /** The clock reached the deadline the machine asked for. */
  | { readonly type: 'time' }
  | { readonly type: 'command'; readonly id: string; readonly command: NodeCommand; readonly cause: EventId }
  | { readonly type: 'store'; readonly change: StoreChange }
  /** The store's answer to the request numbered `request`. */
  | { readonly type: 'stored'; readonly request: number; readonly result: StoreResult }
  /** Something about a real TCP connection with a daemon outside of the lab. */
  | { readonly type: 'external'; readonly socket: number; readonly event: SocketEvent }
  /** The payload of a UDP packet of a real daemon's BFD. */
  | { readonly type: 'bfd'; readonly peer: string; readonly payload: Uint8Array };

/** What becomes of a real TCP connection. Its number comes from whoever opened it: the machine counts up from 1, the shell down from -1. */
export type SocketEvent =
  | { readonly type: 'connected'; readonly localPort: number; readonly remotePort: number }
  | {
      readonly type: 'accepted';
      /** Neighbour whose address and port it is. */
      readonly peer: string;
      readonly localPort: number;
      readonly remotePort: number;
    }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** So many bytes of what was sent have left the shell. */
  | { readonly type: 'written'; readonly bytes: number }
  /** Closed by the other end, failed, or never come up; `reason` in strerror(3)'s words. Not after the machine's own `close`. */
  | { readonly type: 'closed'; readonly reason: string };

/** What the machine asks of the shell for a real TCP connection. */
export type SocketRequest =
  | { readonly type: 'connect'; readonly socket: number; readonly peer: string }
  | { readonly type: 'send'; readonly socket: number; readonly bytes: Uint8Array }
  /** So many bytes of `data` have been worked off: the shell reads on. */
  | { readonly type: 'taken'; readonly socket: number; readonly bytes: number }
  | { readonly type: 'close'; readonly socket: number; readonly how: 'fin' | 'rst' };

/** A real daemon is to be sent a packet of BFD. */
export interface BfdDatagram {
  readonly type: 'bfd';
  readonly peer: string;
  readonly payload: Uint8Array;
}

/**
 * Everything that a node can do to the world. The shell gives it to the machine, which calls it within `step`:
 * a sink in place of a list of outputs, so that forwarding a frame allocates nothing.
 */
export interface NodeOutputs {
  /** A frame leaves by a port. The buffer belongs to the shell from here on. */
  transmit(port: number, frame: Uint8Array, cause: EventId): void;
  /** Whether the wire takes frames; absent: always. What is sent into a full queue is dropped, as by a network card. */
  txQueue?(): 'room' | 'full';
  /** A port wants other frames than those to the MAC address of the configuration; absent: all come anyway. */
  filter?(port: number, filter: PortFilter): void;
  /** An event for the node's log. */
  record(record: LogRecord): void;
  /** A request to the store; answered by a `stored` input with the same number. */
  store(request: number, op: StoreOp, cause: EventId): void;
  reply(id: string, reply: CommandReply): void;
  /** Asked only where the configuration has neighbours outside of the lab. */
  external(request: SocketRequest | BfdDatagram): void;
  /** The node ends after this step: 'halt' as a power cut, 'exit' in order. */
  end(how: 'halt' | 'exit'): void;
}

/** What one end of a BGP session counts, to be compared with the other end. */
export interface SessionCount {
  readonly peer: string;
  /** Absent for a node of the lab; nobody tells what a real daemon has counted. */
  readonly farEnd?: 'external';
  /** Same text on both ends of one TCP connection. '' while not established. */
  readonly key: string;
  readonly established: boolean;
  /**
   * Established, or at least one whole attempt has failed since the last change of this node's topology: there is
   * nothing to wait for.
   */
  readonly settled: boolean;
  /** When this end last had to try anew, ms: started, lost the session, or its topology changed. */
  readonly openedAt: number;
  /** When its last vain attempt was begun, ms. */
  readonly triedAt: number;
  /** 'yes' while the far end takes connections and closes them without a word, as one does that waits after an error. */
  readonly turnedAway?: 'yes' | 'no';
  /** Messages other than KEEPALIVE since the session was established. */
  readonly sent: number;
  readonly received: number;
}

/** A node's answer to 'are you done?': the terms of the quiescence sum, and what is counted on the way. */
export interface NodeReport {
  readonly node: string;
  readonly boot: number;
  /** Time of the answer, the node's clock, ms. */
  readonly at: number;
  readonly sessions: readonly SessionCount[];
  /**
   * Work that will change state without any further input: dirty prefixes, armed advertisement timers, unsent bytes,
   * pods not yet running, store requests not yet answered.
   */
  readonly work: number;
  /** The same by whose work it is, for people. */
  readonly workOf: {
    readonly bgp: number;
    readonly cluster: number;
    readonly openflow?: number;
    readonly dad?: number;
  };
  /** Highest store revision seen by a watch; 0 if none. */
  readonly storeRevision: number;
  /** Changes to the node's forwarding state (routes of the root namespace, static FDB and ARP rows). */
  readonly fibChanges: number;
  readonly lastFibChange: number;
  readonly lastFibEvent: EventId;
  readonly updatesSent: number;
  readonly updatesReceived: number;
  readonly routes: number;
  readonly podsRunning: number;
  /** Of the node's Docker Engine; absent in what an older version has said. */
  readonly containersRunning?: number;
  readonly dropped: Readonly<Record<string, number>>;
}
