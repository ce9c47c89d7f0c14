import type { IpAddress } from '../../protocols/ip.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import type { TimerHandle } from '../runtime.ts';
import { TcpWriter } from '../tcp-writer.ts';
import type { NcOptions } from './nc-options.ts';
import { EXIT_INTERRUPTED, type RunningTool, type ToolContext, type ToolOutput } from './tool.ts';

/** What both modes of nc have: an end, timers, and what goes out of the standard input. */
export abstract class Netcat implements RunningTool {
  protected readonly ctx: ToolContext;
  protected readonly out: ToolOutput;
  protected readonly options: NcOptions;
  protected readonly input: Uint8Array;
  readonly #decoder = new TextDecoder();
  #timers: TimerHandle[] = [];
  #idle: TimerHandle | null = null;
  protected ended = false;

  constructor(ctx: ToolContext, out: ToolOutput, options: NcOptions) {
    this.ctx = ctx;
    this.out = out;
    this.options = options;
    const text = options.flags.has('d') ? '' : (ctx.stdin ?? '');
    this.input = new TextEncoder().encode(options.flags.has('C') ? text.replace(/\r?\n/g, '\r\n') : text);
  }

  interrupt(): void {
    this.exit(EXIT_INTERRUPTED);
  }

  protected abstract release(): void;

  protected exit(code: number): void {
    if (this.ended) return;
    this.ended = true;
    this.clearTimers();
    this.release();
    this.out.exit(code);
  }

  protected after(ms: number, run: () => void): void {
    const { rt } = this.ctx;
    this.#timers.push(rt.timers.set(rt.now + ms, run));
  }

  protected clearTimers(): void {
    for (const timer of this.#timers) this.ctx.rt.timers.cancel(timer);
    this.#timers = [];
    if (this.#idle !== null) this.ctx.rt.timers.cancel(this.#idle);
    this.#idle = null;
  }

  /** `-w` counts from the last that came or went. */
  protected idle(over: () => void): void {
    const { rt } = this.ctx;
    if (this.#idle !== null) rt.timers.cancel(this.#idle);
    if (this.options.timeout !== null) this.#idle = rt.timers.set(rt.now + this.options.timeout, over);
  }

  protected print(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text !== '') this.out.stdout(text);
  }

  /** Carries the input out and what comes in to stdout, until both ends or `-q` and `-w` say so (`readwrite`). */
  protected pump(socket: TcpSocket<IpAddress>, over: (code: number) => void): void {
    const { flags, quit } = this.options;
    const writer = new TcpWriter(socket);
    const touch = () => this.idle(() => over(0));
    touch();
    socket.onData = (bytes) => {
      if (this.ended) return;
      this.print(bytes);
      touch();
    };
    socket.onPeerClosed = () => {
      socket.close();
      over(0);
    };
    socket.onClosed = (reason) => over(reason === 'closed' ? 0 : 1);
    writer.write(this.input);
    if (flags.has('N')) writer.end();
    else if (quit !== null) this.after(quit, () => over(0));
  }
}
