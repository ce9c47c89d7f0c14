import { headerValue, type ResponseHead } from '../../protocols/http/message.ts';
import { formatResponseHead, HttpFormatError } from '../../protocols/http/serialize.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { PROTO_TCP } from '../../protocols/ipv4.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import type { TimerHandle } from '../runtime.ts';
import type { CurlOptions } from './curl-options.ts';
import { curlRequest } from './curl-request.ts';
import type { TransferFacts } from './curl-write-out.ts';
import { type TransferFailure, transfer } from './http/transfer.ts';
import { parseUrl, redirected, type Url } from './http/url.ts';
import { inetAton, type Resolved, resolve } from './resolve.ts';
import { reach, sendErrorText } from './send-error.ts';
import { EXIT_KILLED, isAlive, type ToolContext, type ToolOutput } from './tool.ts';

/** What a transfer fails with: curl's exit code and its message. */
interface Failure {
  readonly code: number;
  readonly message: string;
}

/** Time to connect where none is given, ms. */
const CONNECT_TIMEOUT = 300_000;
const CONNECT_FAILED = "Couldn't connect to server";
export interface HopStart {
  readonly at: number;
  readonly redirects: number;
  /** ms spent on what led here. */
  readonly redirectTime: number;
  /** Connections so far. */
  readonly connects: number;
}

interface HopPlan {
  readonly first: string;
  readonly text: string;
  readonly start: HopStart;
  /** Of the connection, as `-v` counts. */
  readonly number: number;
}

export interface Outcome {
  readonly failure: Failure | null;
  readonly facts: TransferFacts;
}

const NOBODY = { ip: '', port: 0 };

/** One request and its answer. */
export class Hop {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: CurlOptions;
  readonly #plan: HopPlan;
  readonly #facts: TransferFacts;
  readonly #request: ReturnType<typeof curlRequest>;
  readonly #decoder = new TextDecoder();
  #done: (outcome: Outcome) => void = () => {};
  #lookup: { cancel(): void } | null = null;
  #running: { cancel(): void } | null = null;
  #timers: TimerHandle[] = [];
  #state: 'resolving' | 'connecting' | 'transferring' | 'over' = 'resolving';
  /** Length of the content as announced. */
  #length: number | null = null;
  #discard: 'no' | 'redirect' | 'fail' = 'no';

