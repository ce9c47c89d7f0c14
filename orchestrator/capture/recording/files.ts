import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeEntries, type RecordingEntry, RecordingError } from './format.ts';

/** The numbered files of a recording, which are only appended to, and go as a whole. */
export interface RecordingFiles {
  append(file: number, bytes: Uint8Array): void;
  remove(file: number): void;
}

/** Files in a folder. @throws Error of the file system */
export class FolderFiles implements RecordingFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  append(file: number, bytes: Uint8Array): void {
    appendFileSync(join(this.#folder, nameOf(file)), bytes);
  }

  remove(file: number): void {
    rmSync(join(this.#folder, nameOf(file)), { force: true });
  }
}

/** Files in memory, of a simulated lab, whose folder is made when its run is over. */
export class MemoryFiles implements RecordingFiles {
  readonly #files = new Map<number, Uint8Array[]>();

  append(file: number, bytes: Uint8Array): void {
    const chunks = this.#files.get(file);
    if (chunks === undefined) this.#files.set(file, [bytes]);
    else chunks.push(bytes);
  }

  remove(file: number): void {
    this.#files.delete(file);
  }

  save(folder: string): void {
    const files = new FolderFiles(folder);
    for (const [file, chunks] of this.#files) files.append(file, Buffer.concat(chunks));
  }

  *entries(): Generator<RecordingEntry> {
    for (const chunks of this.#files.values()) yield* decodeEntries(Buffer.concat(chunks));
  }
}

/** The entries of a recording in a folder, oldest first, also of one that is being written. @throws RecordingError */
export function* readRecording(folder: string): Generator<RecordingEntry> {
  if (!existsSync(folder))
    throw new RecordingError('the lab was not recorded; its lab file has to say `record: frames`');
  for (const name of readdirSync(folder)
    .filter((candidate) => NAME.test(candidate))
    .toSorted()) {
    const bytes = readIfThere(join(folder, name));
    if (bytes !== null) yield* decodeEntries(bytes);
  }
}

const NAME = /^\d{8}\.frames$/;

function nameOf(file: number): string {
  return `${String(file).padStart(8, '0')}.frames`;
}

/** The oldest file may go while it is about to be read. */
function readIfThere(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
