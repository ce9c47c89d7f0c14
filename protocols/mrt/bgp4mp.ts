import type { AsSize } from '../bgp/as-path.ts';
import type { UpdateContext } from '../bgp/attribute-decode.ts';
import { AS_TRANS, HEADER_LENGTH } from '../bgp/constants.ts';
import type { SessionState } from '../bgp/fsm.ts';
import type { PathIds } from '../bgp/nlri.ts';
import { setU16, setU32, u16 } from '../bytes.ts';
import type { IpAddress } from '../ip.ts';
import { Cursor } from './cursor.ts';
import { AFI_IPV4, AFI_IPV6, addressSize, afiOf, readAddress, writeAddress } from './peer.ts';
import { encodeRecord, MrtType } from './record.ts';

/** The session that a BGP4MP record tells of, RFC 6396 §4.4. */
export interface MrtSession {
  /** Size of AS numbers in this record, and in the message's AS_PATH and AGGREGATOR. */
  readonly asSize: AsSize;
  readonly peerAs: number;
  readonly localAs: number;
  /** 0 where the collector does not tell. */
  readonly interfaceIndex: number;
  /** Both of one family. */
  readonly peerAddress: IpAddress;
  readonly localAddress: IpAddress;
}

/** States of RFC 4271's FSM, by their numbers from 1 (§4.4.1), and two that Quagga and FRR have besides. */
const STATES = [
  'Idle',
  'Connect',
  'Active',
  'OpenSent',
  'OpenConfirm',
  'Established',
  'Clearing',
  'Deleted',
] as const satisfies readonly (SessionState | 'Clearing' | 'Deleted')[];

export type MrtState = (typeof STATES)[number];

export interface StateChange {
  readonly kind: 'state-change';
  readonly session: MrtSession;
  readonly oldState: MrtState;
  readonly newState: MrtState;
}

export interface BgpMessage {
  readonly kind: 'message';
  readonly session: MrtSession;
  /** 'sent' is that of the LOCAL subtypes: what the collector itself told the peer. */
  readonly direction: 'received' | 'sent';
  /** RFC 8050 §3, for the family of this message. */
  readonly pathIds: PathIds;
  /** The whole BGP message with its header, of which the length is checked. */
  readonly message: Uint8Array;
}

interface Form {
  readonly kind: 'state-change' | 'message';
  readonly asSize: AsSize;
  readonly direction: BgpMessage['direction'];
  readonly pathIds: PathIds;
}

/** Subtypes of RFC 6396 §4.4 and RFC 8050 §3. */
const FORMS: ReadonlyMap<number, Form> = new Map<number, Form>([
  [0, { kind: 'state-change', asSize: 2, direction: 'received', pathIds: 'none' }],
  [1, { kind: 'message', asSize: 2, direction: 'received', pathIds: 'none' }],
  [4, { kind: 'message', asSize: 4, direction: 'received', pathIds: 'none' }],
  [5, { kind: 'state-change', asSize: 4, direction: 'received', pathIds: 'none' }],
  [6, { kind: 'message', asSize: 2, direction: 'sent', pathIds: 'none' }],
  [7, { kind: 'message', asSize: 4, direction: 'sent', pathIds: 'none' }],
  [8, { kind: 'message', asSize: 2, direction: 'received', pathIds: 'present' }],
  [9, { kind: 'message', asSize: 4, direction: 'received', pathIds: 'present' }],
  [10, { kind: 'message', asSize: 2, direction: 'sent', pathIds: 'present' }],
  [11, { kind: 'message', asSize: 4, direction: 'sent', pathIds: 'present' }],
]);

/**
 * Peer AS (2 or 4), local AS (2 or 4), interface index (2), AFI (2), peer's address (4 or 16), local address (4 or 16);
 * then old state (2) and new state (2), or a BGP message. null for a subtype that is not read here; a text says what
 * is wrong.
 */
export function decodeBgp4mp(subtype: number, message: Uint8Array): StateChange | BgpMessage | string | null {
  const form = FORMS.get(subtype);
  if (form === undefined) return null;
  const { asSize } = form;
  const cursor = new Cursor(message);
  const peerAs = asSize === 4 ? cursor.u32() : cursor.u16();
  const localAs = asSize === 4 ? cursor.u32() : cursor.u16();
  const interfaceIndex = cursor.u16();
  const afi = cursor.u16();
  if (!cursor.overrun && afi !== AFI_IPV4 && afi !== AFI_IPV6) return `address family ${afi} is not known`;
  const peerAddress = readAddress(cursor, afi);
  const localAddress = readAddress(cursor, afi);
  if (cursor.overrun) return 'a field runs over the end of the record';
  const session = { asSize, peerAs, localAs, interfaceIndex, peerAddress, localAddress };
  return form.kind === 'message' ? readMessage(cursor, session, form) : readStates(cursor, session);
}

