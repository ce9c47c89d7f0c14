import { seqLt as before } from '../../../protocols/tcp/sequence.ts';
import type { CtDirection } from './conntrack-entry.ts';
import type { ConntrackSettings } from './ct-settings.ts';
import { highestSack, readSynOptions, type Segment, type SynOptions } from './tcp-read.ts';
import { ON_ACK, SYN_RECV, SYN_SENT } from './tcp-states.ts';

/** What one end has been seen to send and allow (`struct ip_ct_tcp_state`). */
export interface End extends SynOptions {
  /** Highest sequence number sent, behind its last byte. */
  end: number;
  /** Highest that the other end has allowed. */
  maxEnd: number;
  /** Largest window offered; 0: nothing seen of this end. */
  maxWindow: number;
  maxAck: number;
  closeInit: boolean;
  liberal: boolean;
  unacknowledged: boolean;
  maxAckSet: boolean;
}

export function newEnd(): End {
  return {
    end: 0,
    maxEnd: 0,
    maxWindow: 0,
    maxAck: 0,
    scale: 0,
    scaled: false,
    sackPermitted: false,
    closeInit: false,
    liberal: false,
    unacknowledged: false,
    maxAckSet: false,
  };
}

/** What is kept of segments that were in window, or ignored; all 0 to begin with, which a RST may acknowledge. */
export interface Noted {
  direction: CtDirection;
  /** -1: nothing has been noted yet. */
  flagSet: number;
  seq: number;
  ack: number;
  end: number;
  window: number;
  /** How often the same acknowledgment has come again. */
  retransmitted: number;
}

export function nothingNoted(): Noted {
  return { direction: 0, flagSet: -1, seq: 0, ack: 0, end: 0, window: 0, retransmitted: 0 };
}

const RST = 4;
const SYN = 2;
const ACK = 16;
/** Least that an ACK may be behind (`MAXACKWINCONST`). */
const MAX_ACK_WINDOW = 66_000;

/** `tcp_in_window`, of a flow in the state of that number. 'ignored': the flow's, but it changes nothing. */
export function inWindow(
  ends: readonly [End, End],
  noted: Noted,
  state: number,
  segment: Segment,
  direction: CtDirection,
  settings: ConntrackSettings,
): 'accept' | 'ignored' | 'invalid' {
  const sender = ends[direction];
  const receiver = ends[direction === 0 ? 1 : 0];
  const { flags } = segment;
  let { seq, ack, end } = segment;
  let sack = ack;
  if (receiver.sackPermitted) sack = highestSack(segment.options, sack);
  if (sender.maxWindow === 0) {
    if ((flags & SYN) !== 0) {
      startEnd(sender, receiver, segment, direction);
      if ((flags & ACK) === 0) return 'accept';
    } else pickUp(sender, receiver, segment, sack);
  } else if ((flags & SYN) !== 0 && (state === SYN_SENT || state === SYN_RECV) && after(end, sender.end)) {
    // RFC 9293 §3.4.3: whoever starts again need only be above what was used.
    startEnd(sender, receiver, segment, direction);
    if (direction === 1 && (flags & ACK) === 0) return 'accept';
  }
  // Without ACK, and with the 0 of those who set it in a RST, there is nothing to check.
  if ((flags & ACK) === 0 || ((flags & RST) !== 0 && ack === 0)) {
    ack = receiver.end;
    sack = ack;
  }
  // A RST in answer to a SYN has no sequence number of its own.
  if ((flags & RST) !== 0 && seq === 0 && state === SYN_SENT) {
    seq = sender.end;
    end = seq;
  }
  const verdict = judge(sender, receiver, seq, end, sack);
  if (verdict !== 'accept')
    return settings.nf_conntrack_tcp_be_liberal !== 0 || sender.liberal ? 'accept' : verdict;

  const window = (flags & SYN) === 0 ? segment.window * 2 ** sender.scale : segment.window;
  const offered = window + ((sack - ack) >>> 0);
  if (sender.maxWindow < offered) sender.maxWindow = offered;
  if (after(end, sender.end)) {
    sender.end = end;
    sender.unacknowledged = true;
  }
  if ((flags & ACK) !== 0 && (!sender.maxAckSet || after(ack, sender.maxAck))) {
    sender.maxAck = ack;
    sender.maxAckSet = true;
  }
  if (receiver.maxWindow !== 0 && after(end, sender.maxEnd))
    receiver.maxWindow += (end - sender.maxEnd) >>> 0;
  if (after(sack + window, receiver.maxEnd - 1))
    receiver.maxEnd = (sack + window + (window === 0 ? 1 : 0)) >>> 0;
  if (ack === receiver.end) receiver.unacknowledged = false;
  if (segment.flagSet === ON_ACK) countRetransmission(noted, seq, ack, end, segment.window, direction);
  return 'accept';
}

