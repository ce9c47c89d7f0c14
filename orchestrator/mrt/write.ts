import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { MrtFileError, systemError } from './error.ts';

const CHUNK = 64 * 1024;

/**
 * Writes records, of `tableDump` or of `encodeMessage` and its kin, to a file: with gzip if its name ends in `.gz`. Takes
 * them as fast as the file takes them.
 * @throws MrtFileError if it cannot be written, or is to be compressed otherwise; what the records' source throws.
 */
export async function writeMrtFile(file: string, records: Iterable<Uint8Array>): Promise<void> {
  if (/\.(bz2|xz|zst)$/.test(file)) {
    throw new MrtFileError(file, 'can be written plain or with gzip alone; name it .mrt or .mrt.gz');
  }
  const source = Readable.from(batches(records));
  const target = createWriteStream(file);
  try {
    if (file.endsWith('.gz')) await pipeline(source, createGzip(), target);
    else await pipeline(source, target);
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw systemError(file, error);
    throw error;
  }
}

/** Records are small: one write for many. */
function* batches(records: Iterable<Uint8Array>): Generator<Buffer> {
  let batch: Uint8Array[] = [];
  let size = 0;
  for (const record of records) {
    batch.push(record);
    size += record.length;
    if (size < CHUNK) continue;
    yield Buffer.concat(batch, size);
    batch = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(batch, size);
}
