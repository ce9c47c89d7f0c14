/** One block of a pcapng section in little-endian order, taken apart without the writer's help. */
export interface Block {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Splits a section into blocks. Throws where the lengths do not fit (draft-ietf-opsawg-pcapng §3.1). */
export function blocksOf(bytes: Uint8Array): Block[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks: Block[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (length % 4 !== 0 || length < 12) throw new Error(`a block of ${length} bytes`);
    if (view.getUint32(at + length - 4, true) !== length)
      throw new Error('the two lengths of a block differ');
    blocks.push({ type: view.getUint32(at, true), body: bytes.subarray(at + 8, at + length - 4) });
    at += length;
  }
  return blocks;
}

/** Options from an offset of a body on, by code. Throws unless they fill the body and end with code 0. */
export function optionsOf(body: Uint8Array, from: number): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  if (from === body.length) return options;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = from; ; ) {
    const code = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    const end = at + 4 + Math.ceil(length / 4) * 4;
    if (body.subarray(at + 4 + length, end).some((byte) => byte !== 0)) throw new Error('padding is not 0');
    at = end;
    if (code === 0) {
      if (length !== 0 || at !== body.length) throw new Error('the options do not end with the block');
      return options;
    }
    options.set(code, body.subarray(at - Math.ceil(length / 4) * 4, at - Math.ceil(length / 4) * 4 + length));
  }
}

export interface ReadPacket {
  readonly interface: string;
  /** ns */
  readonly at: bigint;
  readonly direction: 'in' | 'out' | 'none';
  readonly length: number;
  readonly data: Uint8Array;
}

export interface ReadCapture {
  /** By number. */
  readonly interfaces: readonly {
    readonly name: string;
    readonly description: string;
    readonly linkType: number;
  }[];
  readonly packets: readonly ReadPacket[];
  /** Statistics blocks, by the interface's name: received, accepted, dropped, delivered. */
  readonly statistics: ReadonlyMap<string, readonly [bigint, bigint, bigint, bigint]>;
}

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

export function readCapture(bytes: Uint8Array): ReadCapture {
  const interfaces: ReadCapture['interfaces'][number][] = [];
  const packets: ReadPacket[] = [];
  const statistics = new Map<string, [bigint, bigint, bigint, bigint]>();
  for (const { type, body } of blocksOf(bytes)) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    if (type === 1) {
      const options = optionsOf(body, 8);
      interfaces.push({
        name: text(options.get(2)),
        description: text(options.get(3)),
        linkType: view.getUint16(0, true),
      });
    } else if (type === 6) {
      const kept = view.getUint32(12, true);
      const flags = optionsOf(body, 20 + Math.ceil(kept / 4) * 4).get(2)?.[0] ?? 0;
      packets.push({
        interface: interfaces[view.getUint32(0, true)]!.name,
        at: (BigInt(view.getUint32(4, true)) << 32n) | BigInt(view.getUint32(8, true)),
        direction: (flags & 3) === 1 ? 'in' : (flags & 3) === 2 ? 'out' : 'none',
        length: view.getUint32(16, true),
        data: body.subarray(20, 20 + kept),
      });
    } else if (type === 5) {
      const options = optionsOf(body, 12);
      const count = (code: number) => {
        const value = options.get(code)!;
        return new DataView(value.buffer, value.byteOffset, 8).getBigUint64(0, true);
      };
      const { name } = interfaces[view.getUint32(0, true)]!;
      statistics.set(name, [count(4), count(6), count(7), count(8)]);
    }
  }
  return { interfaces, packets, statistics };
}
