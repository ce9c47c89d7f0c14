import { createReadStream } from 'node:fs';
import { formatPeer } from '../../protocols/mrt/peer.ts';
import { MrtReader, type MrtRecord } from '../../protocols/mrt/reader.ts';
import { isMrtType, RECORD_HEADER, recordType } from '../../protocols/mrt/record.ts';
import {
  formatPeerSelector,
  type MrtRoute,
  type PeerSelector,
  RouteReader,
} from '../../protocols/mrt/routes.ts';
import { bunzip2, compressionOf, gunzip, MAGIC_LENGTH } from './compression.ts';
import { MrtFileError, systemError } from './error.ts';

const CHUNK = 256 * 1024;
/** Peers that an error names. */
const NAMED_PEERS = 12;

/**
 * The records of an MRT file, plain or compressed with gzip or bzip2 as its first bytes say. Reads as fast as it is
 * asked and holds some chunks at most. Malformed records are among them, at their offset in the uncompressed data.
 * @throws MrtFileError if it cannot be read, is no MRT file, or its compressed data are damaged or cut short.
 */
export async function* readMrtFile(file: string): AsyncGenerator<MrtRecord> {
  const reader = new MrtReader();
  const stream = unpack(file);
  const head = await takeHead(stream, RECORD_HEADER);
  if (head.length === 0) throw new MrtFileError(file, 'is empty, not an MRT file');
  if (head.length < RECORD_HEADER || !isMrtType(recordType(head, 0))) {
    throw new MrtFileError(file, 'is not an MRT file (RFC 6396)');
  }
  for await (const chunk of resume(head, stream)) yield* reader.read(chunk);
  yield* reader.end();
}

interface RouteFileOptions {
  readonly peer: PeerSelector;
  /** Told of each record, and each route of the peer, that is left out because it is malformed: `FILE:OFFSET: REASON`. */
  readonly onMalformed: (text: string) => void;
}

/**
 * The routes of a routing table dump, TABLE_DUMP_V2 or TABLE_DUMP, in the order of the file; `readMrtFile` otherwise.
 * @throws MrtFileError moreover if it holds no routing table, or none of the peer: it then names those that it has.
 */
export async function* readMrtRoutes(file: string, options: RouteFileOptions): AsyncGenerator<MrtRoute> {
  const routes = new RouteReader(options.peer);
  for await (const record of readMrtFile(file)) {
    for (const found of routes.read(record)) {
      if (found.kind === 'route') yield found;
      else options.onMalformed(`${file}:${found.offset}: ${found.reason}`);
    }
    // Legacy dumps have no table of peers: they are known at the end.
    if (record.kind === 'peer-index-table') checkPeer(file, options.peer, routes);
  }
  if (!routes.hasTable) {
    throw new MrtFileError(file, 'holds no routing table: it has no TABLE_DUMP or TABLE_DUMP_V2 records');
  }
  checkPeer(file, options.peer, routes);
}

function checkPeer(file: string, selector: PeerSelector, routes: RouteReader): void {
  if (!routes.isInVain || selector.type === 'first' || selector.type === 'all') return;
  const { peers } = routes;
  const named = peers.slice(0, NAMED_PEERS).map(formatPeer).join(', ');
  const more = peers.length > NAMED_PEERS ? `, and ${peers.length - NAMED_PEERS} more` : '';
  throw new MrtFileError(file, `has no peer ${formatPeerSelector(selector)}; its peers are ${named}${more}`);
}

async function* unpack(file: string): AsyncGenerator<Uint8Array> {
  const source = readFile(file);
  const head = await takeHead(source, MAGIC_LENGTH);
  const whole = resume(head, source);
  const compression = compressionOf(head);
  switch (compression) {
    case 'none':
      yield* whole;
      return;
    case 'gzip':
    case 'bzip2':
      try {
        yield* compression === 'gzip' ? gunzip(whole) : bunzip2(whole);
      } catch (error) {
        if (error instanceof MrtFileError) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        throw new MrtFileError(file, `its ${compression} data are damaged or cut short: ${reason}`, {
          cause: error,
        });
      }
      return;
    default:
      throw new MrtFileError(file, `is compressed with ${compression}, which is not read; unpack it first`);
  }
}

async function* readFile(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file, { highWaterMark: CHUNK });
  } catch (error) {
    throw systemError(file, error);
  }
}

/** The first chunks, joined, until there are so many bytes or no more. */
async function takeHead(source: AsyncGenerator<Uint8Array>, length: number): Promise<Uint8Array> {
  let head = new Uint8Array(0);
  while (head.length < length) {
    const next = await source.next();
    if (next.done === true) return head;
    const joined = new Uint8Array(head.length + next.value.length);
    joined.set(head);
    joined.set(next.value, head.length);
    head = joined;
  }
  return head;
}

async function* resume(head: Uint8Array, source: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    yield* source;
  } finally {
    await source.return(undefined);
  }
}
