import { GAI_ERRORS } from '../../protocols/dns/resolver.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import type { TimerHandle } from '../runtime.ts';
import { AddressNames, resolveHost } from './resolve.ts';
import { sendErrorText } from './send-error.ts';
import {
  ENDED,
  EXIT_INTERRUPTED,
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
import { type TracerouteFamily, tracerouteFamily } from './traceroute-family.ts';
import { cannotHandle, parseTracerouteOptions, type TracerouteOptions } from './traceroute-options.ts';
import type { Answer, ProbeMethod } from './traceroute-probes.ts';

/** The traceroute(8) of modern Linux: UDP probes, or ICMP echoes with `-I`, several hops at a time. */
export const traceroute: Tool = endingOnError((args, ctx, out) => {
  const request = parseTracerouteOptions(args);
  if (request.type === 'text') {
    out.stdout(request.text);
    out.exit(0);
    return ENDED;
  }
  const { options } = request;
  return new WaitingTool(ctx, out, (resume) =>
    resolveHost(ctx, options.host.text, options.family, (resolved) =>
      resume(() => {
        if (!resolved.ok)
          throw new ToolError(
            `${options.host.text}: ${GAI_ERRORS[resolved.error]}\n${cannotHandle(options.host, 'host', 1)}`,
            2,
          );
        const { peers } = resolved;
        // Of a name with addresses of both families, that of IPv4 is taken (`DEF_AF`).
        const peer = peers.find(({ addr }) => typeof addr === 'number') ?? peers[0];
        const family = tracerouteFamily(ctx, options, peer);
        const header =
          `traceroute to ${options.host.text} (${family.format(peer.addr)}), ${options.maxHops} hops max, ` +
          `${family.packetLength} byte packets`;
        family.prepare(() => out.stdout(header));
        return new Traceroute(ctx, out, options, family);
      }),
    ),
  );
});

/** What time.h's clock may be off by: `DEF_WAIT_PREC`, ms. */
const PRECISION = 1;

interface Probe {
  /** ms */
  readonly sentAt: number;
  /** Round trip, ms; null: none came in time. */
  time: number | null;
  done: boolean;
  /** No hop can come after this one. */
  final: boolean;
  /** Who answered, null if nobody did. */
  from: IpAddress | null;
  mark: string;
}

class Traceroute implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: TracerouteOptions;
  readonly #family: TracerouteFamily;
  readonly #method: ProbeMethod;
  /** By number: `queries` to a hop, from the first hop on. */
  readonly #probes: Probe[] = [];
  /** The first probe that is not printed. */
  #start = 0;
  /** Past the last probe that is of interest. */
  #end: number;
  #timer: TimerHandle | null = null;
  #ended = false;
  #working = false;
  readonly #names: AddressNames;
  /** Nothing goes on while getnameinfo(3) is at work. */
  #naming = false;

  constructor(ctx: ToolContext, out: ToolOutput, options: TracerouteOptions, family: TracerouteFamily) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#family = family;
    this.#names = new AddressNames(ctx);
    this.#end = (options.maxHops - options.firstHop + 1) * options.queries;
    this.#method = family.open((index, answer) => this.#onAnswer(index, answer));
    this.#work();
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  /** Prints what can be printed, sends what may be sent, and sets the timer for the oldest probe (`do_it`). */
  #work(): void {
    if (this.#ended || this.#naming) return;
    if (!isAlive(this.#ctx)) {
      this.#exit(EXIT_KILLED);
      return;
    }
    const { rt } = this.#ctx;
    const { queries, simultaneous } = this.#options;
    this.#working = true;
    let underway = 0;
    let next: number | null = null;
    for (let n = this.#start; n < this.#end && underway < simultaneous && !this.#ended; n++) {
      const probe = this.#probes[n] ?? this.#send(n);
      if (n === this.#start && !probe.done) {
        const expires = probe.sentAt + this.#timeout(n);
        if (expires <= rt.now) probe.done = true;
        else next = expires;
      }
      if (!probe.done) {
        underway++;
        continue;
      }
      if (probe.final) this.#end = Math.min(this.#end, (Math.floor(n / queries) + 1) * queries);
      if (n === this.#start) {
        if (this.#needsName(probe)) break;
        this.#print(n, probe);
        this.#start++;
      }
    }
    this.#working = false;
    if (this.#ended || this.#naming) return;
    if (this.#start >= this.#end) {
      this.#out.stdout('\n');
      this.#exit(0);
      return;
    }
    if (this.#timer !== null) rt.timers.cancel(this.#timer);
    this.#timer = rt.timers.set(next ?? rt.now, () => this.#work());
  }

  #send(n: number): Probe {
    const { rt } = this.#ctx;
    const { firstHop, queries } = this.#options;
    const probe: Probe = { sentAt: rt.now, time: null, done: false, final: false, from: null, mark: '' };
    this.#probes[n] = probe;
    const error = this.#method.send(n, firstHop + Math.floor(n / queries));
    if (error === 'EMSGSIZE') {
      probe.time = 0;
      probe.done = true;
      probe.final = true;
      probe.mark = `!F-${this.#family.linkMtu()}`;
    } else if (error !== null) {
      this.#out.stderr(`\nconnect: ${sendErrorText(error)}\n`);
      this.#exit(1);
    }
    return probe;
  }

  /** How long to wait for a probe, ms (`get_timeout`). */
  #timeout(n: number): number {
    const { wait, queries } = this.#options;
    const hop = n - (n % queries);
    const here = wait.here === 0 ? null : this.#firstTime(hop, hop + queries);
    if (here !== null) return Math.min(wait.max, (here + PRECISION) * wait.here);
    const near = wait.near === 0 ? null : this.#firstTime(n + 1, this.#probes.length);
    return near === null ? wait.max : Math.min(wait.max, (near + PRECISION) * wait.near);
  }

  #firstTime(from: number, to: number): number | null {
    for (let n = from; n < to; n++) {
      const probe = this.#probes[n];
      if (probe?.done === true && probe.time !== null && probe.time > 0) return probe.time;
    }
    return null;
  }

  #onAnswer(n: number, answer: Answer): void {
    const probe = this.#probes[n];
    if (probe === undefined || probe.done || this.#ended) return;
    if (answer.type === 'error' && answer.error.type === 'redirect') return;
    probe.time = this.#ctx.rt.now - probe.sentAt;
    probe.from = answer.from;
    probe.done = true;
    if (answer.type === 'reply') probe.final = true;
    else {
      const { type, code } = answer.error;
      probe.final = type !== 'time-exceeded' || code !== 0;
      probe.mark = answer.mark;
    }
    if (!this.#working) this.#work();
  }

  /** Whether the name of the one who answered has to be found out first; then that is under way. */
  #needsName({ from }: Probe): boolean {
    if (from === null || this.#options.numeric || this.#names.get(from) !== undefined) return false;
    this.#naming = true;
    this.#names.find(from, () => {
      this.#naming = false;
      if (!this.#working) this.#work();
    });
    return this.#naming;
  }

  /** `print_probe` */
  #print(n: number, probe: Probe): void {
    const { queries, firstHop } = this.#options;
    const first = n - (n % queries);
    let text = n === first ? `\n${String(firstHop + n / queries).padStart(2)} ` : '';
    if (probe.from === null) text += ' *';
    else {
      const before = this.#probes.slice(first, n).findLast((other) => other.from !== null);
      if (before?.from !== probe.from) text += this.#addressText(probe.from);
    }
    if (probe.time !== null) text += `  ${probe.time.toFixed(3)} ms`;
    if (probe.mark !== '') text += ` ${probe.mark}`;
    this.#out.stdout(text);
  }

  #addressText(addr: IpAddress): string {
    const text = this.#family.format(addr);
    return this.#options.numeric ? ` ${text}` : ` ${this.#names.get(addr) ?? text} (${text})`;
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#method.close();
    this.#names.cancel();
    if (this.#timer !== null) this.#ctx.rt.timers.cancel(this.#timer);
    this.#out.exit(code);
  }
}
