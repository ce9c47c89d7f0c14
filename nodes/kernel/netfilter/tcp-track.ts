import { seqLt as before } from '../../../protocols/tcp/sequence.ts';
import type { CtDirection } from './conntrack-entry.ts';
import type { ConntrackSettings } from './ct-settings.ts';
import { highestSack, readSegment, readSynOptions, type Segment, type SynOptions } from './tcp-read.ts';
import {
  CLOSE,
  CLOSE_WAIT,
  ESTABLISHED,
  FIN_WAIT,
  IGNORE,
  INVALID,
  LAST_ACK,
  NONE,
  ON_ACK,
  ON_FIN,
  ON_RST,
  ON_SYN,
  ON_SYNACK,
  SYN_RECV,
  SYN_SENT,
  TCP_STATES,
  type TcpCtState,
  TIME_WAIT,
  transition,
} from './tcp-states.ts';

/** What one end has been seen to send and allow (`struct ip_ct_tcp_state`). */
interface End extends SynOptions {
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

function newEnd(): End {
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

/**
 * What becomes of a segment. 'ignored': the flow's, but it changes nothing. 'reopen': the flow is over and the segment opens
 * the next one. 'reset': the only answer was a RST, the flow is over.
 */
export type TcpVerdict = 'accept' | 'ignored' | 'invalid' | 'reopen' | 'reset';

const RST = 4;
const SYN = 2;
const ACK = 16;
/** Least that an ACK may be behind (`MAXACKWINCONST`). */
const MAX_ACK_WINDOW = 66_000;

/**
 * A connection as one in the middle sees it: state and windows (nf_conntrack_proto_tcp.c; G. van Rooij, Real Stateful TCP
 * Packet Filtering in IP Filter).
 */
export class TcpTrack {
  #state = NONE;
  readonly #ends: [End, End] = [newEnd(), newEnd()];
  #lastDirection: CtDirection = 0;
  #lastFlagSet = -1;
  #lastSeq = 0;
  #lastAck = 0;
  /** -1: nothing has been noted yet. */
  #lastEnd = -1;
  #lastWindow = 0;
  #retransmitted = 0;
  /** Of a SYN that was ignored: its options, should the SYN+ACK prove it right. */
  #lastScale = 0;
  #lastScaled = false;
  #lastSackPermitted = false;
  #expectsChallengeAck = false;
  /**
   * Seconds that the flow has after the segment just seen, 0 to leave its timer as it is; after an invalid one, the most
   * that it is to have.
   */
  timeout = 0;

  get state(): TcpCtState {
    return TCP_STATES[this.#state] ?? 'NONE';
  }

  get established(): boolean {
    return this.#state === ESTABLISHED;
  }

  /** Whether the flow is as good as over, and may go where room is needed (`tcp_can_early_drop`). */
  get closing(): boolean {
    return this.#state >= FIN_WAIT && this.#state <= CLOSE;
  }

  /** The first segment of a flow (`tcp_new`); false: none starts so. */
  begin(frame: Uint8Array, at: number, length: number, settings: ConntrackSettings): boolean {
    const segment = readSegment(frame, at, length);
    const next = transition(0, segment.flagSet, NONE);
    if (next >= INVALID) return false;
    const [sender, receiver] = this.#ends;
    sender.end = segment.end;
    sender.maxWindow = Math.max(segment.window, 1);
    sender.maxEnd = segment.end;
    if (next === SYN_SENT) readSynOptions(segment.options, sender);
    else {
      if (settings.nf_conntrack_tcp_loose === 0) return false;
      // Its history is lost: the windows that are in use are not known.
      sender.maxEnd = (segment.end + sender.maxWindow) >>> 0;
      sender.sackPermitted = true;
      receiver.sackPermitted = true;
      sender.liberal = true;
      receiver.liberal = true;
    }
    return true;
  }

  /** A segment of the flow (`nf_conntrack_tcp_packet`). */
  packet(
    frame: Uint8Array,
    at: number,
    length: number,
    direction: CtDirection,
    flow: { readonly seenReply: boolean; readonly assured: boolean },
    settings: ConntrackSettings,
  ): TcpVerdict {
    const segment = readSegment(frame, at, length);
    const { flagSet } = segment;
    let old = this.#state;
    let next = transition(direction, flagSet, old);
    this.timeout = 0;
    if (next === INVALID) return 'invalid';
    if (next === SYN_SENT && old >= TIME_WAIT) {
      if (
        this.#ends[0].closeInit ||
        this.#ends[1].closeInit ||
        (this.#lastDirection === direction && this.#lastFlagSet === ON_RST)
      )
        return 'reopen';
      next = IGNORE;
    }
    if (next === IGNORE) {
      if (!this.#provesIgnoredSyn(segment, direction)) {
        this.#remember(segment, direction, old);
        return 'ignored';
      }
      this.#catchUp(direction);
      old = SYN_SENT;
      next = SYN_RECV;
    } else if (next === TIME_WAIT && this.#isChallengeAck(segment, direction, old)) {
      this.#expectsChallengeAck = false;
      return 'ignored';
    }
    let checked = false;
    if (next === CLOSE && flagSet === ON_RST) {
      const reset = this.#judgeReset(segment, direction, flow, settings);
      if (reset === 'invalid') return 'invalid';
      if (reset === 'keep') next = old;
      checked = reset === 'unchecked';
    }
    if (!checked) {
      const verdict = this.#inWindow(segment, direction, settings);
      if (verdict === 'invalid' && flow.assured) this.#noteEnd(flagSet, direction, settings);
      if (verdict !== 'accept') return verdict;
    }
    this.#lastFlagSet = flagSet;
    this.#lastDirection = direction;
    this.#state = next;
    if (old !== next && next === FIN_WAIT) this.#ends[direction].closeInit = true;
    return this.#settle(segment, old, next, flow, settings);
  }

  /** Sets the time that is left (end of `nf_conntrack_tcp_packet`). */
  #settle(
    { flags, flagSet }: Segment,
    old: number,
    next: number,
    flow: { readonly seenReply: boolean },
    settings: ConntrackSettings,
  ): TcpVerdict {
    const own = timeoutOf(next, settings);
    const retrans = settings.nf_conntrack_tcp_timeout_max_retrans;
    const unacknowledged = settings.nf_conntrack_tcp_timeout_unacknowledged;
    let timeout = own;
    if (this.#retransmitted >= settings.nf_conntrack_tcp_max_retrans && own > retrans) timeout = retrans;
    else if (flagSet === ON_RST) timeout = settings.nf_conntrack_tcp_timeout_close;
    else if ((this.#ends[0].unacknowledged || this.#ends[1].unacknowledged) && own > unacknowledged)
      timeout = unacknowledged;
    else if (this.#lastWindow === 0 && own > retrans) timeout = retrans;
    if (!flow.seenReply) {
      if ((flags & RST) !== 0) return 'reset';
      // A client that tries again and again does not keep the flow alive.
      if (flagSet === ON_SYN && old === SYN_SENT) return 'accept';
      if (next === ESTABLISHED && timeout > unacknowledged) timeout = unacknowledged;
    }
    this.timeout = timeout;
    return 'accept';
  }

  /** Whether the flow counts as assured after a segment that took it from `before` to here. */
  assures(before: TcpCtState): boolean {
    return this.#state === ESTABLISHED && (before === 'SYN_RECV' || before === 'ESTABLISHED');
  }

  /** A SYN+ACK that acknowledges a SYN which was ignored: both ends are in step, only we were not. */
  #provesIgnoredSyn({ flagSet, ack }: Segment, direction: CtDirection): boolean {
    return (
      flagSet === ON_SYNACK &&
      this.#lastFlagSet === ON_SYN &&
      this.#lastDirection !== direction &&
      ack === this.#lastEnd
    );
  }

  #catchUp(direction: CtDirection): void {
    const opener = this.#ends[this.#lastDirection];
    opener.end = this.#lastEnd;
    opener.maxEnd = this.#lastEnd;
    opener.maxWindow = Math.max(this.#lastWindow, 1);
    opener.scale = this.#lastScale;
    opener.scaled = this.#lastScaled;
    opener.sackPermitted = this.#lastSackPermitted;
    opener.closeInit = false;
    opener.liberal = false;
    opener.unacknowledged = false;
    opener.maxAckSet = false;
    this.#ends[direction] = newEnd();
  }

  /** Keeps what an ignored segment says. */
  #remember(segment: Segment, direction: CtDirection, old: number): void {
    this.#lastFlagSet = segment.flagSet;
    this.#lastDirection = direction;
    this.#lastSeq = segment.seq;
    this.#lastEnd = segment.end;
    this.#lastWindow = segment.window;
    if (segment.flagSet === ON_SYN && direction === 0) {
      const seen = newEnd();
      readSynOptions(segment.options, seen);
      this.#lastScaled = seen.scaled;
      this.#lastScale = seen.scale;
      this.#lastSackPermitted = seen.sackPermitted;
      this.#expectsChallengeAck = old === LAST_ACK;
    }
    if (old === SYN_SENT && segment.flagSet === ON_ACK && direction === 1) this.#lastAck = segment.ack;
  }

  /** RFC 5961 §4: the answer to a SYN in LAST_ACK is an ACK, which acknowledges no FIN. */
  #isChallengeAck({ flagSet }: Segment, direction: CtDirection, old: number): boolean {
    return (
      old === LAST_ACK &&
      flagSet === ON_ACK &&
      this.#lastDirection !== direction &&
      this.#lastFlagSet === ON_SYN &&
      this.#expectsChallengeAck
    );
  }

  /** 'unchecked': it closes, in whatever window. 'keep': it may be forged, the state stays (RFC 5961 §3). */
  #judgeReset(
    { seq, ack }: Segment,
    direction: CtDirection,
    flow: { readonly seenReply: boolean; readonly assured: boolean },
    settings: ConntrackSettings,
  ): 'close' | 'keep' | 'invalid' | 'unchecked' {
    if (this.closing) return 'unchecked';
    const other = this.#ends[direction === 0 ? 1 : 0];
    // `nf_conntrack_tcp_established`
    const established = this.established && flow.assured;
    if (other.maxAckSet && this.#lastFlagSet !== ON_SYN) {
      if (seq === 0 && !established) return 'close';
      if (before(seq, other.maxAck) && settings.nf_conntrack_tcp_ignore_invalid_rst === 0) return 'invalid';
      if (!established || seq === other.maxAck) return 'close';
      const follows =
        this.#lastFlagSet === ON_ACK && this.#lastDirection === direction && seq === this.#lastEnd;
      return follows ? 'close' : 'keep';
    }
    const answersIgnored =
      (flow.seenReply && this.#lastFlagSet === ON_SYN) || (!flow.assured && this.#lastFlagSet === ON_ACK);
    if (answersIgnored && ack === this.#lastEnd) return 'unchecked';
    const answersChallenge =
      this.#state === SYN_SENT &&
      this.#lastFlagSet === ON_ACK &&
      this.#lastDirection === 1 &&
      seq === this.#lastAck;
    return answersChallenge ? 'unchecked' : 'close';
  }

  /**
   * A FIN or RST that seems out of the window: where both ends send such, the connection is over, whatever we make of it
   * (`nf_tcp_handle_invalid`).
   */
  #noteEnd(flagSet: number, direction: CtDirection, settings: ConntrackSettings): void {
    if (flagSet !== ON_FIN && flagSet !== ON_RST) return;
    const answers = this.#lastFlagSet === ON_FIN || this.#lastFlagSet === ON_RST;
    if (this.#lastDirection !== direction && answers)
      this.timeout = settings.nf_conntrack_tcp_timeout_unacknowledged;
    else {
      this.#lastFlagSet = flagSet;
      this.#lastDirection = direction;
    }
  }

  /** `tcp_in_window` */
  #inWindow(segment: Segment, direction: CtDirection, settings: ConntrackSettings): TcpVerdict {
    const sender = this.#ends[direction];
    const receiver = this.#ends[direction === 0 ? 1 : 0];
    const { flags, flagSet } = segment;
    let { seq, ack, end, window } = segment;
    let sack = ack;
    if (receiver.sackPermitted) sack = highestSack(segment.options, sack);
    if (sender.maxWindow === 0) {
      if ((flags & SYN) !== 0) {
        startEnd(sender, receiver, segment, direction);
        if ((flags & ACK) === 0) return 'accept';
      } else {
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
    } else if (
      (flags & SYN) !== 0 &&
      (this.#state === SYN_SENT || this.#state === SYN_RECV) &&
      after(end, sender.end)
    ) {
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
    if ((flags & RST) !== 0 && seq === 0 && this.#state === SYN_SENT) {
      seq = sender.end;
      end = seq;
    }
    const liberal = settings.nf_conntrack_tcp_be_liberal !== 0 || sender.liberal;
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
      if (tolerable) {
        sender.end = end;
        sender.unacknowledged = true;
      }
      if (liberal) return 'accept';
      return tolerable ? 'ignored' : 'invalid';
    }
    if (!before(sack, receiver.end + 1)) return liberal ? 'accept' : 'invalid';
    if (receiver.maxWindow !== 0 && !inReceiveWindow) return liberal ? 'accept' : 'ignored';
    if (!after(sack, lowestAck)) return liberal ? 'accept' : 'ignored';

    if ((flags & SYN) === 0) window = window * 2 ** sender.scale;
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
    if (after(sack + window, receiver.maxEnd - 1)) {
      receiver.maxEnd = (sack + window + (window === 0 ? 1 : 0)) >>> 0;
    }
    if (ack === receiver.end) receiver.unacknowledged = false;
    if (flagSet === ON_ACK) this.#countRetransmission(seq, ack, end, window, direction);
    return 'accept';
  }

  #countRetransmission(seq: number, ack: number, end: number, window: number, direction: CtDirection): void {
    if (
      this.#lastDirection === direction &&
      this.#lastSeq === seq &&
      this.#lastAck === ack &&
      this.#lastEnd === end &&
      this.#lastWindow === window
    ) {
      this.#retransmitted++;
      return;
    }
    this.#lastDirection = direction;
    this.#lastSeq = seq;
    this.#lastAck = ack;
    this.#lastEnd = end;
    this.#lastWindow = window;
    this.#retransmitted = 0;
  }
}

function after(a: number, b: number): boolean {
  return before(b, a);
}

/** `tcp_init_sender` */
function startEnd(sender: End, receiver: End, segment: Segment, direction: CtDirection): void {
  sender.end = segment.end;
  sender.maxEnd = segment.end;
  sender.maxWindow = Math.max(segment.window, 1);
  readSynOptions(segment.options, sender);
  // RFC 7323 §2.2: both ends must offer to scale.
  if (direction === 1 && !(sender.scaled && receiver.scaled)) {
    sender.scale = 0;
    receiver.scale = 0;
  }
}

function timeoutOf(state: number, settings: ConntrackSettings): number {
  switch (state) {
    case SYN_RECV:
      return settings.nf_conntrack_tcp_timeout_syn_recv;
    case ESTABLISHED:
      return settings.nf_conntrack_tcp_timeout_established;
    case FIN_WAIT:
      return settings.nf_conntrack_tcp_timeout_fin_wait;
    case LAST_ACK:
      return settings.nf_conntrack_tcp_timeout_last_ack;
    case TIME_WAIT:
      return settings.nf_conntrack_tcp_timeout_time_wait;
    case CLOSE:
      return settings.nf_conntrack_tcp_timeout_close;
    case SYN_SENT:
      return settings.nf_conntrack_tcp_timeout_syn_sent;
    case CLOSE_WAIT:
      return settings.nf_conntrack_tcp_timeout_close_wait;
    default:
      return settings.nf_conntrack_tcp_timeout_syn_sent;
  }
}
