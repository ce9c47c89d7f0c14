import { setU32, u32 } from '../bytes.ts';

/**
 * BFD Control packet (RFC 5880 §4.1): version (3 bits) and diagnostic (5), state (2 bits) and flags (6), Detect Mult (1),
 * Length (1), My Discriminator (4), Your Discriminator (4), Desired Min TX (4), Required Min RX (4) and Required Min
 * Echo RX (4), intervals in µs; then the authentication section, if there is one.
 */
export const CONTROL_LENGTH = 24;
/** Type and length of the authentication section. */
const AUTH_HEADER = 2;
const VERSION = 1;

/** In order of their codes. */
const STATES = ['AdminDown', 'Down', 'Init', 'Up'] as const;
/** RFC 5880 §6.2 */
export type BfdState = (typeof STATES)[number];

export const FLAG_POLL = 0x20;
export const FLAG_FINAL = 0x10;
/** The sender's BFD goes on when its control plane does not. */
export const FLAG_CONTROL_PLANE_INDEPENDENT = 0x08;
export const FLAG_AUTHENTICATION = 0x04;
export const FLAG_DEMAND = 0x02;
export const FLAG_MULTIPOINT = 0x01;
const FLAGS = 0x3f;

export const DIAG_NONE = 0;
export const DIAG_DETECTION_TIME = 1;
export const DIAG_NEIGHBOR_DOWN = 3;
export const DIAG_ADMIN_DOWN = 7;

/** In order of their codes, RFC 5880 §4.1. */
const DIAGNOSTICS = [
  'No Diagnostic',
  'Control Detection Time Expired',
  'Echo Function Failed',
  'Neighbor Signaled Session Down',
  'Forwarding Plane Reset',
  'Path Down',
  'Concatenated Path Down',
  'Administratively Down',
  'Reverse Concatenated Path Down',
] as const;

export function formatDiagnostic(code: number): string {
  return DIAGNOSTICS[code] ?? `Reserved (${code})`;
}

/** What a sender fills a packet with; intervals in µs. */
export interface ControlFields {
  readonly state: BfdState;
  /** 0 to 31 */
  readonly diag: number;
  readonly detectMult: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
}

/** A packet as received. One is filled again and again, so that receiving makes no object. */
export class ControlPacket implements ControlFields {
  state: BfdState = 'Down';
  diag = DIAG_NONE;
  flags = 0;
  detectMult = 0;
  /** Bytes, with the authentication section. */
  length = 0;
  myDiscriminator = 0;
  yourDiscriminator = 0;
  desiredMinTx = 0;
  requiredMinRx = 0;
  requiredMinEchoRx = 0;
}

/** Why a packet is discarded that no session needs to look at, in the order of RFC 5880 §6.8.6. */
export type ControlDiscard =
  | 'truncated'
  | 'version'
  | 'length-short'
  | 'length-overrun'
  | 'detect-mult-zero'
  | 'multipoint'
  | 'my-discriminator-zero'
  | 'your-discriminator-zero';

/**
 * Reads the packet in a payload of `len` bytes at `off` into `into`, which holds nothing of use where this returns the
 * reason for a discard. Bytes behind the packet are nobody's. Never throws.
 */
export function readControl(
  buf: Uint8Array,
  off: number,
  len: number,
  into: ControlPacket,
): ControlDiscard | null {
  if (len < 4) return 'truncated';
  const first = buf[off]!;
  const second = buf[off + 1]!;
  const detectMult = buf[off + 2]!;
  const length = buf[off + 3]!;
  if (first >>> 5 !== VERSION) return 'version';
  const least = (second & FLAG_AUTHENTICATION) === 0 ? CONTROL_LENGTH : CONTROL_LENGTH + AUTH_HEADER;
  if (length < least) return 'length-short';
  if (length > len) return 'length-overrun';
  if (detectMult === 0) return 'detect-mult-zero';
  if ((second & FLAG_MULTIPOINT) !== 0) return 'multipoint';
  const myDiscriminator = u32(buf, off + 4);
  if (myDiscriminator === 0) return 'my-discriminator-zero';
  const yourDiscriminator = u32(buf, off + 8);
  const state = STATES[second >>> 6]!;
  if (yourDiscriminator === 0 && state !== 'Down' && state !== 'AdminDown') return 'your-discriminator-zero';
  into.state = state;
  into.diag = first & 0x1f;
  into.flags = second & FLAGS;
  into.detectMult = detectMult;
  into.length = length;
  into.myDiscriminator = myDiscriminator;
  into.yourDiscriminator = yourDiscriminator;
  into.desiredMinTx = u32(buf, off + 12);
  into.requiredMinRx = u32(buf, off + 16);
  into.requiredMinEchoRx = u32(buf, off + 20);
  return null;
}

/** Writes the 24 bytes of a packet without authentication, whose sender loops no Echo packets back. */
export function writeControl(buf: Uint8Array, off: number, fields: ControlFields, flags: number): void {
  buf[off] = (VERSION << 5) | fields.diag;
  buf[off + 1] = (STATES.indexOf(fields.state) << 6) | flags;
  buf[off + 2] = fields.detectMult;
  buf[off + 3] = CONTROL_LENGTH;
  setU32(buf, off + 4, fields.myDiscriminator);
  setU32(buf, off + 8, fields.yourDiscriminator);
  setU32(buf, off + 12, fields.desiredMinTx);
  setU32(buf, off + 16, fields.requiredMinRx);
  setU32(buf, off + 20, 0);
}
