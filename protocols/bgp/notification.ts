import { HEADER_LENGTH, MAX_MESSAGE, MessageType } from './constants.ts';
import { frameMessage } from './header.ts';

/** Error codes, RFC 4271 §4.5; 7 is RFC 7313, 8 RFC 9687. */
export const ErrorCode = {
  messageHeader: 1,
  openMessage: 2,
  updateMessage: 3,
  holdTimerExpired: 4,
  finiteStateMachine: 5,
  cease: 6,
  routeRefresh: 7,
  /** RFC 9687 */
  sendHoldTimerExpired: 8,
} as const;

export const HeaderError = { notSynchronized: 1, badLength: 2, badType: 3 } as const;

export const OpenError = {
  unspecific: 0,
  unsupportedVersion: 1,
  badPeerAs: 2,
  badIdentifier: 3,
  unsupportedParameter: 4,
  unacceptableHoldTime: 6,
  unsupportedCapability: 7,
} as const;

export const UpdateError = {
  malformedAttributeList: 1,
  unrecognizedWellKnown: 2,
  missingWellKnown: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetworkField: 10,
  malformedAsPath: 11,
} as const;

/** RFC 4486, RFC 8538. */
export const CeaseError = {
  maximumPrefixes: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  configurationChange: 6,
  connectionCollision: 7,
  outOfResources: 8,
  hardReset: 9,
} as const;

/** What a NOTIFICATION carries: why the session ends. */
export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

const NO_DATA = new Uint8Array(0);

export function notification(code: number, subcode: number, data: Uint8Array = NO_DATA): Notification {
  return { code, subcode, data };
}

/** A whole NOTIFICATION message: header, code (1), subcode (1), data, which is cut to what a message can hold. */
export function encodeNotification({ code, subcode, data }: Notification): Uint8Array {
  const kept = data.subarray(0, MAX_MESSAGE - HEADER_LENGTH - 2);
  const message = frameMessage(MessageType.notification, 2 + kept.length);
  message[HEADER_LENGTH] = code;
  message[HEADER_LENGTH + 1] = subcode;
  message.set(kept, HEADER_LENGTH + 2);
  return message;
}

/** The body of a NOTIFICATION whose length the framer has checked; null if it is shorter than two bytes. */
export function decodeNotification(body: Uint8Array): Notification | null {
  if (body.length < 2) return null;
  return { code: body[0]!, subcode: body[1]!, data: body.slice(2) };
}

const CODE_NAMES = [
  'Unknown',
  'Message Header Error',
  'OPEN Message Error',
  'UPDATE Message Error',
  'Hold Timer Expired',
  'Finite State Machine Error',
  'Cease',
  'ROUTE-REFRESH Message Error',
  'Send Hold Timer Expired',
];

const SUBCODE_NAMES: readonly (readonly string[])[] = [
  [],
  ['', 'Connection Not Synchronized', 'Bad Message Length', 'Bad Message Type'],
  [
    '',
    'Unsupported Version Number',
    'Bad Peer AS',
    'Bad BGP Identifier',
    'Unsupported Optional Parameter',
    '',
    'Unacceptable Hold Time',
    'Unsupported Capability',
  ],
  [
    '',
    'Malformed Attribute List',
    'Unrecognized Well-known Attribute',
    'Missing Well-known Attribute',
    'Attribute Flags Error',
    'Attribute Length Error',
    'Invalid ORIGIN Attribute',
    '',
    'Invalid NEXT_HOP Attribute',
    'Optional Attribute Error',
    'Invalid Network Field',
    'Malformed AS_PATH',
  ],
  [],
  [
    '',
    'Receive Unexpected Message in OpenSent State',
    'Receive Unexpected Message in OpenConfirm State',
    'Receive Unexpected Message in Established State',
  ],
  [
    '',
    'Maximum Number of Prefixes Reached',
    'Administrative Shutdown',
    'Peer De-configured',
    'Administrative Reset',
    'Connection Rejected',
    'Other Configuration Change',
    'Connection Collision Resolution',
    'Out of Resources',
    'Hard Reset',
  ],
  ['', 'Invalid Message Length'],
];

/** Longest shutdown communication, bytes of UTF-8 (RFC 9003 §2). */
const MAX_COMMUNICATION = 255;

/** Data of a Cease/Administrative Shutdown or Reset: length (1), text (RFC 9003 §2). Text that is too long is cut. */
export function shutdownCommunication(text: string): Uint8Array {
  let bytes = new TextEncoder().encode(text);
  for (let cut = text; bytes.length > MAX_COMMUNICATION; bytes = new TextEncoder().encode(cut)) {
    cut = [...cut].slice(0, -1).join('');
  }
  if (bytes.length === 0) return NO_DATA;
  return Uint8Array.of(bytes.length, ...bytes);
}

/** What the peer's operator says of it, '' if nothing; control characters are left out. */
export function communicationOf({ code, subcode, data }: Notification): string {
  const speaks =
    code === ErrorCode.cease &&
    (subcode === CeaseError.administrativeShutdown || subcode === CeaseError.administrativeReset);
  if (!speaks || data.length === 0 || data[0]! > data.length - 1) return '';
  const text = new TextDecoder().decode(data.subarray(1, 1 + data[0]!));
  return [...text].filter((char) => char >= ' ' && char !== '\x7f').join('');
}

/** IANA's names: `Cease/Administrative Shutdown`, `Hold Timer Expired`, `Unknown 99/3`. */
export function notificationText(notification: Notification): string {
  const { code, subcode } = notification;
  const communication = communicationOf(notification);
  const text = nameOf(code, subcode);
  return communication === '' ? text : `${text}: "${communication}"`;
}

function nameOf(code: number, subcode: number): string {
  const name = CODE_NAMES[code];
  if (code === 0 || name === undefined) return `Unknown ${code}/${subcode}`;
  if (subcode === 0) return name;
  const detail = SUBCODE_NAMES[code]?.[subcode];
  return `${name}/${detail === undefined || detail === '' ? subcode : detail}`;
}
