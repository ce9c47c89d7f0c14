import { GAI_ERRORS, type GaiError } from '../../protocols/dns/resolver.ts';
import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { ANY_IP6, mapIp4 } from '../../protocols/ip6.ts';
import { serviceName } from '../../protocols/services.ts';
import { type ConnectedUdp, connectTcp, connectUdp, routeTo } from '../kernel/client-sockets.ts';
import { bindAt, bindBoth, listenAt, listenBoth, type OnDatagram } from '../kernel/dual-stack.ts';
import type { Netns } from '../kernel/netns.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import { PortInUseError } from '../kernel/udp.ts';
import type { TimerHandle } from '../runtime.ts';
import { TcpWriter } from '../tcp-writer.ts';
import { type NcOptions, parseNcOptions } from './nc-options.ts';
import { AddressNames, formatPeer, type HostPeer, parsePeer, resolveHost } from './resolve.ts';
import { sendErrorText } from './send-error.ts';
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
  const { flags, host, family } = options;
  const numeric = host === '' ? null : parsePeer(ctx.ns, host);
  const failed = (error: GaiError) =>
    new ToolError(
      flags.has('l')
        ? `nc: getaddrinfo: ${GAI_ERRORS[error]}`
        : `nc: getaddrinfo for host "${host}" port ${options.ports[0]}: ${GAI_ERRORS[error]}`,
      1,
    );
  if (flags.has('l') && host === '')
    return new Listening(ctx, out, options, { addr: family === 'ipv6' ? ANY_IP6 : 0 });
  if (flags.has('n') && (numeric === null || numeric === 'no-device')) throw failed('EAI_NONAME');
  return new WaitingTool(ctx, out, (resume) =>
    resolveHost(ctx, host, family, (resolved) =>
      resume(() => {
        if (!resolved.ok) throw failed(resolved.error);
        const { peers } = resolved;
        return flags.has('l')
          ? new Listening(ctx, out, options, peers[0])
          : new Connecting(ctx, out, options, peers);
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
  protected pump(socket: TcpSocket<IpAddress>, over: (code: number) => void): void {
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
  readonly #peers: readonly HostPeer[];
  #tcp: TcpSocket<IpAddress> | null = null;
  #udp: ConnectedUdp | null = null;
  #port = 0;
  /** Addresses that the port is still to be tried at. */
  #left: HostPeer[] = [];
  #index = 0;
  #code = 1;

  constructor(ctx: ToolContext, out: ToolOutput, options: NcOptions, peers: readonly HostPeer[]) {
    super(ctx, out, options);
    this.#peers = peers;
    this.#nextPort();
  }

  protected release(): void {
    this.#udp?.close();
    this.#tcp?.close();
  }

  #nextPort(): void {
    const port = this.options.ports[this.#index++];
    if (port === undefined) {
      this.exit(this.#code);
      return;
    }
    this.#port = port;
    this.#left = [...this.#peers];
    this.#nextPeer();
  }

  #nextPeer(): void {
    const peer = this.#left.shift();
    if (peer === undefined) {
      this.#nextPort();
      return;
    }
    try {
      const from = { addr: this.#source(peer), port: this.options.sourcePort ?? undefined };
      if (this.options.protocol === 'udp') this.#connectUdp(peer, from);
      else this.#connectTcp(peer, from);
    } catch (error) {
      const message = error instanceof PortInUseError ? 'nc: bind failed: Address already in use' : null;
      if (message === null && !(error instanceof ToolError)) throw error;
      this.out.stderr(`${message ?? (error as ToolError).message}\n`);
      this.exit(1);
    }
  }

  /** The address of `-s`, by getaddrinfo(3) of the peer's family. @throws ToolError */
  #source({ addr: to }: HostPeer): IpAddress | undefined {
    const { source } = this.options;
    const { ns } = this.ctx;
    if (source === '') return undefined;
    const found = parsePeer(ns, source);
    const error: GaiError | null =
      found === null || found === 'no-device'
        ? 'EAI_NONAME'
        : typeof found.addr !== typeof to
          ? 'EAI_ADDRFAMILY'
          : null;
    if (error !== null || found === null || found === 'no-device')
      throw new ToolError(`nc: getaddrinfo: ${GAI_ERRORS[error ?? 'EAI_NONAME']}`, 1);
    if (!isOwn(ns, found.addr)) throw new ToolError('nc: bind failed: Cannot assign requested address', 1);
    return found.addr;
  }

  #connectTcp(peer: HostPeer, from: Parameters<typeof connectTcp>[3]): void {
    const { timeout, flags } = this.options;
    const socket = connectTcp(this.ctx.ns, peer, this.#port, from);
    this.#tcp = socket;
    if (timeout !== null)
      this.after(timeout, () => {
        socket.onClosed = null;
        socket.abort();
        this.#complain(peer, 'timed out: Operation now in progress');
        this.#nextPeer();
      });
    socket.onClosed = () => {
      this.clearTimers();
      this.#complain(peer, `failed: ${sendErrorText(socket.error ?? 'ECONNREFUSED')}`);
      this.#nextPeer();
    };
    socket.onConnected = () => {
      this.clearTimers();
      this.#code = 0;
      this.#succeeded(peer);
      if (flags.has('z')) {
        socket.onClosed = null;
        socket.close();
        this.#nextPort();
      } else this.pump(socket, (code) => this.exit(code));
    };
  }

  #connectUdp(peer: HostPeer, from: Parameters<typeof connectUdp>[4]): void {
    const { timeout, flags, quit } = this.options;
    const { ns } = this.ctx;
    const way = routeTo(ns, peer);
    if (!way.ok) {
      this.#complain(peer, `failed: ${sendErrorText(way.error)}`);
      this.#nextPeer();
      return;
    }
    let refused = false;
    const socket = connectUdp(
      ns,
      peer,
      this.#port,
      {
        onPayload: (payload) => {
          if (this.ended) return;
          this.print(payload);
          this.idle(() => this.exit(0));
        },
        onUnreachable: () => {
          refused = true;
        },
      },
      from,
    );
    this.#udp = socket;
    const send = (bytes: Uint8Array): boolean => !refused && socket.send(bytes) === null;
    const begin = () => {
      this.#code = 0;
      if (flags.has('z')) {
        socket.close();
        this.#nextPort();
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
        this.#nextPort();
      } else if (left > 0) this.after(1000, () => probe(left - 1));
      else {
        this.#succeeded(peer);
        begin();
      }
    };
    probe(seconds);
  }

  #succeeded(peer: HostPeer): void {
    const { flags, protocol, host } = this.options;
    if (!flags.has('v')) return;
    const port = this.#port;
    const service = flags.has('n') ? '*' : (serviceName(port, protocol) ?? '*');
    this.out.stderr(
      `Connection to ${host}${this.#address(peer)} ${port} port [${protocol}/${service}] succeeded!\n`,
    );
  }

  #complain(peer: HostPeer, what: string): void {
    const { flags, protocol, host } = this.options;
    if (flags.has('v'))
      this.out.stderr(
        `nc: connect to ${host}${this.#address(peer)} port ${this.#port} (${protocol}) ${what}\n`,
      );
  }

  #address(peer: HostPeer): string {
    const text = formatPeer(peer);
    return this.options.flags.has('n') ||
      text === this.options.host ||
      !isName(this.ctx.ns, this.options.host)
      ? ''
      : ` (${text})`;
  }
}

