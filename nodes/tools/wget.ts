import type { HttpHeaders, ResponseHead } from '../../protocols/http/message.ts';
import { headerValue } from '../../protocols/http/message.ts';
import { HttpFormatError } from '../../protocols/http/serialize.ts';
import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { parseIp6 } from '../../protocols/ip6.ts';
import { connectTcp } from '../kernel/client-sockets.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import type { TimerHandle } from '../runtime.ts';
import { getopt } from './getopt.ts';
import { type TransferFailure, transfer } from './http/transfer.ts';
import { parseUrl, redirected, type Url } from './http/url.ts';
import { formatPeer, type HostPeer, resolveHost } from './resolve.ts';
import { sendErrorText } from './send-error.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from './tool.ts';

const USAGE = `BusyBox v1.35.0 (reroute) multi-call binary.

Usage: wget [-qS] [--spider] [-O FILE] [--header STR] [--post-data STR] [-T SEC] [-U AGENT] URL

Retrieve files via HTTP

\t--spider\tOnly check URL existence: $? is 0 if exists
\t--header STR\tAdd STR (of form 'header: value') to headers
\t--post-data STR\tSend STR using POST method
\t-q\t\tQuiet
\t-S    \t\tShow server response
\t-O FILE\t\tSave to FILE ('-' for stdout, or /dev/null)
\t-T SEC\t\tNetwork read timeout is SEC seconds
\t-U STR\t\tUse STR for User-Agent header`;

interface WgetOptions {
  readonly url: string;
  readonly flags: ReadonlySet<string>;
  readonly output: '-' | '/dev/null';
  /** ms */
  readonly timeout: number;
  readonly headers: readonly string[];
  readonly data: string | null;
  readonly agent: string;
}

/** wget(1) of BusyBox. There is no disk: `-O -` or `-O /dev/null` says where the page goes. */
export const wget: Tool = endingOnError((args, ctx, out) => new Wget(ctx, out, parseOptions(args)));

function parseOptions(args: readonly string[]): WgetOptions {
  const parsed = getopt(args, {
    flags: ['q', 'S', 'c', 'quiet', 'spider', 'no-check-certificate'],
    values: [
      'O',
      'T',
      'U',
      't',
      'Y',
      'header',
      'post-data',
      'timeout',
      'user-agent',
      'tries',
      'output-document',
    ],
  });
  if (!parsed.ok) {
    const what = parsed.problem === 'unknown' ? 'invalid option' : 'option requires an argument';
    throw new ToolError(`wget: ${what} -- '${parsed.name}'\n${USAGE}`, 1);
  }
  const LONG: Readonly<Record<string, string>> = {
    quiet: 'q',
    timeout: 'T',
    'user-agent': 'U',
    'output-document': 'O',
  };
  const options = parsed.options.map(({ name, value }) => ({ name: LONG[name] ?? name, value }));
  const last = (name: string) => options.filter((option) => option.name === name).at(-1)?.value ?? null;
  const flags = new Set(options.map(({ name }) => name));
  const [url, more] = parsed.operands.map(({ text }) => text);
  if (url === undefined) throw new ToolError(USAGE, 1);
  if (more !== undefined) throw new ToolError('wget: several URLs are not emulated', 1);
  const output = last('O');
  if (output !== '-' && output !== '/dev/null' && !flags.has('spider'))
    throw new ToolError(
      `wget: can't open '${output ?? 'index.html'}': there is no disk, use -O - or -O /dev/null`,
      1,
    );
  const timeout = last('T') ?? '900';
  if (!/^\d+$/.test(timeout)) throw new ToolError(`wget: invalid number '${timeout}'`, 1);
  return {
    url,
    flags,
    output: output === '-' ? '-' : '/dev/null',
    timeout: Number(timeout) * 1000,
    headers: options.filter(({ name }) => name === 'header').map(({ value }) => value),
    data: last('post-data'),
    agent: last('U') ?? 'Wget',
  };
}

