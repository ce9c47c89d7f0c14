import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decodeOpenFlow } from '../../../protocols/openflow/decode.ts';
import { encodeOpenFlow } from '../../../protocols/openflow/encode.ts';
import { OpenFlowFramer } from '../../../protocols/openflow/framer.ts';
import type { OfBody, OfMessage } from '../../../protocols/openflow/message.ts';

/** Speaks OpenFlow 1.3 to a switch over a socket, in the messages of protocols/openflow. */
export class OpenFlowClient {
  /** What came unasked since it was last taken. */
  readonly unasked: OfBody[] = [];
  readonly #socket: Socket;
  readonly #framer = new OpenFlowFramer();
  readonly #waiting = new Map<number, (body: OfBody) => void>();
  #xid = 0x100;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      for (const message of this.#framer.push(bytes)) this.#take(decodeOpenFlow(message));
    });
    socket.on('error', () => {});
  }

  static async connect(path: string): Promise<OpenFlowClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    const client = new OpenFlowClient(socket);
    client.#write({ xid: 1, body: { type: 'hello', versions: 1 << 4 } });
    return client;
  }

  /** Sends messages; resolves to what was answered to them once all are carried out. */
  async send(bodies: readonly OfBody[]): Promise<OfBody[]> {
    const answers: OfBody[] = [];
    for (const body of bodies) this.#ask(body, (answer) => answers.push(answer));
    await new Promise<void>((resolve, reject) => {
      this.#ask({ type: 'barrier_request' }, () => resolve());
      this.#socket.once('close', () => reject(new Error('the switch has closed the connection')));
    });
    this.#socket.removeAllListeners('close');
    return answers;
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(body: OfBody, answered: (answer: OfBody) => void): void {
    const xid = ++this.#xid;
    this.#waiting.set(xid, answered);
    this.#write({ xid, body });
  }

  #take({ xid, body }: OfMessage): void {
    const answered = this.#waiting.get(xid);
    if (body.type === 'echo_request') this.#write({ xid, body: { type: 'echo_reply', data: body.data } });
    else if (answered !== undefined) answered(body);
    else if (body.type !== 'hello') this.unasked.push(body);
  }

  #write(message: OfMessage): void {
    this.#socket.write(encodeOpenFlow(message));
  }
}