function isName(ns: Netns, host: string): boolean {
  return parsePeer(ns, host) === null;
}

function isOwn(ns: Netns, addr: IpAddress): boolean {
  return typeof addr === 'number' ? ns.isLocal(addr) : ns.ipv6.addresses.isLocal(addr, null);
}

class Listening extends Netcat {
  readonly #names: AddressNames;
  #close: () => void = () => {};
  #socket: TcpSocket<IpAddress> | null = null;
  /** It is a socket of `::`, and sees IPv4 as mapped addresses. */
  readonly #takesBoth: boolean;
  /** Connections that wait for the one before them to end. */
  readonly #waiting: TcpSocket<IpAddress>[] = [];

  constructor(ctx: ToolContext, out: ToolOutput, options: NcOptions, at: HostPeer) {
    super(ctx, out, options);
    this.#names = new AddressNames(ctx);
    const { addr } = at;
    const { ns } = ctx;
    const any = addr === 0 || addr === ANY_IP6;
    this.#takesBoth = addr === ANY_IP6;
    if (typeof addr === 'string' && ns.kernel.ipv6 === 'off')
      throw new ToolError('nc: Address family not supported by protocol', 1);
    if (!any && !isOwn(ns, addr)) throw new ToolError('nc: Cannot assign requested address', 1);
    try {
      if (options.protocol === 'tcp') this.#listen(addr);
      else this.#bind(addr);
    } catch (error) {
      if (!(error instanceof PortInUseError)) throw error;
      throw new ToolError('nc: Address already in use', 1);
    }
    const what = options.protocol === 'tcp' ? 'Listening' : 'Bound';
    const port = options.listenPort;
    if (any && options.flags.has('v')) out.stderr(`${what} on ${formatIp(addr)} ${port}\n`);
    else this.#report(at, (shown) => `${what} on ${shown} ${port}\n`);
  }

