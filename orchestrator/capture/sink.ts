import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import type { CaptureSink } from './recorder.ts';

export class CaptureFileError extends Error {
  override readonly name = 'CaptureFileError';
}

/** What may wait for a slow reader before packets are dropped, bytes. */
const BACKLOG = 64 * 1024 * 1024;

/**
 * A capture's bytes to a file or to standard output, those of one turn of the event loop as one write. They are held
 * until `open`, so that a capture that cannot begin leaves an older file alone.
 */
export class StreamSink implements CaptureSink {
  /** Called when the reader has gone or the file cannot be written any more. */
  onClosed: () => void = () => {};
  readonly #file: string;
  readonly #backlog: number;
  #stream: Writable | null = null;
  #held: Uint8Array[] = [];
  #scheduled = false;
  #error: Error | null = null;

  /**
   * `-` is standard output. 'drop' loses packets to a reader who does not keep up, 'keep' lets them wait.
   * @throws CaptureFileError when standard output is a terminal.
   */
  constructor(file: string, slowReader: 'drop' | 'keep') {
    this.#file = file;
    this.#backlog = slowReader === 'drop' ? BACKLOG : Number.POSITIVE_INFINITY;
    if (file === '-' && process.stdout.isTTY)
      throw new CaptureFileError(
        'standard output is a terminal; pipe it, as in: reroute capture -w - | tshark -r -',
      );
  }

  /** @throws CaptureFileError for a file that cannot be written. */
  async open(): Promise<void> {
    const stream = this.#file === '-' ? process.stdout : createWriteStream(this.#file);
    stream.on('error', (error: Error) => {
      this.#error ??= error;
      this.onClosed();
    });
    if (this.#file !== '-')
      await new Promise<void>((resolve) => {
        stream.once('open', () => resolve());
        stream.once('error', () => resolve());
      });
    this.#throwError();
    this.#stream = stream;
    this.#flush();
  }

  write(bytes: Uint8Array, kind: 'packet' | 'other'): 'taken' | 'full' {
    if (this.#error !== null) return 'taken';
    if (kind === 'packet' && (this.#stream?.writableLength ?? 0) > this.#backlog) return 'full';
    this.#held.push(bytes);
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    return 'taken';
  }

  /** Resolves when a reader who is slow has taken what waited for it, or has gone. */
  async room(): Promise<void> {
    this.#flush();
    const stream = this.#stream;
    if (stream === null || this.#error !== null || !stream.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      stream.once('drain', () => resolve());
      stream.once('close', () => resolve());
      stream.once('error', () => resolve());
    });
  }

  /**
   * Resolves when all is written, or when a reader on a pipe has gone because it had read enough.
   * @throws CaptureFileError when it could not be written.
   */
  async close(): Promise<void> {
    this.#flush();
    const stream = this.#stream;
    if (stream !== null && this.#error === null) {
      await new Promise<void>((resolve) => {
        this.onClosed = resolve;
        if (this.#file === '-') stream.write(new Uint8Array(0), () => resolve());
        else stream.end(() => resolve());
      });
    }
    this.#throwError();
  }

  #flush(): void {
    const held = this.#held;
    if (this.#stream === null || held.length === 0) return;
    this.#held = [];
    if (this.#error === null) this.#stream.write(held.length === 1 ? held[0] : Buffer.concat(held));
  }

  #throwError(): void {
    const error = this.#error;
    if (error === null || ('code' in error && error.code === 'EPIPE')) return;
    const name = this.#file === '-' ? 'standard output' : this.#file;
    throw new CaptureFileError(`cannot write ${name}: ${error.message}`);
  }
}
