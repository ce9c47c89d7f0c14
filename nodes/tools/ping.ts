import { GAI_ERRORS } from '../../protocols/dns/resolver.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import type { TimerHandle } from '../runtime.ts';
import { openPing, type PingError, type PingHandlers, type PingSocket } from './ping-family.ts';
import { type PingOptions, parsePingOptions } from './ping-options.ts';
import { formatTime, PingStatistics } from './ping-statistics.ts';
import { AddressNames, resolveAny, type Target } from './resolve.ts';
import { sendErrorText } from './send-error.ts';
import {
  EXIT_KILLED,
  endingOnError,
  isAlive,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
  WaitingTool,
} from './tool.ts';

/** ping(8) of iputils. */
export const ping: Tool = endingOnError((args, ctx, out) => {
  const options = parsePingOptions(args);
  return new WaitingTool(ctx, out, (resume) =>
    resolveAny(ctx, hostOf(options.target), options.family, (resolved) =>
      resume(() => {
        if (!resolved.ok) throw new ToolError(`ping: ${options.target}: ${GAI_ERRORS[resolved.error]}`, 2);
        const { target } = resolved;
        return new Ping(ctx, out, options, { ...target, text: options.target });
      }),
    ),
  );
});

/** A host without the `%DEV` that says which link an address is of. */
function hostOf(target: string): string {
  return target.includes(':') ? (target.split('%')[0] ?? target) : target;
}

/** Sequence numbers go around; what is older than this is forgotten. */
const REMEMBERED = 0x8000;
/** Most that fits an IP packet beside the headers. */
const MAX_SIZE = 65_507;
/** Size of the timestamp that ping carries in its payload; a smaller payload gives no times. */
const TIMESTAMP = 16;

interface Probe {
  readonly at: number;
  answered: boolean;
}

