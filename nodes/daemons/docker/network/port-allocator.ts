import { DockerError } from '../error.ts';

/** `net.ipv4.ip_local_port_range`, which libnetwork takes its own from. */
const FIRST = 32_768;
const LAST = 60_999;

const ANY_ADDRESS = '0.0.0.0';

interface Port {
  readonly proto: string;
  readonly ip: string;
  readonly port: number;
}

/** Ports of the host that containers have (libnetwork/portallocator): one after the other, round and round. */
export class PortAllocator {
  /** By address and protocol. */
  readonly #taken = new Map<string, Set<number>>();
  readonly #last = new Map<string, number>();

  /** Takes a port, or the next free one for 0. @throws DockerError */
  request(ip: string, proto: string, port: number): number {
    if (port !== 0) {
      if (this.#isTaken({ ip, proto, port }))
        throw new DockerError(`Bind for ${ip}:${port} failed: port is already allocated`);
      this.#take(ip, proto, port);
      return port;
    }
    const key = `${ip} ${proto}`;
    let next = this.#last.get(key) ?? LAST;
    for (let i = FIRST; i <= LAST; i++) {
      next = next >= LAST ? FIRST : next + 1;
      if (this.#isTaken({ ip, proto, port: next })) continue;
      this.#last.set(key, next);
      this.#take(ip, proto, next);
      return next;
    }
    throw new DockerError('all ports are allocated');
  }

  release(ip: string, proto: string, port: number): void {
    this.#taken.get(`${ip} ${proto}`)?.delete(port);
  }

  /** A port of all addresses stands in the way of the same port of one, and the other way round. */
  #isTaken({ ip, proto, port }: Port): boolean {
    if (ip !== ANY_ADDRESS) return this.#has(ip, proto, port) || this.#has(ANY_ADDRESS, proto, port);
    return [...this.#taken].some(([key, ports]) => key.endsWith(` ${proto}`) && ports.has(port));
  }

  #has(ip: string, proto: string, port: number): boolean {
    return this.#taken.get(`${ip} ${proto}`)?.has(port) ?? false;
  }

  #take(ip: string, proto: string, port: number): void {
    const key = `${ip} ${proto}`;
    const ports = this.#taken.get(key) ?? new Set();
    this.#taken.set(key, ports.add(port));
  }
}
