import { FilterError } from '../../../protocols/pcap-filter/lexer.ts';
import type { FrameFilter } from '../../../protocols/pcap-filter/match.ts';
import { compileFilter } from '../../../protocols/pcap-filter/parse.ts';
import type { Device } from '../../kernel/device.ts';
import { type CapturedFrame, PacketSocket } from '../../kernel/packet.ts';
import { getopt } from '../getopt.ts';
import {
  type Command,
  EXIT_KILLED,
  endingOnError,
  isAlive,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from '../tool.ts';
import { PacketText } from './packet-text.ts';

const VERSION = 'tcpdump version 4.99.3 (reroute)';
const USAGE = `${VERSION}\nUsage: tcpdump [-enqStvx] [-c count] [-i interface] [-Q in|out|inout] [-s snaplen] [expression]`;

interface TcpdumpOptions {
  /** How often -t and -v are there. */
  readonly times: number;
  readonly flags: ReadonlySet<string>;
  readonly count: number;
  readonly device: string;
  readonly direction: 'in' | 'out' | 'inout';
  readonly snapLength: number;
  readonly filter: FrameFilter;
}

/** tcpdump(8), always numeric. Writing a file is `reroute capture`'s. */
export const tcpdump: Tool = endingOnError((args, ctx, out) => {
  const options = parseOptions(args);
  if (options.flags.has('D')) {
    out.exit(listDevices([], ctx, out));
    return { interrupt: () => {} };
  }
  return new Tcpdump(ctx, out, options);
});

function parseOptions(args: readonly string[]): TcpdumpOptions {
  // What stands behind the first word of the filter belongs to it.
  const parsed = getopt(args, { flags: 'enqStvxlUpKDN', values: 'cisQ' });
  if (!parsed.ok) {
    if (parsed.problem === 'missing-argument')
      throw new ToolError(`tcpdump: option requires an argument -- '${parsed.name}'\n${USAGE}`, 1);
    if (parsed.name === 'w' || parsed.name === 'r')
      throw new ToolError(`tcpdump: -${parsed.name} is not emulated: use reroute capture -w FILE`, 1);
    throw new ToolError(`tcpdump: invalid option -- '${parsed.name}'\n${USAGE}`, 1);
  }
  const last = (name: string) => parsed.options.findLast((option) => option.name === name)?.value ?? null;
  const count = last('c') ?? '0';
  if (last('c') !== null && !/^[1-9]\d*$/.test(count))
    throw new ToolError(`tcpdump: invalid packet count ${count}`, 1);
  const snapLength = last('s') ?? '262144';
  if (!/^\d+$/.test(snapLength)) throw new ToolError(`tcpdump: invalid snaplen ${snapLength}`, 1);
  const direction = last('Q') ?? 'inout';
  if (direction !== 'in' && direction !== 'out' && direction !== 'inout')
    throw new ToolError(`tcpdump: unknown capture direction '${direction}'`, 1);
  const expression = parsed.operands.map(({ text }) => text).join(' ');
  let filter: FrameFilter;
  try {
    filter = compileFilter(expression);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw new ToolError(`tcpdump: can't parse filter expression: ${error.message}`, 1);
  }
  return {
    times: parsed.options.filter(({ name }) => name === 't').length,
    flags: new Set(parsed.options.map(({ name }) => name)),
    count: Number(count),
    device: last('i') ?? '',
    direction,
    snapLength: Number(snapLength) || 262_144,
    filter,
  };
}

/** `-D` */
const listDevices: Command = (_args, ctx, out) => {
  for (const [i, device] of ctx.ns.devices().entries()) {
    const flags = [
      device.up ? 'Up' : '',
      device.usable ? 'Running' : '',
      device.kind === 'loopback' ? 'Loopback' : '',
    ];
    out.stdout(`${i + 1}.${device.name} [${flags.filter((flag) => flag !== '').join(', ')}]\n`);
  }
  return 0;
};

class Tcpdump implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: TcpdumpOptions;
  readonly #text: PacketText;
  readonly #sockets: PacketSocket[];
  readonly #any: boolean;
  #order = 0;
  #printed = 0;
  #ended = false;
  #scheduled = false;
  #last = 0;

  constructor(ctx: ToolContext, out: ToolOutput, options: TcpdumpOptions) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    const { flags, snapLength, filter } = options;
    this.#any = options.device === 'any';
    this.#text = new PacketText({
      verbose: flags.has('v'),
      quiet: flags.has('q'),
      numbers: flags.has('S') ? 'absolute' : 'relative',
    });
    this.#sockets = this.#devices().map(
      (device) =>
        new PacketSocket(device, {
          snapLength,
          filter,
          nextOrder: () => ++this.#order,
          onReadable: () => this.#schedule(),
        }),
    );
    const [first] = this.#sockets;
    const link = this.#any
      ? 'any, link-type LINUX_SLL2 (Linux cooked v2)'
      : `${first?.device.name}, link-type ${first?.linkType === 'raw' ? 'RAW (Raw IP)' : 'EN10MB (Ethernet)'}`;
    if (this.#any) out.stderr('tcpdump: data link type LINUX_SLL2\n');
    const listening = `listening on ${link}, snapshot length ${snapLength} bytes\n`;
    out.stderr(
      flags.has('v')
        ? `tcpdump: ${listening}`
        : `tcpdump: verbose output suppressed, use -v[v]... for full protocol decode\n${listening}`,
    );
  }

  interrupt(): void {
    if (this.#ended) return;
    this.#out.stdout('\n');
    this.#finish();
  }

  #devices(): readonly Device[] {
    const { ns } = this.#ctx;
    const { device: name } = this.#options;
    if (this.#any) return ns.devices();
    const device =
      name === '' ? ns.devices().find(({ kind, up }) => kind !== 'loopback' && up) : ns.device(name);
    if (device === undefined && name === '') throw new ToolError('tcpdump: no suitable device found', 1);
    if (device === undefined)
      throw new ToolError(`tcpdump: ${name}: No such device exists\n(No such device exists)`, 1);
    if (!device.up) throw new ToolError(`tcpdump: ${name}: That device is not up`, 1);
    return [device];
  }

  /** After what is being done now: a frame's socket calls from within the kernel. */
  #schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    const { rt } = this.#ctx;
    rt.timers.set(rt.now, () => {
      this.#scheduled = false;
      this.#read();
    });
  }

  #read(): void {
    if (this.#ended) return;
    if (!isAlive(this.#ctx)) {
      this.#close();
      this.#out.exit(EXIT_KILLED);
      return;
    }
    const frames = this.#sockets.flatMap((socket) =>
      socket.read(Number.POSITIVE_INFINITY).map((frame) => ({ frame, socket })),
    );
    frames.sort((a, b) => a.frame.order - b.frame.order);
    for (const { frame, socket } of frames) {
      if (this.#options.direction !== 'inout' && frame.direction !== this.#options.direction) continue;
      this.#out.stdout(`${this.#line(frame, socket)}\n`);
      this.#printed++;
      if (this.#printed === this.#options.count) {
        this.#finish();
        return;
      }
    }
  }

  #line(frame: CapturedFrame, socket: PacketSocket): string {
    const { flags } = this.#options;
    const { data, length } = frame;
    const where = this.#any
      ? `${socket.device.name.padEnd(5)} ${frame.direction === 'in' ? 'In ' : 'Out'} `
      : '';
    const raw = socket.linkType === 'raw';
    const body = raw
      ? this.#text.packet(data, 0, (data[0]! ?? 0) >>> 4 === 6 ? 0x86dd : 0x0800, 'named')
      : this.#text.frame(data, length, flags.has('e') && !this.#any ? 'shown' : 'hidden');
    const dump = flags.has('x') ? hexDump(data.subarray(raw ? 0 : 14)) : '';
    return `${this.#time(frame.at)}${where}${body}${dump}`;
  }

  /** `-t`: none, `-tt`: since the Epoch, `-ttt`: since the line before, `-tttt`: with the date. */
  #time(ms: number): string {
    const us = Math.round(ms * 1000);
    const fraction = String(us % 1_000_000).padStart(6, '0');
    const iso = new Date(Math.floor(us / 1_000_000) * 1000).toISOString();
    const since = us - this.#last;
    this.#last = us;
    switch (this.#options.times) {
      case 0:
        return `${iso.slice(11, 19)}.${fraction} `;
      case 1:
        return '';
      case 2:
        return `${Math.floor(us / 1_000_000)}.${fraction} `;
      case 3:
        return ` 00:00:${String(Math.floor(since / 1_000_000) % 60).padStart(2, '0')}.${String(since % 1_000_000).padStart(6, '0')} `;
      default:
        return `${iso.slice(0, 10)} ${iso.slice(11, 19)}.${fraction} `;
    }
  }

  #finish(): void {
    this.#close();
    const plural = (count: number) => `${count} packet${count === 1 ? '' : 's'}`;
    const accepted = this.#sockets.reduce((sum, socket) => sum + socket.accepted, 0);
    const dropped = this.#sockets.reduce((sum, socket) => sum + socket.dropped, 0);
    this.#out.stderr(
      `${plural(this.#printed)} captured\n${plural(accepted)} received by filter\n${plural(dropped)} dropped by kernel\n`,
    );
    this.#out.exit(0);
  }

  #close(): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.close();
  }
}

/** `-x`: lines of sixteen bytes, without the link's header. */
function hexDump(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const pairs: string[] = [];
    for (let i = at; i < Math.min(at + 16, bytes.length); i += 2)
      pairs.push(
        [...bytes.subarray(i, Math.min(i + 2, bytes.length))]
          .map((byte) => byte.toString(16).padStart(2, '0'))
          .join(''),
      );
    text += `\n\t0x${at.toString(16).padStart(4, '0')}:  ${pairs.join(' ')}`;
  }
  return text;
}
