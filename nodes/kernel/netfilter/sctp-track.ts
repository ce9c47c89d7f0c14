import { u16, u32 } from '../../../protocols/bytes.ts';
import {
  nextSctpChunk,
  SCTP_ABORT,
  SCTP_CHUNK_HLEN,
  SCTP_COOKIE_ACK,
  SCTP_COOKIE_ECHO,
  SCTP_DATA,
  SCTP_ERROR,
  SCTP_HEARTBEAT,
  SCTP_HEARTBEAT_ACK,
  SCTP_HLEN,
  SCTP_INIT,
  SCTP_INIT_ACK,
  SCTP_SHUTDOWN,
  SCTP_SHUTDOWN_ACK,
  SCTP_SHUTDOWN_COMPLETE,
  SCTP_VTAG,
} from '../../../protocols/sctp.ts';
import type { CtDirection } from './conntrack-entry.ts';
import type { ConntrackSettings } from './ct-settings.ts';

/** States of an association (`enum sctp_conntrack`), in Linux' order. */
export const SCTP_STATES = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
] as const;
export type SctpCtState = (typeof SCTP_STATES)[number];

const LETTERS: Readonly<Record<string, SctpCtState>> = {
  CL: 'CLOSED',
  CW: 'COOKIE_WAIT',
  CE: 'COOKIE_ECHOED',
  ES: 'ESTABLISHED',
  SS: 'SHUTDOWN_SENT',
  SR: 'SHUTDOWN_RECD',
  SA: 'SHUTDOWN_ACK_SENT',
  HS: 'HEARTBEAT_SENT',
};

/**
 * Where a chunk takes an association (`sctp_conntracks` of nf_conntrack_proto_sctp.c), by its type and direction; a word for each state
 * that it may be in: NONE CL CW CE ES SS SR SA HS. IV: it cannot be. Other chunks change nothing.
 */
const TRANSITIONS: Readonly<Record<number, readonly [original: string, reply: string]>> = {
  [SCTP_INIT]: ['CL CL CW CE ES CL CL SA CW', 'IV CL CW CE ES SS SR SA IV'],
  [SCTP_INIT_ACK]: ['CL CL CW CE ES SS SR SA CL', 'IV CW CW CE ES SS SR SA IV'],
  [SCTP_ABORT]: ['CL CL CL CL CL CL CL CL CL', 'IV CL CL CL CL CL CL CL IV'],
  [SCTP_SHUTDOWN]: ['CL CL CW CE SS SS SR SA CL', 'IV CL CW CE SR SS SR SA IV'],
  [SCTP_SHUTDOWN_ACK]: ['SA CL CW CE ES SA SA SA SA', 'IV CL CW CE ES SA SA SA IV'],
  [SCTP_ERROR]: ['CL CL CW CE ES SS SR SA CL', 'IV CL CW CL ES SS SR SA IV'],
  [SCTP_COOKIE_ECHO]: ['CL CL CE CE ES SS SR SA CL', 'IV CL CE CE ES SS SR SA IV'],
  [SCTP_COOKIE_ACK]: ['CL CL CW ES ES SS SR SA CL', 'IV CL CW ES ES SS SR SA IV'],
  [SCTP_SHUTDOWN_COMPLETE]: ['CL CL CW CE ES SS SR CL CL', 'IV CL CW CE ES SS SR CL IV'],
  [SCTP_HEARTBEAT]: ['HS CL CW CE ES SS SR SA HS', 'IV CL CW CE ES SS SR SA HS'],
  [SCTP_HEARTBEAT_ACK]: ['CL CL CW CE ES SS SR SA HS', 'IV CL CW CE ES SS SR SA ES'],
};

const NEXT = new Map(
  Object.entries(TRANSITIONS).map(([type, ways]) => [
    Number(type),
    ways.map((row) => row.split(' ').map((word) => LETTERS[word] ?? null)),
  ]),
);

/** Null: the chunk cannot be of this association. */
function transition(type: number, direction: CtDirection, state: SctpCtState): SctpCtState | null {
  const ways = NEXT.get(type);
  return ways === undefined ? state : (ways[direction]?.[SCTP_STATES.indexOf(state)] ?? null);
}

