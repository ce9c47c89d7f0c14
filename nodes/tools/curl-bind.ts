import { parseIp } from '../../protocols/ip.ts';
import { connectTcp, routeDevice } from '../kernel/client-sockets.ts';
import { PortInUseError } from '../kernel/udp.ts';
import type { Opened } from './curl-connect.ts';
import type { CurlOptions } from './curl-options.ts';
import type { HostPeer } from './resolve.ts';
import type { ToolContext } from './tool.ts';

type Bound =
  | { readonly ok: true; readonly from: { addr?: string | number } }
  | (Opened & { readonly ok: false });

const AF = { number: 2, string: 10 } as const;

/** Begins a connection from where `--interface` and `--local-port` say (`bindlocal`). */
export class CurlBinder {
  readonly #ctx: ToolContext;
  readonly #options: CurlOptions;
  readonly #verbose: (text: string) => void;
  /** The name of `--interface` has been looked up before. */
  #cached = false;

  constructor(ctx: ToolContext, options: CurlOptions, verbose: (text: string) => void) {
    this.#ctx = ctx;
    this.#options = options;
    this.#verbose = verbose;
  }

  open(peer: HostPeer, port: number): Opened {
    const bound = this.#bind(peer);
    if (!bound.ok) return bound;
    const { localPort } = this.#options;
    try {
      const from = { ...bound.from, ...(localPort === null ? {} : { port: localPort }) };
      return { ok: true, socket: connectTcp(this.#ctx.ns, peer, port, from) };
    } catch (error) {
      if (!(error instanceof PortInUseError)) throw error;
      return this.#refused('bind failed with errno 98: Address already in use');
    }
  }

  #bind(peer: HostPeer): Bound {
    const { interface: name, localPort } = this.#options;
    const { ns } = this.#ctx;
    if (name === '') return { ok: true, from: {} };
    const device = ns.device(name);
    if (device !== undefined) {
      const way = routeDevice(ns, peer);
      if (way !== null && way !== device)
        return this.#refused(
          `Couldn't bind to '${name}': the route leaves by ${way.name}, sending against it is not emulated`,
        );
      const own = typeof peer.addr === 'number' ? device.addresses[0]?.addr : undefined;
      return { ok: true, from: own === undefined ? {} : { addr: own } };
    }
    const addr = parseIp(name);
    if (addr === null) {
      this.#verbose(`Could not resolve host: ${name}`);
      return this.#refused(`Couldn't bind to '${name}'`);
    }
    if (this.#cached) this.#verbose(`Hostname ${name} was found in DNS cache`);
    this.#cached = true;
    this.#verbose(
      `Name '${name}' family ${AF[typeof peer.addr as 'number' | 'string']} resolved to '${name}' family ${AF[typeof addr as 'number' | 'string']}`,
    );
    if (typeof addr !== typeof peer.addr) return { ok: false, code: 7, message: null };
    const own = typeof addr === 'number' ? ns.isLocal(addr) : ns.ipv6.addresses.isLocal(addr, null);
    if (!own) return this.#refused('bind failed with errno 99: Cannot assign requested address');
    this.#verbose(`Local port: ${localPort ?? 0}`);
    return { ok: true, from: { addr } };
  }

  #refused(message: string): Opened & { readonly ok: false } {
    this.#verbose(message);
    return { ok: false, code: 45, message };
  }
}
