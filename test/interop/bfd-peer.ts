import { createSocket, type Socket } from 'node:dgram';
import {
  ControlPacket,
  FLAG_FINAL,
  FLAG_POLL,
  readControl,
  writeControl,
} from '../../protocols/bfd/control.ts';

export interface BfdPlace {
  /** Where our end is, and where the daemon is that is spoken to. */
  readonly local: string;
  readonly remote: string;
  readonly port: number;
}

/** RFC 5881 §4 */
const SOURCE_PORT = 50_000;
/** µs; and packets in a row that the other end may miss, which is as long as this process may be kept from answering. */
const INTERVAL = 50_000;
const MULTIPLIER = 30;

/**
 * One end of a BFD session with nothing of a protocol machine: it answers each packet with one that has the state that it was
 * told to be in, and for the rest what makes the other end take it.
 */
export class BfdPeer {
  /** What has come, newest last. */
  readonly heard: ControlPacket[] = [];
  /** Source ports of what has come. */
  readonly ports = new Set<number>();
  state: ControlPacket['state'] = 'Down';
  readonly #place: BfdPlace;
  readonly #receiver = createSocket('udp4');
  readonly #sender = createSocket('udp4');
  #wake: () => void = () => {};

  private constructor(place: BfdPlace) {
    this.#place = place;
    this.#receiver.on('message', (bytes, { port }) => this.#receive(bytes, port));
  }

  static async open(place: BfdPlace): Promise<BfdPeer> {
    const peer = new BfdPeer(place);
    await bind(peer.#receiver, place.local, place.port);
    await bind(peer.#sender, place.local, SOURCE_PORT);
    return peer;
  }

  /** Resolves when the other end is in a state, as it says itself. */
  async hears(state: ControlPacket['state']): Promise<void> {
    this.heard.length = 0;
    while (this.heard.at(-1)?.state !== state) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Resolves when so many packets more have come. */
  async hearsMore(count: number): Promise<void> {
    const wanted = this.heard.length + count;
    while (this.heard.length < wanted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#receiver.close();
    this.#sender.close();
  }

  #receive(bytes: Uint8Array, port: number): void {
    const packet = new ControlPacket();
    if (readControl(bytes, 0, bytes.length, packet) !== null) return;
    this.heard.push(packet);
    this.ports.add(port);
    if (this.state === 'Down' && packet.state === 'Down') this.state = 'Init';
    if (this.state === 'Init' && packet.state !== 'Down') this.state = 'Up';
    const answer = new Uint8Array(24);
    const fields = {
      diag: this.state === 'AdminDown' ? 7 : 0,
      state: this.state,
      detectMult: MULTIPLIER,
      myDiscriminator: 77,
      yourDiscriminator: packet.myDiscriminator,
      desiredMinTx: INTERVAL,
      requiredMinRx: INTERVAL,
    };
    writeControl(answer, 0, fields, (packet.flags & FLAG_POLL) !== 0 ? FLAG_FINAL : 0);
    this.#sender.send(answer, this.#place.port, this.#place.remote);
    this.#wake();
  }
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, resolve);
  });
}