/** Chunks that may not stand beside others; and those that have to be the first. */
const ALONE: ReadonlySet<number> = new Set([SCTP_INIT, SCTP_INIT_ACK, SCTP_SHUTDOWN_COMPLETE]);
const FIRST: ReadonlySet<number> = new Set([SCTP_COOKIE_ACK, SCTP_COOKIE_ECHO]);
/** Chunks that have rules of their own for the tag, and those that no association begins with (RFC 9260 §8.4, §8.5.1). */
const OWN_TAG: ReadonlySet<number> = new Set([
  SCTP_INIT,
  SCTP_SHUTDOWN_COMPLETE,
  SCTP_COOKIE_ECHO,
  SCTP_ABORT,
  SCTP_SHUTDOWN_ACK,
  SCTP_HEARTBEAT,
  SCTP_HEARTBEAT_ACK,
]);
const NOT_FIRST: ReadonlySet<number> = new Set([SCTP_ABORT, SCTP_SHUTDOWN_COMPLETE, SCTP_COOKIE_ACK]);
/** The tag is the other end's. */
const FLAG_T = 1;
/** Bytes of an INIT behind its head that have to be there (`struct sctp_inithdr`). */
const INIT_LENGTH = 16;

interface Chunk {
  readonly type: number;
  readonly flags: number;
  /** Tag that an INIT or its answer tells; null where it is cut off. */
  readonly tag: number | null;
}

/** The chunks of a packet; null where they cannot stand together so, or there is none (`do_basic_checks`). */
function chunksOf(frame: Uint8Array, from: number, end: number): Chunk[] | null {
  const chunks: Chunk[] = [];
  let alone = false;
  for (let at = from; at < end && at + SCTP_CHUNK_HLEN <= end; at = nextSctpChunk(frame, at)) {
    const type = frame[at]!;
    alone ||= ALONE.has(type);
    if (u16(frame, at + 2) === 0 || (chunks.length > 0 && (alone || FIRST.has(type)))) return null;
    const value = at + SCTP_CHUNK_HLEN;
    const told = (type === SCTP_INIT || type === SCTP_INIT_ACK) && value + INIT_LENGTH <= end;
    chunks.push({ type, flags: frame[at + 1]!, tag: told ? u32(frame, value) : null });
  }
  return chunks.length === 0 ? null : chunks;
}

/** An association of SCTP as a flow (nf_conntrack_proto_sctp.c). */
export class SctpTrack {
  state: SctpCtState = 'NONE';
  /** Seconds that the last packet gave it; 0: it changed nothing of that. */
  timeout = 0;
  /** It has been established. */
  established = false;
  /** Tags that packets of each direction carry; 0 for one that is not known. */
  readonly #tags: [number, number] = [0, 0];
  /** Directions that an INIT came in. */
  readonly #init: [boolean, boolean] = [false, false];
  /** Direction of a heartbeat with a tag that was not expected; null: of none. */
  #strange: CtDirection | null = null;

