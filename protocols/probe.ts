import { setU32, u32 } from './bytes.ts';

/**
 * The probe that asks a pod who it is. Big-endian.
 *
 *     0  magic    'RRPB'
 *     4  version  1
 *     5  kind     1 request, 2 reply
 *     6  uid      length in bytes, 0 in a request
 *     7  name     length in bytes, 0 in a request
 *     8  probe    u32
 *    12  seq      u32
 *    16  sent     f64, ms on the sender's clock, given back as it came
 *    24  uid, name: UTF-8, of the pod that replies
 */
export const PROBE_HLEN = 24;
/** Port that every pod replies on: RFC 862's echo, as everything that is not a probe is echoed. */
export const PROBE_PORT = 7;

const MAGIC = 0x52525042;
const VERSION = 1;
const REQUEST = 1;
const REPLY = 2;

export interface ProbeHeader {
  readonly probe: number;
  readonly seq: number;
  readonly sentAt: number;
}

export interface ProbeReply extends ProbeHeader {
  readonly uid: string;
  readonly name: string;
}

export class ProbeFieldError extends Error {
  override readonly name = 'ProbeFieldError';
}

export function encodeProbe(header: ProbeHeader): Uint8Array {
  const packet = new Uint8Array(PROBE_HLEN);
  setU32(packet, 0, MAGIC);
  packet[4] = VERSION;
  packet[5] = REQUEST;
  setU32(packet, 8, header.probe);
  setU32(packet, 12, header.seq);
  new DataView(packet.buffer).setFloat64(16, header.sentAt);
  return packet;
}

/** Whether a request starts at `off`. */
export function isProbeRequest(buf: Uint8Array, off: number, len: number): boolean {
  return len >= PROBE_HLEN && hasMagic(buf, off) && buf[off + 5] === REQUEST;
}

/** Whether the bytes are, or could with more bytes become, a request: what tells a probe from an echo on a stream. */
export function mayBeProbe(buf: Uint8Array, off: number, len: number): boolean {
  for (let i = 0; i < Math.min(len, 4); i++) {
    if (buf[off + i] !== ((MAGIC >>> (24 - 8 * i)) & 255)) return false;
  }
  return (len < 5 || buf[off + 4] === VERSION) && (len < 6 || buf[off + 5] === REQUEST);
}

/**
 * A pod's reply, made once: `answer` puts into it what differs from one request to the next.
 * @throws ProbeFieldError if uid or name is longer than 255 bytes.
 */
export function replyTemplate(uid: string, name: string): Uint8Array {
  const encoder = new TextEncoder();
  const uidBytes = encoder.encode(uid);
  const nameBytes = encoder.encode(name);
  if (uidBytes.length > 255 || nameBytes.length > 255) {
    throw new ProbeFieldError(`uid and name of a probe reply are at most 255 bytes: ${uid} ${name}`);
  }
  const template = new Uint8Array(PROBE_HLEN + uidBytes.length + nameBytes.length);
  setU32(template, 0, MAGIC);
  template[4] = VERSION;
  template[5] = REPLY;
  template[6] = uidBytes.length;
  template[7] = nameBytes.length;
  template.set(uidBytes, PROBE_HLEN);
  template.set(nameBytes, PROBE_HLEN + uidBytes.length);
  return template;
}

/** Makes `reply` the answer to the request at `off`. */
export function answer(reply: Uint8Array, request: Uint8Array, off: number): void {
  for (let i = 8; i < PROBE_HLEN; i++) reply[i] = request[off + i]!;
}

/** Reads replies. Nearly all from one target name the same pod, so its uid and name are kept and made no second time. */
export class ProbeReplyReader {
  readonly #decoder = new TextDecoder();
  #tail = new Uint8Array(0);
  #uidLength = 0;
  #uid = '';
  #name = '';

  /** Null if the bytes are not one whole reply. */
  read(buf: Uint8Array): ProbeReply | null {
    if (buf.length < PROBE_HLEN || !hasMagic(buf, 0) || buf[5] !== REPLY) return null;
    const uidLength = buf[6]!;
    if (buf.length !== PROBE_HLEN + uidLength + buf[7]!) return null;
    if (uidLength !== this.#uidLength || !this.#sameTail(buf)) {
      this.#tail = buf.slice(PROBE_HLEN);
      this.#uidLength = uidLength;
      this.#uid = this.#decoder.decode(this.#tail.subarray(0, uidLength));
      this.#name = this.#decoder.decode(this.#tail.subarray(uidLength));
    }
    const view = new DataView(buf.buffer, buf.byteOffset);
    return {
      probe: u32(buf, 8),
      seq: u32(buf, 12),
      sentAt: view.getFloat64(16),
      uid: this.#uid,
      name: this.#name,
    };
  }

  #sameTail(buf: Uint8Array): boolean {
    const tail = this.#tail;
    if (buf.length !== PROBE_HLEN + tail.length) return false;
    for (let i = 0; i < tail.length; i++) if (tail[i] !== buf[PROBE_HLEN + i]) return false;
    return true;
  }
}

function hasMagic(buf: Uint8Array, off: number): boolean {
  return u32(buf, off) === MAGIC && buf[off + 4] === VERSION;
}
