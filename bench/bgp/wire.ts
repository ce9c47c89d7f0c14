/**
 * As much of BGP as a load generator needs, of its own and not of protocols/bgp: what measures shares no code with what is
 * measured. IPv4 unicast and 4-octet AS numbers, RFC 4271 §4, RFC 6793.
 */

const HEADER = 19;

export const Type = { open: 1, update: 2, notification: 3, keepalive: 4 } as const;

function message(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length).fill(0xff, 0, 16);
  bytes[16] = bytes.length >> 8;
  bytes[17] = bytes.length & 0xff;
  bytes[18] = type;
  bytes.set(body, HEADER);
  return bytes;
}

export const KEEPALIVE = message(Type.keepalive, new Uint8Array(0));

/** `asn` below 65536; `holdTime` in seconds. */
export function openMessage(asn: number, identifier: number, holdTime: number): Uint8Array {
  const multiprotocol = [1, 4, 0, 1, 0, 1];
  const fourOctetAs = [65, 4, 0, 0, asn >> 8, asn & 0xff];
  const capabilities = [...multiprotocol, ...fourOctetAs];
  return message(
    Type.open,
    Uint8Array.from([
      4,
      ...[asn >> 8, asn & 0xff],
      ...[holdTime >> 8, holdTime & 0xff],
      ...octets(identifier),
      ...[capabilities.length + 2, 2, capabilities.length],
      ...capabilities,
    ]),
  );
}

export interface Attributes {
  /** 0 IGP, 2 INCOMPLETE. */
  readonly origin: number;
  readonly asPath: readonly number[];
  readonly nextHop: number;
  readonly med: number | null;
  readonly communities: readonly number[];
}

/** One UPDATE; `prefixes` are keys as `prefixKey` makes them. */
export function updateMessage(attributes: Attributes, prefixes: readonly number[]): Uint8Array {
  const { origin, asPath, nextHop, med, communities } = attributes;
  const path = [
    ...[0x40, 1, 1, origin],
    ...[0x40, 2, 2 + 4 * asPath.length, 2, asPath.length, ...asPath.flatMap(octets)],
    ...[0x40, 3, 4, ...octets(nextHop)],
    ...(med === null ? [] : [0x80, 4, 4, ...octets(med)]),
    ...(communities.length === 0 ? [] : [0xc0, 8, 4 * communities.length, ...communities.flatMap(octets)]),
  ];
  return message(
    Type.update,
    Uint8Array.from([0, 0, path.length >> 8, path.length & 0xff, ...path, ...prefixes.flatMap(encoded)]),
  );
}

/** One UPDATE that takes prefixes back. */
export function withdrawMessage(prefixes: readonly number[]): Uint8Array {
  const routes = prefixes.flatMap(encoded);
  return message(Type.update, Uint8Array.from([routes.length >> 8, routes.length & 0xff, ...routes, 0, 0]));
}

function encoded(key: number): number[] {
  const len = key % 64;
  return [len, ...octets(Math.floor(key / 64)).slice(0, (len + 7) >> 3)];
}

export function prefixKey(addr: number, len: number): number {
  return addr * 64 + len;
}

function octets(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** Cuts a stream into messages: `take` gets the buffer, the offset of the body and its end. Headers are taken on trust. */
export class Cutter {
  #rest: Uint8Array = new Uint8Array(0);

  push(chunk: Uint8Array, take: (type: number, bytes: Uint8Array, at: number, end: number) => void): void {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const end = at + ((bytes[at + 16]! << 8) | bytes[at + 17]!);
      if (end > bytes.length) break;
      take(bytes[at + 18]!, bytes, at + HEADER, end);
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}
