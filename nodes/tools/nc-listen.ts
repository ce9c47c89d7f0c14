import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { ANY_IP6, mapIp4 } from '../../protocols/ip6.ts';
import {
  bindAt,
  bindBoth,
  isOwnAddress,
  listenAt,
  listenBoth,
  type OnDatagram,
} from '../kernel/dual-stack.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import { PortInUseError } from '../kernel/udp.ts';
import type { NcOptions } from './nc-options.ts';
import { Netcat } from './netcat.ts';
import { AddressNames, formatPeer, type HostPeer } from './resolve.ts';
import { type ToolContext, ToolError, type ToolOutput } from './tool.ts';

/** `nc -l` */
export class Listening extends Netcat {
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
    if (!any && !isOwnAddress(ns, addr)) throw new ToolError('nc: Cannot assign requested address', 1);
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