  protected release(): void {
    this.#names.cancel();
    this.#close();
    this.#socket?.close();
    for (const socket of this.#waiting) socket.abort();
  }

  #listen(addr: IpAddress): void {
    const { listenPort, flags } = this.options;
    const accept = (socket: TcpSocket<IpAddress>) => {
      if (this.#socket === null) this.#serve(socket);
      else if (flags.has('k')) {
        socket.pause();
        this.#waiting.push(socket);
      } else socket.abort();
    };
    const { ns } = this.ctx;
    const listener =
      addr === ANY_IP6
        ? listenBoth(ns, listenPort, accept)
        : listenAt(ns, { addr, port: listenPort }, accept);
    this.#close = () => listener.close();
  }

  #serve(socket: TcpSocket<IpAddress>): void {
    const { flags } = this.options;
    this.#socket = socket;
    socket.resume();
    this.#announce({ addr: socket.remote.addr, device: socket.scope }, socket.remote.port);
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
  #bind(addr: IpAddress): void {
    const { listenPort, flags } = this.options;
    const { ns } = this.ctx;
    let peer: { readonly addr: IpAddress; readonly port: number } | null = null;
    const take: OnDatagram = ({ src, srcPort, payload, device }, answer) => {
      if (this.ended) return;
      if (peer === null) {
        peer = { addr: src, port: srcPort };
        this.#announce({ addr: src, device }, srcPort);
        if (this.input.length > 0) answer(this.input);
      } else if (!flags.has('k') && (peer.addr !== src || peer.port !== srcPort)) return;
      this.print(payload);
      this.idle(() => this.exit(0));
    };
    const udp =
      addr === ANY_IP6 ? bindBoth(ns, listenPort, take) : bindAt(ns, { addr, port: listenPort }, take);
    this.#close = () => udp.close();
  }

  #announce(peer: HostPeer, port: number): void {
    this.#report(peer, (shown) => `Connection received on ${shown} ${port}\n`);
  }

  /** `report_sock`: an address by its name, unless `-n`. One that is mapped has none. */
  #report(peer: HostPeer, line: (shown: string) => string): void {
    const { flags } = this.options;
    if (!flags.has('v')) return;
    const { addr } = peer;
    const mapped = typeof addr === 'number' && this.#takesBoth;
    const text = mapped ? formatIp(mapIp4(addr)) : formatPeer(peer);
    const say = () => {
      if (!this.ended) this.out.stderr(line(this.#names.get(addr) ?? text));
    };
    if (flags.has('n') || mapped || this.#names.get(addr) !== undefined) say();
    else this.#names.find(addr, say);
  }
}
