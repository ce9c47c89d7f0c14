import type { NatsConnection } from 'nats';

export interface Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Messages are cut from blocks of so many bytes: to make a buffer for each would cost more than to fill it. */
const BLOCK = 524_288;
/** So many blocks on their way make a queue that is full. */
const QUEUE = 128;
/** So many are kept for later. */
const KEPT = 32;

/**
 * The memory of what a connection publishes. A block is used again when the server has read all that was cut from it: to make a
 * new one for each half a megabyte would cost the garbage collector more than the frames cost everything else.
 */
export class BlockPool {
  readonly #nc: NatsConnection;
  readonly #free: Block[] = [];
  #unread = 0;

  constructor(nc: NatsConnection) {
    this.#nc = nc;
  }

  /** 'full': the server is 64 MiB behind, and what is sent now would only wait in this process' memory. */
  get queue(): 'room' | 'full' {
    return this.#unread < QUEUE ? 'room' : 'full';
  }

  /** A block for messages of up to so many bytes; it holds what it held before. */
  take(least: number): Block {
    if (least > BLOCK) return newBlock(least);
    return this.#free.pop() ?? newBlock(BLOCK);
  }

  /** Takes back a block after all that was cut from it has been published. */
  giveBack(block: Block): void {
    if (block.bytes.length !== BLOCK) return;
    this.#unread++;
    // The server answers in order: it has read what was published before the question (PING).
    this.#nc.flush().then(
      () => {
        this.#unread--;
        if (this.#free.length < KEPT) this.#free.push(block);
      },
      // The connection broke, and parts of the block may still be on their way out of the process.
      () => {
        this.#unread--;
      },
    );
  }
}

function newBlock(length: number): Block {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}
