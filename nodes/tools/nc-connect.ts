import { GAI_ERRORS, type GaiError } from '../../protocols/dns/resolver.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { serviceName } from '../../protocols/services.ts';
import { type ConnectedUdp, connectTcp, connectUdp, routeTo } from '../kernel/client-sockets.ts';
import { isOwnAddress } from '../kernel/dual-stack.ts';
import type { Netns } from '../kernel/netns.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import { PortInUseError } from '../kernel/udp.ts';
import type { NcOptions } from './nc-options.ts';
import { Netcat } from './netcat.ts';
import { formatPeer, type HostPeer, parsePeer } from './resolve.ts';
import { sendErrorText } from './send-error.ts';
import { type ToolContext, ToolError, type ToolOutput } from './tool.ts';

/** How long a UDP port is tried where `-w` does not say, seconds (`UDP_SCAN_TIMEOUT`). */
const UDP_SCAN = 3;

/** nc as a client: each port is tried at each address of the host, until one answers. */
export class Connecting extends Netcat {
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
    if (!isOwnAddress(ns, found.addr))
      throw new ToolError('nc: bind failed: Cannot assign requested address', 1);
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
