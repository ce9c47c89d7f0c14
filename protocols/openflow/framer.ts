import { u16 } from '../bytes.ts';
import { BAD_REQUEST, ERROR, OFP_HEADER, OpenFlowError } from './constants.ts';

/** Cuts a byte stream into messages by the length in their headers. */
export class OpenFlowFramer {
  #held = new Uint8Array(0);

  /** Messages that are whole now. @throws OpenFlowError where the stream cannot be followed any further. */
  push(bytes: Uint8Array): Uint8Array[] {
    const data = new Uint8Array(this.#held.length + bytes.length);
    data.set(this.#held);
    data.set(bytes, this.#held.length);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (data.length - at >= OFP_HEADER) {
      const length = u16(data, at + 2);
      if (length < OFP_HEADER)
        throw new OpenFlowError(`a message of ${length} bytes`, ERROR.BAD_REQUEST, BAD_REQUEST.BAD_LEN);
      if (at + length > data.length) break;
      messages.push(data.slice(at, at + length));
      at += length;
    }
    this.#held = data.slice(at);
    return messages;
  }
}
