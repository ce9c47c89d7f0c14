import { HEADER_LENGTH, MAX_MESSAGE, MessageType } from './constants.ts';
import { frameMessage } from './header.ts';

/** Error codes, RFC 4271 §4.5; 7 is RFC 7313. */
export const ErrorCode = {
  messageHeader: 1,
  openMessage: 2,
  updateMessage: 3,
  holdTimerExpired: 4,
  finiteStateMachine: 5,
  cease: 6,
  routeRefresh: 7,
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

/** IANA's names: `Cease/Administrative Shutdown`, `Hold Timer Expired`, `Unknown 99/3`. */
export function notificationText({ code, subcode }: Notification): string {
  const name = CODE_NAMES[code];
  if (code === 0 || name === undefined) return `Unknown ${code}/${subcode}`;
  if (subcode === 0) return name;
  const detail = SUBCODE_NAMES[code]?.[subcode];
  return `${name}/${detail === undefined || detail === '' ? subcode : detail}`;
}