/** Whether a segment is within what both ends have said (G. van Rooij, I to IV). */
function judge(
  sender: End,
  receiver: End,
  seq: number,
  end: number,
  sack: number,
): 'accept' | 'ignored' | 'invalid' {
  const lowestAck = receiver.end - Math.max(sender.maxWindow, MAX_ACK_WINDOW) - 1;
  const inReceiveWindow = after(end, sender.end - receiver.maxWindow - 1);
  if (!before(seq, sender.maxEnd + 1)) {
    const overshot = (end - sender.maxEnd + 1) >>> 0;
    // Some send a little more than they are allowed to; the receiver may acknowledge it, and would be wrong then.
    const tolerable =
      receiver.maxWindow !== 0 &&
      inReceiveWindow &&
      overshot <= receiver.maxWindow &&
      before(sack, receiver.end + 1) &&
      after(sack, lowestAck);
    if (!tolerable) return 'invalid';
    sender.end = end;
    sender.unacknowledged = true;
    return 'ignored';
  }
  if (!before(sack, receiver.end + 1)) return 'invalid';
  if (receiver.maxWindow !== 0 && !inReceiveWindow) return 'ignored';
  return after(sack, lowestAck) ? 'accept' : 'ignored';
}

/** An end of a connection whose beginning was not seen. */
function pickUp(sender: End, receiver: End, { end, window }: Segment, sack: number): void {
  sender.end = end;
  sender.maxWindow = Math.max(window << sender.scale, 1);
  sender.maxEnd = (end + sender.maxWindow) >>> 0;
  if (receiver.maxWindow === 0) {
    receiver.end = sack;
    receiver.maxEnd = sack;
  } else if (sack === (receiver.end + 1) >>> 0) {
    // A keep-alive of one byte was all that was seen of the other end.
    receiver.end = (receiver.end + 1) >>> 0;
  }
}

/** `tcp_init_sender` */
function startEnd(sender: End, receiver: End, segment: Segment, direction: CtDirection): void {
  sender.end = segment.end;
  sender.maxEnd = segment.end;
  sender.maxWindow = Math.max(segment.window, 1);
  if (segment.options.length > 0) {
    readSynOptions(segment.options, sender);
    // What was known of it goes where there are any options (`tcp_options`).
    sender.closeInit = false;
    sender.unacknowledged = false;
    sender.maxAckSet = false;
  }
  // RFC 7323 §2.2: both ends must offer to scale.
  if (direction === 1 && !(sender.scaled && receiver.scaled)) {
    sender.scale = 0;
    receiver.scale = 0;
  }
}

function countRetransmission(
  noted: Noted,
  seq: number,
  ack: number,
  end: number,
  window: number,
  direction: CtDirection,
): void {
  if (
    noted.direction === direction &&
    noted.seq === seq &&
    noted.ack === ack &&
    noted.end === end &&
    noted.window === window
  ) {
    noted.retransmitted++;
    return;
  }
  noted.direction = direction;
  noted.seq = seq;
  noted.ack = ack;
  noted.end = end;
  noted.window = window;
  noted.retransmitted = 0;
}

function after(a: number, b: number): boolean {
  return before(b, a);
}
