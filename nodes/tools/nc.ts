import { GAI_ERRORS } from '../../protocols/dns/resolver.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { PROTO_UDP } from '../../protocols/ipv4.ts';
import { serviceName } from '../../protocols/services.ts';
import type { SocketError } from '../kernel/socket-error.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import { PortInUseError, type UdpSocket } from '../kernel/udp.ts';
import type { TimerHandle } from '../runtime.ts';
import { TcpWriter } from '../tcp-writer.ts';
import { type NcOptions, parseNcOptions } from './nc-options.ts';
import { AddressNames, inetAton, resolve, type Target } from './resolve.ts';
import { reach, sendErrorText } from './send-error.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
  WaitingTool,
} from './tool.ts';

/** nc(1) of OpenBSD. Its standard input is what the shell's pipe or its caller gives it, then ends. */
export const nc: Tool = endingOnError((args, ctx, out) => {
  const options = parseNcOptions(args);
  if (options.flags.has('l')) return new Listening(ctx, out, options);
  if (options.flags.has('n') && inetAton(options.host) === null)
    throw new ToolError(
      `nc: getaddrinfo for host "${options.host}" port ${options.ports[0]}: ${GAI_ERRORS.EAI_NONAME}`,
      1,
    );
  return new WaitingTool(ctx, out, (resume) =>
    resolve(ctx, options.host, 'any', (resolved) =>
      resume(() => {
        if (!resolved.ok)
          throw new ToolError(
            `nc: getaddrinfo for host "${options.host}" port ${options.ports[0]}: ${GAI_ERRORS[resolved.error]}`,
            1,
          );
        return new Connecting(ctx, out, options, resolved.target);
      }),
    ),
  );
});

/** What both modes have: an end, timers, and what goes out of the standard input. */
abstract class Netcat implements RunningTool {
  protected readonly ctx: ToolContext;
  protected readonly out: ToolOutput;
  protected readonly options: NcOptions;
  protected readonly input: Uint8Array;
  readonly #decoder = new TextDecoder();
  #timers: TimerHandle[] = [];
  #idle: TimerHandle | null = null;
  protected ended = false;

  constructor(ctx: ToolContext, out: ToolOutput, options: NcOptions) {
    this.ctx = ctx;
    this.out = out;
    this.options = options;
    const text = options.flags.has('d') ? '' : (ctx.stdin ?? '');
    this.input = new TextEncoder().encode(options.flags.has('C') ? text.replace(/\r?\n/g, '\r\n') : text);
  }

  interrupt(): void {
    this.exit(EXIT_INTERRUPTED);
  }

  protected abstract release(): void;

  protected exit(code: number): void {
    if (this.ended) return;
    this.ended = true;
    this.clearTimers();
    this.release();
    this.out.exit(code);
  }

  protected after(ms: number, run: () => void): void {
    const { rt } = this.ctx;
    this.#timers.push(rt.timers.set(rt.now + ms, run));
  }

