import { setU16, setU32 } from '../../../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../../protocols/checksum.ts';
import type { IpAddress } from '../../../../protocols/ip.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../../protocols/ipv4.ts';
import { UDP_HLEN, writeUdp } from '../../../../protocols/udp.ts';

/** What stands above IP, once it is known between whom. */
export interface Upper<A extends IpAddress = IpAddress> {
  readonly proto: number;
  readonly bytes: (src: A, dst: A) => Uint8Array;
}

/** Bytes as they are. */
export function rest(proto: number, bytes: Uint8Array | readonly number[]): Upper {
  return { proto, bytes: () => Uint8Array.from(bytes) };
}

/** `size` is that of the data. */
export function udp(srcPort: number, dstPort: number, size = 0): Upper {
  return {
    proto: PROTO_UDP,
    bytes: (src, dst) => {
      const bytes = counted(UDP_HLEN, size);
      writeUdp(bytes, 0, src, dst, srcPort, dstPort, size, { checksum: 'compute' });
      return bytes;
    },
  };
}

const FLAGS = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10 } as const;

export interface Tcp {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly flags: readonly (keyof typeof FLAGS)[];
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  /** Maximum segment size that is told. */
  readonly mss?: number;
  /** Other options, whole words. */
  readonly options?: readonly number[];
  readonly size?: number;
}

export function tcp(segment: Tcp): Upper {
  const { srcPort, dstPort, flags, seq = 1_000, ack = 0, window = 8_192, mss, size = 0 } = segment;
  const options = [...(mss === undefined ? [] : [2, 4, mss >>> 8, mss & 0xff]), ...(segment.options ?? [])];
  return {
    proto: PROTO_TCP,
    bytes: (src, dst) => {
      const head = 20 + options.length;
      const bytes = counted(head, size);
      setU16(bytes, 0, srcPort);
      setU16(bytes, 2, dstPort);
      setU32(bytes, 4, seq);
      setU32(bytes, 8, ack);
      bytes[12] = (head / 4) << 4;
      for (const flag of flags) bytes[13]! |= FLAGS[flag];
      setU16(bytes, 14, window);
      bytes.set(options, 20);
      const sum = pseudoHeaderSum(src, dst, PROTO_TCP, bytes.length);
      setU16(bytes, 16, internetChecksum(bytes, 0, bytes.length, sum));
      return bytes;
    },
  };
}

/** Room for a head, and data in which each byte is its place. */
export function counted(head: number, size: number): Uint8Array {
  return new Uint8Array(head + size).map((_, i) => (i < head ? 0 : i));
}
