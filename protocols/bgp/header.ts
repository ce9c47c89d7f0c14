import { setU16 } from '../bytes.ts';
import { HEADER_LENGTH, MessageType } from './constants.ts';

const MARKER_LENGTH = 16;

/**
 * A message with its header written and room for `bodyLength` bytes of body: marker, 16 bytes of ones; total length
 * (2); type (1). RFC 4271 §4.1.
 */
export function frameMessage(type: number, bodyLength: number): Uint8Array {
  const message = new Uint8Array(HEADER_LENGTH + bodyLength);
  message.fill(0xff, 0, MARKER_LENGTH);
  setU16(message, MARKER_LENGTH, message.length);
  message[MARKER_LENGTH + 2] = type;
  return message;
}

/** Type of a message that has passed the framer. */
export function messageType(message: Uint8Array): number {
  return message[HEADER_LENGTH - 1]!;
}

export function messageBody(message: Uint8Array): Uint8Array {
  return message.subarray(HEADER_LENGTH);
}

/** A KEEPALIVE: the header alone. A new one each time, as the receiver of bytes owns them. */
export function encodeKeepalive(): Uint8Array {
  return frameMessage(MessageType.keepalive, 0);
}