  protected clearTimers(): void {
    for (const timer of this.#timers) this.ctx.rt.timers.cancel(timer);
    this.#timers = [];
    if (this.#idle !== null) this.ctx.rt.timers.cancel(this.#idle);
    this.#idle = null;
  }

  /** `-w` counts from the last that came or went. */
  protected idle(over: () => void): void {
    const { rt } = this.ctx;
    if (this.#idle !== null) rt.timers.cancel(this.#idle);
    if (this.options.timeout !== null) this.#idle = rt.timers.set(rt.now + this.options.timeout, over);
  }

  protected print(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text !== '') this.out.stdout(text);
  }

  /** Carries the input out and what comes in to stdout, until both ends or `-q` and `-w` say so (`readwrite`). */
  protected pump(socket: TcpSocket, over: (code: number) => void): void {
    const { flags, quit } = this.options;
    const writer = new TcpWriter(socket);
    const touch = () => this.idle(() => over(0));
    touch();
    socket.onData = (bytes) => {
      if (this.ended) return;
      this.print(bytes);
      touch();
    };
    socket.onPeerClosed = () => {
      socket.close();
      over(0);
    };
    socket.onClosed = (reason) => over(reason === 'closed' ? 0 : 1);
    writer.write(this.input);
    if (flags.has('N')) writer.end();
    else if (quit !== null) this.after(quit, () => over(0));
  }
}

/** How long a UDP port is tried where `-w` does not say, seconds (`UDP_SCAN_TIMEOUT`). */
const UDP_SCAN = 3;

class Connecting extends Netcat {
  readonly #target: Target;
  readonly #src: number;
  #tcp: TcpSocket | null = null;
  #udp: UdpSocket | null = null;
  #index = 0;
  #code = 1;

  constructor(ctx: ToolContext, out: ToolOutput, options: NcOptions, target: Target) {
    super(ctx, out, options);
    this.#target = target;
    const src = options.source === '' ? 0 : inetAton(options.source);
    if (src === null) throw new ToolError(`nc: getaddrinfo: ${GAI_ERRORS.EAI_NONAME}`, 1);
    if (src !== 0 && !ctx.ns.isLocal(src))
      throw new ToolError('nc: bind failed: Cannot assign requested address', 1);
    this.#src = src;
    this.#next();
  }

  protected release(): void {
    this.#udp?.close();
    this.#tcp?.close();
  }

  #next(): void {
    const port = this.options.ports[this.#index++];
    if (port === undefined) this.exit(this.#code);
    else if (this.options.protocol === 'udp') this.#connectUdp(port);
    else this.#connectTcp(port);
  }

  #connectTcp(port: number): void {
    const { sourcePort, timeout, flags } = this.options;
    let socket: TcpSocket;
    try {
      socket = this.ctx.ns.connectTcp({
        src: this.#src,
        dst: this.#target.addr,
        port,
        ...(sourcePort === null ? {} : { srcPort: sourcePort }),
      });
    } catch (error) {
      if (!(error instanceof PortInUseError)) throw error;
      this.out.stderr('nc: bind failed: Address already in use\n');
      this.exit(1);
      return;
    }
    this.#tcp = socket;
    if (timeout !== null)
      this.after(timeout, () => {
        socket.onClosed = null;
        socket.abort();
        this.#complain(port, 'timed out: Operation now in progress');
        this.#next();
      });
    socket.onClosed = () => {
      this.clearTimers();
      this.#complain(port, `failed: ${sendErrorText(socket.error ?? 'ECONNREFUSED')}`);
      this.#next();
    };
    socket.onConnected = () => {
      this.clearTimers();
      this.#code = 0;
      this.#succeeded(port);
      if (flags.has('z')) {
        socket.onClosed = null;
        socket.close();
        this.#next();
      } else this.pump(socket, (code) => this.exit(code));
    };
  }

  #connectUdp(port: number): void {
    const { sourcePort, timeout, flags, quit } = this.options;
    let error: SocketError | null = null;
    let socket: UdpSocket;
    try {
      socket = this.ctx.ns.bindUdp(
        { addr: this.#src, port: sourcePort ?? 0 },
        ({ src, srcPort, payload }) => {
          if (src !== this.#target.addr || srcPort !== port || this.ended) return;
          this.print(payload);
          this.idle(() => this.exit(0));
        },
      );
    } catch (thrown) {
      if (!(thrown instanceof PortInUseError)) throw thrown;
      this.out.stderr('nc: bind failed: Address already in use\n');
      this.exit(1);
      return;
    }
    this.#udp = socket;
    socket.onError = ({ dst, dstPort, type }) => {
      if (dst === this.#target.addr && dstPort === port && type === 'dest-unreachable')
        error = 'ECONNREFUSED';
    };
    const send = (bytes: Uint8Array): boolean => {
      if (error !== null) return false;
      return socket.sendTo(this.#target.addr, port, bytes) === null;
    };
    const way = reach(this.ctx.ns, this.#target.addr, this.#src, PROTO_UDP);
    if (!way.ok) {
      this.#complain(port, `failed: ${sendErrorText(way.error)}`);
      socket.close();
      this.#next();
      return;
    }
    const begin = () => {
      this.#code = 0;
      if (flags.has('z')) {
        socket.close();
        this.#next();
        return;
      }
      if (this.input.length > 0) send(this.input);
      this.idle(() => this.exit(0));
      if (quit !== null) this.after(quit, () => this.exit(0));
    };
    if (!flags.has('z') && !flags.has('v')) {
      begin();
      return;
    }
    const seconds = timeout === null ? UDP_SCAN : timeout / 1000;
    const probe = (left: number) => {
      if (!send(Uint8Array.of(0x58))) {
        socket.close();
        this.#next();
      } else if (left > 0) this.after(1000, () => probe(left - 1));
      else {
        this.#succeeded(port);
        begin();
      }
    };
    probe(seconds);
  }

  #succeeded(port: number): void {
    const { flags, protocol, host } = this.options;
    if (!flags.has('v')) return;
    const service = flags.has('n') ? '*' : (serviceName(port, protocol) ?? '*');
    this.out.stderr(
      `Connection to ${host}${this.#address()} ${port} port [${protocol}/${service}] succeeded!\n`,
    );
  }

  #complain(port: number, what: string): void {
    const { flags, protocol, host } = this.options;
    if (flags.has('v'))
      this.out.stderr(`nc: connect to ${host}${this.#address()} port ${port} (${protocol}) ${what}\n`);
  }

  #address(): string {
    const text = formatIp4(this.#target.addr);
    return this.options.flags.has('n') || text === this.options.host ? '' : ` (${text})`;
  }
}

class Listening extends Netcat {
  readonly #names: AddressNames;
  #close: () => void = () => {};
  #socket: TcpSocket | null = null;
  /** Connections that wait for the one before them to end. */
  readonly #waiting: TcpSocket[] = [];

  constructor(ctx: ToolContext, out: ToolOutput, options: NcOptions) {
    super(ctx, out, options);
    this.#names = new AddressNames(ctx);
    const addr = options.host === '' ? 0 : inetAton(options.host);
    if (addr === null) throw new ToolError(`nc: getaddrinfo: ${GAI_ERRORS.EAI_NONAME}`, 1);
    if (addr !== 0 && !ctx.ns.isLocal(addr)) throw new ToolError('nc: Cannot assign requested address', 1);
    try {
      if (options.protocol === 'tcp') this.#listen(addr);
      else this.#bind(addr);
    } catch (error) {
      if (!(error instanceof PortInUseError)) throw error;
      throw new ToolError('nc: Address already in use', 1);
    }
    if (options.flags.has('v')) out.stderr(`Listening on ${formatIp4(addr)} ${options.listenPort}\n`);
  }

  protected release(): void {
    this.#names.cancel();
    this.#close();
    this.#socket?.close();
    for (const socket of this.#waiting) socket.abort();
  }

  #listen(addr: number): void {
    const { listenPort, flags } = this.options;
    const listener = this.ctx.ns.listenTcp({ addr, port: listenPort }, (socket) => {
      if (this.#socket === null) this.#serve(socket);
      else if (flags.has('k')) {
        socket.pause();
        this.#waiting.push(socket);
      } else socket.abort();
    });
    this.#close = () => listener.close();
  }

  #serve(socket: TcpSocket): void {
    const { flags } = this.options;
    this.#socket = socket;
    socket.resume();
    this.#announce(socket.remote.addr, socket.remote.port);
    this.pump(socket, (code) => {
      if (this.ended || this.#socket !== socket) return;
      if (!flags.has('k')) {
        this.exit(code);
        return;
      }
      this.clearTimers();
      socket.onClosed = null;
      socket.close();
      this.#socket = null;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#serve(next);
    });
  }

  /** The first who sends is who is answered; `-k` takes datagrams of all. */
  #bind(addr: number): void {
    const { listenPort, flags } = this.options;
    let peer: { readonly addr: number; readonly port: number } | null = null;
    const udp = this.ctx.ns.bindUdp({ addr, port: listenPort }, ({ src, srcPort, dst, payload }) => {
      if (this.ended) return;
      if (peer === null) {
        peer = { addr: src, port: srcPort };
        this.#announce(src, srcPort);
        if (this.input.length > 0) udp.sendTo(src, srcPort, this.input, { src: dst });
      } else if (!flags.has('k') && (peer.addr !== src || peer.port !== srcPort)) return;
      this.print(payload);
      this.idle(() => this.exit(0));
    });
    this.#close = () => udp.close();
  }

  #announce(addr: number, port: number): void {
    const { flags } = this.options;
    if (!flags.has('v')) return;
    const say = () => {
      if (!this.ended)
        this.out.stderr(`Connection received on ${this.#names.get(addr) ?? formatIp4(addr)} ${port}\n`);
    };
    if (flags.has('n') || this.#names.get(addr) !== undefined) say();
    else this.#names.find(addr, say);
  }
}
