import type { IpAddress } from '../../../protocols/ip.ts';
import { connectTcp } from '../../kernel/client-sockets.ts';
import { listenBoth } from '../../kernel/dual-stack.ts';
import type { TcpListener, TcpSocket } from '../../kernel/tcp.ts';
import { PortInUseError } from '../../kernel/udp.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { HostPeer } from '../resolve.ts';
import { EXIT_INTERRUPTED, type RunningTool, type ToolContext, ToolError, type ToolOutput } from '../tool.ts';
import { framed, HEAD, shownAs, transferLine } from './format.ts';
import type { IperfOptions } from './options.ts';

function connectedLine({ local, remote }: Connection, family: IperfOptions['family']): string {
  const [own, other] = [shownAs(local.addr, family), shownAs(remote.addr, family)];
  return `[  1] local ${own} port ${local.port} connected with ${other} port ${remote.port}\n`;
}

type Connection = TcpSocket<IpAddress>;

/** `iperf -s`: swallows what connections bring. */
export class TcpServer implements RunningTool {
  readonly #listener: TcpListener;
  readonly #out: ToolOutput;

  /** @throws ToolError */
  constructor(ctx: ToolContext, out: ToolOutput, options: IperfOptions) {
    this.#out = out;
    try {
      const { ns } = ctx;
      const { port } = options;
      const taken = (socket: Connection) => accept(socket, ctx, out, options);
      this.#listener =
        options.family === 'ipv6' ? listenBoth(ns, port, taken) : ns.listenTcp({ addr: 0, port }, taken);
    } catch (error) {
      if (error instanceof PortInUseError) throw new ToolError('bind failed: Address already in use', 1);
      throw error;
    }
    out.stdout(
      framed([`Server listening on TCP port ${options.port}`, 'TCP window size:  128 KByte (default)']),
    );
  }

  interrupt(): void {
    this.#listener.close();
    this.#out.exit(EXIT_INTERRUPTED);
  }
}

function accept(
  socket: Connection,
  { rt }: ToolContext,
  out: ToolOutput,
  { format, family }: IperfOptions,
): void {
  const startedAt = rt.now;
  let bytes = 0;
  out.stdout(`${connectedLine(socket, family)}${HEAD}`);
  socket.onData = (data) => {
    bytes += data.length;
  };
  const report = () => out.stdout(`${transferLine(0, rt.now - startedAt, bytes, format)}\n`);
  socket.onPeerClosed = () => {
    report();
    socket.close();
  };
}

/** `iperf -c HOST`: sends as fast as the other end takes it. */
export class TcpClient implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: IperfOptions;
  readonly #socket: Connection;
  readonly #block: Uint8Array;
  #timer: TimerHandle | null = null;
  #startedAt: number;
  #sent = 0;
  #reported = 0;
  #reportedAt = 0;
  #state: 'sending' | 'closing' | 'ended' = 'sending';

  constructor(ctx: ToolContext, out: ToolOutput, options: IperfOptions, host: string, peer: HostPeer) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#startedAt = ctx.rt.now;
    this.#block = new Uint8Array(options.length);
    for (let i = 0; i < this.#block.length; i++) this.#block[i] = 0x30 + (i % 10);
    out.stdout(
      framed([
        `Client connecting to ${host}, TCP port ${options.port}`,
        'TCP window size:  128 KByte (default)',
      ]),
    );
    this.#socket = connectTcp(ctx.ns, peer, options.port);
    this.#socket.onConnected = () => this.#connected();
    this.#socket.onWritable = () => this.#fill();
    this.#socket.onDrained = () => {
      if (this.#state === 'closing') this.#end();
    };
    this.#socket.onClosed = (reason) => this.#closed(reason);
  }

  interrupt(): void {
    this.#finish();
  }

  #connected(): void {
    const { rt } = this.#ctx;
    const { end, interval } = this.#options;
    this.#startedAt = rt.now;
    this.#out.stdout(`${connectedLine(this.#socket, 'ipv4')}${HEAD}`);
    if (end.after === 'time') this.#timer = rt.timers.set(rt.now + end.ms, () => this.#finish());
    if (interval > 0) this.#tick(interval);
    this.#fill();
  }

  #tick(interval: number): void {
    const { rt } = this.#ctx;
    rt.timers.set(rt.now + interval, () => {
      if (this.#state !== 'sending') return;
      this.#report(this.#reportedAt, this.#acked - this.#reported);
      this.#reportedAt = rt.now - this.#startedAt;
      this.#reported = this.#acked;
      this.#tick(interval);
    });
  }

  get #acked(): number {
    return this.#sent - this.#socket.unacked - this.#socket.queued;
  }

  #fill(): void {
    if (this.#state !== 'sending') return;
    const { end } = this.#options;
    for (;;) {
      const left = end.after === 'bytes' ? end.bytes - this.#sent : this.#block.length;
      if (left <= 0) {
        this.#finish();
        return;
      }
      const taken = this.#socket.send(
        left < this.#block.length ? this.#block.subarray(0, left) : this.#block,
      );
      this.#sent += taken;
      if (taken === 0) return;
    }
  }

  #finish(): void {
    if (this.#state !== 'sending') return;
    this.#state = 'closing';
    if (this.#timer !== null) this.#ctx.rt.timers.cancel(this.#timer);
    // The FIN has what is before it acknowledged at once.
    this.#socket.close();
    if (this.#acked === this.#sent) this.#end();
  }

  /** All has arrived. The connection's own end is the kernel's matter, as after close(2). */
  #end(): void {
    this.#state = 'ended';
    this.#report(0, this.#sent);
    this.#out.exit(0);
  }

  #report(from: number, bytes: number): void {
    const to = this.#ctx.rt.now - this.#startedAt;
    this.#out.stdout(`${transferLine(from, to, bytes, this.#options.format)}\n`);
  }

  #closed(reason: string): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    if (this.#timer !== null) this.#ctx.rt.timers.cancel(this.#timer);
    if (this.#sent === 0) this.#out.stderr(`connect failed: ${connectError(reason)}\n`);
    else {
      this.#report(0, this.#acked);
      this.#out.stderr(`write failed: ${connectError(reason)}\n`);
    }
    this.#out.exit(1);
  }
}

function connectError(reason: string): string {
  if (reason === 'refused' || reason === 'reset') return 'Connection refused';
  if (reason === 'unreachable') return 'No route to host';
  return reason === 'timeout' ? 'Connection timed out' : reason;
}