  /** A packet of the flow, of which `known` says whether the first has got through (`nf_conntrack_sctp_packet`). */
  packet(
    frame: Uint8Array,
    at: number,
    length: number,
    direction: CtDirection,
    known: 'known' | 'new',
    settings: ConntrackSettings,
  ): 'accept' | 'invalid' {
    this.timeout = 0;
    const chunks = chunksOf(frame, at + SCTP_HLEN, at + length);
    if (chunks === null) return 'invalid';
    const tag = u32(frame, at + SCTP_VTAG);
    if (known === 'new' && !this.#begin(chunks, tag)) return 'invalid';
    const has = (types: ReadonlySet<number>) => chunks.some(({ type }) => types.has(type));
    if (!has(OWN_TAG) && tag !== this.#tags[direction]) return 'invalid';
    const data = chunks.some(({ type }) => type === SCTP_DATA);
    let ignored = false;
    for (const chunk of chunks) {
      const judged = this.#judge(chunk, tag, direction, data || ignored);
      if (judged === 'invalid') return 'invalid';
      if (judged === 'ignored') {
        ignored = true;
        continue;
      }
      const old = this.state;
      const next = transition(chunk.type, direction, old);
      if (next === null || !this.#learn(chunk, direction)) return 'invalid';
      // A port that is used again and again does not keep what is over alive.
      if (chunk.type === SCTP_INIT && old === 'CLOSED' && next === 'CLOSED' && known === 'known')
        ignored = true;
      this.state = next;
      if (old !== next && next === 'ESTABLISHED') this.established = true;
    }
    if (!ignored) this.timeout = timeoutOf(this.state, settings);
    return 'accept';
  }

  /** The first packet (`sctp_new`); false: no association begins so. */
  #begin(chunks: readonly Chunk[], tag: number): boolean {
    for (const { type, tag: told } of chunks) {
      if (NOT_FIRST.has(type)) return false;
      if (transition(type, 0, 'NONE') === 'NONE') return false;
      if (type === SCTP_INIT) {
        if (tag !== 0 || told === null) return false;
        this.#tags[1] = told;
      } else if (type === SCTP_HEARTBEAT) this.#tags[0] = tag;
      else this.#tags[1] = tag;
    }
    return true;
  }

  /** What the tag of the packet says of a chunk (RFC 9260 §8.5.1). `busy`: it may not be strange. */
  #judge(
    { type, flags }: Chunk,
    tag: number,
    direction: CtDirection,
    busy: boolean,
  ): 'ok' | 'ignored' | 'invalid' {
    const other = direction === 0 ? 1 : 0;
    switch (type) {
      case SCTP_INIT:
        return tag === 0 ? 'ok' : 'invalid';
      case SCTP_ABORT:
      case SCTP_SHUTDOWN_COMPLETE:
        return tag === this.#tags[(flags & FLAG_T) === 0 ? direction : other] ? 'ok' : 'invalid';
      case SCTP_COOKIE_ECHO:
        return tag === this.#tags[direction] ? 'ok' : 'invalid';
      case SCTP_COOKIE_ACK:
        this.#init.fill(false);
        return 'ok';
      case SCTP_HEARTBEAT:
      case SCTP_HEARTBEAT_ACK:
        return this.#heartbeat(type, tag, direction, busy);
      default:
        return 'ok';
    }
  }

  /** On another path an association has other ports: its heartbeats tell the tags, and may change them. */
  #heartbeat(type: number, tag: number, direction: CtDirection, busy: boolean): 'ok' | 'ignored' | 'invalid' {
    const other = direction === 0 ? 1 : 0;
    if (this.#tags[direction] === 0) {
      this.#tags[direction] = tag;
      return 'ok';
    }
    if (tag === this.#tags[direction]) {
      this.#strange = null;
      return 'ok';
    }
    if (busy) return 'invalid';
    if (type === SCTP_HEARTBEAT) {
      this.#strange = direction;
      return 'ignored';
    }
    if (this.#strange !== other) return 'invalid';
    this.#strange = null;
    this.#tags[direction] = tag;
    this.#tags[other] = 0;
    return 'ok';
  }

  /** Remembers the tag that an INIT or its answer tells; false: it is of another association. */
  #learn({ type, tag }: Chunk, direction: CtDirection): boolean {
    if (type !== SCTP_INIT && type !== SCTP_INIT_ACK) return true;
    if (tag === null) return false;
    const other = direction === 0 ? 1 : 0;
    if (type === SCTP_INIT) {
      if (this.#init[direction] && this.#init[other]) this.#init[other] = false;
      this.#init[direction] = true;
    } else {
      const known = this.#tags[other];
      if (!this.#init[other] && known !== 0 && known !== tag) return false;
      if (this.#init[direction] && this.#init[other] && known !== tag) return false;
    }
    this.#tags[other] = tag;
    return true;
  }
}

function timeoutOf(state: SctpCtState, settings: ConntrackSettings): number {
  switch (state) {
    case 'NONE':
    case 'CLOSED':
      return settings.nf_conntrack_sctp_timeout_closed;
    case 'COOKIE_WAIT':
      return settings.nf_conntrack_sctp_timeout_cookie_wait;
    case 'COOKIE_ECHOED':
      return settings.nf_conntrack_sctp_timeout_cookie_echoed;
    case 'ESTABLISHED':
      return settings.nf_conntrack_sctp_timeout_established;
    case 'SHUTDOWN_SENT':
      return settings.nf_conntrack_sctp_timeout_shutdown_sent;
    case 'SHUTDOWN_RECD':
      return settings.nf_conntrack_sctp_timeout_shutdown_recd;
    case 'SHUTDOWN_ACK_SENT':
      return settings.nf_conntrack_sctp_timeout_shutdown_ack_sent;
    case 'HEARTBEAT_SENT':
      return settings.nf_conntrack_sctp_timeout_heartbeat_sent;
  }
}
