import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const START_TIMEOUT = 10_000;
const RETRY = 20;

/** A control socket that answers questions one after the other. */
export class ControlSocket {
  readonly #socket: Socket;
  readonly #ended: (answer: string) => boolean;
  #answer = '';
  #done: (text: string) => void = () => {};
  #failed: (error: Error) => void = () => {};

  private constructor(socket: Socket, ended: (answer: string) => boolean) {
    this.#socket = socket;
    this.#ended = ended;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#answer += text;
      if (!this.#ended(this.#answer)) return;
      const answer = this.#answer;
      this.#answer = '';
      this.#done(answer);
    });
    socket.on('close', () => this.#failed(new Error('the control socket has been closed')));
    socket.on('error', () => {});
  }

  /** Waits for the socket to come up. `ended` tells that an answer is whole. */
  static async open(path: string, ended: (answer: string) => boolean): Promise<ControlSocket> {
    const deadline = performance.now() + START_TIMEOUT;
    for (;;) {
      try {
        return new ControlSocket(await open(path), ended);
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await pause(RETRY);
      }
    }
  }

  ask(question: string): Promise<string> {
    const answer = this.next();
    this.#socket.write(question);
    return answer;
  }

  /** What it says of itself. */
  next(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
    });
  }

  close(): void {
    this.#failed = () => {};
    this.#socket.destroy();
  }
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
