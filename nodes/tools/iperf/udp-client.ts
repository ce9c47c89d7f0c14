import { formatIp } from '../../../protocols/ip.ts';
import { type ConnectedUdp, connectUdp, routeTo } from '../../kernel/client-sockets.ts';
import type { TimerHandle } from '../../runtime.ts';
import type { HostPeer } from '../resolve.ts';
import { sendErrorText } from '../send-error.ts';
import {
  EXIT_KILLED,
  isAlive,
  type RunningTool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from '../tool.ts';
import { readReport, writeDatagram } from './datagram.ts';
import { framed, HEAD, lossText, transferLine, UDP_HEAD } from './format.ts';
import type { IperfOptions } from './options.ts';

/** Time between two looks at what is due, ms: shorter than that no shell's clock can tell. */
const TICK = 1;
/** The last datagram goes out so often, so many ms apart, until the server answers (iperf: 10 times 250 ms). */
const FIN_TRIES = 10;
const FIN_WAIT = 250;

/** `iperf -c HOST -u`: datagrams at a rate, then what the server has seen of them. */
export class UdpClient implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: IperfOptions;
  readonly #socket: ConnectedUdp;
  readonly #payload: Uint8Array;
  readonly #startedAt: number;
  #sent = 0;
  #timer: TimerHandle | null = null;
  #reportedAt = 0;
  #reported = 0;
  #finTries = 0;
  #endedAt = 0;

  /** @throws ToolError */
  constructor(ctx: ToolContext, out: ToolOutput, options: IperfOptions, host: string, peer: HostPeer) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    const { length, port, pps } = options;
    const way = routeTo(ctx.ns, peer);
    if (!way.ok) throw new ToolError(`connect failed: ${sendErrorText(way.error)}`, 1);
    this.#payload = new Uint8Array(length);
    this.#socket = connectUdp(ctx.ns, peer, port, { onPayload: (payload) => this.#answered(payload) });
    out.stdout(
      framed([
        `Client connecting to ${host}, UDP port ${port}`,
        `Sending ${length} byte datagrams, IPG target: ${(1e6 / pps).toFixed(2)} us (kalman adjust)`,
        'UDP buffer size:  208 KByte (default)',
      ]),
    );
    out.stdout(
      `[  1] local ${formatIp(way.src)} port ${this.#socket.port} connected with ${formatIp(peer.addr)} port ${port}\n${HEAD}`,
    );
    this.#startedAt = ctx.rt.now;
    this.#run();
  }

  interrupt(): void {
    this.#finish();
  }

  get #elapsed(): number {
    return this.#ctx.rt.now - this.#startedAt;
  }

  #run(): void {
    this.#timer = null;
    if (!isAlive(this.#ctx)) {
      this.#out.exit(EXIT_KILLED);
      return;
    }
    const { pps, length, end, interval } = this.#options;
    const most = end.after === 'bytes' ? Math.ceil(end.bytes / length) : (end.ms * pps) / 1000;
    const due = Math.min(Math.floor((this.#elapsed * pps) / 1000) + 1, Math.ceil(most));
    while (this.#sent < due) this.#send(this.#sent++);
    if (interval > 0 && this.#elapsed - this.#reportedAt >= interval) this.#interim();
    if (this.#sent >= most) this.#finish();
    else {
      const next = Math.max((this.#sent * 1000) / pps, this.#elapsed + TICK);
      this.#timer = this.#ctx.rt.timers.set(this.#startedAt + next, () => this.#run());
    }
  }

  #send(id: number): void {
    writeDatagram(this.#payload, id, this.#ctx.rt.now);
    this.#socket.send(this.#payload);
  }

  #interim(): void {
    const { length, format } = this.#options;
    const bytes = (this.#sent - this.#reported) * length;
    this.#out.stdout(`${transferLine(this.#reportedAt, this.#elapsed, bytes, format)}\n`);
    this.#reportedAt = this.#elapsed;
    this.#reported = this.#sent;
  }

  #finish(): void {
    if (this.#finTries > 0) return;
    const { rt } = this.#ctx;
    if (this.#timer !== null) rt.timers.cancel(this.#timer);
    this.#endedAt = Math.max(this.#elapsed, 0.1);
    const bytes = this.#sent * this.#options.length;
    this.#out.stdout(`${transferLine(0, this.#endedAt, bytes, this.#options.format)}\n`);
    this.#out.stdout(`[  1] Sent ${this.#sent} datagrams\n`);
    this.#fin();
  }

  /** Tells the server that it was the last, again until it is heard. */
  #fin(): void {
    if (!isAlive(this.#ctx)) {
      this.#out.exit(EXIT_KILLED);
      return;
    }
    if (this.#finTries++ === FIN_TRIES) {
      this.#out.stderr(`[  1] WARNING: did not receive ack of last datagram after ${FIN_TRIES} tries.\n`);
      this.#close(0);
      return;
    }
    this.#send(-Math.max(this.#sent, 1));
    const { rt } = this.#ctx;
    this.#timer = rt.timers.set(rt.now + FIN_WAIT, () => this.#fin());
  }

  #answered(payload: Uint8Array): void {
    const report = readReport(payload);
    if (report === null || this.#finTries === 0) return;
    const { took, bytes, jitter, lost, datagrams } = report;
    this.#out.stdout(`[  1] Server Report:\n${UDP_HEAD}`);
    this.#out.stdout(
      `${transferLine(0, took, bytes, this.#options.format)}${lossText(jitter, lost, datagrams)}\n`,
    );
    this.#close(0);
  }

  #close(code: number): void {
    if (this.#timer !== null) this.#ctx.rt.timers.cancel(this.#timer);
    this.#socket.close();
    this.#out.exit(code);
  }
}