  constructor(ctx: ToolContext, out: ToolOutput, options: CurlOptions, plan: HopPlan) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#plan = plan;
    const url = parseUrl(plan.text);
    this.#request = curlRequest(options, url, plan.start.redirects);
    this.#facts = {
      url: plan.first,
      effectiveUrl: /^[a-z]+:\/\//i.test(plan.text) ? withPath(plan.text) : `http://${withPath(plan.text)}`,
      method: this.#request.method,
      scheme: url?.scheme ?? '',
      status: 0,
      httpVersion: '0',
      contentType: '',
      redirectUrl: '',
      remote: NOBODY,
      local: NOBODY,
      sizeDownload: 0,
      sizeHeader: 0,
      sizeUpload: this.#request.body.length,
      sizeRequest: 0,
      numConnects: plan.start.connects,
      numRedirects: plan.start.redirects,
      timeRedirect: plan.start.redirectTime,
      timeNamelookup: 0,
      timeConnect: 0,
      timePretransfer: 0,
      timeStarttransfer: 0,
      timeTotal: 0,
      exitCode: 0,
      error: '',
    };
  }

  run(done: (outcome: Outcome) => void): void {
    this.#done = done;
    const url = parseUrl(this.#plan.text);
    const { maxTime } = this.#options;
    if (url === null) {
      this.#end({ code: 3, message: 'URL using bad/illegal format or missing URL' });
      return;
    }
    if (url.scheme !== 'http') {
      this.#end({ code: 1, message: `Protocol "${url.scheme}" not supported or disabled in libcurl` });
      return;
    }
    const { rt } = this.#ctx;
    if (maxTime > 0) {
      const at = Math.max(rt.now, this.#plan.start.at + maxTime);
      this.#timers.push(rt.timers.set(at, () => this.#timedOut()));
    }
    const known = this.#options.resolve.find(({ host, port }) => host === url.host && port === url.port);
    if (known !== undefined) this.#verbose(`Hostname ${url.host} was found in DNS cache`);
    const family = this.#options.flags.has('ipv4')
      ? 'ipv4'
      : this.#options.flags.has('ipv6')
        ? 'ipv6'
        : 'any';
    this.#lookup = resolve(this.#ctx, known?.address ?? url.host, family, (resolved) =>
      this.#resolved(url, resolved),
    );
  }

  cancel(): void {
    this.#state = 'over';
    this.#lookup?.cancel();
    this.#running?.cancel();
    for (const timer of this.#timers) this.#ctx.rt.timers.cancel(timer);
    this.#timers = [];
  }

  #resolved(url: Url, resolved: Resolved): void {
    if (this.#state === 'over') return;
    if (!resolved.ok) {
      const message = `Could not resolve host: ${url.host}`;
      this.#verbose(message);
      this.#end({ code: 6, message });
      return;
    }
    if (!isAlive(this.#ctx)) {
      this.#end({ code: EXIT_KILLED, message: 'Killed' });
      return;
    }
    const { rt, ns } = this.#ctx;
    const { addr } = resolved.target;
    this.#facts.timeNamelookup = this.#elapsed();
    this.#state = 'connecting';
    this.#verbose(`  Trying ${formatIp4(addr)}:${url.port}...`);
    const bound = this.#bind(addr);
    if (typeof bound === 'string') {
      this.#verbose(bound);
      this.#verbose(
        `Failed to connect to ${url.host} port ${url.port} after ${this.#ms()} ms: Failed binding local connection end`,
      );
      this.#end({ code: 45, message: bound });
      return;
    }
    const { connectTimeout, localPort } = this.#options;
    this.#timers.push(
      rt.timers.set(rt.now + (connectTimeout || CONNECT_TIMEOUT), () => {
        if (this.#state === 'connecting')
          this.#end({
            code: 28,
            message: `Failed to connect to ${url.host} port ${url.port} after ${this.#ms() + 1} ms: Timeout was reached`,
          });
      }),
    );
    try {
      this.#running = transfer(
        ns,
        {
          ...this.#request,
          addr,
          port: url.port,
          src: bound,
          ...(localPort === null ? {} : { srcPort: localPort }),
        },
        {
          connected: (socket) => this.#connected(url, addr, socket),
          head: (head) => this.#head(url, head),
          body: (bytes) => this.#body(bytes),
          done: () => this.#complete(url),
          failed: (failure) => this.#failed(url, addr, failure),
        },
      );
    } catch (error) {
      if (!(error instanceof HttpFormatError)) throw error;
      this.#end({ code: 43, message: error.message });
    }
  }

  /** The address to connect from, 0 for any; what is wrong with `--interface`. */
  #bind(dst: number): number | string {
    const name = this.#options.interface;
    if (name === '') return 0;
    const { ns } = this.#ctx;
    const addr = inetAton(name);
    if (addr !== null)
      return ns.isLocal(addr) ? addr : 'bind failed with errno 99: Cannot assign requested address';
    const device = ns.device(name);
    if (device === undefined) return `Couldn't bind to '${name}'`;
    const way = reach(ns, dst, 0, PROTO_TCP);
    if (way.ok && way.type !== 'local' && way.dev !== name)
      return `Couldn't bind to '${name}': the route leaves by ${way.dev}, sending against it is not emulated`;
    return device.addresses[0]?.addr ?? 0;
  }

  #connected(url: Url, addr: number, socket: TcpSocket): void {
    const facts = this.#facts;
    this.#state = 'transferring';
    facts.remote = { ip: formatIp4(addr), port: url.port };
    facts.local = { ip: formatIp4(socket.local.addr), port: socket.local.port };
    facts.numConnects++;
    facts.timeConnect = this.#elapsed();
    facts.timePretransfer = facts.timeConnect;
    this.#verbose(`Connected to ${url.host} (${formatIp4(addr)}) port ${url.port} (#${this.#plan.number})`);
    const { method, target, version, headers } = this.#request;
    const lines = [
      `${method} ${target} HTTP/${version}`,
      ...headers.map(([name, value]) => `${name}: ${value}`),
      '',
    ];
    facts.sizeRequest = lines.reduce((sum, line) => sum + line.length + 2, 0);
    if (this.#options.flags.has('verbose')) for (const line of lines) this.#out.stderr(`> ${line}\n`);
  }

  #head(url: Url, head: ResponseHead): void {
    const { flags } = this.#options;
    const facts = this.#facts;
    const text = new TextDecoder('latin1').decode(formatResponseHead(head));
    const lines = text.split('\r\n').slice(0, -1);
    if (flags.has('verbose')) for (const line of lines) this.#out.stderr(`< ${line}\n`);
    facts.status = head.status;
    facts.httpVersion = head.version === '1.0' ? '1' : '1.1';
    facts.sizeHeader += text.length;
    facts.timeStarttransfer = this.#elapsed();
    facts.contentType = headerValue(head.headers, 'content-type') ?? '';
    const length = headerValue(head.headers, 'content-length');
    this.#length = length === null ? null : Number(length);
    const location = headerValue(head.headers, 'location');
    if (head.status >= 300 && head.status < 400 && location !== null)
      facts.redirectUrl = redirected(url, location) ?? '';
    if (head.status >= 400 && flags.has('fail')) this.#discard = 'fail';
    else if (facts.redirectUrl !== '' && flags.has('location')) {
      this.#discard = 'redirect';
      this.#verbose('Ignoring the response-body');
    }
    if ((flags.has('include') || flags.has('head')) && this.#options.output === '')
      this.#out.stdout(`${lines.join('\n')}\n`);
  }

  #body(bytes: Uint8Array): void {
    this.#facts.sizeDownload += bytes.length;
    const { flags, output } = this.#options;
    if (this.#discard !== 'no') return;
    if (output !== '') {
      // Where the content is not shown on the terminal, -v tells of it.
      if (flags.has('verbose')) this.#out.stderr(`{ [${bytes.length} bytes data]\n`);
      return;
    }
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text !== '') this.#out.stdout(text);
  }

  #complete(url: Url): void {
    this.#verbose(`Connection #${this.#plan.number} to host ${url.host} left intact`);
    const { status } = this.#facts;
    const failed =
      status >= 400 && (this.#options.flags.has('fail') || this.#options.flags.has('fail-with-body'));
    this.#end(failed ? { code: 22, message: `The requested URL returned error: ${status}` } : null, 'left');
  }

  #failed(url: Url, addr: number, failure: TransferFailure): void {
    switch (failure.type) {
      case 'connect': {
        const why = sendErrorText(failure.error);
        // What connect(2) itself refuses, and what comes later.
        this.#verbose(
          failure.error === 'ENETUNREACH' && this.#ms() === 0
            ? `Immediate connect fail for ${formatIp4(addr)}: ${why}`
            : `connect to ${formatIp4(addr)} port ${url.port} failed: ${why}`,
        );
        const message = `Failed to connect to ${url.host} port ${url.port} after ${this.#ms()} ms: ${CONNECT_FAILED}`;
        this.#verbose(message);
        this.#end({ code: 7, message });
        return;
      }
      case 'empty':
        this.#verbose('Empty reply from server');
        this.#end({ code: 52, message: 'Empty reply from server' });
        return;
      case 'recv': {
        const message = `Recv failure: ${sendErrorText(failure.error)}`;
        this.#verbose(message);
        this.#end({ code: 56, message });
        return;
      }
      case 'partial': {
        const missing = failure.left === null ? 'outstanding read data' : `${failure.left} bytes`;
        this.#end({
          code: 18,
          message: `transfer closed with ${missing} remaining${failure.left === null ? '' : ' to read'}`,
        });
        return;
      }
      case 'malformed':
        this.#end(
          failure.problem === 'malformed status line'
            ? { code: 1, message: 'Received HTTP/0.9 when not allowed' }
            : { code: 56, message: failure.problem },
        );
    }
  }

  #timedOut(): void {
    const ms = this.#ms() + 1;
    const { sizeDownload } = this.#facts;
    const received = this.#length === null ? `${sizeDownload}` : `${sizeDownload} out of ${this.#length}`;
    const message =
      this.#state === 'resolving'
        ? `Resolving timed out after ${ms} milliseconds`
        : this.#state === 'connecting'
          ? `Connection timed out after ${ms} milliseconds`
          : `Operation timed out after ${ms} milliseconds with ${received} bytes received`;
    this.#verbose(message);
    this.#end({ code: 28, message });
  }

  #end(failure: Failure | null, connection: 'closed' | 'left' = 'closed'): void {
    if (this.#state === 'over') return;
    this.#facts.timeTotal = this.#elapsed();
    this.cancel();
    if (failure !== null) {
      this.#facts.exitCode = failure.code;
      this.#facts.error = failure.message;
      if (connection === 'closed') this.#verbose(`Closing connection ${this.#plan.number}`);
    }
    this.#done({ failure, facts: this.#facts });
  }

  #verbose(text: string): void {
    if (this.#options.flags.has('verbose')) this.#out.stderr(`* ${text}\n`);
  }

  #elapsed(): number {
    return this.#ctx.rt.now - this.#plan.start.at;
  }

  #ms(): number {
    return Math.floor(this.#elapsed() + 1e-6);
  }
}

function withPath(text: string): string {
  return /^(?:[a-z]+:\/\/)?[^/?#]*$/i.test(text) ? `${text}/` : text;
}
