import type { IpAddress } from '../../../protocols/ip.ts';
import { bindAt, bindBoth, type OnDatagram } from '../../kernel/dual-stack.ts';
import type { ReceivedDatagram } from '../../kernel/udp.ts';
import { PortInUseError } from '../../kernel/udp.ts';
import { EXIT_INTERRUPTED, type RunningTool, type ToolContext, ToolError, type ToolOutput } from '../tool.ts';
import { REPORT_LENGTH, readDatagram, type ServerReport, writeDatagram, writeReport } from './datagram.ts';
import { framed, lossText, shownAs, transferLine, UDP_HEAD } from './format.ts';
import type { IperfOptions } from './options.ts';

/** One client's run, as the server counts it. */
class Stream {
  readonly #startedAt: number;
  #lastAt: number;
  #bytes = 0;
  #received = 0;
  #next = 0;
  #lost = 0;
  #outOfOrder = 0;
  #jitter = 0;
  #transit: number | null = null;
  report: ServerReport | null = null;

  constructor(now: number) {
    this.#startedAt = now;
    this.#lastAt = now;
  }

  add(id: number, length: number, sentAt: number, now: number): void {
    this.#received++;
    this.#bytes += length;
    this.#lastAt = now;
    if (id >= this.#next) {
      this.#lost += id - this.#next;
      this.#next = id + 1;
    } else {
      this.#outOfOrder++;
      if (this.#lost > 0) this.#lost--;
    }
    // RFC 1889 §6.3.1: the times of the packets are 32 bits of seconds.
    const transit = (now % (2 ** 32 * 1000)) - sentAt;
    if (this.#transit !== null) this.#jitter += (Math.abs(transit - this.#transit) - this.#jitter) / 16;
    this.#transit = transit;
  }

  /** The client has said that it sent so many. */
  finish(sent: number): ServerReport {
    const lost = this.#lost + Math.max(0, sent - this.#next);
    this.report = {
      bytes: this.#bytes,
      took: this.#lastAt - this.#startedAt,
      lost,
      outOfOrder: this.#outOfOrder,
      datagrams: this.#received + lost,
      jitter: this.#jitter,
    };
    return this.report;
  }
}

/** `iperf -s -u`: counts what comes until it is interrupted. */
export class UdpServer implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: IperfOptions;
  readonly #socket: { close(): void };
  readonly #streams = new Map<string, Stream>();
  #last: { readonly src: IpAddress; readonly srcPort: number; readonly stream: Stream } | null = null;

  /** @throws ToolError */
  constructor(ctx: ToolContext, out: ToolOutput, options: IperfOptions) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    try {
      const { ns } = ctx;
      const { port } = options;
      const take: OnDatagram = (datagram, answer) => this.#receive(datagram, answer);
      this.#socket =
        options.family === 'ipv6' ? bindBoth(ns, port, take) : bindAt(ns, { addr: 0, port }, take);
    } catch (error) {
      if (error instanceof PortInUseError) throw new ToolError('bind failed: Address already in use', 1);
      throw error;
    }
    out.stdout(
      framed([`Server listening on UDP port ${options.port}`, 'UDP buffer size:  208 KByte (default)']),
    );
  }

  interrupt(): void {
    this.#socket.close();
    this.#out.exit(EXIT_INTERRUPTED);
  }

  #receive(
    { src, srcPort, dst, payload }: ReceivedDatagram<IpAddress>,
    answer: (payload: Uint8Array) => void,
  ): void {
    const head = readDatagram(payload);
    if (head === null) return;
    const { now } = this.#ctx.rt;
    const stream = this.#streamOf(src, srcPort, dst);
    if (head.id >= 0) {
      if (stream.report === null) stream.add(head.id, payload.length, head.sentAt, now);
      return;
    }
    const first = stream.report === null;
    const report = stream.report ?? stream.finish(-head.id);
    if (first) {
      const { took, bytes, jitter, lost, datagrams } = report;
      this.#out.stdout(
        `${transferLine(0, took, bytes, this.#options.format)}${lossText(jitter, lost, datagrams)}\n`,
      );
    }
    const reply = new Uint8Array(Math.max(REPORT_LENGTH, payload.length));
    writeDatagram(reply, head.id, now);
    writeReport(reply, report);
    answer(reply);
  }

  #streamOf(src: IpAddress, srcPort: number, dst: IpAddress): Stream {
    const last = this.#last;
    if (last !== null && last.src === src && last.srcPort === srcPort) return last.stream;
    const key = `${src}:${srcPort}`;
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      stream = new Stream(this.#ctx.rt.now);
      this.#streams.set(key, stream);
      const { family, port } = this.#options;
      const [own, other] = [shownAs(dst, family), shownAs(src, family)];
      this.#out.stdout(
        `[  1] local ${own} port ${port} connected with ${other} port ${srcPort}\n${UDP_HEAD}`,
      );
    }
    this.#last = { src, srcPort, stream };
    return stream;
  }
}
