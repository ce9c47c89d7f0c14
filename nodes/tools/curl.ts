import type { TimerHandle } from '../runtime.ts';
import { Hop, type HopStart, type Outcome } from './curl-hop.ts';
import { type CurlOptions, parseCurlOptions } from './curl-options.ts';
import { formatWriteOut } from './curl-write-out.ts';
import { globProblem } from './http/url.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  type ToolOutput,
} from './tool.ts';

/** curl(1), version 7.88, for HTTP. Its progress meter is not shown, as where it is silent. */
export const curl: Tool = endingOnError((args, ctx, out) => new Curl(ctx, out, parseCurlOptions(args)));

/** Answers that are tried again. */
const TRANSIENT = [408, 429, 500, 502, 503, 504];
const MAX_RETRY_DELAY = 600_000;

class Curl implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: CurlOptions;
  #url = 0;
  #code = 0;
  #hop: Hop | null = null;
  #timer: TimerHandle | null = null;
  #ended = false;
  #connections = 0;

  constructor(ctx: ToolContext, out: ToolOutput, options: CurlOptions) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    if (options.flags.has('verbose'))
      for (const { host, port, text } of options.resolve)
        out.stderr(`* Added ${host}:${port}:${text} to DNS cache\n`);
    this.#next();
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  #next(): void {
    const url = this.#options.urls[this.#url++];
    if (url === undefined) {
      this.#exit(this.#code);
      return;
    }
    const problem = this.#options.flags.has('globoff') ? null : globProblem(url);
    if (problem === null) this.#attempt(url, 0);
    else {
      this.#out.stderr(`curl: (3) ${problem}\n`);
      this.#exit(3);
    }
  }

  #attempt(text: string, tries: number): void {
    const start = { at: this.#ctx.rt.now, redirects: 0, redirectTime: 0, connects: 0 };
    this.#follow(text, text, start, (outcome) => {
      const { retry, retryDelay } = this.#options;
      const reason = tries < retry ? this.#transient(outcome) : null;
      const delay = retryDelay > 0 ? retryDelay : Math.min(1000 * 2 ** tries, MAX_RETRY_DELAY);
      this.#report(outcome, reason === null ? 'last' : 'to-be-retried');
      if (reason === null) {
        this.#code = outcome.facts.exitCode;
        this.#next();
        return;
      }
      const left = retry - tries;
      this.#warn(`Problem : ${reason}. Will retry in ${delay / 1000} seconds. ${left} retries left.`);
      this.#timer = this.#ctx.rt.timers.set(this.#ctx.rt.now + delay, () => this.#attempt(text, tries + 1));
    });
  }

  #transient({ failure, facts }: Outcome): string | null {
    if (failure?.code === 28) return 'timeout';
    if (failure?.code === 7 && this.#options.flags.has('retry-connrefused')) return 'connection refused';
    return TRANSIENT.includes(facts.status) ? 'HTTP error' : null;
  }

  /** One URL, and those that its answers lead to. */
  #follow(first: string, text: string, start: HopStart, done: (outcome: Outcome) => void): void {
    const { flags, maxRedirs } = this.#options;
    const hop = new Hop(this.#ctx, this.#out, this.#options, {
      first,
      text,
      start,
      number: this.#connections,
    });
    this.#hop = hop;
    hop.run((outcome) => {
      if (this.#ended) return;
      this.#connections += outcome.facts.numConnects - start.connects;
      const { redirectUrl } = outcome.facts;
      if (outcome.failure !== null || redirectUrl === '' || !flags.has('location')) {
        done(outcome);
        return;
      }
      if (start.redirects >= maxRedirs) {
        const failure = { code: 47, message: `Maximum (${maxRedirs}) redirects followed` };
        done({ ...outcome, failure, facts: { ...outcome.facts, exitCode: 47, error: failure.message } });
        return;
      }
      if (flags.has('verbose')) this.#out.stderr(`* Issue another request to this URL: '${redirectUrl}'\n`);
      this.#follow(
        first,
        redirectUrl,
        {
          ...start,
          redirects: start.redirects + 1,
          redirectTime: this.#ctx.rt.now - start.at,
          connects: outcome.facts.numConnects,
        },
        done,
      );
    });
  }

  /** What stands behind a transfer: the write-out, and why it failed. */
  #report({ failure, facts }: Outcome, which: 'last' | 'to-be-retried'): void {
    const { flags, writeOut } = this.#options;
    if (failure !== null && (!flags.has('silent') || flags.has('show-error')))
      this.#out.stderr(`curl: (${failure.code}) ${failure.message}\n`);
    if (writeOut !== '' && which === 'last') formatWriteOut(writeOut, facts, this.#out);
  }

  /** `warnf`: lines of 79 columns. */
  #warn(text: string): void {
    if (this.#options.flags.has('silent')) return;
    const prefix = 'Warning: ';
    const width = 79 - prefix.length;
    let rest = text;
    // The line's end is counted in.
    while (rest.length + 1 > width) {
      const cut = rest.lastIndexOf(' ', width - 1) + 1 || width;
      this.#out.stderr(`${prefix}${rest.slice(0, cut)}\n`);
      rest = rest.slice(cut);
    }
    this.#out.stderr(`${prefix}${rest}\n`);
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#hop?.cancel();
    if (this.#timer !== null) this.#ctx.rt.timers.cancel(this.#timer);
    this.#out.exit(code);
  }
}