class Ping implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: PingOptions;
  readonly #target: Target<IpAddress>;
  readonly #socket: PingSocket;
  readonly #id: number;
  readonly #statistics = new PingStatistics();
  readonly #probes = new Map<number, Probe>();
  #startedAt: number;
  #lastSent = 0;
  #timer: TimerHandle | null = null;
  #deadline: TimerHandle | null = null;
  #linger: TimerHandle | null = null;
  #state: 'running' | 'ended' = 'running';
  readonly #names: AddressNames;
  /** Lines that wait for the name of an address, in order. While there are any, nothing is sent: ping(8) blocks in getnameinfo(3). */
  readonly #unnamed: { readonly addr: IpAddress; readonly print: (shown: string) => void }[] = [];
  #held: 'nothing' | 'send' | 'finish' = 'nothing';

  constructor(ctx: ToolContext, out: ToolOutput, options: PingOptions, target: Target<IpAddress>) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#target = target;
    this.#names = new AddressNames(ctx);
    this.#id = ctx.rt.random.int(1, 0xffff);
    this.#socket = openPing(ctx, options, target, {
      onReply: (reply) => this.#onReply(reply),
      onError: (error) => this.#onError(error),
    });
    const { deadline } = options;
    if (options.flags.has('b')) out.stderr('WARNING: pinging broadcast address\n');
    const name = target.kind === 'address' ? target.text : target.canonical;
    const { rt } = ctx;
    this.#startedAt = rt.now;
    const begin = () => {
      if (this.#state === 'ended') return;
      const own = options.flags.has('n') ? null : (this.#names.get(target.addr) ?? null);
      out.stdout(`PING ${name}${this.#socket.head(own)}\n`);
      this.#startedAt = rt.now;
      if (deadline > 0) this.#deadline = rt.timers.set(rt.now + deadline, () => this.#finish());
      this.#send();
    };
    if (this.#socket.namesTarget && !options.flags.has('n')) this.#names.find(target.addr, begin);
    else begin();
  }

  interrupt(): void {
    if (this.#state === 'running') this.#finish();
  }

  /** Ends once every line is printed. */
  #finishInOrder(): void {
    if (this.#unnamed.length > 0) this.#held = 'finish';
    else this.#finish();
  }

  /** Sends the packet that is due, and sets the timer for the next. */
  #send(): void {
    if (!isAlive(this.#ctx)) {
      this.#close();
      this.#out.exit(EXIT_KILLED);
      return;
    }
    if (this.#unnamed.length > 0) {
      this.#held = 'send';
      return;
    }
    const { rt } = this.#ctx;
    const { count, interval, deadline, flags } = this.#options;
    const statistics = this.#statistics;
    if (flags.has('O') && statistics.transmitted > 0 && !this.#answered(statistics.transmitted)) {
      this.#print(`no answer yet for icmp_seq=${statistics.transmitted & 0xffff}`);
    }
    this.#lastSent = rt.now;
    this.#transmit(statistics.transmitted + 1);
    if (this.#hasEnough()) this.#finishInOrder();
    else if (count > 0 && statistics.transmitted >= count && deadline === 0) this.#waitForLast();
    else this.#timer = rt.timers.set(rt.now + interval, () => this.#send());
  }

  #transmit(number: number): void {
    const { size, ttl, dontFragment } = this.#options;
    const seq = number & 0xffff;
    this.#probes.delete((seq - REMEMBERED) & 0xffff);
    this.#probes.set(seq, { at: this.#ctx.rt.now, answered: false });
    this.#statistics.transmitted = number;
    const error =
      size > MAX_SIZE ? 'EMSGSIZE' : this.#socket.send({ id: this.#id, seq, size, ttl, dontFragment });
    if (error === null) return;
    if (error === 'EMSGSIZE') {
      this.#statistics.errors++;
      this.#complain(`local error: ${this.#socket.tooLong()}`);
    } else this.#complain(`sendmsg: ${sendErrorText(error)}`);
  }

  #complain(message: string): void {
    if (!this.#options.flags.has('q')) this.#out.stderr(`ping: ${message}\n`);
  }

  /** `__schedule_exit`: once something was received, twice the longest round trip is enough, and at least an interval. */
  #waitForLast(): void {
    const { rt } = this.#ctx;
    const { interval, linger } = this.#options;
    const { received, max } = this.#statistics;
    const wait = received > 0 ? Math.max((2 * max) / 1000, interval) : linger;
    if (wait > 0) this.#linger = rt.timers.set(rt.now + wait, () => this.#finishInOrder());
  }

  #answered(number: number): boolean {
    return this.#probes.get(number & 0xffff)?.answered === true;
  }

  #onReply(reply: Parameters<PingHandlers['onReply']>[0]): void {
    if (reply.id !== this.#id || this.#state === 'ended') return;
    const probe = this.#probes.get(reply.seq);
    if (probe === undefined) return;
    const statistics = this.#statistics;
    statistics.acknowledge(reply.seq);
    const timed = this.#options.size >= TIMESTAMP;
    const us = Math.max(0, Math.round((this.#ctx.rt.now - probe.at) * 1000));
    if (timed) statistics.addTime(us);
    if (probe.answered) statistics.duplicates++;
    else statistics.received++;
    if (!this.#options.flags.has('q')) {
      const time = timed ? ` time=${formatTime(us)} ms` : '';
      const duplicate = probe.answered ? ' (DUP!)' : '';
      const bytes = reply.payload.length + 8;
      this.#withName(reply.from, (from) =>
        this.#print(`${bytes} bytes from ${from}: icmp_seq=${reply.seq} ttl=${reply.ttl}${time}${duplicate}`),
      );
    }
    probe.answered = true;
    if (this.#hasEnough()) this.#finishInOrder();
  }

  #onError(report: PingError): void {
    if (report.id !== this.#id || report.dst !== this.#target.addr || this.#state === 'ended') return;
    const { text } = report;
    if (text === null || !this.#probes.has(report.seq)) return;
    const statistics = this.#statistics;
    statistics.acknowledge(report.seq);
    statistics.errors++;
    if (!this.#options.flags.has('q'))
      this.#withName(report.from, (from) => this.#print(`From ${from} icmp_seq=${report.seq} ${text}`));
    if (this.#hasEnough()) this.#finishInOrder();
  }

  /** main_loop's conditions to end. */
  #hasEnough(): boolean {
    const { count, deadline } = this.#options;
    const { received, errors } = this.#statistics;
    return (count > 0 && received + errors >= count) || (deadline > 0 && errors > 0);
  }

  /** `pr_addr`: prints a line with an address by its name, behind those that wait. */
  #withName(addr: IpAddress, print: (shown: string) => void): void {
    if (this.#options.flags.has('n') || this.#target.kind === 'address') print(this.#socket.format(addr));
    else {
      this.#unnamed.push({ addr, print });
      if (this.#unnamed.length === 1) this.#printNamed();
    }
  }

  #printNamed(): void {
    for (let head = this.#unnamed[0]; head !== undefined; head = this.#unnamed[0]) {
      const { addr, print } = head;
      if (this.#names.get(addr) === undefined) {
        this.#names.find(addr, () => this.#printNamed());
        return;
      }
      this.#unnamed.shift();
      print(this.#names.format(addr));
    }
    const held = this.#held;
    this.#held = 'nothing';
    if (held === 'send') this.#send();
    else if (held === 'finish') this.#finish();
  }

  #print(line: string): void {
    const { now } = this.#ctx.rt;
    this.#out.stdout(`${this.#options.flags.has('D') ? `[${(now / 1000).toFixed(6)}] ` : ''}${line}\n`);
  }

  #finish(): void {
    // What is still without a name when the end comes, by a signal or the deadline, is printed without.
    for (const { addr, print } of this.#unnamed.splice(0)) print(this.#socket.format(addr));
    this.#close();
    const { count, deadline } = this.#options;
    const { received } = this.#statistics;
    this.#out.stdout(
      this.#statistics.format(
        this.#target.kind === 'address' ? this.#target.text : this.#target.canonical,
        this.#lastSent - this.#startedAt,
      ),
    );
    this.#out.exit(received === 0 || (deadline > 0 && received < count) ? 1 : 0);
  }

  #close(): void {
    this.#state = 'ended';
    this.#names.cancel();
    this.#socket.close();
    for (const timer of [this.#timer, this.#deadline, this.#linger])
      if (timer !== null) this.#ctx.rt.timers.cancel(timer);
  }
}