function readStates(cursor: Cursor, session: MrtSession): StateChange | string {
  if (cursor.left !== 4) return `two states take 4 bytes, not ${cursor.left}`;
  const [before, after] = [cursor.u16(), cursor.u16()];
  const [oldState, newState] = [STATES[before - 1], STATES[after - 1]];
  if (oldState === undefined || newState === undefined) return `no state changes from ${before} to ${after}`;
  return { kind: 'state-change', session, oldState, newState };
}

function readMessage(cursor: Cursor, session: MrtSession, form: Form): BgpMessage | string {
  const message = cursor.bytes(cursor.left);
  if (message.length < HEADER_LENGTH) return `${message.length} bytes are no BGP message`;
  const length = u16(message, HEADER_LENGTH - 3);
  if (length !== message.length) return `a BGP message of length ${length} in ${message.length} bytes`;
  const { direction, pathIds } = form;
  return { kind: 'message', session, direction, pathIds, message };
}

/** What `UpdateDecoder` has to know to read an UPDATE from such a record. */
export function updateContext({ session, pathIds }: BgpMessage): UpdateContext {
  const { asSize, peerAs, localAs } = session;
  const peer = peerAs === localAs ? 'internal' : 'external';
  return { asSize, peer, pathIds: { ipv4: pathIds, ipv6: pathIds } };
}

/** BGP4MP has times in seconds, BGP4MP_ET in microseconds. */
export type TimeResolution = 'seconds' | 'microseconds';

/**
 * A whole record: `timestamp` in ms, AS numbers as the session's `asSize` says.
 * @throws RangeError if the session's addresses are of two families.
 */
export function encodeStateChange(
  timestamp: number,
  resolution: TimeResolution,
  { session, oldState, newState }: Omit<StateChange, 'kind'>,
): Uint8Array {
  const states = new Uint8Array(4);
  setU16(states, 0, STATES.indexOf(oldState) + 1);
  setU16(states, 2, STATES.indexOf(newState) + 1);
  return encode(timestamp, resolution, session.asSize === 4 ? 5 : 0, session, states);
}

/**
 * A whole record, of the subtype that direction, path identifiers and the session's `asSize` call for: that must be the
 * one of the message. `timestamp` in ms.
 * @throws RangeError if the session's addresses are of two families.
 */
export function encodeMessage(
  timestamp: number,
  resolution: TimeResolution,
  { session, direction, pathIds, message }: Omit<BgpMessage, 'kind'>,
): Uint8Array {
  const base = direction === 'sent' ? 6 : session.asSize === 4 ? 4 : 1;
  const plain = direction === 'sent' && session.asSize === 4 ? 7 : base;
  const addPath = 8 + (session.asSize === 4 ? 1 : 0) + (direction === 'sent' ? 2 : 0);
  return encode(timestamp, resolution, pathIds === 'present' ? addPath : plain, session, message);
}

function encode(
  timestamp: number,
  resolution: TimeResolution,
  subtype: number,
  session: MrtSession,
  rest: Uint8Array,
): Uint8Array {
  const { asSize, peerAs, localAs, peerAddress, localAddress } = session;
  const afi = afiOf(peerAddress);
  if (afi !== afiOf(localAddress)) throw new RangeError('a session between an IPv4 and an IPv6 address');
  const message = new Uint8Array(2 * asSize + 4 + 2 * addressSize(peerAddress) + rest.length);
  for (const [i, asn] of [peerAs, localAs].entries()) {
    if (asSize === 4) setU32(message, 4 * i, asn);
    else setU16(message, 2 * i, asn > 0xffff ? AS_TRANS : asn);
  }
  let at = 2 * asSize;
  setU16(message, at, session.interfaceIndex);
  setU16(message, at + 2, afi);
  at = writeAddress(message, at + 4, peerAddress);
  at = writeAddress(message, at, localAddress);
  message.set(rest, at);
  const type = resolution === 'seconds' ? MrtType.bgp4mp : MrtType.bgp4mpEt;
  return encodeRecord(timestamp, type, subtype, message);
}
