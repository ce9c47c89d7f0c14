import { headerValue, persists, type ResponseHead } from '../../protocols/http/message.ts';
import { formatResponseHead, HttpFormatError } from '../../protocols/http/serialize.ts';
import { formatIp, type IpAddress, parseIp } from '../../protocols/ip.ts';
import { LOOPBACK_IP6, mapIp4 } from '../../protocols/ip6.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import type { TimerHandle } from '../runtime.ts';
import { CurlBinder } from './curl-bind.ts';
import { CONNECT_FAILED, type ConnectFailure, connectErrorText, HappyEyeballs } from './curl-connect.ts';
import type { CurlOptions } from './curl-options.ts';
import { curlRequest } from './curl-request.ts';
import type { TransferFacts } from './curl-write-out.ts';
import { type TransferFailure, transfer } from './http/transfer.ts';
import { parseUrl, redirected, type Url } from './http/url.ts';
import { type HostPeer, resolveHost } from './resolve.ts';
import { sendErrorText } from './send-error.ts';
import { EXIT_KILLED, isAlive, type ToolContext, type ToolOutput } from './tool.ts';

/** What a transfer fails with: curl's exit code and its message. */
interface Failure {
  readonly code: number;
  readonly message: string;
}

/** Time to connect where none is given, ms. */
const CONNECT_TIMEOUT = 300_000;
/** 127.0.0.1 */
const LOOPBACK = 0x7f000001;

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
  #connecting: { cancel(): void } | null = null;
  #running: { cancel(): void } | null = null;
  #timers: TimerHandle[] = [];
  #state: 'resolving' | 'connecting' | 'transferring' | 'over' = 'resolving';
  /** Length of the content as announced. */
  #length: number | null = null;
  /** Whether the server leaves the connection open. */
  #kept = true;
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
    const { flags, resolve: added } = this.#options;
    const known = added.find(({ host, port }) => host === url.host && port === url.port);
    if (known !== undefined) {
      this.#verbose(`Hostname ${url.host} was found in DNS cache`);
      this.#connect(
        url,
        known.addresses.map((addr) => ({ addr })),
      );
      return;
    }
    if (/(?:^|\.)localhost$/i.test(url.host)) {
      // It knows that name by itself (RFC 6761 §6.3).
      this.#connect(url, [{ addr: LOOPBACK }, { addr: LOOPBACK_IP6 }]);
      return;
    }
    const address = parseIp(url.host);
    if (address !== null) {
      this.#connect(url, [this.#scoped(address, url.zone)]);
      return;
    }
    this.#lookup = resolveHost(this.#ctx, url.host, flags.has('ipv4') ? 'ipv4' : 'any', (resolved) => {
      if (this.#state === 'over') return;
      if (resolved.ok) {
        this.#connect(url, resolved.peers);
        return;
      }
      const message = `Could not resolve host: ${url.host}`;
      this.#verbose(message);
      this.#end({ code: 6, message });
    });
  }

  #scoped(addr: IpAddress, zone: string): HostPeer {
    if (zone === '') return { addr };
    const { ns } = this.#ctx;
    const device = ns.device(zone) ?? ns.devices().find(({ ifindex }) => String(ifindex) === zone);
    if (device === undefined) this.#verbose(`Invalid zoneid: ${zone}; No such device`);
    return { addr, device };
  }

  cancel(): void {
    this.#state = 'over';
    this.#lookup?.cancel();
    this.#connecting?.cancel();
    this.#running?.cancel();
    for (const timer of this.#timers) this.#ctx.rt.timers.cancel(timer);
    this.#timers = [];
  }

  #connect(url: Url, peers: readonly HostPeer[]): void {
    if (!isAlive(this.#ctx)) {
      this.#end({ code: EXIT_KILLED, message: 'Killed' });
      return;
    }
    const { rt } = this.#ctx;
    const { flags, connectTimeout, maxTime, headStart } = this.#options;
    this.#facts.timeNamelookup = this.#elapsed();
    this.#state = 'connecting';
    const verbose = (text: string) => this.#verbose(text);
    const binder = new CurlBinder(this.#ctx, this.#options, verbose);
    const left = maxTime > 0 ? Math.max(0, this.#plan.start.at + maxTime - rt.now) : Number.POSITIVE_INFINITY;
    this.#connecting = new HappyEyeballs(
      {
        rt,
        peers,
        port: url.port,
        family: flags.has('ipv4') ? 'ipv4' : flags.has('ipv6') ? 'ipv6' : 'any',
        timeout: Math.min(connectTimeout || CONNECT_TIMEOUT, left),
        headStart,
        open: (peer) => binder.open(peer, url.port),
        verbose,
      },
      (connected) => {
        if (this.#state === 'over') return;
        if (connected.ok) this.#connected(url, connected.peer, connected.socket);
        else this.#unconnected(url, connected.failure);
      },
    );
  }

  #unconnected(url: Url, failure: ConnectFailure | 'nothing-tried'): void {
    if (failure === 'nothing-tried') {
      this.#end({ code: 7, message: CONNECT_FAILED });
      return;
    }
    const { code, message: own } = failure;
    const after = this.#ms() + (code === 28 && own === null ? 1 : 0);
    const message = `Failed to connect to ${url.host} port ${url.port} after ${after} ms: ${connectErrorText(failure)}`;
    this.#verbose(message);
    this.#end({ code, message: code === 45 && own !== null ? own : message });
  }

  #connected(url: Url, { addr }: HostPeer, socket: TcpSocket<IpAddress>): void {
    const facts = this.#facts;
    this.#state = 'transferring';
    // As getpeername(2) and getsockname(2) have them for a socket of the family of the address.
    const seen = (own: IpAddress) =>
      formatIp(typeof addr === 'string' && typeof own === 'number' ? mapIp4(own) : own);
    const remote = seen(socket.remote.addr);
    facts.remote = { ip: remote, port: url.port };
    facts.local = { ip: seen(socket.local.addr), port: socket.local.port };
    facts.numConnects++;
    facts.timeConnect = this.#elapsed();
    facts.timePretransfer = facts.timeConnect;
    this.#verbose(`Connected to ${url.host} (${remote}) port ${url.port} (#${this.#plan.number})`);
    const { method, target, version, headers } = this.#request;
    const lines = [
      `${method} ${target} HTTP/${version}`,
      ...headers.map(([name, value]) => `${name}: ${value}`),
      '',
    ];
    facts.sizeRequest = lines.reduce((sum, line) => sum + line.length + 2, 0);
    if (this.#options.flags.has('verbose')) for (const line of lines) this.#out.stderr(`> ${line}\n`);
    try {
      this.#running = transfer(socket, this.#request, {
        head: (head) => this.#head(url, head),
        body: (bytes) => this.#body(bytes),
        done: () => this.#complete(url),
        failed: (failure) => this.#failed(failure),
      });
    } catch (error) {
      if (!(error instanceof HttpFormatError)) throw error;
      socket.close();
      this.#end({ code: 43, message: error.message });
    }
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
    this.#kept = persists(head);
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
    const { number } = this.#plan;
    this.#verbose(
      this.#kept ? `Connection #${number} to host ${url.host} left intact` : `Closing connection ${number}`,
    );
    const { status } = this.#facts;
    const failed =
      status >= 400 && (this.#options.flags.has('fail') || this.#options.flags.has('fail-with-body'));
    this.#end(failed ? { code: 22, message: `The requested URL returned error: ${status}` } : null, 'left');
  }

  #failed(failure: TransferFailure): void {
    switch (failure.type) {
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
