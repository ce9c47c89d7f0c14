import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import unbzip2 from 'unbzip2-stream';

export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

/** How a file begins that is compressed so, whatever its name. */
const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** Bytes that `compressionOf` has to see. */
export const MAGIC_LENGTH = 6;

export function compressionOf(head: Uint8Array): Compression {
  const found = MAGIC.find(([, magic]) => magic.every((byte, i) => head[i] === byte));
  return found?.[0] ?? 'none';
}

/** Several members one after another count as one file. Ends with zlib's error if the data are damaged or cut short. */
export async function* gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const stream = createGunzip();
  const done = pipeline(Readable.from(source), stream).catch(() => {});
  try {
    yield* stream;
  } finally {
    stream.destroy();
    await done;
  }
}

/** What a chunk may unpack to, bytes: some hundred times what routing tables come to. */
const MAX_UNPACKED = 512 * 1024 * 1024;

/**
 * As `gunzip`. The package decodes a block within the call that brings its last byte, so that what waits is what one
 * chunk, or at the end some 900 kB, unpacks to.
 */
export async function* bunzip2(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const stream = unbzip2();
  let unpacked: Uint8Array[] = [];
  let size = 0;
  let failure: unknown = null;
  stream.on('data', (bytes: Uint8Array) => {
    size += bytes.length;
    // The package hands what is thrown here to 'error' and stops.
    if (size > MAX_UNPACKED) throw new Error('unpacks to far more than a routing table would');
    unpacked.push(bytes);
  });
  stream.on('error', (error: unknown) => {
    // It runs over the end of what it has without looking.
    failure ??= error instanceof TypeError ? new Error('unexpected end', { cause: error }) : error;
  });
  const take = (): readonly Uint8Array[] => {
    const taken = unpacked;
    unpacked = [];
    size = 0;
    return taken;
  };
  for await (const chunk of source) {
    stream.write(chunk);
    yield* take();
    if (failure !== null) throw failure;
  }
  stream.end();
  yield* take();
  if (failure !== null) throw failure;
}