/** A URL, with an IPv6 address without brackets too, which then has no port behind it. */
function urlOf(text: string): Url | null {
  const [, scheme = '', host = '', rest = ''] = /^((?:http:\/\/)?)([^/?#[\]@]*)(.*)$/s.exec(text) ?? [];
  if (parseIp6(host) === null) return parseUrl(text);
  const url = parseUrl(`${scheme}[${host}]${rest}`);
  return url === null ? null : { ...url, authority: host };
}

const MAX_REDIRECTS = 5;
const BAR = '*'.repeat(32);

class Wget implements RunningTool {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: WgetOptions;
  readonly #decoder = new TextDecoder();
  #running: { cancel(): void } | null = null;
  #timer: TimerHandle | null = null;
  #ended = false;
  #received = 0;
  /** Where the answer leads. */
  #location: string | null = null;

  constructor(ctx: ToolContext, out: ToolOutput, options: WgetOptions) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#get(options.url, 0);
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  #get(text: string, redirects: number): void {
    const url = urlOf(text);
    if (url === null || url.scheme !== 'http') {
      this.#fail(
        url !== null && url.scheme === 'https'
          ? 'TLS is not emulated: use http://'
          : `not an http or ftp url: ${text}`,
      );
      return;
    }
    const host = url.zone === '' ? url.host : `${url.host}%${url.zone}`;
    this.#running = resolveHost(this.#ctx, host, 'any', (resolved) => {
      if (this.#ended) return;
      if (!resolved.ok) this.#fail(`bad address '${url.authority}'`);
      else this.#connect(url, resolved.peers[0], redirects);
    });
  }

  #connect(url: Url, peer: HostPeer, redirects: number): void {
    const { addr } = peer;
    const shown = typeof addr === 'number' ? formatIp(addr) : `[${formatPeer(peer)}]`;
    this.#note(`Connecting to ${url.authority} (${shown}:${url.port})\n`);
    this.#touch();
    const socket = connectTcp(this.#ctx.ns, peer, url.port);
    this.#running = { cancel: () => socket.abort() };
    socket.onConnected = () => this.#request(url, socket, redirects);
    socket.onClosed = () => {
      const where = typeof addr === 'number' ? ` (${formatIp(addr)})` : '';
      const why = sendErrorText(socket.error ?? 'ECONNREFUSED');
      this.#fail(`can't connect to remote host${where}: ${why}`);
    };
  }

  #request(url: Url, socket: TcpSocket<IpAddress>, redirects: number): void {
    const { flags, data, agent } = this.#options;
    this.#touch();
    const body = data === null ? new Uint8Array(0) : new TextEncoder().encode(data);
    const method = data !== null ? 'POST' : flags.has('spider') ? 'HEAD' : 'GET';
    let head: ResponseHead | null = null;
    try {
      this.#running = transfer(
        socket,
        {
          method,
          target: url.target,
          version: '1.1',
          headers: this.#headers(url, agent, body),
          body,
        },
        {
          head: (answer) => {
            head = answer;
            this.#head(url, answer);
          },
          body: (bytes) => this.#body(bytes),
          done: () => this.#done(redirects),
          failed: (failure) => this.#failed(failure, head),
        },
      );
    } catch (error) {
      if (!(error instanceof HttpFormatError)) throw error;
      this.#fail(error.message);
    }
  }

  #headers(url: Url, agent: string, body: Uint8Array): HttpHeaders {
    const own: HttpHeaders = [
      ['Host', url.authority],
      ['User-Agent', agent],
      ['Connection', 'close'],
      ...(this.#options.data === null
        ? []
        : ([
            ['Content-Type', 'application/x-www-form-urlencoded'],
            ['Content-Length', String(body.length)],
          ] as const)),
    ];
    const given = this.#options.headers.map((text): [string, string] => {
      const [, name = text, value = ''] = /^([^:]*):\s*(.*)$/s.exec(text) ?? [];
      return [name, value];
    });
    const names = given.map(([name]) => name.toLowerCase());
    return [...own.filter(([name]) => !names.includes(name.toLowerCase())), ...given];
  }

  #head(url: Url, head: ResponseHead): void {
    const { flags, output } = this.#options;
    this.#touch();
    const status = `HTTP/${head.version} ${head.status} ${head.reason}`;
    if (flags.has('S'))
      this.#out.stderr(
        [status, ...head.headers.map(([name, value]) => `${name}: ${value}`), '']
          .map((line) => `  ${line}\n`)
          .join(''),
      );
    this.#location = null;
    if (head.status < 200) return;
    const location = headerValue(head.headers, 'location');
    if (head.status >= 300 && head.status < 400 && location !== null) {
      this.#location = redirected(url, location);
      if (this.#location !== null) return;
    }
    if (head.status >= 300) this.#fail(`server returned error: ${status}`);
    else if (!flags.has('spider'))
      this.#note(output === '-' ? 'writing to stdout\n' : `saving to '${output}'\n`);
  }

  #body(bytes: Uint8Array): void {
    this.#touch();
    if (this.#location !== null || this.#ended) return;
    this.#received += bytes.length;
    if (this.#options.output === '-') this.#out.stdout(this.#decoder.decode(bytes, { stream: true }));
  }

  #done(redirects: number): void {
    if (this.#ended) return;
    const { flags, output } = this.#options;
    const next = this.#location;
    if (next !== null) {
      if (redirects >= MAX_REDIRECTS) this.#fail('too many redirections');
      else this.#get(next, redirects + 1);
      return;
    }
    if (flags.has('spider')) this.#note('remote file exists\n');
    else {
      const name = output === '-' ? '-' : 'null';
      this.#note(`${name.padEnd(20)} 100% |${BAR}| ${String(this.#received).padStart(5)}  0:00:00 ETA\n`);
      this.#note(output === '-' ? 'written to stdout\n' : `'${output}' saved\n`);
    }
    this.#exit(0);
  }

  #failed(failure: TransferFailure, head: ResponseHead | null): void {
    switch (failure.type) {
      case 'recv':
        this.#fail(`error getting response: ${sendErrorText(failure.error)}`);
        return;
      case 'partial':
        this.#fail('connection closed prematurely');
        return;
      default:
        this.#fail(head === null ? 'error getting response' : 'connection closed prematurely');
    }
  }

  /** `-T` counts from the last that came. */
  #touch(): void {
    const { rt } = this.#ctx;
    if (this.#timer !== null) rt.timers.cancel(this.#timer);
    this.#timer = rt.timers.set(rt.now + this.#options.timeout, () => this.#fail('download timed out'));
  }

  #note(text: string): void {
    if (!this.#options.flags.has('q')) this.#out.stderr(text);
  }

  #fail(message: string): void {
    if (this.#ended) return;
    this.#out.stderr(`wget: ${message}\n`);
    this.#exit(1);
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#running?.cancel();
    if (this.#timer !== null) this.#ctx.rt.timers.cancel(this.#timer);
    this.#out.exit(code);
  }
}
