import { seqLt as before } from '../../../protocols/tcp/sequence.ts';
import type { CtDirection } from './conntrack-entry.ts';
import type { ConntrackSettings } from './ct-settings.ts';
import { readSegment, readSynOptions, type Segment } from './tcp-read.ts';
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
  SYN_SENT2,
  TCP_STATES,
  type TcpCtState,
  TIME_WAIT,
  transition,
} from './tcp-states.ts';
import { type End, inWindow, newEnd, nothingNoted } from './tcp-window.ts';

/**
 * What becomes of a segment. 'ignored': the flow's, but it changes nothing. 'reopen': the flow is over and the segment opens
 * the next one. 'reset': the only answer was a RST, the flow is over.
 */
export type TcpVerdict = 'accept' | 'ignored' | 'invalid' | 'reopen' | 'reset';

const RST = 4;

/**
 * A connection as one in the middle sees it: state and windows (nf_conntrack_proto_tcp.c; G. van Rooij, Real Stateful TCP
 * Packet Filtering in IP Filter).
 */
export class TcpTrack {
  #state = NONE;
  readonly #ends: [End, End] = [newEnd(), newEnd()];
  readonly #last = nothingNoted();
  /** Of a SYN that was ignored: its options, should the SYN+ACK prove it right. */
  #lastScale = 0;
  #lastScaled = false;
  #lastSackPermitted = false;
  #expectsChallengeAck = false;
  /** `IP_CT_TCP_SIMULTANEOUS_OPEN` */
  #openedByBoth = false;
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
        (this.#last.direction === direction && this.#last.flagSet === ON_RST)
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
    } else if (next === SYN_SENT2) this.#openedByBoth = true;
    else if (next === SYN_RECV && direction === 1 && flagSet === ON_ACK && this.#openedByBoth)
      next = ESTABLISHED;
    let checked = false;
    if (next === CLOSE && flagSet === ON_RST) {
      const reset = this.#judgeReset(segment, direction, flow, settings);
      if (reset === 'invalid') return 'invalid';
      if (reset === 'keep') next = old;
      checked = reset === 'unchecked';
    }
    if (!checked) {
      const verdict = inWindow(this.#ends, this.#last, this.#state, segment, direction, settings);
      if (verdict === 'invalid' && flow.assured) this.#noteEnd(flagSet, direction, settings);
      if (verdict !== 'accept') return verdict;
    }
    this.#last.flagSet = flagSet;
    this.#last.direction = direction;
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
    if (this.#last.retransmitted >= settings.nf_conntrack_tcp_max_retrans && own > retrans) timeout = retrans;
    else if (flagSet === ON_RST) timeout = settings.nf_conntrack_tcp_timeout_close;
    else if ((this.#ends[0].unacknowledged || this.#ends[1].unacknowledged) && own > unacknowledged)
      timeout = unacknowledged;
    else if (this.#last.window === 0 && own > retrans) timeout = retrans;
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
      this.#last.flagSet === ON_SYN &&
      this.#last.direction !== direction &&
      ack === this.#last.end
    );
  }

  #catchUp(direction: CtDirection): void {
    const opener = this.#ends[this.#last.direction];
    opener.end = this.#last.end;
    opener.maxEnd = this.#last.end;
    opener.maxWindow = Math.max(this.#last.window, 1);
    opener.scale = this.#lastScale;
    opener.scaled = this.#lastScaled;
    opener.sackPermitted = this.#lastSackPermitted;
    opener.closeInit = false;
    opener.liberal = false;
    opener.unacknowledged = false;
    opener.maxAckSet = false;
    this.#expectsChallengeAck = false;
    const { liberal } = this.#ends[direction];
    this.#ends[direction] = { ...newEnd(), liberal };
  }

  /** Keeps what an ignored segment says. */
  #remember(segment: Segment, direction: CtDirection, old: number): void {
    this.#last.flagSet = segment.flagSet;
    this.#last.direction = direction;
    this.#last.seq = segment.seq;
    this.#last.end = segment.end;
    this.#last.window = segment.window;
    if (segment.flagSet === ON_SYN && direction === 0) {
      const seen = newEnd();
      readSynOptions(segment.options, seen);
      this.#lastScaled = seen.scaled;
      this.#lastScale = seen.scale;
      this.#lastSackPermitted = seen.sackPermitted;
      this.#expectsChallengeAck = old === LAST_ACK;
      this.#openedByBoth = false;
    }
    if (old === SYN_SENT && segment.flagSet === ON_ACK && direction === 1) this.#last.ack = segment.ack;
  }

  /** RFC 5961 §4: the answer to a SYN in LAST_ACK is an ACK, which acknowledges no FIN. */
  #isChallengeAck({ flagSet }: Segment, direction: CtDirection, old: number): boolean {
    return (
      old === LAST_ACK &&
      flagSet === ON_ACK &&
      this.#last.direction !== direction &&
      this.#last.flagSet === ON_SYN &&
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
    if (other.maxAckSet && this.#last.flagSet !== ON_SYN) {
      if (seq === 0 && !established) return 'close';
      if (before(seq, other.maxAck) && settings.nf_conntrack_tcp_ignore_invalid_rst === 0) return 'invalid';
      if (!established || seq === other.maxAck) return 'close';
      const follows =
        this.#last.flagSet === ON_ACK && this.#last.direction === direction && seq === this.#last.end;
      return follows ? 'close' : 'keep';
    }
    const answersSyn = flow.seenReply && this.#last.flagSet === ON_SYN && this.#last.direction !== direction;
    const answersAck = !flow.assured && this.#last.flagSet === ON_ACK;
    if ((answersSyn || answersAck) && ack === this.#last.end) return 'unchecked';
    const answersChallenge =
      this.#state === SYN_SENT &&
      this.#last.flagSet === ON_ACK &&
      this.#last.direction === 1 &&
      seq === this.#last.ack;
    return answersChallenge ? 'unchecked' : 'close';
  }

  /**
   * A FIN or RST that seems out of the window: where both ends send such, the connection is over, whatever we make of it
   * (`nf_tcp_handle_invalid`).
   */
  #noteEnd(flagSet: number, direction: CtDirection, settings: ConntrackSettings): void {
    if (flagSet !== ON_FIN && flagSet !== ON_RST) return;
    const answers = this.#last.flagSet === ON_FIN || this.#last.flagSet === ON_RST;
    if (this.#last.direction !== direction && answers)
      this.timeout = settings.nf_conntrack_tcp_timeout_unacknowledged;
    else {
      this.#last.flagSet = flagSet;
      this.#last.direction = direction;
    }
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
