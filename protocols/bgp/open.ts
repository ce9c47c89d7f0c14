import { setU16, setU32, u16, u32 } from '../bytes.ts';
import { type Capability, decodeCapabilities, encodeCapability } from './capability.ts';
import { AS_TRANS, BGP_VERSION, HEADER_LENGTH, MessageType } from './constants.ts';
import { frameMessage } from './header.ts';
import { ErrorCode, type Notification, notification, OpenError } from './notification.ts';

const FIXED_LENGTH = 10;
const PARAMETER_CAPABILITIES = 2;
/** First type that announces 2-octet lengths, and Optional Parameters Length as it is sent with it, RFC 9072 §2. */
const EXTENDED = 255;

export interface Open {
  readonly version: number;
  /** The peer's AS: that of the 4-octet AS capability where there is one, else the 2-octet field. */
  readonly asn: number;
  /** Hold Time, s: 0 or from 3. */
  readonly holdTime: number;
  /** BGP Identifier as a 32-bit number. */
  readonly identifier: number;
  readonly capabilities: readonly Capability[];
}

export type OpenResult =
  | { readonly ok: true; readonly open: Open }
  | { readonly ok: false; readonly error: Notification };

/**
 * The body of an OPEN: version (1), my AS (2), hold time (2), identifier (4), optional parameters length (1),
 * parameters, also in RFC 9072's extended form. Checks what needs no configuration (RFC 4271 §6.2): version,
 * hold time, identifier, syntax of the parameters.
 */
export function decodeOpen(body: Uint8Array): OpenResult {
  if (body.length < FIXED_LENGTH) return openError(OpenError.unspecific);
  const version = body[0]!;
  if (version !== BGP_VERSION) return openError(OpenError.unsupportedVersion, Uint8Array.of(0, BGP_VERSION));
  const holdTime = u16(body, 3);
  if (holdTime === 1 || holdTime === 2) return openError(OpenError.unacceptableHoldTime);
  const identifier = u32(body, 5);
  if (identifier === 0) return openError(OpenError.badIdentifier);
  const capabilities = decodeParameters(body);
  if (!Array.isArray(capabilities)) return { ok: false, error: capabilities };
  const four = capabilities.find((capability) => capability.type === 'four-octet-as');
  const asn = four?.type === 'four-octet-as' ? four.asn : u16(body, 1);
  return { ok: true, open: { version, asn, holdTime, identifier, capabilities } };
}

function decodeParameters(body: Uint8Array): Capability[] | Notification {
  const malformed = notification(ErrorCode.openMessage, OpenError.unspecific);
  // The type tells, and the length before it is void then, but for 0.
  const extended = body[9] !== 0 && body.length >= 13 && body[10] === EXTENDED;
  const headLength = extended ? 3 : 2;
  let at = extended ? 13 : FIXED_LENGTH;
  const end = at + (extended ? u16(body, 11) : body[9]!);
  if (end !== body.length) return malformed;
  const capabilities: Capability[] = [];
  while (at < end) {
    if (at + headLength > end) return malformed;
    const type = body[at]!;
    const valueEnd = at + headLength + (extended ? u16(body, at + 1) : body[at + 1]!);
    if (valueEnd > end) return malformed;
    if (type !== PARAMETER_CAPABILITIES) {
      return notification(ErrorCode.openMessage, OpenError.unsupportedParameter);
    }
    const found = decodeCapabilities(body, at + headLength, valueEnd);
    if (found === null) return malformed;
    capabilities.push(...found);
    at = valueEnd;
  }
  return capabilities;
}

/** A whole OPEN message, one capability a parameter, in the extended form only when the parameters need it. */
export function encodeOpen(open: Open): Uint8Array {
  const encoded = open.capabilities.map(encodeCapability);
  const plain = encoded.reduce((sum, capability) => sum + 2 + capability.length, 0);
  const extended = plain >= EXTENDED || encoded.some((capability) => capability.length > 255);
  const headLength = extended ? 3 : 2;
  const length = plain + (extended ? encoded.length : 0);
  const message = frameMessage(MessageType.open, FIXED_LENGTH + (extended ? 3 : 0) + length);
  let at = HEADER_LENGTH;
  message[at] = open.version;
  setU16(message, at + 1, open.asn > 0xffff ? AS_TRANS : open.asn);
  setU16(message, at + 3, open.holdTime);
  setU32(message, at + 5, open.identifier);
  message[at + 9] = extended ? EXTENDED : length;
  at += FIXED_LENGTH;
  if (extended) {
    message[at] = EXTENDED;
    setU16(message, at + 1, length);
    at += 3;
  }
  for (const capability of encoded) {
    message[at] = PARAMETER_CAPABILITIES;
    if (extended) setU16(message, at + 1, capability.length);
    else message[at + 1] = capability.length;
    message.set(capability, at + headLength);
    at += headLength + capability.length;
  }
  return message;
}

function openError(subcode: number, data?: Uint8Array): OpenResult {
  return { ok: false, error: notification(ErrorCode.openMessage, subcode, data) };
}
